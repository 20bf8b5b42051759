//! Settings: environment variables `LOGGERHUB_...`, read once at start into a struct for each concern.
//!
//! [`VARIABLES`] is the one list of them: `.env.example` and the README's table are printed from it, and [`Env`] refuses to
//! read a name that it lacks. Only a `main` calls [`Env::from_process`].

mod authorities;
mod events;
mod queue;
mod sessions;
mod variables;
mod webhooks;

pub use authorities::Authorities;
pub use events::EventSettings;
pub use queue::{Durability, QueueSettings};
pub use sessions::SessionSettings;
pub use variables::{VARIABLES, Variable};
pub use webhooks::{Retries, WebhookKeeping, WebhookSettings};

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A setting that is missing or cannot be read. Names the variable, and never repeats its value.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Not set, and without a default.
    #[error("{name} is not set: {doc}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it is for.
        doc: &'static str,
    },
    /// Set to what cannot be understood.
    #[error("{name} cannot be read: {reason}")]
    Unreadable {
        /// The variable.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// A text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The variables as they stood at start.
#[derive(Debug, Clone, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// The environment of this process. For `main` only.
    #[must_use]
    pub fn from_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// This environment with one variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Every variable that is set, for a process that is started with the same ones.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable, if it is set to something; else its default.
    fn get(&self, name: &'static str) -> Option<&str> {
        let variable = Variable::named(name);
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty()).or(variable.default)
    }

    /// # Errors
    /// [`SettingError`].
    pub fn text(&self, name: &'static str) -> Result<String, SettingError> {
        self.get(name).map(str::to_owned).ok_or(SettingError::Missing { name, doc: Variable::named(name).doc })
    }

    /// # Errors
    /// [`SettingError::Missing`].
    pub fn secret(&self, name: &'static str) -> Result<Secret, SettingError> {
        self.text(name).map(Secret)
    }

    /// The value, or `None` where there is neither one nor a default.
    #[must_use]
    pub fn optional(&self, name: &'static str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// # Errors
    /// [`SettingError`].
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<T, SettingError> {
        self.text(name)?.parse().map_err(|e: T::Err| SettingError::Unreadable { name, reason: e.to_string() })
    }

    /// A URL of one of these schemes, such as `redis://`; it may hold a password.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn url(&self, name: &'static str, schemes: &[&str]) -> Result<Secret, SettingError> {
        let url = self.secret(name)?;
        if schemes.iter().any(|scheme| url.reveal().strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
            return Ok(url);
        }
        Err(SettingError::Unreadable { name, reason: format!("it must begin with {}, and a host must follow", schemes.join(" or ")) })
    }

    /// An HTTP URL, if it is set.
    ///
    /// # Errors
    /// [`SettingError::Unreadable`].
    pub fn optional_http(&self, name: &'static str) -> Result<Option<String>, SettingError> {
        match self.get(name) {
            Some(_) => self.url(name, &["http://", "https://"]).map(|url| Some(url.0)),
            None => Ok(None),
        }
    }

    /// A number of milliseconds.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn millis(&self, name: &'static str) -> Result<Duration, SettingError> {
        self.parsed(name).map(Duration::from_millis)
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Where Redis is, and how the keys in it are named.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, with password and database where needed; of a cluster some of its nodes, with commas between them.
    pub url: Secret,
    /// Whether it is a cluster.
    pub cluster: bool,
    /// Who is trusted instead of the public authorities.
    pub authorities: Option<Authorities>,
    /// What every key begins with, so that two hubs can share one Redis.
    pub prefix: String,
    /// Partitions of the queue, at least 1.
    pub partitions: u16,
}

impl RedisSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let partitions = env.parsed::<std::num::NonZeroU16>("LOGGERHUB_PARTITIONS")?.get();
        Ok(Self {
            url: env.url("LOGGERHUB_REDIS_URL", &["redis://", "rediss://"])?,
            cluster: env.parsed("LOGGERHUB_REDIS_CLUSTER")?,
            authorities: Authorities::from_env(env)?,
            prefix: env.text("LOGGERHUB_REDIS_PREFIX")?,
            partitions,
        })
    }
}

/// One Postgres database.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`, with `?sslmode=` where needed.
    pub url: Secret,
    /// Most connections of this process.
    pub max_connections: u32,
    /// Who is trusted beside the public authorities.
    pub authorities: Option<Authorities>,
}

impl PostgresSettings {
    /// The control database: tenants and keys.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn control_from_env(env: &Env) -> Result<Self, SettingError> {
        Self::from_env(env, "LOGGERHUB_CONTROL_DATABASE_URL")
    }

    /// The logs database: rows and receipts.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn logs_from_env(env: &Env) -> Result<Self, SettingError> {
        Self::from_env(env, "LOGGERHUB_LOGS_DATABASE_URL")
    }

    fn from_env(env: &Env, url: &'static str) -> Result<Self, SettingError> {
        Ok(Self {
            url: env.url(url, &["postgres://", "postgresql://"])?,
            max_connections: env.parsed::<std::num::NonZeroU32>("LOGGERHUB_POSTGRES_MAX_CONNECTIONS")?.get(),
            authorities: Authorities::from_env(env)?,
        })
    }
}

