//! Pushes that wait together go to Redis in one call: of what a push costs there, most is the call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use redis::{Value, from_redis_value};
use tokio::sync::oneshot;

use super::{IDEMPOTENCY_FOR, KEY_OVERHEAD, Queue, SLOW_LANE_PAST, millis};
use crate::error::{Engine, Error, Result};
use crate::redis_link::{failed, failed_for_all};

/// Calls for one partition that are under way at once: while Redis writes what one brought to its disk, the next is there already.
const CALLS: usize = 2;
/// The same for a large batch, of which the call itself is the lesser part. With four for all, 16 connections with 100 logs a request had a
/// tenth more logs/s, and 64 with one log a fifth fewer (`scripts/bench door`).
const CALLS_WITH_LARGE: usize = 4;
/// Bytes of a payload, compressed, from which a batch is a large one: of the shared sample one log has 0.4 KiB, and a hundred have 14.
const LARGE: usize = 4 * 1024;
/// Most batches of a call, and bytes past which no other is added: Redis does nothing else meanwhile.
const MOST_BATCHES: usize = 64;
const MOST_BYTES: usize = 1024 * 1024;

/// One batch in the words of `push.lua`.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) keys: Vec<String>,
    pub(super) deadline_ms: u64,
    pub(super) tenant: String,
    pub(super) batch: String,
    pub(super) header: Vec<u8>,
    pub(super) payload: Bytes,
    pub(super) unpacked_bytes: u64,
    pub(super) limits: String,
    pub(super) raw_only_header: Vec<u8>,
    /// Hash of the unpacked body, with an `Idempotency-Key`.
    pub(super) body: String,
}

/// What becomes of a batch, as `push.lua` says it: what, detail, what is left of each limit.
pub(super) type Outcome = (String, String, Vec<i64>);

/// A batch, and who waits for what becomes of it.
type Waits = (Words, oneshot::Sender<Result<Outcome>>);

/// What waits to be pushed, by partition.
#[derive(Debug, Clone)]
pub(super) struct Pushes(Arc<[Mutex<Waiting>]>);

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Waits>,
    calls: usize,
}

impl Pushes {
    pub(super) fn new(partitions: u16) -> Self {
        Self((0..partitions).map(|_| Mutex::default()).collect())
    }

    fn lock(&self, partition: u16) -> MutexGuard<'_, Waiting> {
        self.0[usize::from(partition)].lock().expect("no panic while held")
    }
}

/// A call that counts among those under way, until nothing waits.
struct Call {
    pushes: Pushes,
    partition: u16,
    counts: bool,
}

impl Call {
    /// What goes next. Whether nothing waits and that the call ends is one step: what comes after begins a call of its own. One that was
    /// begun for large batches ends also where small ones wait, for which the others are enough.
    fn next(&mut self) -> Vec<Waits> {
        let mut waiting = self.pushes.lock(self.partition);
        let is_spare = waiting.batches.front().is_some_and(|(words, _)| waiting.calls > most_calls(words));
        let taken = if is_spare { Vec::new() } else { take_together(&mut waiting.batches) };
        if taken.is_empty() {
            waiting.calls -= 1;
            self.counts = false;
        }
        taken
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // It broke off.
        if self.counts {
            self.pushes.lock(self.partition).calls -= 1;
        }
    }
}

impl Queue {
    /// Hands one batch to the next call for its partition, and waits for what becomes of it.
    pub(super) async fn push_with_others(&self, partition: u16, words: Words) -> Result<Outcome> {
        let (tell, told) = oneshot::channel();
        let most = most_calls(&words);
        let begins = {
            let mut waiting = self.pushes.lock(partition);
            waiting.batches.push_back((words, tell));
            let begins = waiting.calls < most;
            waiting.calls += usize::from(begins);
            begins
        };
        if begins {
            // A task of its own: whoever stops waiting for a batch must not take the others' answers along.
            let queue = self.clone();
            let call = Call { pushes: self.pushes.clone(), partition, counts: true };
            tokio::spawn(async move { queue.call_while_some_wait(call).await });
        }
        told.await.unwrap_or_else(|_| Err(Error::unavailable(Engine::Redis, "the call that brought the batch to Redis broke off")))
    }

