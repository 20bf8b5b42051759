//! What tenants is told at start.

use std::time::Duration;

use shared::auth::Authenticator;
use shared::settings::{Env, PostgresSettings, RedisSettings, Secret, SettingError, WebhookKeeping};

/// Settings of tenants: both databases, the key ring, and the operator's token.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the key ring is.
    pub redis: RedisSettings,
    /// The database of tenants and keys.
    pub control: PostgresSettings,
    /// The database in which each tenant has a schema.
    pub logs: PostgresSettings,
    /// What an operator sends; without it nobody is one.
    pub operator: Option<Secret>,
    /// How long a tenant that is deleted can be restored.
    pub grace: Duration,
    /// Where webhooks may lead, and how their secrets lie in the database.
    pub webhooks: WebhookKeeping,
}

/// How long a tenant that is deleted can be restored, as it is set.
///
/// # Errors
/// [`SettingError`].
pub fn grace_from_env(env: &Env) -> Result<Duration, SettingError> {
    env.parsed::<u32>("LOGGERHUB_DELETION_GRACE_SECONDS").map(|seconds| Duration::from_secs(seconds.into()))
}

impl Settings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            redis: RedisSettings::from_env(env)?,
            control: PostgresSettings::control_from_env(env)?,
            logs: PostgresSettings::logs_from_env(env)?,
            operator: Authenticator::operator_from_env(env)?,
            grace: grace_from_env(env)?,
            webhooks: WebhookKeeping::from_env(env)?,
        })
    }
}
