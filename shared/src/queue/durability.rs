//! Whether Redis keeps what it takes: looked at before a 202 is given, never assumed.

use std::time::{Duration, Instant};

use redis::RedisError;
use serde::Serialize;

use super::Queue;
use super::layout::Partition;
use crate::error::{Error, Result};
use crate::redis_link::failed;
use crate::settings::Durability;

/// How long a look at Redis' settings counts. One that is restarted with others is found out within that.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long one may take: then the next request looks as well.
const LOOK_TAKES: Duration = Duration::from_secs(2);

/// How the queue keeps a batch until it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// On disk before it was accepted.
    Durable,
    /// In memory, and on disk some time after: a crash of Redis may lose it.
    Relaxed,
}

impl Kept {
    /// Of a receipt.
    #[must_use]
    pub fn of(relaxed: bool) -> Self {
        if relaxed { Self::Relaxed } else { Self::Durable }
    }
}

/// Name and value, as `CONFIG GET` answers them.
type Setting = (String, String);

/// Why Redis is no place for the queue: a sentence for its operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotDurable(String);

impl Queue {
    /// Whether batches are accepted that a crash of Redis may lose.
    #[must_use]
    pub fn is_relaxed(&self) -> bool {
        self.durability == Durability::Relaxed
    }

    /// Looks at Redis' own settings, in a cluster at those of each node that holds a partition: it must evict nothing, and be on disk
    /// before it answers, unless the operator said otherwise.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where Redis does not answer. What it answers is the inner result.
    pub async fn look_at_durability(&self) -> Result<Result<(), NotDurable>> {
        for partition in self.partitions() {
            let looked = self.look_at_node_of(&partition).await?;
            if looked.is_err() {
                return Ok(looked);
            }
        }
        Ok(Ok(()))
    }

    async fn look_at_node_of(&self, partition: &Partition) -> Result<Result<(), NotDurable>> {
        let key = partition.backlog();
        // INFO is answered by services, too, that keep CONFIG to themselves.
        let memory: String = self.redis.ask_node_of(&key, redis::cmd("INFO").arg("memory")).await.map_err(failed)?;
        let policy = memory.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).unwrap_or("unknown").trim();
        if policy != "noeviction" {
            return Ok(Err(NotDurable(format!("Redis may throw away what waits: its maxmemory-policy is {policy}. Set it to noeviction."))));
        }
        if self.durability != Durability::Fsync {
            return Ok(Ok(()));
        }
        let answer = tokio::try_join!(self.setting_of_node(&key, "appendonly"), self.setting_of_node(&key, "appendfsync"));
        Ok(match answer {
            Ok(((_, appendonly), (_, appendfsync))) => judge(&appendonly, &appendfsync),
            // It answered a moment ago: what it refuses is the question.
            Err(error) if error.code().is_some() => Err(NotDurable(
                "Redis does not tell its settings. Set LOGGERHUB_REDIS_DURABILITY to service if it is durable by itself, as MemoryDB is, or to relaxed if it is not.".to_owned(),
            )),
            Err(error) => return Err(failed(error)),
        })
    }

    async fn setting_of_node(&self, key: &str, name: &str) -> Result<Setting, RedisError> {
        self.redis.ask_node_of(key, redis::cmd("CONFIG").arg("GET").arg(name)).await
    }

    /// Whether Redis takes a write just now: one that loads its data, is a replica, has no memory left or cannot write its disk answers
    /// questions, and takes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`], with what Redis says.
    pub async fn try_a_write(&self) -> Result<()> {
        let mut set = redis::cmd("SET");
        set.arg(self.partition(0).probe()).arg(1).arg("PX").arg(1000);
        set.query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// Refuses to go on where Redis would not keep what it takes; asks it now and then.
    pub(super) async fn be_durable(&self, partition: &Partition) -> Result<()> {
        let now = Instant::now();
        {
            let mut until = self.durable_until.lock().expect("no panic while held");
            if let Some(until) = until.get_mut(&partition.0) {
                if now < *until {
                    return Ok(());
                }
                // One request looks again; those that come meanwhile go by the last look.
                *until = now + LOOK_TAKES;
            }
        }
        let looked = self.look_at_node_of(partition).await;
        {
            let mut until = self.durable_until.lock().expect("no panic while held");
            if matches!(looked, Ok(Ok(()))) {
                until.insert(partition.0.clone(), now + LOOK_EVERY);
            } else {
                until.remove(&partition.0);
            }
        }
        match looked? {
            Ok(()) => Ok(()),
            Err(why) => {
                tracing::error!(why = why.0, "the queue takes nothing in");
                Err(Error::Busy { code: "queue_not_durable", detail: "the queue would not keep what it takes; its operator has to mend that", retry_after: LOOK_EVERY })
            }
        }
    }
}

fn judge(appendonly: &str, appendfsync: &str) -> Result<(), NotDurable> {
    match (appendonly, appendfsync) {
        ("yes", "always") => Ok(()),
        ("yes", weaker) => Err(NotDurable(format!(
            "Redis answers before it is on disk: its appendfsync is {weaker}. Set it to always, or LOGGERHUB_REDIS_DURABILITY to relaxed to accept that a crash loses logs."
        ))),
        _ => Err(NotDurable(
            "Redis keeps nothing on disk: its appendonly is no. Set it to yes and appendfsync to always, or LOGGERHUB_REDIS_DURABILITY to relaxed to accept that a crash loses logs.".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_disk_before_the_answer_will_do() {
        assert_eq!(judge("yes", "always"), Ok(()));
        for (appendonly, appendfsync) in [("yes", "everysec"), ("yes", "no"), ("no", "always")] {
            assert!(judge(appendonly, appendfsync).is_err());
        }
    }
}
