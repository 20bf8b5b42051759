//! What maintenance is told at start.

use std::time::Duration;

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
    /// When months are closed.
    pub billing: BillingSettings,
}

/// When months are closed, and by whom their invoices are finalized.
#[derive(Debug, Clone, Copy)]
pub struct BillingSettings {
    /// How long after its end a month is closed: what is stored by then counts in it, and what comes later in the next.
    pub close_after: Duration,
    /// Whether closing finalizes the invoice; else an operator does.
    pub finalizes: bool,
}

impl BillingSettings {
    /// `LOGGERHUB_CLOSE_MONTH_AFTER_HOURS`, `LOGGERHUB_FINALIZE_INVOICES`.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        let hours: u8 = env.parsed("LOGGERHUB_CLOSE_MONTH_AFTER_HOURS")?;
        Ok(Self { close_after: Duration::from_secs(u64::from(hours) * 3600), finalizes: env.parsed("LOGGERHUB_FINALIZE_INVOICES")? })
    }
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
            billing: BillingSettings::from_env(env)?,
        })
    }
}
