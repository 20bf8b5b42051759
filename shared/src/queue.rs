//! The queue: a Redis stream with one entry for each accepted request.
//!
//! | key (after the prefix) | holds |
//! |---|---|
//! | `{pN}:queue`, `{pN}:slow` | the two lanes of partition N: streams of entries `u` (unpacked bytes), `h` (header, JSON), `p` (payload) |
//! | `{pN}:backlog` | hash: `stored`, bytes that wait; `s:TENANT` and `w:TENANT`, a tenant's bytes that wait, as stored and unpacked |
//! | `{pN}:underway:TENANT` | sorted set of the batches that are accepted and not yet stored |
//! | `{pN}:rates:TENANT` | hash: of each rate that the tenant, its keys and services are held to, the tokens left and when that was |
//! | `{pN}:month:TENANT:YYYY-MM` | hash: `logs` and `bytes` that a tenant with a quota sent in a month; `known` once what it sent before is in it |
//! | `{pN}:refused:TENANT:HOUR` | hash: how much was refused in an hour (since 1970), by key, service and reason |
//! | `{pN}:refused` | set of the tenants and hours of these that are not yet kept elsewhere |
//! | `{pN}:idem:TENANT:HASH` | hash of the unpacked body and batch id of a request with an `Idempotency-Key` |
//! | `{pN}:idem-bytes`, `{pN}:idem-bytes:TENANT` | hash: bytes of the keys that are remembered, by the hour (since 1970) in which they came |
//! | `{pN}:bell` | set while a processor is awake, or has been called |
//! | `{p0}:lease:WORK` | who does a kind of maintenance alone just now |
//! | `{p0}:probe` | written by `/readyz`, to see that Redis takes writes |
//!
//! What changes counts is one script, so it happens whole or not at all: `push`, `take`, `claim`, `ack`, `leave`, `forget`, `lease`, `refuse`, `sent` beside this file.
//! All that belongs to a partition carries its hash tag, so that a Redis cluster can hold it. What is handed over here is a
//! promise: an entry leaves the queue by [`Queue::ack`] only.

mod consume;
mod durability;
mod entry;
mod inspect;
mod layout;
mod lease;
mod limits;
mod push;
mod refusals;

pub use consume::{LEFT_BEHIND_AFTER, TakeBudget};
pub use durability::{Kept, NotDurable};
pub use entry::{Header, Held, Payload, Taken};
pub use inspect::{ConsumerState, LaneState, PartitionState, TenantState};
pub use limits::{Amount, Limiter, Standing};
pub use refusals::{HourOfRefusals, Refusal, RefusedCount};

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use redis::Script;
use time::OffsetDateTime;

use self::push::{Pushes, Words};
use crate::billing::month::Month;
use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, TenantId};
use crate::limits::Limits;
use crate::redis_link::{RedisLink, failed};
use crate::settings::{Durability, QueueSettings};
use crate::timestamp;

/// The consumer group. Started at 0, so nothing that was pushed before it is missed.
const GROUP: &str = "processor";
/// Unpacked bytes that a tenant may have waiting before it goes to the slow lane (design, section 2).
const SLOW_LANE_PAST: u64 = 16 * 1024 * 1024;
/// How long an `Idempotency-Key` is remembered (design, section 4).
const IDEMPOTENCY_FOR: Duration = Duration::from_secs(24 * 3600);
/// What Redis needs for a key beside its text: 122 bytes were seen (7.0.15, 100,000 keys with an expiry), and its tables double.
const KEY_OVERHEAD: u64 = 150;
/// How long the bell stays set without a processor that renews it: after that the next request rings again.
const BELL_FOR: Duration = Duration::from_secs(30);

/// A batch to be put in.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch<'a> {
    /// Its header.
    pub header: &'a Header,
    /// Its records.
    pub payload: &'a Payload,
    /// What tells a repetition.
    pub idempotency: Option<&'a Idempotency>,
    /// What it is held to.
    pub limits: &'a Limits,
    /// What it holds of services that have limits of their own.
    pub services: &'a BTreeMap<String, Amount>,
    /// It is not taken after this moment of Redis' clock ([`Queue::now_ms`]), in milliseconds.
    pub deadline_ms: u64,
}

