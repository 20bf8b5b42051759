//! Search: lists (Postgres), full text (OpenSearch gives ids, Postgres the rows), details (OpenSearch, else the raw object) and
//! what became of a batch. Beside them counts over time and of values, tails, and exports.
//!
//! The tenant comes from the key or the session, and every store is asked for that tenant's only: another's log is a 404. With OpenSearch down
//! lists and details work, and a search answers from the rows, saying so (`source`, `complete`). Pages are stable: the first
//! one fixes which logs belong to the list, by when they were received, and its cursor carries that on. Nothing here writes but what was searched
//! how often, for bills.

pub mod config;
#[cfg(fuzzing)]
pub mod fuzz;

mod batch;
mod concurrency;
mod context;
mod counted;
mod cursor;
mod detail;
mod export;
mod facets;
mod highlight;
mod histogram;
mod honesty;
mod list;
mod page;
mod params;
mod records;
mod routes;
mod search;
mod select;
mod tail;
mod watermark;

use std::time::Duration;

use shared::archive::Archive;
use shared::auth::Authenticator;
use shared::aws::Identity;
use shared::error::{Result, chain};
use shared::index::Index;
use shared::keys::KeyRing;
use shared::queue::Queue;
use shared::redis_link::RedisLink;
use shared::rows::Rows;
use shared::sessions::Sessions;
use shared::tenants::Registry;

pub use concurrency::Concurrency;
pub use counted::Searches;
pub use routes::{openapi, router};

/// How long Redis may take: a key is looked up in Postgres after that, and a reader is still there.
pub const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// What search needs.
#[derive(Clone)]
pub struct App {
    /// Lists, rows of hits, receipts.
    pub rows: Rows,
    /// Full text and documents.
    pub index: Index,
    /// Raw.
    pub archive: Archive,
    /// Redis' clock, and what is under way.
    pub queue: Queue,
    /// Checks keys and sessions.
    pub auth: Authenticator,
    /// Counts what each tenant asks at once.
    pub concurrency: Concurrency,
    /// Counts what is asked, for bills.
    pub searches: Searches,
    /// What carries the answers.
    pub host: Host,
}

/// What carries answers to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A server: an answer may go on as long as it likes.
    Streams,
    /// Lambda behind a gateway: an answer is collected, and then sent whole. It ends within 29 s (API Gateway's integration timeout).
    CollectsAnswers,
}

impl App {
    /// Opens the doors that search needs. No engine has to be there: Redis is asked for its clock meanwhile, and where it does not
    /// answer our own will do.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub async fn connect(settings: &config::Settings) -> Result<Self> {
        let redis = RedisLink::open(&settings.redis, REDIS_TIMEOUT)?;
        let queue = Queue::without_pushes(redis.clone());
        let asking = queue.clone();
        tokio::spawn(async move {
            if let Err(error) = asking.ask_clock().await {
                tracing::warn!(cause = chain(&error), "without the clock of Redis, by which logs are received, ours is used");
            }
        });
        let identity = Identity::of_environment();
        let registry = Registry::open(&settings.control)?;
        let sessions = Sessions::new(redis.clone(), &settings.sessions);
        let auth = Authenticator::new(KeyRing::new(redis), None).or_ask(registry.clone());
        let rows = Rows::open(&settings.logs)?;
        Ok(Self {
            searches: Searches::new(rows.clone()),
            rows,
            index: Index::open(&settings.opensearch, &identity)?,
            archive: Archive::open(&settings.archive, &identity)?,
            queue,
            auth: auth.with_sessions(sessions, registry, settings.sessions.clone()),
            concurrency: Concurrency::new(settings.limits),
            host: Host::CollectsAnswers,
        })
    }
}

impl axum::extract::FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.auth.clone()
    }
}
