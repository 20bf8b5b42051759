//! Settings of webhooks.

use std::str::FromStr;
use std::time::Duration;

use super::{Authorities, Env, SettingError};
use crate::webhooks::Sealer;

/// Most retries, and the longest wait between two, in seconds: a week.
const MAX_RETRIES: usize = 50;
const MAX_WAIT: u64 = 604_800;

/// Where webhooks may lead, and how their secrets lie in the database.
#[derive(Debug, Clone)]
pub struct WebhookKeeping {
    /// Whether a webhook may lead to the inside of a network, and without TLS: for tests and laptops.
    pub allow_private: bool,
    /// What seals their secrets.
    pub sealer: Sealer,
}

/// How webhooks are delivered.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// What tenants are told of webhooks, too.
    pub keeping: WebhookKeeping,
    /// How long a receiver may take.
    pub timeout: Duration,
    /// How long to wait after the first attempt that failed, after the second, ...; after the last there is no further one.
    pub retries: Retries,
    /// A webhook to which nothing could be delivered for so long is disabled.
    pub disable_after: Duration,
    /// Who is trusted beside the public authorities.
    pub authorities: Option<Authorities>,
}

/// How long to wait after each attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries(Vec<Duration>);

impl Retries {
    /// How long to wait after so many attempts that failed, without any jitter; `None` where there is no further one.
    #[must_use]
    pub fn after(&self, attempts: usize) -> Option<Duration> {
        self.0.get(attempts.checked_sub(1)?).copied()
    }
}

impl FromStr for Retries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let waits = text.split(',').map(|wait| wait.trim().parse().ok().filter(|wait| *wait <= MAX_WAIT).map(Duration::from_secs));
        let waits = waits.collect::<Option<Vec<_>>>().filter(|waits| waits.len() <= MAX_RETRIES);
        waits.map(Self).ok_or_else(|| format!("it must be at most {MAX_RETRIES} numbers of seconds up to {MAX_WAIT}, with commas between them"))
    }
}

impl WebhookSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        const TIMEOUT: &str = "LOGGERHUB_WEBHOOKS_TIMEOUT_MS";
        let timeout = env.millis(TIMEOUT)?;
        if timeout.is_zero() || timeout > Duration::from_secs(60) {
            return Err(SettingError::Unreadable { name: TIMEOUT, reason: "it must be from 1 to 60000".to_owned() });
        }
        Ok(Self {
            keeping: WebhookKeeping::from_env(env)?,
            timeout,
            retries: env.parsed("LOGGERHUB_WEBHOOKS_RETRY_SECONDS")?,
            disable_after: Duration::from_secs(env.parsed::<u32>("LOGGERHUB_WEBHOOKS_DISABLE_AFTER_SECONDS")?.into()),
            authorities: Authorities::from_env(env)?,
        })
    }
}

impl WebhookKeeping {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        const KEY: &str = "LOGGERHUB_WEBHOOKS_KEY";
        let sealer = if env.optional(KEY).is_some() { env.parsed(KEY)? } else { Sealer::default() };
        Ok(Self { allow_private: env.parsed("LOGGERHUB_WEBHOOKS_ALLOW_PRIVATE")?, sealer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_one_another_and_end() {
        let retries: Retries = "5, 300".parse().expect("two");
        let waits: Vec<_> = (0..4).map(|attempts| retries.after(attempts)).collect();
        assert_eq!(waits, [None, Some(Duration::from_secs(5)), Some(Duration::from_secs(300)), None]);
        for bad in ["", "5,", "5;6", "-1", "0.5", "604801", &vec!["1"; MAX_RETRIES + 1].join(",")] {
            assert!(bad.parse::<Retries>().is_err(), "{bad}");
        }
    }

    /// Some attempts within the first hour, and about three days in all.
    #[test]
    fn the_default_is_about_the_schedule_of_standard_webhooks() {
        let settings = WebhookSettings::from_env(&Env::default()).expect("defaults");
        let waits: Vec<Duration> = (1..).map_while(|attempts| settings.retries.after(attempts)).collect();
        let first_hour = waits
            .iter()
            .scan(Duration::ZERO, |at, wait| {
                *at += *wait;
                Some(*at)
            })
            .filter(|at| *at < Duration::from_secs(3600))
            .count();
        assert_eq!((first_hour, waits.iter().sum::<Duration>().as_secs() / 86_400), (3, 3));
        assert!(!settings.keeping.allow_private, "nobody reaches the inside unless somebody says so");
        assert!(settings.disable_after > waits.iter().sum::<Duration>(), "one event that a receiver cannot take does not disable it");
    }
}
