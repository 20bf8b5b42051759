//! What the processor is told at start.

use shared::settings::{ArchiveSettings, Env, OpenSearchSettings, PostgresSettings, QueueSettings, RedisSettings, SettingError};

/// Settings of the processor: the queue, the bell and all three stores. No control database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the queue is.
    pub redis: RedisSettings,
    /// The bell.
    pub queue: QueueSettings,
    /// Where rows go.
    pub logs: PostgresSettings,
    /// Where documents go.
    pub index: OpenSearchSettings,
    /// Where raw goes.
    pub archive: ArchiveSettings,
}

impl Settings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            redis: RedisSettings::from_env(env)?,
            queue: QueueSettings::of_function(env)?,
            logs: PostgresSettings::logs_from_env(env)?,
            index: OpenSearchSettings::from_env(env)?,
            archive: ArchiveSettings::from_env(env)?,
        })
    }
}
