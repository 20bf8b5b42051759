//! What tenants is told at start.

use std::num::NonZeroU32;
use std::time::Duration;

use shared::auth::Authenticator;
use shared::settings::{Env, PostgresSettings, RedisSettings, Secret, SessionSettings, SettingError, WebhookKeeping};

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
    /// How long sessions last, and which browsers may use them.
    pub sessions: SessionSettings,
    /// How long what was mailed to people opens something.
    pub people: PeopleSettings,
    /// Where webhooks may lead, and how their secrets lie in the database.
    pub webhooks: WebhookKeeping,
}

/// How long what was mailed to people opens something.
#[derive(Debug, Clone, Copy)]
pub struct PeopleSettings {
    /// An invitation.
    pub invitation: Duration,
    /// The reset of a forgotten password.
    pub reset: Duration,
}

impl PeopleSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let seconds = |name| env.parsed::<NonZeroU32>(name).map(|seconds| Duration::from_secs(seconds.get().into()));
        Ok(Self { invitation: seconds("LOGGERHUB_INVITATION_SECONDS")?, reset: seconds("LOGGERHUB_PASSWORD_RESET_SECONDS")? })
    }
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
            sessions: SessionSettings::from_env(env)?,
            people: PeopleSettings::from_env(env)?,
            webhooks: WebhookKeeping::from_env(env)?,
        })
    }
}
