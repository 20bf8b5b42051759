//! Maintenance: what is done on a schedule, every minute, so that nothing else has to wait for it.
//!
//! Each duty is a step that can be run alone, twice, at the same time as another of its kind, and again after it was ended half way:
//! [`republish_keys`], [`keep_partitions`], [`finish_tenants`], [`forget_consumers`], [`index_missed`], [`redrive()`], [`add_up_hours`],
//! [`tell_stream`], [`tell_bus`], [`tell_webhooks`], [`forget_told`], [`keep_refusals`], [`note_used_keys`], [`take_plan_limits`], [`watch_quotas`], [`add_up_usage`], [`sample_storage`],
//! [`close_months`], [`apply_retention`], [`measure`].
//! A step that fails stops no other, and one broken tenant stops no other tenant.

pub mod config;

pub mod audit;

mod add_up_hours;
mod alone;
mod apply_retention;
mod close_months;
mod finish_tenants;
mod forget_consumers;
mod index_later;
mod index_missed;
mod keep_partitions;
mod keep_refusals;
mod leave_shared;
mod measure;
mod note_used_keys;
mod period;
mod positions;
mod rebuild;
mod redrive;
mod republish_keys;
mod take_plan_limits;
mod tell_events;
mod tell_webhooks;
mod usage;
mod watch_quotas;

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use shared::archive::Archive;
use shared::aws::Identity;
use shared::error::{Error, Result, chain};
use shared::events::{EventBus, EventStream};
use shared::index::Index;
use shared::keys::KeyRing;
use shared::queue::Queue;
use shared::redis_link::RedisLink;
use shared::rows::{AddedUp, Rows};
use shared::tenants::Registry;
use time::OffsetDateTime;

pub use add_up_hours::add_up_hours;
pub use apply_retention::{Applied, apply_retention};
pub use close_months::{Closed, close_months};
pub use finish_tenants::{Finished, Patience, finish_tenants};
pub use forget_consumers::{Forgotten, forget_consumers};
pub use index_later::{IndexedLater, index_later};
pub use index_missed::{Indexed, index_missed};
pub use keep_partitions::{Kept, keep_partitions};
pub use keep_refusals::keep_refusals;
pub use measure::{Waiting, measure};
pub use note_used_keys::note_used_keys;
pub use period::Period;
pub use rebuild::{Into, Rebuilt, rebuild};
pub use redrive::{Redriven, redrive};
pub use republish_keys::{Republished, republish_keys};
pub use take_plan_limits::take_plan_limits;
pub use tell_events::{forget_told, tell_bus, tell_stream};
pub use tell_webhooks::{Sender, Told as ToldWebhooks, tell_webhooks};
pub use usage::{Sampled, add_up_usage, sample_storage};
pub use watch_quotas::watch_quotas;

/// How long Redis may take: nobody waits.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one run takes up work on what the index missed, and on dead letters: a schedule wakes the next every minute.
const WORK_BUDGET: Duration = Duration::from_secs(45);

/// How long a step may take. A store whose host vanished may never answer: the next run asks again.
const STEP_WITHIN: Duration = Duration::from_secs(600);

/// What maintenance needs.
#[derive(Debug, Clone)]
pub struct App {
    /// Tenants and keys.
    pub registry: Registry,
    /// Rows and receipts.
    pub rows: Rows,
    /// The search index.
    pub index: Index,
    /// Where raw is kept.
    pub archive: Archive,
    /// The queue.
    pub queue: Queue,
    /// Where keys are looked up.
    pub ring: KeyRing,
    /// Where events are told.
    pub stream: EventStream,
    /// Where they are told, too, if there is one.
    pub bus: Option<EventBus>,
    /// How webhooks are told.
    pub webhooks: Sender,
    /// When months are closed.
    pub billing: config::BillingSettings,
}

impl App {
    /// Opens the doors that maintenance needs. Nothing is sent yet.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub async fn connect(settings: &config::Settings) -> Result<Self> {
        let redis = RedisLink::open(&settings.redis, REDIS_TIMEOUT)?;
        let identity = Identity::of_environment();
        Ok(Self {
            registry: Registry::open(&settings.control)?,
            rows: Rows::open(&settings.logs)?,
            index: Index::open(&settings.opensearch, &identity)?,
            archive: Archive::open(&settings.archive, &identity)?,
            queue: Queue::without_pushes(redis.clone()),
            stream: EventStream::new(redis.clone()),
            bus: EventBus::open(&settings.events, &identity)?,
            webhooks: Sender::open(&settings.webhooks)?,
            ring: KeyRing::new(redis),
            billing: settings.billing,
        })
    }
}