    async fn call_while_some_wait(&self, mut call: Call) {
        loop {
            let (words, tell): (Vec<_>, Vec<_>) = call.next().into_iter().unzip();
            if words.is_empty() {
                return;
            }
            match self.push_all(call.partition, &words).await {
                Ok(outcomes) => tell.into_iter().zip(outcomes).for_each(|(tell, outcome)| drop(tell.send(outcome))),
                Err(error) => {
                    let error = Arc::new(error);
                    tell.into_iter().for_each(|tell| drop(tell.send(Err(failed_for_all(&error)))));
                }
            }
        }
    }

    async fn push_all(&self, partition: u16, all: &[Words]) -> redis::RedisResult<Vec<Result<Outcome>>> {
        let keys = self.partition(partition);
        let mut call = self.scripts.push.prepare_invoke();
        call.key(keys.main()).key(keys.slow()).key(keys.backlog()).key(keys.bell());
        call.arg(self.caps.waiting).arg(self.caps.waiting_of_tenant).arg(SLOW_LANE_PAST).arg(millis(super::BELL_FOR));
        call.arg(millis(IDEMPOTENCY_FOR)).arg(self.caps.idempotency).arg(self.caps.idempotency_of_tenant).arg(KEY_OVERHEAD);
        for words in all {
            for key in &words.keys {
                call.key(key);
            }
            call.arg(words.deadline_ms).arg(&words.tenant).arg(&words.batch).arg(&words.header).arg(&*words.payload);
            call.arg(words.unpacked_bytes).arg(&words.limits).arg(&words.raw_only_header).arg(&words.body);
        }
        let mut answers = call.invoke_async::<Vec<Value>>(&mut self.redis.connection.clone()).await?.into_iter();
        self.learn_clock(answers.next().map(from_redis_value).transpose()?.unwrap_or_default());
        Ok(answers.map(|answer| from_redis_value(answer).map_err(|e| failed(e.into()))).collect())
    }
}

/// How many calls may be under way for this batch to begin another.
fn most_calls(words: &Words) -> usize {
    if words.payload.len() < LARGE { CALLS } else { CALLS_WITH_LARGE }
}

/// What goes in one call: nothing for those who no longer wait.
fn take_together(waiting: &mut VecDeque<Waits>) -> Vec<Waits> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while taken.len() < MOST_BATCHES && bytes < MOST_BYTES {
        let Some((words, tell)) = waiting.pop_front() else { break };
        if !tell.is_closed() {
            bytes += words.payload.len();
            taken.push((words, tell));
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches that wait, each with so many bytes, and those who wait for them.
    fn waiting(bytes: &[usize]) -> (VecDeque<Waits>, Vec<oneshot::Receiver<Result<Outcome>>>) {
        let words = |bytes: usize| Words {
            keys: Vec::new(),
            deadline_ms: 0,
            tenant: String::new(),
            batch: String::new(),
            header: Vec::new(),
            payload: vec![0; bytes].into(),
            unpacked_bytes: 0,
            limits: String::new(),
            raw_only_header: Vec::new(),
            body: String::new(),
        };
        let one = |bytes: &usize| {
            let (tell, told) = oneshot::channel();
            ((words(*bytes), tell), told)
        };
        bytes.iter().map(one).unzip()
    }

    #[test]
    fn a_call_is_bounded_and_brings_nothing_for_those_who_left() {
        let (mut batches, told) = waiting(&[1; MOST_BATCHES + 1]);
        assert_eq!((take_together(&mut batches).len(), batches.len()), (MOST_BATCHES, 1));
        drop(told);
        assert_eq!((take_together(&mut batches).len(), batches.len()), (0, 0));
        // One that is larger than a call should be goes all the same, alone.
        let (mut batches, _told) = waiting(&[MOST_BYTES + 1, 1]);
        assert_eq!((take_together(&mut batches).len(), batches.len()), (1, 1));
    }

    #[test]
    fn a_call_that_was_begun_for_large_batches_ends_where_small_ones_wait() {
        for (calls, bytes, goes) in [(CALLS + 1, LARGE - 1, 0), (CALLS, LARGE - 1, 1), (CALLS_WITH_LARGE, LARGE, 1)] {
            let (batches, _told) = waiting(&[bytes]);
            let pushes = Pushes::new(1);
            *pushes.lock(0) = Waiting { batches, calls };
            let mut call = Call { pushes: pushes.clone(), partition: 0, counts: true };
            assert_eq!(call.next().len(), goes, "{calls} calls, {bytes} bytes");
            let left = pushes.lock(0);
            assert_eq!((left.calls, left.batches.len()), if goes == 0 { (calls - 1, 1) } else { (calls, 0) });
        }
    }
}
