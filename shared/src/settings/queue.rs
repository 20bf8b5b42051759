//! Settings of the queue and of the bell.

use std::str::FromStr;
use std::time::Duration;

use super::{Authorities, Env, SettingError};

/// What makes a 202 mean that the batch is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Redis' own settings, which are looked at: `appendonly yes` and `appendfsync always`.
    Fsync,
    /// The service itself, which does not tell its settings, as MemoryDB.
    Service,
    /// Nothing: an operator who accepts that a crash of Redis may lose what was just accepted. Every receipt says so.
    Relaxed,
}

impl FromStr for Durability {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fsync" => Ok(Self::Fsync),
            "service" => Ok(Self::Service),
            "relaxed" => Ok(Self::Relaxed),
            _ => Err("it is one of fsync, service, relaxed"),
        }
    }
}

/// How much the queue may hold, how it keeps it, and when it wakes the processor.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Most bytes that may wait in one partition, as stored.
    pub cap_bytes: u64,
    /// Most bytes of one tenant that may wait, as stored.
    pub tenant_cap_bytes: u64,
    /// Most bytes that one partition may remember of `Idempotency-Key`s.
    pub idempotency_cap_bytes: u64,
    /// Most bytes of one tenant's of them.
    pub idempotency_tenant_cap_bytes: u64,
    /// What makes a 202 mean on disk.
    pub durability: Durability,
    /// How long the bell waits after the first request, so that small ones are drained together.
    pub linger: Duration,
    /// URL of the SQS queue that carries the bell; `None` where processor and ingest are one process.
    pub bell_url: Option<String>,
    /// Endpoint of SQS, where it is not AWS.
    pub sqs_endpoint: Option<String>,
    /// Who is trusted beside the public authorities.
    pub authorities: Option<Authorities>,
}

impl QueueSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            cap_bytes: env.parsed("LOGGERHUB_QUEUE_CAP_BYTES")?,
            tenant_cap_bytes: env.parsed("LOGGERHUB_QUEUE_TENANT_CAP_BYTES")?,
            idempotency_cap_bytes: env.parsed("LOGGERHUB_IDEMPOTENCY_CAP_BYTES")?,
            idempotency_tenant_cap_bytes: env.parsed("LOGGERHUB_IDEMPOTENCY_TENANT_CAP_BYTES")?,
            durability: env.parsed("LOGGERHUB_REDIS_DURABILITY")?,
            linger: env.millis("LOGGERHUB_LINGER_MS")?,
            bell_url: env.optional_http("LOGGERHUB_BELL_URL")?,
            sqs_endpoint: env.optional_http("LOGGERHUB_SQS_ENDPOINT")?,
            authorities: Authorities::from_env(env)?,
        })
    }

    /// The same for a function: who hears a bell that rings in its own process only?
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn of_function(env: &Env) -> Result<Self, SettingError> {
        env.text("LOGGERHUB_BELL_URL")?;
        Self::from_env(env)
    }
}