/// What each step did; `None` for one that failed, which was logged.
#[derive(Debug, Default)]
pub struct Report {
    /// Keys that were published.
    pub keys: Option<Republished>,
    /// Partitions and indices that are there now.
    pub partitions: Option<Kept>,
    /// Tenants whose making or removal was finished.
    pub tenants: Option<Finished>,
    /// Consumers that were forgotten.
    pub consumers: Option<Forgotten>,
    /// What the index had missed.
    pub indexed: Option<Indexed>,
    /// Dead letters that had another try.
    pub redriven: Option<Redriven>,
    /// Hourly counts that were brought forward.
    pub hours: Option<AddedUp>,
    /// Events that the stream was told.
    pub streamed: Option<u64>,
    /// Events that the bus was told.
    pub bused: Option<u64>,
    /// What webhooks were told.
    pub hooked: Option<ToldWebhooks>,
    /// Events and deliveries that were told long ago, and are forgotten.
    pub forgotten_events: Option<u64>,
    /// Hours of which it was kept what was refused.
    pub refused_hours: Option<u64>,
    /// Keys of which it was noted when they were used last.
    pub used_keys: Option<u64>,
    /// Tenants whose plan lets them send something else.
    pub plan_limits: Option<u64>,
    /// Marks of quotas that were told.
    pub quota_marks: Option<u64>,
    /// Lines of usage that were added up.
    pub usage: Option<u64>,
    /// Tenants whose storage was sampled.
    pub sampled: Option<Sampled>,
    /// Months that were closed.
    pub closed: Option<Closed>,
    /// What was removed because its days are over.
    pub retention: Option<Applied>,
    /// What waits.
    pub waiting: Option<Waiting>,
}

impl Report {
    /// Whether no step succeeded.
    #[must_use]
    pub fn all_failed(&self) -> bool {
        matches!(
            self,
            Self {
                keys: None,
                partitions: None,
                tenants: None,
                consumers: None,
                indexed: None,
                redriven: None,
                hours: None,
                streamed: None,
                bused: None,
                hooked: None,
                forgotten_events: None,
                refused_hours: None,
                used_keys: None,
                plan_limits: None,
                quota_marks: None,
                usage: None,
                sampled: None,
                closed: None,
                retention: None,
                waiting: None
            }
        )
    }
}

/// Runs every step, side by side: what takes long keeps nothing waiting that must be quick.
pub async fn run_all(app: &App) -> Report {
    let until = Instant::now() + WORK_BUDGET;
    let (report, indexed, redriven, hours, streamed, bused, hooked, refused_hours, retention) = tokio::join!(
        upkeep(app),
        step("index_missed", Box::pin(index_missed(app, WORK_BUDGET))),
        step("redrive", Box::pin(redrive(app, WORK_BUDGET))),
        step("add_up_hours", Box::pin(add_up_hours(app, WORK_BUDGET))),
        step("tell_stream", Box::pin(tell_stream(app, WORK_BUDGET))),
        step("tell_bus", Box::pin(tell_bus(app, WORK_BUDGET))),
        step("tell_webhooks", Box::pin(tell_webhooks(app, move || Instant::now() < until))),
        step("keep_refusals", Box::pin(keep_refusals(app))),
        step("apply_retention", Box::pin(apply_retention(app, app.queue.now_ms(), WORK_BUDGET))),
    );
    Report { indexed, redriven, hours, streamed, bused, hooked, refused_hours, retention, ..report }
}

/// Runs every step but [`index_missed`], [`redrive()`], [`add_up_hours`], [`tell_stream`], [`tell_bus`], [`tell_webhooks`], [`keep_refusals`] and [`apply_retention`], which a process that stays runs by themselves.
pub async fn upkeep(app: &App) -> Report {
    let (keys, partitions, tenants, consumers, forgotten_events, waiting) = tokio::join!(
        step("republish_keys", Box::pin(republish_keys(app))),
        step("keep_partitions", Box::pin(keep_partitions(app))),
        step("finish_tenants", Box::pin(finish_tenants(app, Patience::default()))),
        step("forget_consumers", Box::pin(forget_consumers(app))),
        step("forget_told", Box::pin(forget_told(app))),
        step("measure", Box::pin(measure(app))),
    );
    // One after another, and after what cannot wait: they share some connections with it.
    let now = OffsetDateTime::now_utc();
    let used_keys = step("note_used_keys", Box::pin(note_used_keys(app))).await;
    let plan_limits = step("take_plan_limits", Box::pin(take_plan_limits(app))).await;
    let quota_marks = step("watch_quotas", Box::pin(watch_quotas(app))).await;
    let usage = step("add_up_usage", Box::pin(add_up_usage(app))).await;
    let sampled = step("sample_storage", Box::pin(sample_storage(app, now))).await;
    let closed = step("close_months", Box::pin(close_months(app, now))).await;
    let report = Report { keys, partitions, tenants, consumers, forgotten_events, used_keys, plan_limits, quota_marks, usage, sampled, closed, waiting, ..Report::default() };
    tracing::info!(?report, "maintenance ran");
    report
}

/// Boxed, because the types of the steps' futures are nested deeper than the compiler looks.
async fn step<T>(name: &'static str, work: BoxFuture<'_, Result<T>>) -> Option<T> {
    let done = tokio::time::timeout(STEP_WITHIN, work).await;
    match done.unwrap_or_else(|_| Err(Error::internal("maintenance", "a store did not answer, and said nothing"))) {
        Ok(report) => Some(report),
        Err(error) => {
            metrics::counter!("loggerhub_maintenance_failures_total", "step" => name).increment(1);
            tracing::error!(step = name, cause = chain(&error), "a step of maintenance failed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_has_failed_only_if_all_of_it_has() {
        assert!(Report::default().all_failed());
        let consumers = step("forget_consumers", Box::pin(async { Ok(Forgotten::default()) })).await;
        assert!(!Report { consumers, ..Report::default() }.all_failed());
        assert!(step::<Kept>("keep_partitions", Box::pin(async { Err(Error::NotFound("thing")) })).await.is_none());
    }
}
