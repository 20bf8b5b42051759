//! Settings of the sessions of people.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Env, SettingError};

/// How long sessions last, and which browsers may use them.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// A session that nobody used for so long has ended.
    pub idle: Duration,
    /// No session lasts longer, however much it is used.
    pub absolute: Duration,
    /// Whether the cookie is sent over HTTPS only.
    pub secure_cookie: bool,
    /// Origins whose pages may send requests with a session; empty where only pages of our own address may.
    pub origins: Vec<String>,
}

impl SessionSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            idle: seconds(env, "LOGGERHUB_SESSION_IDLE_SECONDS")?,
            absolute: seconds(env, "LOGGERHUB_SESSION_ABSOLUTE_SECONDS")?,
            secure_cookie: env.parsed("LOGGERHUB_SECURE_COOKIES")?,
            origins: origins(env)?,
        })
    }
}

fn seconds(env: &Env, name: &'static str) -> Result<Duration, SettingError> {
    env.parsed::<NonZeroU32>(name).map(|seconds| Duration::from_secs(seconds.get().into()))
}

/// Browsers send an origin in lower case, without a path (RFC 6454, section 6.2): another spelling would never be met.
fn origins(env: &Env) -> Result<Vec<String>, SettingError> {
    const NAME: &str = "LOGGERHUB_WEB_ORIGINS";
    let Some(listed) = env.optional(NAME) else { return Ok(Vec::new()) };
    listed
        .split(',')
        .map(|origin| {
            let origin = origin.trim();
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let plain = host.is_some_and(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b)));
            let reason = || "it must hold origins such as https://logs.example.com, with commas between them".to_owned();
            if plain { Ok(origin.to_owned()) } else { Err(SettingError::Unreadable { name: NAME, reason: reason() }) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        let read = |value: &str| SessionSettings::from_env(&Env::default().with("LOGGERHUB_WEB_ORIGINS", value)).map(|settings| settings.origins);
        assert_eq!(read("").ok(), Some(Vec::new()));
        let two = vec!["https://logs.example.com".to_owned(), "http://[::1]:8080".to_owned()];
        assert_eq!(read("https://logs.example.com, http://[::1]:8080").ok(), Some(two));
        for bad in ["logs.example.com", "https://", "https://a/", "https://A.example", "https://a,", "*", "null"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_lasts_for_some_time() {
        for name in ["LOGGERHUB_SESSION_IDLE_SECONDS", "LOGGERHUB_SESSION_ABSOLUTE_SECONDS"] {
            assert!(SessionSettings::from_env(&Env::default().with(name, "0")).is_err(), "{name}");
        }
    }
}
