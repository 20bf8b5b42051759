//! The consumers' side: taking, claiming what others left behind, renewing, parking.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::try_join_all;

use super::entry::{Answer, Held, Taken};
use super::layout::Partition;
use super::{GROUP, Queue, millis};
use crate::error::Result;
use crate::redis_link::failed;

/// An entry that its consumer has not renewed for so long was left behind.
pub const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(30);
/// An entry whose consumers died so many times is taken alone.
pub(super) const ALONE_AFTER: u64 = 3;

/// How much one take may hold.
#[derive(Debug, Clone, Copy)]
pub struct TakeBudget {
    /// Unpacked bytes; one entry more than fits may come.
    pub bytes: usize,
    /// Entries.
    pub entries: usize,
}

impl Queue {
    /// Takes what waits for `consumer`: first what others left behind, up to half of the budget so that what cannot be stored now
    /// leaves room for what can; then three quarters of the rest from the main lane, then from the slow one, then what room is left
    /// from the main one again. The main lane comes first because one entry may be larger than the budget: coming out of the slow
    /// lane first, such entries would leave the main one nothing. Each take begins at another partition, for the same reason.
    ///
    /// A partition whose node does not answer is left out.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`]: what was taken stays with the consumer, and is claimed once it is left behind.
    pub async fn take(&self, consumer: &str, budget: TakeBudget) -> Result<Vec<Taken>> {
        let (mut taken, mut answering, mut trouble) = (Vec::<Taken>::new(), Vec::new(), None);
        // What is taken alone comes every other time: many of them must not keep what is new waiting.
        let new_only = self.took_suspect.swap(false, Ordering::Relaxed);
        for partition in self.partitions_in_turn() {
            if new_only {
                answering.push(partition);
                continue;
            }
            match self.take_left_behind(consumer, &partition, budget.divided_by(2).less(&taken)).await {
                Ok(left_behind) => {
                    taken.extend(left_behind);
                    answering.push(partition);
                }
                Err(error) => trouble = Some(error),
            }
            if taken.last().is_some_and(|entry| entry.held.is_suspect()) {
                self.took_suspect.store(true, Ordering::Relaxed);
                return Ok(taken);
            }
        }
        for (n, partition) in answering.iter().enumerate() {
            // An equal share of what is left for each partition that is still to come.
            let share = budget.less(&taken).divided_by(answering.len() - n);
            match self.take_new(consumer, partition, share).await {
                Ok(new) => taken.extend(new),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if taken.is_empty() => Err(error),
            _ => Ok(taken),
        }
    }

    async fn take_left_behind(&self, consumer: &str, partition: &Partition, budget: TakeBudget) -> Result<Vec<Taken>> {
        let mut taken: Vec<Taken> = Vec::new();
        for lane in [partition.main(), partition.slow()] {
            taken.extend(self.claim_left_behind(consumer, &lane, budget.less(&taken)).await?);
            if taken.last().is_some_and(|entry| entry.held.is_suspect()) {
                break;
            }
        }
        Ok(taken)
    }

    async fn take_new(&self, consumer: &str, partition: &Partition, budget: TakeBudget) -> Result<Vec<Taken>> {
        let mut taken = self.take_fresh(consumer, &partition.main(), budget.but_a_quarter()).await?;
        for lane in [partition.slow(), partition.main()] {
            let left = budget.less(&taken);
            taken.extend(self.take_fresh(consumer, &lane, left).await?);
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
        let mut answer = call.invoke_async::<Vec<Answer>>(&mut connection).await;
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
    /// [`crate::error::Error::Unavailable`].
    pub async fn renew(&self, consumer: &str, held: &[Held]) -> Result<()> {
        self.reclaim(consumer, held, &["JUSTID"]).await
    }

    /// Leaves these for later: they are taken again once [`LEFT_BEHIND_AFTER`] has passed, as if for the first time. For what
    /// cannot be stored now through no fault of its own.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn park(&self, consumer: &str, held: &[Held]) -> Result<()> {
        self.reclaim(consumer, held, &["RETRYCOUNT", "0", "JUSTID"]).await
    }

    async fn reclaim(&self, consumer: &str, held: &[Held], options: &[&str]) -> Result<()> {
        let mut by_lane: BTreeMap<&str, redis::Pipeline> = BTreeMap::new();
        for entry in held {
            let pipe = by_lane.entry(&entry.lane).or_default();
            pipe.cmd("XCLAIM").arg(&entry.lane).arg(GROUP).arg(consumer).arg(0).arg(&entry.id).arg(options).ignore();
        }
        let claimed = by_lane.values().map(|pipe| async move { pipe.query_async::<()>(&mut self.redis.connection.clone()).await });
        try_join_all(claimed).await.map(drop).map_err(failed)
    }

    /// Forgets consumers that hold nothing and have been silent for `idle`: processes that are gone. Answers how many.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn forget_consumers(&self, idle: Duration) -> Result<u64> {
        let mut forgotten = 0;
        for lane in self.partitions().flat_map(|partition| [partition.main(), partition.slow()]) {
            let mut call = self.scripts.forget.key(lane);
            call.arg(GROUP).arg(millis(idle));
            forgotten += call.invoke_async::<u64>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        }
        Ok(forgotten)
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

    fn but_a_quarter(self) -> Self {
        let quarter = self.divided_by(4);
        Self { bytes: self.bytes - quarter.bytes, entries: (self.entries - quarter.entries).max(1) }
    }

    fn is_spent(self) -> bool {
        self.bytes == 0 || self.entries == 0
    }
}
