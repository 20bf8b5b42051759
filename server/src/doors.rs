//! The doors to the engines, opened once and shared by all functions of the process.

use std::time::Duration;

use maintenance::Sender;
use processor::{Breaker, Parked};
use shared::archive::Archive;
use shared::auth::Authenticator;
use shared::aws::Identity;
use shared::bell::Bell;
use shared::error::Result;
use shared::events::{EventBus, EventStream};
use shared::index::Index;
use shared::keys::KeyRing;
use shared::queue::Queue;
use shared::redis_link::RedisLink;
use shared::rows::Rows;
use shared::sessions::Sessions;
use shared::settings::WebhookKeeping;
use shared::tenants::Registry;
use tenants::People;
use uuid::Uuid;

use crate::Settings;

/// How long Redis may take for the processor and maintenance, whose answers hold megabytes. They have a connection of their own,
/// so that no request waits behind a drain.
const PATIENT: Duration = Duration::from_secs(10);

/// Every engine's door.
#[derive(Debug, Clone)]
pub struct Doors {
    /// The queue, as requests use it.
    pub queue: Queue,
    /// The queue, as the processor uses it.
    pub patient_queue: Queue,
    /// The key ring.
    pub ring: KeyRing,
    /// Tenants and keys.
    pub registry: Registry,
    /// Rows and receipts, as requests ask for them.
    pub rows: Rows,
    /// Rows and receipts, as the processor and maintenance write them: slow searches must not keep a drain from its connection.
    pub drain_rows: Rows,
    /// The index.
    pub index: Index,
    /// Raw.
    pub archive: Archive,
    /// Wakes the processor.
    pub bell: Bell,
    /// Checks keys and sessions.
    pub auth: Authenticator,
    /// Counts what ingest refuses.
    pub refusals: ingest::Refusals,
    /// Lets people in.
    pub people: People,
    /// Counts what readers ask at once.
    pub concurrency: search::Concurrency,
    /// Counts what readers ask, for bills.
    pub searches: search::Searches,
    /// Where events are told.
    pub stream: EventStream,
    /// Where they are told, too, if there is one.
    pub bus: Option<EventBus>,
    /// How webhooks are told.
    pub webhooks: Sender,
    linger: Duration,
    grace: Duration,
    webhook_keeping: WebhookKeeping,
    billing: maintenance::config::BillingSettings,
}

impl Doors {
    /// Opens them; nothing is sent to an engine yet.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub fn open(settings: &Settings) -> Result<Self> {
        let redis = RedisLink::open(&settings.redis, ingest::REDIS_TIMEOUT)?;
        let patient = RedisLink::open(&settings.redis, PATIENT)?;
        let registry = Registry::open(&settings.control)?;
        let ring = KeyRing::new(redis.clone());
        let rows = Rows::open(&settings.logs)?;
        let identity = Identity::of_machine(&settings.archive)?;
        let sessions = Sessions::new(redis.clone(), &settings.sessions);
        let auth = Authenticator::new(ring.clone(), settings.operator.clone()).or_ask(registry.clone());
        Ok(Self {
            people: People::new(redis.clone(), sessions.clone(), settings.people),
            auth: auth.with_sessions(sessions, registry.clone(), settings.sessions.clone()),
            queue: Queue::new(redis, &settings.queue),
            stream: EventStream::new(patient.clone()),
            bus: EventBus::open(&settings.events, &identity)?,
            patient_queue: Queue::without_pushes(patient),
            ring,
            registry,
            searches: search::Searches::new(rows.clone()),
            rows,
            drain_rows: Rows::open(&settings.logs)?,
            index: Index::open(&settings.index, &identity)?,
            archive: Archive::open(&settings.archive, &identity)?,
            bell: Bell::in_process(),
            refusals: ingest::Refusals::kept(),
            concurrency: search::Concurrency::new(settings.limits),
            linger: settings.queue.linger,
            grace: settings.grace,
            webhooks: Sender::open(&settings.webhooks)?,
            webhook_keeping: settings.webhooks.keeping.clone(),
            billing: settings.billing,
        })
    }

    /// What ingest needs. Its keys are never looked up in Postgres, here as on Lambda.
    #[must_use]
    pub fn ingest(&self) -> ingest::App {
        let auth = Authenticator::new(self.ring.clone(), None);
        ingest::App::new(self.queue.clone(), self.bell.clone(), self.linger, auth, self.refusals.clone())
    }

    /// What the processor needs.
    #[must_use]
    pub fn processor(&self) -> processor::App {
        processor::App {
            queue: self.patient_queue.clone(),
            bell: self.bell.clone(),
            linger: self.linger,
            archive: self.archive.clone(),
            index: self.index.clone(),
            rows: self.drain_rows.clone(),
            breaker: Breaker::default(),
            parked: Parked::default(),
            consumer: Uuid::new_v4().to_string().into(),
        }
    }

    /// What search needs.
    #[must_use]
    pub fn search(&self) -> search::App {
        search::App {
            rows: self.rows.clone(),
            index: self.index.clone(),
            archive: self.archive.clone(),
            queue: self.queue.clone(),
            auth: self.auth.clone(),
            concurrency: self.concurrency.clone(),
            searches: self.searches.clone(),
            host: search::Host::Streams,
        }
    }

    /// What tenants needs.
    #[must_use]
    pub fn tenants(&self) -> tenants::App {
        tenants::App {
            registry: self.registry.clone(),
            rows: self.rows.clone(),
            ring: self.ring.clone(),
            auth: self.auth.clone(),
            people: self.people.clone(),
            grace: self.grace,
            webhooks: self.webhook_keeping.clone(),
        }
    }

    /// What maintenance needs.
    #[must_use]
    pub fn maintenance(&self) -> maintenance::App {
        maintenance::App {
            registry: self.registry.clone(),
            rows: self.drain_rows.clone(),
            index: self.index.clone(),
            archive: self.archive.clone(),
            queue: self.patient_queue.clone(),
            ring: self.ring.clone(),
            stream: self.stream.clone(),
            bus: self.bus.clone(),
            webhooks: self.webhooks.clone(),
            billing: self.billing,
        }
    }
}
