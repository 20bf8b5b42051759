//! What the server is told at start: the settings of all functions.

use std::time::Duration;

use shared::auth::Authenticator;
use shared::settings::{
    ArchiveSettings, Env, EventSettings, OpenSearchSettings, PostgresSettings, QueueSettings, RedisSettings, Secret, SessionSettings, SettingError, WebhookSettings,
};

use crate::proxies::Proxies;

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most connections of clients at once.
    pub max_connections: usize,
    /// Proxies that say where requests came from.
    pub proxies: Proxies,
    /// Redis.
    pub redis: RedisSettings,
    /// The queue and the linger.
    pub queue: QueueSettings,
    /// Tenants and keys.
    pub control: PostgresSettings,
    /// Rows and receipts.
    pub logs: PostgresSettings,
    /// The index.
    pub index: OpenSearchSettings,
    /// Raw.
    pub archive: ArchiveSettings,
    /// Who is told what becomes of tenants.
    pub events: EventSettings,
    /// How webhooks are delivered.
    pub webhooks: WebhookSettings,
    /// How much of one tenant is searched for at once.
    pub limits: search::config::Limits,
    /// The operator's token.
    pub operator: Option<Secret>,
    /// How long a tenant that is deleted can be restored.
    pub grace: Duration,
    /// How long sessions last, and which browsers may use them.
    pub sessions: SessionSettings,
    /// How long what was mailed to people opens something.
    pub people: tenants::config::PeopleSettings,
    /// When months are closed.
    pub billing: maintenance::config::BillingSettings,
}

impl Settings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            max_connections: env.parsed::<std::num::NonZeroUsize>("LOGGERHUB_MAX_CONNECTIONS")?.get(),
            proxies: Proxies::from_env(env)?,
            redis: RedisSettings::from_env(env)?,
            queue: QueueSettings::from_env(env)?,
            control: PostgresSettings::control_from_env(env)?,
            logs: PostgresSettings::logs_from_env(env)?,
            index: OpenSearchSettings::from_env(env)?,
            archive: ArchiveSettings::from_env(env)?,
            events: EventSettings::from_env(env)?,
            webhooks: WebhookSettings::from_env(env)?,
            limits: search::config::Limits::from_env(env)?,
            operator: Authenticator::operator_from_env(env)?,
            grace: tenants::config::grace_from_env(env)?,
            sessions: SessionSettings::from_env(env)?,
            people: tenants::config::PeopleSettings::from_env(env)?,
            billing: maintenance::config::BillingSettings::from_env(env)?,
        })
    }
}
