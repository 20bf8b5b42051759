//! Ingest: `POST /v1/logs`. Checks the API key, checks and stamps each record, puts the batch in the queue with one script call,
//! answers 202.
//!
//! It never parses the text of a log, never waits for a store and never talks to Postgres. A 202 means that the batch is in the
//! queue, on disk. A bad record costs itself, with a reason, and never its neighbours.

pub mod config;
#[cfg(fuzzing)]
pub mod fuzz;

mod accept;
mod body;
mod budget;
mod gate;
mod rate_limit;
mod refusals;
mod routes;
mod split;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use shared::auth::Authenticator;
use shared::bell::Bell;
use shared::error::Result;
use shared::keys::KeyRing;
use shared::queue::Queue;
use shared::redis_link::RedisLink;

pub use budget::Budget;
pub use refusals::Refusals;
pub use routes::{openapi, router};

/// How long Redis may take: a request is answered within two seconds, whatever happens to Redis.
pub const REDIS_TIMEOUT: Duration = Duration::from_millis(1500);

/// What ingest needs. The router hands a clone to every request, and makes some of its own on the way: one count, not one for each part.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Parts {
    /// Where batches go.
    pub queue: Queue,
    /// Wakes the processor.
    pub bell: Bell,
    /// How long the processor waits after the first request.
    pub linger: Duration,
    /// Checks keys.
    pub auth: Authenticator,
    /// Bounds the bytes in flight.
    pub budget: Budget,
    /// Counts what is refused.
    pub refusals: Refusals,
    gate: gate::Gate,
}

impl App {
    /// Opens the doors that ingest needs.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub async fn connect(settings: &config::Settings) -> Result<Self> {
        let redis = RedisLink::open(&settings.redis, REDIS_TIMEOUT)?;
        let (queue, bell) = (Queue::new(redis.clone(), &settings.queue), Bell::open(&settings.queue, &settings.region)?);
        Ok(Self::new(queue, bell, settings.queue.linger, Authenticator::new(KeyRing::new(redis), None), Refusals::at_once()))
    }

    /// Ingest behind these doors.
    #[must_use]
    pub fn new(queue: Queue, bell: Bell, linger: Duration, auth: Authenticator, refusals: Refusals) -> Self {
        Self(Arc::new(Parts { queue, bell, linger, auth, budget: Budget::default(), refusals, gate: gate::Gate::default() }))
    }
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl axum::extract::FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.auth.clone()
    }
}
