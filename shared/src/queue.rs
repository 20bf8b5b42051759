//! The queue: a Redis stream with one entry for each accepted request.
//!
//! | key (after the prefix) | holds |
//! |---|---|
//! | `{pN}:queue`, `{pN}:slow` | the two lanes of partition N: streams of entries `u` (unpacked bytes), `h` (header, JSON), `p` (payload) |
//! | `{pN}:backlog` | hash: `stored`, bytes that wait; `w:TENANT`, unpacked bytes of a tenant that wait |
//! | `{pN}:underway:TENANT` | sorted set of the batches that are accepted and not yet stored |
//! | `{pN}:idem:TENANT:HASH` | hash of the unpacked body and batch id of a request with an `Idempotency-Key` |
//! | `{pN}:bell` | set while a processor is awake, or has been called |
//!
//! Every change is one script, so it happens whole or not at all: `push`, `take`, `claim`, `ack`, `leave`, `forget` beside this file.
//! All that belongs to a partition carries its hash tag, so that a Redis cluster can hold it. What is handed over here is a
//! promise: an entry leaves the queue by [`Queue::ack`] only.

mod entry;

pub use entry::{Header, Held, Payload, Taken};

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use redis::Script;
use time::OffsetDateTime;

use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, TenantId};
use crate::redis_link::{RedisLink, failed};
use crate::timestamp;

/// The consumer group. Started at 0, so nothing that was pushed before it is missed.
const GROUP: &str = "processor";
/// Unpacked bytes that a tenant may have waiting before it goes to the slow lane (design, section 2).
const SLOW_LANE_PAST: u64 = 16 * 1024 * 1024;
/// How long an `Idempotency-Key` is remembered (design, section 4).
const IDEMPOTENCY_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long the bell stays set without a processor that renews it: after that the next request rings again.
const BELL_FOR: Duration = Duration::from_secs(30);
/// An entry that its consumer has not renewed for so long was left behind.
pub const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(30);
/// An entry whose consumers died so many times is taken alone.
const ALONE_AFTER: u64 = 3;

/// What comes of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the queue. `ring`: nobody is awake, the processor must be called.
    Accepted {
        /// Whether this request is the one that rings.
        ring: bool,
    },
    /// The same `Idempotency-Key` with the same body was accepted before, as this batch.
    Replayed(BatchId),
    /// The same `Idempotency-Key` came before with another body.
    Conflict,
    /// The partition holds as many bytes as it may.
    Full,
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

/// How much one take may hold.
#[derive(Debug, Clone, Copy)]
pub struct TakeBudget {
    /// Unpacked bytes; one entry more than fits may come.
    pub bytes: usize,
    /// Entries.
    pub entries: usize,
}

/// The queue in Redis.
#[derive(Debug, Clone)]
pub struct Queue {
    redis: RedisLink,
    cap_bytes: u64,
    scripts: Arc<Scripts>,
    /// Redis' clock less ours, in milliseconds, as of the last answer.
    clock_offset: Arc<AtomicI64>,
}

#[derive(Debug)]
struct Scripts {
    push: Script,
    take: Script,
    claim: Script,
    ack: Script,
    leave: Script,
    forget: Script,
}

