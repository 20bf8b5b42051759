//! The processor: moves queued batches to the object store (raw), the index (documents) and the tenant's rows, then
//! acknowledges.
//!
//! It must never lose a log that it was handed, and never stop for one bad log or one broken tenant. Weather (an engine that is
//! down) is retried while the queue holds; poison (what can never be stored) is buried as a dead letter. Everything it writes is
//! written once however often it is tried: raw under fresh names whose doubles readers drop, documents by `create` under the
//! log's id, rows behind their batch's receipt.

pub mod config;

mod breaker;
mod drain;
mod event;
mod prepare;
mod store;

use std::sync::Arc;
use std::time::Duration;

use shared::archive::Archive;
use shared::aws::Identity;
use shared::bell::Bell;
use shared::error::Result;
use shared::index::Index;
use shared::queue::Queue;
use shared::redis_link::RedisLink;
use shared::rows::Rows;
use uuid::Uuid;

pub use breaker::Breaker;
pub use drain::{Drained, Until, drain_once, drain_queue, serve};
pub use event::handle;
pub use prepare::{Lost, Opened, Prepared, open, prepare, prepare_apart};
pub use store::{Parked, Stored, store, write};

/// How long Redis may take: an answer to a take holds some megabytes.
const REDIS_TIMEOUT: Duration = Duration::from_secs(10);

/// What the processor needs.
#[derive(Debug, Clone)]
pub struct App {
    /// Where batches come from.
    pub queue: Queue,
    /// How it is woken, and wakes others.
    pub bell: Bell,
    /// How long it waits after the first request, so that small ones are drained together.
    pub linger: Duration,
    /// Where raw goes.
    pub archive: Archive,
    /// Where documents go.
    pub index: Index,
    /// Where rows go.
    pub rows: Rows,
    /// Whether the index is to be asked at all just now.
    pub breaker: Breaker,
    /// Tenants whose rows cannot be written just now.
    pub parked: Parked,
    /// This process's name among the queue's consumers.
    pub consumer: Arc<str>,
}

impl App {
    /// Opens the doors that the processor needs.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub async fn connect(settings: &config::Settings) -> Result<Self> {
        let redis = RedisLink::open(&settings.redis, REDIS_TIMEOUT)?;
        let identity = Identity::of_environment();
        Ok(Self {
            queue: Queue::without_pushes(redis),
            bell: Bell::open(&settings.queue, &settings.archive.region)?,
            linger: settings.queue.linger,
            archive: Archive::open(&settings.archive, &identity)?,
            index: Index::open(&settings.index, &identity)?,
            rows: Rows::open(&settings.logs)?,
            breaker: Breaker::default(),
            parked: Parked::default(),
            consumer: Uuid::new_v4().to_string().into(),
        })
    }
}
