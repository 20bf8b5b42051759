//! What ingest is told at start.

use shared::settings::{ArchiveSettings, Env, QueueSettings, RedisSettings, SettingError};

/// Settings of ingest: Redis, the queue and the bell. No store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the queue and the key ring are.
    pub redis: RedisSettings,
    /// How much may wait, and the bell.
    pub queue: QueueSettings,
    /// AWS region of the bell.
    pub region: String,
}

impl Settings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self { redis: RedisSettings::from_env(env)?, queue: QueueSettings::of_function(env)?, region: ArchiveSettings::region_from_env(env)? })
    }
}