/// What comes of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the queue.
    Accepted {
        /// Whether nobody is awake, and this request is the one that rings.
        ring: bool,
        /// What is left of its limits.
        standings: Vec<Standing>,
    },
    /// A rate does not let it in now.
    Limited {
        /// Whose.
        limiter: Limiter,
        /// When it would pass, if nothing else came meanwhile.
        retry_after: Duration,
    },
    /// Its tenant's quota of the month is used up.
    OverQuota,
    /// The same `Idempotency-Key` with the same body was accepted before, as this batch.
    Replayed(BatchId),
    /// The same `Idempotency-Key` came before with another body.
    Conflict,
    /// The partition holds as many bytes as it may.
    Full,
    /// It holds as many bytes of this tenant as it may.
    TenantFull,
    /// No more `Idempotency-Key`s can be remembered, of this tenant or at all, until the oldest are let go.
    Forgetful {
        /// When that is, from now on.
        retry_after: Duration,
    },
    /// The request's own deadline had passed before Redis saw it: it was answered otherwise, and must not count.
    Late,
}

/// An `Idempotency-Key`, hashed, and the hash of the unpacked body that came with it.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// SHA-256 of the key, in hex.
    pub key: String,
    /// SHA-256 of the unpacked body, in hex.
    pub body: String,
}

/// The queue in Redis.
#[derive(Debug, Clone)]
pub struct Queue {
    redis: RedisLink,
    caps: Caps,
    durability: Durability,
    /// Until when the settings of the Redis that holds a partition count as found good.
    durable_until: Arc<Mutex<HashMap<String, Instant>>>,
    scripts: Arc<Scripts>,
    pushes: Pushes,
    /// With which partition the next take begins.
    first_partition: Arc<AtomicU16>,
    /// Whether the last take was of an entry that is taken alone.
    took_suspect: Arc<AtomicBool>,
    /// Redis' clock less ours, in milliseconds, as of the last answer.
    clock_offset: Arc<AtomicI64>,
}

/// How much each partition may hold, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Caps {
    waiting: u64,
    waiting_of_tenant: u64,
    idempotency: u64,
    idempotency_of_tenant: u64,
}

#[derive(Debug)]
struct Scripts {
    push: Script,
    take: Script,
    claim: Script,
    ack: Script,
    leave: Script,
    forget: Script,
    lease: Script,
    refuse: Script,
    sent: Script,
}

impl Queue {
    /// The queue behind this connection, for those who push.
    #[must_use]
    pub fn new(redis: RedisLink, settings: &QueueSettings) -> Self {
        let caps = Caps {
            waiting: settings.cap_bytes,
            waiting_of_tenant: settings.tenant_cap_bytes,
            idempotency: settings.idempotency_cap_bytes,
            idempotency_of_tenant: settings.idempotency_tenant_cap_bytes,
        };
        Self { caps, durability: settings.durability, ..Self::without_pushes(redis) }
    }

    /// The queue behind this connection, for those who only take and look: it has no room for a push.
    #[must_use]
    pub fn without_pushes(redis: RedisLink) -> Self {
        let scripts = Scripts {
            push: Script::new(include_str!("queue/push.lua")),
            take: Script::new(include_str!("queue/take.lua")),
            claim: Script::new(include_str!("queue/claim.lua")),
            ack: Script::new(include_str!("queue/ack.lua")),
            leave: Script::new(include_str!("queue/leave.lua")),
            forget: Script::new(include_str!("queue/forget.lua")),
            lease: Script::new(include_str!("queue/lease.lua")),
            refuse: Script::new(include_str!("queue/refuse.lua")),
            sent: Script::new(include_str!("queue/sent.lua")),
        };
        Self {
            pushes: Pushes::new(redis.partitions),
            redis,
            caps: Caps::default(),
            durability: Durability::Fsync,
            durable_until: Arc::default(),
            scripts: Arc::new(scripts),
            first_partition: Arc::default(),
            took_suspect: Arc::default(),
            clock_offset: Arc::default(),
        }
    }

