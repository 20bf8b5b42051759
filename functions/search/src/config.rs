//! What search is told at start.

use std::num::NonZeroUsize;

use shared::settings::{ArchiveSettings, Env, OpenSearchSettings, PostgresSettings, RedisSettings, SessionSettings, SettingError};

/// Settings of search: all stores, to read from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the key ring and the queue are.
    pub redis: RedisSettings,
    /// Tenants and keys, asked where Redis is down; and what people may do.
    pub control: PostgresSettings,
    /// How long sessions last, and which browsers may use them.
    pub sessions: SessionSettings,
    /// Rows and receipts.
    pub logs: PostgresSettings,
    /// Full text.
    pub opensearch: OpenSearchSettings,
    /// Raw.
    pub archive: ArchiveSettings,
    /// How much of one tenant is worked on at once.
    pub limits: Limits,
}

/// How much of one tenant a process works on at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lists, searches and counts.
    pub queries: usize,
    /// Tails and exports.
    pub streams: usize,
}

impl Limits {
    /// `LOGGERHUB_QUERIES_PER_TENANT`, `LOGGERHUB_STREAMS_PER_TENANT`.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self { queries: env.parsed::<NonZeroUsize>("LOGGERHUB_QUERIES_PER_TENANT")?.get(), streams: env.parsed::<NonZeroUsize>("LOGGERHUB_STREAMS_PER_TENANT")?.get() })
    }
}

impl Settings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            redis: RedisSettings::from_env(env)?,
            control: PostgresSettings::control_from_env(env)?,
            sessions: SessionSettings::from_env(env)?,
            logs: PostgresSettings::logs_from_env(env)?,
            opensearch: OpenSearchSettings::from_env(env)?,
            archive: ArchiveSettings::from_env(env)?,
            limits: Limits::from_env(env)?,
        })
    }
}