/// Where OpenSearch is, and how our indices in it are named.
#[derive(Debug, Clone)]
pub struct OpenSearchSettings {
    /// `http://` or `https://`, with user and password where needed.
    pub url: Secret,
    /// The AWS region for which requests are signed with what AWS' own chain of credentials finds; `None` where they are not.
    pub sign_for: Option<String>,
    /// Who is trusted beside the public authorities.
    pub authorities: Option<Authorities>,
    /// What every index of ours begins with.
    pub prefix: String,
    /// Primary shards of a new index.
    pub shards: u16,
    /// Replicas of each shard.
    pub replicas: u16,
    /// How often what was written becomes searchable.
    pub refresh: Duration,
}

impl OpenSearchSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            url: env.url("LOGGERHUB_OPENSEARCH_URL", &["http://", "https://"])?,
            sign_for: if env.parsed("LOGGERHUB_OPENSEARCH_SIGV4")? { Some(ArchiveSettings::region_from_env(env)?) } else { None },
            authorities: Authorities::from_env(env)?,
            prefix: index_prefix(env)?,
            shards: env.parsed::<std::num::NonZeroU16>("LOGGERHUB_INDEX_SHARDS")?.get(),
            replicas: env.parsed("LOGGERHUB_INDEX_REPLICAS")?,
            refresh: env.millis("LOGGERHUB_INDEX_REFRESH_MS")?,
        })
    }
}

/// Index names have rules of their own (OpenSearch manual, "Index naming restrictions"); of a wrong prefix only maintenance would tell.
fn index_prefix(env: &Env) -> Result<String, SettingError> {
    const NAME: &str = "LOGGERHUB_INDEX_PREFIX";
    let prefix = env.text(NAME)?;
    let plain = prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && prefix.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Ok(prefix);
    }
    Err(SettingError::Unreadable { name: NAME, reason: "it may hold a-z, 0-9 and -, and begins with a letter or digit".to_owned() })
}

/// Where raw is kept.
#[derive(Debug, Clone)]
pub struct ArchiveSettings {
    /// Endpoint of an S3 service that is not AWS (path style is used with it); `None` for AWS.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// What every object of ours begins with.
    pub prefix: String,
    /// AWS region.
    pub region: String,
    /// Access key id and secret; `None` takes what AWS' own chain finds (environment, role).
    pub credentials: Option<(String, Secret)>,
    /// Who is trusted beside the public authorities.
    pub authorities: Option<Authorities>,
}

impl ArchiveSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let credentials = match env.optional("LOGGERHUB_S3_ACCESS_KEY_ID") {
            Some(id) => Some((id, env.secret("LOGGERHUB_S3_SECRET_ACCESS_KEY")?)),
            None => None,
        };
        Ok(Self {
            endpoint: env.optional_http("LOGGERHUB_S3_ENDPOINT")?,
            bucket: env.text("LOGGERHUB_S3_BUCKET")?,
            prefix: env.text("LOGGERHUB_S3_PREFIX")?,
            region: Self::region_from_env(env)?,
            credentials,
            authorities: Authorities::from_env(env)?,
        })
    }

    /// The region alone, for functions that have no bucket.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn region_from_env(env: &Env) -> Result<String, SettingError> {
        env.text("LOGGERHUB_S3_REGION")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_variable_and_not_its_value() {
        let error = RedisSettings::from_env(&Env::default()).expect_err("no URL").to_string();
        assert!(error.starts_with("LOGGERHUB_REDIS_URL is not set"), "{error}");
        let env = Env::default().with("LOGGERHUB_REDIS_URL", "redis://h").with("LOGGERHUB_PARTITIONS", "s3cret");
        let error = RedisSettings::from_env(&env).expect_err("no number").to_string();
        assert!(error.starts_with("LOGGERHUB_PARTITIONS") && !error.contains("s3cret"), "{error}");
        for (name, value) in [("LOGGERHUB_POSTGRES_MAX_CONNECTIONS", "0"), ("LOGGERHUB_LOGS_DATABASE_URL", "postgres://")] {
            let env = Env::default().with("LOGGERHUB_LOGS_DATABASE_URL", "postgres://h/d").with(name, value);
            let error = PostgresSettings::logs_from_env(&env).expect_err(value).to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn what_no_engine_would_understand_is_refused_at_start() {
        for (name, value) in
            [("LOGGERHUB_OPENSEARCH_URL", "nonsense:s3cret"), ("LOGGERHUB_INDEX_PREFIX", "Logs *"), ("LOGGERHUB_INDEX_PREFIX", "-a"), ("LOGGERHUB_INDEX_SHARDS", "0")]
        {
            let env = Env::default().with("LOGGERHUB_OPENSEARCH_URL", "http://h").with(name, value);
            let error = OpenSearchSettings::from_env(&env).expect_err(value).to_string();
            assert!(error.starts_with(name) && !error.contains(value), "{error}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let env = Env::default().with("LOGGERHUB_REDIS_URL", "").with("LOGGERHUB_REDIS_PREFIX", "");
        assert!(RedisSettings::from_env(&env).is_err());
        assert_eq!(env.text("LOGGERHUB_REDIS_PREFIX").ok().as_deref(), Some("lh:"));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "(secret)");
    }
}