    /// Redis' clock, in milliseconds since 1970, as well as we know it: ids and deadlines are made of it.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let ours = timestamp::from_datetime(OffsetDateTime::now_utc());
        u64::try_from(ours + self.clock_offset.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn learn_clock(&self, redis_ms: i64) {
        let ours = timestamp::from_datetime(OffsetDateTime::now_utc());
        self.clock_offset.store(redis_ms - ours, Ordering::Relaxed);
    }

    /// Asks Redis for its clock. Worth it once at start: later every push brings it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ask_clock(&self) -> Result<()> {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        self.learn_clock(seconds * 1000 + micros / 1000);
        Ok(())
    }

    /// Asks whether Redis answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        self.redis.ping().await
    }

    /// Puts one batch in, unless Redis would not keep it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the batch is in the queue or not; with an `Idempotency-Key` a second try finds out.
    /// [`Error::Busy`] `queue_not_durable`.
    pub async fn push(&self, batch: &NewBatch<'_>) -> Result<Pushed> {
        let (header, keys) = (batch.header, self.partition_of(&batch.header.tenant));
        self.be_durable(&keys).await?;
        let month = month_of(header.batch.unix_ms());
        let amount = Amount { logs: header.accepted.into(), bytes: header.unpacked_bytes };
        let held = limits::Held::new(batch.limits, header.key_id, amount, batch.services);
        let raw_only = batch.limits.may_be_raw_only().then(|| Header { index: false, ..header.clone() });
        let mut words = Words {
            keys: vec![keys.under_way(header.tenant.as_str()), keys.rates(&header.tenant), keys.month(&header.tenant, month)],
            deadline_ms: batch.deadline_ms,
            tenant: header.tenant.to_string(),
            batch: header.batch.to_string(),
            header: header.to_json()?,
            payload: batch.payload.shared(),
            unpacked_bytes: header.unpacked_bytes,
            limits: held.to_json()?,
            raw_only_header: raw_only.map(|header| header.to_json()).transpose()?.unwrap_or_default(),
            body: String::new(),
        };
        if let Some(idempotency) = batch.idempotency {
            words.keys.extend([keys.idempotency(&header.tenant, &idempotency.key), keys.idempotency_bytes(), keys.idempotency_bytes_of(&header.tenant)]);
            words.body.clone_from(&idempotency.body);
        }
        let (what, detail, left) = self.push_with_others(self.number_of(&header.tenant), words).await?;
        match what.as_str() {
            "accepted" => Ok(Pushed::Accepted { ring: detail == "ring", standings: held.standings(&left) }),
            "replayed" => BatchId::parse(&detail).map(Pushed::Replayed).map_err(|e| Error::internal("reading a remembered batch id", e)),
            "conflict" => Ok(Pushed::Conflict),
            "limited" => limits::limited(&detail),
            "over_quota" => Ok(Pushed::OverQuota),
            "full" => Ok(Pushed::Full),
            "tenant_full" => Ok(Pushed::TenantFull),
            "forgetful" => {
                let seconds = detail.parse().map_err(|e| Error::internal("reading when there is room for an Idempotency-Key", e))?;
                Ok(Pushed::Forgetful { retry_after: Duration::from_secs(seconds) })
            }
            "late" => Ok(Pushed::Late),
            // One batch alone: what came with it was taken.
            "failed" => Err(Error::unavailable(Engine::Redis, detail)),
            other => Err(Error::internal("reading what became of a batch", format!("Redis answered {other}"))),
        }
    }

    /// Ends entries that are stored or buried. Doing it twice counts once. Where the header could not be read, there is no
    /// batch to take from what is under way.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may be ended; the others come again, and are recognised by their receipts.
    pub async fn ack(&self, done: &[(&Held, Option<&Header>)]) -> Result<()> {
        for partition in self.partitions() {
            let mut call = self.scripts.ack.key(partition.backlog());
            call.arg(GROUP);
            let mut some = false;
            for (held, header) in done.iter().filter(|(held, _)| held.lane.starts_with(&partition.0)) {
                let (tenant, batch) = header.map(|header| (header.tenant.as_str(), header.batch.to_string())).unwrap_or_default();
                call.key(&held.lane).key(partition.under_way(tenant));
                call.arg(&held.id).arg(batch).arg(tenant).arg(held.stored_bytes).arg(held.unpacked_bytes);
                some = true;
            }
            if some {
                call.invoke_async::<()>(&mut self.redis.connection.clone()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Takes the bell down when nothing is left. Answers how long the oldest of what came in meanwhile has waited: then the processor must
    /// be called.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn leave(&self) -> Result<Option<Duration>> {
        let (mut waited, mut trouble) = (None, None);
        for partition in self.partitions() {
            let mut call = self.scripts.leave.key(partition.bell());
            call.key(partition.main()).key(partition.slow()).arg(GROUP).arg(millis(BELL_FOR));
            match call.invoke_async::<i64>(&mut self.redis.connection.clone()).await {
                Ok(oldest) => waited = waited.max(u64::try_from(oldest).ok().map(Duration::from_millis)),
                // In a cluster the others may answer.
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if waited.is_none() => Err(failed(error)),
            _ => Ok(waited),
        }
    }

    /// Keeps the bell set while a processor drains.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn keep_bell(&self) -> Result<()> {
        let kept = self.partitions().map(|partition| async move {
            let mut set = redis::cmd("SET");
            set.arg(partition.bell()).arg(1).arg("PX").arg(millis(BELL_FOR));
            set.query_async::<()>(&mut self.redis.connection.clone()).await
        });
        try_join_all(kept).await.map(drop).map_err(failed)
    }

    /// Whether a batch was accepted and is not yet stored.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn is_under_way(&self, tenant: &TenantId, batch: BatchId) -> Result<bool> {
        let mut ask = redis::cmd("ZSCORE");
        ask.arg(self.partition_of(tenant).under_way(tenant.as_str())).arg(batch.to_string());
        let score: Option<f64> = ask.query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        Ok(score.is_some())
    }

    /// The month that Redis' clock shows.
    #[must_use]
    pub fn month(&self) -> Month {
        month_of(self.now_ms())
    }

    /// What a tenant with a quota sent in a month; `None` where that is not known: Redis lost it, or the quota is new.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn sent_in(&self, tenant: &TenantId, month: Month) -> Result<Option<Amount>> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.partition_of(tenant).month(tenant, month)).arg("logs").arg("bytes").arg("known");
        let (logs, bytes, known): (Option<u64>, Option<u64>, Option<u8>) = ask.query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        Ok(known.map(|_| Amount { logs: logs.unwrap_or_default(), bytes: bytes.unwrap_or_default() }))
    }

    /// Says what a tenant sent in a month at least, where that is not known.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn set_sent_in(&self, tenant: &TenantId, month: Month, amount: Amount) -> Result<()> {
        let mut call = self.scripts.sent.key(self.partition_of(tenant).month(tenant, month));
        call.arg(amount.logs).arg(amount.bytes).invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// Bytes that wait, as stored, over all partitions.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn backlog_bytes(&self) -> Result<u64> {
        let asked = self
            .partitions()
            .map(|partition| async move { redis::cmd("HGET").arg(partition.backlog()).arg("stored").query_async::<Option<u64>>(&mut self.redis.connection.clone()).await });
        let stored = try_join_all(asked).await.map_err(failed)?;
        Ok(stored.into_iter().flatten().sum())
    }
}

fn month_of(unix_ms: u64) -> Month {
    Month::of(timestamp::to_datetime(i64::try_from(unix_ms).unwrap_or(timestamp::MAX)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a request is told when the queue holds as much as it may.
#[must_use]
pub fn full() -> Error {
    Error::Busy { code: "queue_full", detail: "too many logs wait to be stored; send them again later", retry_after: Duration::from_secs(10) }
}

/// What a request is told when the queue holds as much of its tenant as it may.
#[must_use]
pub fn tenant_full() -> Error {
    Error::Busy { code: "tenant_queue_full", detail: "too many logs of this tenant wait to be stored; send them again later", retry_after: Duration::from_secs(10) }
}

/// What a request with an `Idempotency-Key` is told when no more can be remembered: none is forgotten early to make room.
#[must_use]
pub fn forgetful(retry_after: Duration) -> Error {
    Error::Busy { code: "idempotency_full", detail: "no more Idempotency-Keys can be remembered just now; send it again later, or without one", retry_after }
}

/// What a request is told whose deadline passed on the way to Redis.
#[must_use]
pub fn late() -> Error {
    Error::unavailable(Engine::Redis, "the request's deadline had passed when Redis saw it")
}