impl Queue {
    /// The queue behind this connection, which holds at most `cap_bytes` in each partition.
    #[must_use]
    pub fn new(redis: RedisLink, cap_bytes: u64) -> Self {
        let scripts = Scripts {
            push: Script::new(include_str!("queue/push.lua")),
            take: Script::new(include_str!("queue/take.lua")),
            claim: Script::new(include_str!("queue/claim.lua")),
            ack: Script::new(include_str!("queue/ack.lua")),
            leave: Script::new(include_str!("queue/leave.lua")),
            forget: Script::new(include_str!("queue/forget.lua")),
        };
        Self { redis, cap_bytes, scripts: Arc::new(scripts), clock_offset: Arc::default() }
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

    /// Puts one batch in. Not after `deadline_ms` of Redis' clock ([`Queue::now_ms`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the batch is in the queue or not; with an `Idempotency-Key` a second try finds out.
    pub async fn push(&self, header: &Header, payload: &Payload, idempotency: Option<&Idempotency>, deadline_ms: u64) -> Result<Pushed> {
        let keys = self.partition_of(&header.tenant);
        let json = serde_json::to_vec(header).map_err(|e| Error::internal("writing an entry's header", e))?;
        let mut call = self.scripts.push.prepare_invoke();
        call.key(keys.main()).key(keys.slow()).key(keys.backlog()).key(keys.under_way(header.tenant.as_str())).key(keys.bell());
        call.arg(deadline_ms).arg(self.cap_bytes).arg(header.tenant.as_str()).arg(header.batch.to_string());
        call.arg(json).arg(payload.bytes()).arg(header.unpacked_bytes).arg(SLOW_LANE_PAST).arg(millis(BELL_FOR));
        if let Some(idempotency) = idempotency {
            call.key(keys.idempotency(&header.tenant, &idempotency.key)).arg(&idempotency.body).arg(millis(IDEMPOTENCY_FOR));
        }
        let (what, clock, detail): (String, i64, String) = call.invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        self.learn_clock(clock);
        match what.as_str() {
            "accepted" => Ok(Pushed::Accepted { ring: detail == "ring" }),
            "replayed" => BatchId::parse(&detail).map(Pushed::Replayed).map_err(|e| Error::internal("reading a remembered batch id", e)),
            "conflict" => Ok(Pushed::Conflict),
            "full" => Ok(Pushed::Full),
            _ => Ok(Pushed::Late),
        }
    }

    /// Takes what waits for `consumer`: first what others left behind, then a quarter of the slow lane, then the main lane, then
    /// what room is left from the slow one.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what was taken stays with the consumer, and is claimed once it is left behind.
    pub async fn take(&self, consumer: &str, budget: TakeBudget) -> Result<Vec<Taken>> {
        let mut taken: Vec<Taken> = Vec::new();
        for partition in self.partitions() {
            for lane in [partition.main(), partition.slow()] {
                taken.extend(self.claim_left_behind(consumer, &lane, budget.less(&taken)).await?);
                if taken.last().is_some_and(|entry| entry.held.deliveries >= ALONE_AFTER) {
                    return Ok(taken);
                }
            }
        }
        for partition in self.partitions() {
            for (lane, share) in [(partition.slow(), 4), (partition.main(), 1), (partition.slow(), 1)] {
                taken.extend(self.take_fresh(consumer, &lane, budget.less(&taken).divided_by(share)).await?);
            }
        }
        Ok(taken)
    }

    async fn claim_left_behind(&self, consumer: &str, lane: &str, budget: TakeBudget) -> Result<Vec<Taken>> {
        let mut call = self.scripts.claim.key(lane);
        call.arg(GROUP).arg(consumer).arg(budget.bytes).arg(budget.entries).arg(millis(LEFT_BEHIND_AFTER)).arg(ALONE_AFTER);
        self.hold(lane, budget, &call).await
    }

    async fn take_fresh(&self, consumer: &str, lane: &str, budget: TakeBudget) -> Result<Vec<Taken>> {
        let mut call = self.scripts.take.key(lane);
        call.arg(GROUP).arg(consumer).arg(budget.bytes).arg(budget.entries);
        self.hold(lane, budget, &call).await
    }

    /// Runs a script that takes entries; makes the group first where there is none yet, or none any more.
    async fn hold(&self, lane: &str, budget: TakeBudget, call: &redis::ScriptInvocation<'_>) -> Result<Vec<Taken>> {
        if budget.is_spent() {
            return Ok(Vec::new());
        }
        let mut connection = self.redis.connection.clone();
        let mut answer = call.invoke_async::<Vec<entry::Answer>>(&mut connection).await;
        if answer.as_ref().is_err_and(|e| e.code() == Some("NOGROUP")) {
            self.make_group(lane).await?;
            answer = call.invoke_async(&mut connection).await;
        }
        Ok(answer.map_err(failed)?.into_iter().map(|entry| Taken::new(lane, entry)).collect())
    }

    async fn make_group(&self, lane: &str) -> Result<()> {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(lane).arg(GROUP).arg(0).arg("MKSTREAM");
        match create.query_async::<()>(&mut self.redis.connection.clone()).await {
            Err(e) if e.code() != Some("BUSYGROUP") => Err(failed(e)),
            _ => Ok(()),
        }
    }

    /// Says that `consumer` is still at work on these. A renewal does not count as a delivery.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn renew(&self, consumer: &str, held: &[Held]) -> Result<()> {
        self.reclaim(consumer, held, &["JUSTID"]).await
    }

