//! What maintenance is told at start.

use shared::settings::{ArchiveSettings, Env, EventSettings, OpenSearchSettings, PostgresSettings, RedisSettings, SettingError, WebhookSettings};

/// Settings of maintenance: every engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the queue and the key ring are.
    pub redis: RedisSettings,
    /// The database of tenants and keys.
    pub control: PostgresSettings,
    /// The database of rows and receipts.
    pub logs: PostgresSettings,
    /// The search index.
    pub opensearch: OpenSearchSettings,
    /// Where raw is kept.
    pub archive: ArchiveSettings,
    /// Who is told what becomes of tenants.
    pub events: EventSettings,
    /// How webhooks are delivered.
    pub webhooks: WebhookSettings,
}

impl Settings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            redis: RedisSettings::from_env(env)?,
            control: PostgresSettings::control_from_env(env)?,
            logs: PostgresSettings::logs_from_env(env)?,
            opensearch: OpenSearchSettings::from_env(env)?,
            archive: ArchiveSettings::from_env(env)?,
            events: EventSettings::from_env(env)?,
            webhooks: WebhookSettings::from_env(env)?,
        })
    }
}
