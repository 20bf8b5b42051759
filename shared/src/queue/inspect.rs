//! What lies in the queue, and who holds it: for operators. Nothing here changes anything, or reads more of a lane than its first
//! entry.

use redis::streams::{StreamInfoConsumersReply, StreamInfoGroupsReply, StreamRangeReply};
use redis::{AsyncCommands, RedisResult};
use serde::Serialize;

use super::layout::Partition;
use super::{GROUP, Queue};
use crate::error::Result;
use crate::ids::{BatchId, TenantId};
use crate::redis_link::failed;

/// One partition of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionState {
    /// Its number, from 0.
    pub partition: u16,
    /// Entries that are not stored yet, those in hand included.
    pub entries: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// Age of the oldest, in milliseconds; `None` where there is none.
    pub oldest_ms: Option<u64>,
    /// Bytes of the `Idempotency-Key`s that are remembered.
    pub idempotency_bytes: u64,
    /// Its lanes: `queue` and `slow`.
    pub lanes: Vec<LaneState>,
    /// Tenants that have something waiting, the most bytes first.
    pub tenants: Vec<TenantState>,
}

/// One lane of a partition: a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneState {
    /// The end of its key: `queue` or `slow`.
    pub lane: &'static str,
    /// Entries that are not stored yet.
    pub entries: u64,
    /// How many of them a consumer holds.
    pub held: u64,
    /// Age of the oldest, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// Processes that took from it, and are not forgotten yet.
    pub consumers: Vec<ConsumerState>,
}

/// One process that takes from a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerState {
    /// Its name.
    pub consumer: String,
    /// Entries that it holds.
    pub held: u64,
    /// Milliseconds since it last took, renewed or asked.
    pub idle_ms: u64,
}

/// What waits of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantState {
    /// Whose.
    pub tenant: TenantId,
    /// Batches that are accepted and not yet stored.
    pub batches: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// Age of the oldest, in milliseconds.
    pub oldest_ms: Option<u64>,
}

impl Queue {
    /// Looks at every partition, one after the other: the queue moves on meanwhile.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn inspect(&self) -> Result<Vec<PartitionState>> {
        self.ask_clock().await?;
        let mut all = Vec::new();
        for number in 0..self.redis.partitions {
            all.push(self.inspect_partition(number).await.map_err(failed)?);
        }
        Ok(all)
    }

    /// Redis' clock, and when the first batch of a tenant was received that is still under way; both in milliseconds since 1970.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn first_under_way(&self, tenant: &TenantId) -> Result<(u64, Option<u64>)> {
        self.ask_clock().await?;
        let now_ms = self.now_ms();
        let mut redis = self.redis.connection.clone();
        let key = self.partition_of(tenant).under_way(tenant.as_str());
        // Equal scores are sorted by name, and a batch's name begins with when it was received.
        let first: Vec<String> = redis.zrange(key, 0, 0).await.map_err(failed)?;
        Ok((now_ms, first.first().and_then(|batch| BatchId::parse(batch).ok()).map(BatchId::unix_ms)))
    }

    async fn inspect_partition(&self, number: u16) -> RedisResult<PartitionState> {
        let keys = self.partition(number);
        let lanes = vec![self.inspect_lane("queue", keys.main()).await?, self.inspect_lane("slow", keys.slow()).await?];
        let mut redis = self.redis.connection.clone();
        let remembered: Vec<u64> = redis.hvals(keys.idempotency_bytes()).await?;
        let backlog: Vec<(String, i64)> = redis.hgetall(keys.backlog()).await?;
        let bytes = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        let stored = backlog.iter().find(|(field, _)| field == "stored").map_or(0, |(_, stored)| bytes(*stored));
        let mut tenants = Vec::new();
        for (tenant, waiting) in backlog.iter().filter_map(|(field, waiting)| Some((TenantId::parse(field.strip_prefix("s:")?).ok()?, *waiting))) {
            tenants.push(self.inspect_tenant(&keys, tenant, bytes(waiting)).await?);
        }
        tenants.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.tenant.cmp(&b.tenant)));
        Ok(PartitionState {
            partition: number,
            entries: lanes.iter().map(|lane| lane.entries).sum(),
            bytes: stored,
            oldest_ms: lanes.iter().filter_map(|lane| lane.oldest_ms).max(),
            idempotency_bytes: remembered.iter().sum(),
            lanes,
            tenants,
        })
    }

    async fn inspect_lane(&self, lane: &'static str, key: String) -> RedisResult<LaneState> {
        let mut redis = self.redis.connection.clone();
        let entries: u64 = redis.xlen(&key).await?;
        let first: StreamRangeReply = redis.xrange_count(&key, "-", "+", 1).await?;
        let oldest_ms = first.ids.first().and_then(|entry| entry.id.split('-').next()?.parse().ok()).map(|ms: u64| self.now_ms().saturating_sub(ms));
        // Nobody has taken from it, or it was never written: asking for its consumers would be an error.
        let has_group = redis.exists(&key).await? && {
            let groups: StreamInfoGroupsReply = redis.xinfo_groups(&key).await?;
            groups.groups.iter().any(|group| group.name == GROUP)
        };
        let reply: StreamInfoConsumersReply = if has_group { redis.xinfo_consumers(&key, GROUP).await? } else { StreamInfoConsumersReply::default() };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut consumers: Vec<_> =
            reply.consumers.into_iter().map(|consumer| ConsumerState { consumer: consumer.name, held: count(consumer.pending), idle_ms: count(consumer.idle) }).collect();
        consumers.sort_by(|a, b| b.held.cmp(&a.held).then_with(|| a.consumer.cmp(&b.consumer)));
        Ok(LaneState { lane, entries, held: consumers.iter().map(|consumer| consumer.held).sum(), oldest_ms, consumers })
    }

    async fn inspect_tenant(&self, keys: &Partition, tenant: TenantId, bytes: u64) -> RedisResult<TenantState> {
        let mut redis = self.redis.connection.clone();
        let under_way = keys.under_way(tenant.as_str());
        let batches: u64 = redis.zcard(&under_way).await?;
        // Equal scores are sorted by name, and a batch's name begins with when it was received.
        let first: Vec<String> = redis.zrange(&under_way, 0, 0).await?;
        let oldest_ms = first.first().and_then(|batch| BatchId::parse(batch).ok()).map(|batch| self.now_ms().saturating_sub(batch.unix_ms()));
        Ok(TenantState { tenant, batches, bytes, oldest_ms })
    }
}