    /// Leaves these for later: they are taken again once [`LEFT_BEHIND_AFTER`] has passed, as if for the first time. For what
    /// cannot be stored now through no fault of its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn park(&self, consumer: &str, held: &[Held]) -> Result<()> {
        self.reclaim(consumer, held, &["RETRYCOUNT", "0", "JUSTID"]).await
    }

    async fn reclaim(&self, consumer: &str, held: &[Held], options: &[&str]) -> Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for entry in held {
            pipe.cmd("XCLAIM").arg(&entry.lane).arg(GROUP).arg(consumer).arg(0).arg(&entry.id).arg(options).ignore();
        }
        pipe.query_async(&mut self.redis.connection.clone()).await.map_err(failed)
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

    /// Takes the bell down when nothing is left. Answers whether something came in meanwhile, and the processor must be called.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn leave(&self) -> Result<bool> {
        let mut ring = false;
        for partition in self.partitions() {
            let mut call = self.scripts.leave.key(partition.bell());
            call.key(partition.main()).key(partition.slow()).arg(GROUP).arg(millis(BELL_FOR));
            ring |= call.invoke_async::<bool>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        }
        Ok(ring)
    }

    /// Keeps the bell set while a processor drains.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn keep_bell(&self) -> Result<()> {
        let mut pipe = redis::pipe();
        for partition in self.partitions() {
            pipe.cmd("SET").arg(partition.bell()).arg(1).arg("PX").arg(millis(BELL_FOR)).ignore();
        }
        pipe.query_async(&mut self.redis.connection.clone()).await.map_err(failed)
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

    /// Bytes that wait, as stored, over all partitions.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn backlog_bytes(&self) -> Result<u64> {
        let mut pipe = redis::pipe();
        for partition in self.partitions() {
            pipe.hget(partition.backlog(), "stored");
        }
        let stored: Vec<Option<u64>> = pipe.query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        Ok(stored.into_iter().flatten().sum())
    }

    /// Forgets consumers that hold nothing and have been silent for `idle`: processes that are gone. Answers how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_consumers(&self, idle: Duration) -> Result<u64> {
        let mut forgotten = 0;
        for lane in self.partitions().flat_map(|partition| [partition.main(), partition.slow()]) {
            let mut call = self.scripts.forget.key(lane);
            call.arg(GROUP).arg(millis(idle));
            forgotten += call.invoke_async::<u64>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        }
        Ok(forgotten)
    }

    fn partitions(&self) -> impl Iterator<Item = Partition> {
        (0..self.redis.partitions).map(|number| self.partition(number))
    }

    fn partition(&self, number: u16) -> Partition {
        Partition(format!("{}{{p{number}}}:", self.redis.prefix))
    }

    /// A tenant's partition is fixed by its id, so that its limits and batches lie in one place.
    fn partition_of(&self, tenant: &TenantId) -> Partition {
        let hash = crc32fast::hash(tenant.as_str().as_bytes());
        self.partition(u16::try_from(hash % u32::from(self.redis.partitions)).unwrap_or_default())
    }
}

impl TakeBudget {
    fn less(self, taken: &[Taken]) -> Self {
        let bytes: usize = taken.iter().map(|entry| entry.held.unpacked_bytes).sum();
        Self { bytes: self.bytes.saturating_sub(bytes), entries: self.entries.saturating_sub(taken.len()) }
    }

    fn divided_by(self, share: usize) -> Self {
        Self { bytes: self.bytes / share, entries: self.entries.div_ceil(share) }
    }

    fn is_spent(self) -> bool {
        self.bytes == 0 || self.entries == 0
    }
}

/// What the keys of one partition begin with.
struct Partition(String);

impl Partition {
    fn main(&self) -> String {
        format!("{}queue", self.0)
    }

    fn slow(&self) -> String {
        format!("{}slow", self.0)
    }

    fn backlog(&self) -> String {
        format!("{}backlog", self.0)
    }

    fn bell(&self) -> String {
        format!("{}bell", self.0)
    }

    fn under_way(&self, tenant: &str) -> String {
        format!("{}underway:{tenant}", self.0)
    }

    fn idempotency(&self, tenant: &TenantId, key: &str) -> String {
        format!("{}idem:{tenant}:{key}", self.0)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a request is told when the queue holds as much as it may.
#[must_use]
pub fn full() -> Error {
    Error::Busy { code: "queue_full", detail: "too many logs wait to be stored; send them again later", retry_after: Duration::from_secs(10) }
}

/// What a request is told whose deadline passed on the way to Redis.
#[must_use]
pub fn late() -> Error {
    Error::unavailable(Engine::Redis, "the request's deadline had passed when Redis saw it")
}
