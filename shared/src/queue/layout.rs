//! Names of keys: all that belongs to a partition carries its hash tag.

use std::sync::atomic::Ordering;

use super::Queue;
use crate::billing::month::Month;
use crate::ids::TenantId;

impl Queue {
    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> {
        (0..self.redis.partitions).map(|number| self.partition(number))
    }

    /// All of them, each time beginning with another.
    pub(super) fn partitions_in_turn(&self) -> Vec<Partition> {
        let first = self.first_partition.fetch_add(1, Ordering::Relaxed);
        (0..self.redis.partitions).map(|n| self.partition(first.wrapping_add(n) % self.redis.partitions)).collect()
    }

    pub(super) fn partition(&self, number: u16) -> Partition {
        Partition(format!("{}{{p{number}}}:", self.redis.prefix))
    }

    /// A tenant's partition is fixed by its id, so that its limits and batches lie in one place.
    pub(super) fn number_of(&self, tenant: &TenantId) -> u16 {
        let hash = crc32fast::hash(tenant.as_str().as_bytes());
        u16::try_from(hash % u32::from(self.redis.partitions)).unwrap_or_default()
    }

    pub(super) fn partition_of(&self, tenant: &TenantId) -> Partition {
        self.partition(self.number_of(tenant))
    }
}

/// What the keys of one partition begin with.
pub(super) struct Partition(pub(super) String);

impl Partition {
    pub(super) fn main(&self) -> String {
        format!("{}queue", self.0)
    }

    pub(super) fn slow(&self) -> String {
        format!("{}slow", self.0)
    }

    pub(super) fn backlog(&self) -> String {
        format!("{}backlog", self.0)
    }

    pub(super) fn bell(&self) -> String {
        format!("{}bell", self.0)
    }

    pub(super) fn probe(&self) -> String {
        format!("{}probe", self.0)
    }

    pub(super) fn lease(&self, work: &str) -> String {
        format!("{}lease:{work}", self.0)
    }

    pub(super) fn under_way(&self, tenant: &str) -> String {
        format!("{}underway:{tenant}", self.0)
    }

    pub(super) fn rates(&self, tenant: &TenantId) -> String {
        format!("{}rates:{tenant}", self.0)
    }

    pub(super) fn month(&self, tenant: &TenantId, month: Month) -> String {
        format!("{}month:{tenant}:{month}", self.0)
    }

    pub(super) fn refused(&self) -> String {
        format!("{}refused", self.0)
    }

    pub(super) fn refused_in(&self, tenant: &TenantId, hour: u64) -> String {
        format!("{}refused:{tenant}:{hour}", self.0)
    }

    pub(super) fn idempotency_bytes(&self) -> String {
        format!("{}idem-bytes", self.0)
    }

    pub(super) fn idempotency_bytes_of(&self, tenant: &TenantId) -> String {
        format!("{}idem-bytes:{tenant}", self.0)
    }

    pub(super) fn idempotency(&self, tenant: &TenantId, key: &str) -> String {
        format!("{}idem:{tenant}:{key}", self.0)
    }
}
