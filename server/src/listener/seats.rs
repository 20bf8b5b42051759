//! Seats: which connections are open, which of them are quiet since when, and who goes when there is no room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Stands for a connection that has a request at work.
const AT_WORK: u64 = u64::MAX;

/// All seats.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    began: Instant,
    taken: Mutex<Taken>,
    /// Told when a seat is free, or one of all is quiet.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    seats: HashMap<u64, Arc<State>>,
    next: u64,
}

/// One connection.
#[derive(Debug)]
struct State {
    /// Milliseconds since the beginning, or [`AT_WORK`].
    quiet_since: AtomicU64,
    go: Notify,
}

/// The seat of one connection. Free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    state: Arc<State>,
}

/// Who works for a connection: on the answer to a request, and on each piece of a long one.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    seats: Arc<Seats>,
    state: Arc<State>,
}

/// Work for a connection, which is quiet again when this is dropped.
#[derive(Debug)]
pub(super) struct AtWork(Worker);

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { most, began: Instant::now(), taken: Mutex::default(), changed: Notify::new() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(AT_WORK - 1)
    }

    /// Waits until a seat is free, or somebody could make room.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            if self.taken.lock().expect("no panic while held").has_room(self.most) {
                return;
            }
            changed.await;
        }
    }

    /// Takes a seat. Where there is none, whoever has been quiet the longest is dismissed; `None` where nobody is.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let state = Arc::new(State { quiet_since: AtomicU64::new(self.now()), go: Notify::new() });
        let mut taken = self.taken.lock().expect("no panic while held");
        if taken.seats.len() >= self.most && !taken.dismiss_one() {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        taken.seats.insert(number, Arc::clone(&state));
        Some(Seat { seats: Arc::clone(self), number, state })
    }

    /// Dismisses who has been quiet for so long.
    pub(super) fn dismiss_quiet(&self, quiet_for: Duration) {
        let Some(before) = self.now().checked_sub(u64::try_from(quiet_for.as_millis()).unwrap_or(AT_WORK)) else { return };
        let mut taken = self.taken.lock().expect("no panic while held");
        for (_, state) in taken.seats.extract_if(|_, state| state.quiet_since.load(Ordering::Relaxed) <= before) {
            state.go.notify_one();
        }
    }
}

impl Taken {
    fn has_room(&self, most: usize) -> bool {
        self.seats.len() < most || self.seats.values().any(|state| state.quiet_since.load(Ordering::Relaxed) != AT_WORK)
    }

    /// Whether there was one to be dismissed.
    fn dismiss_one(&mut self) -> bool {
        let quiet = self.seats.iter().map(|(number, state)| (state.quiet_since.load(Ordering::Relaxed), *number)).filter(|(since, _)| *since != AT_WORK);
        let dismissed = quiet.min().and_then(|(_, number)| self.seats.remove(&number));
        dismissed.is_some_and(|state| {
            state.go.notify_one();
            true
        })
    }
}

impl Seat {
    /// Begins a request. A connection has one at a time: HTTP/1.1 answers in order.
    pub(super) fn begin(&self) -> AtWork {
        self.worker().begin()
    }

    /// Who works for this seat.
    pub(super) fn worker(&self) -> Worker {
        Worker { seats: Arc::clone(&self.seats), state: Arc::clone(&self.state) }
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.state.quiet_since.load(Ordering::Relaxed) == AT_WORK
    }

    /// Waits until its connection must go.
    pub(super) async fn dismissed(&self) {
        self.state.go.notified().await;
    }
}

impl Worker {
    /// Begins to work for the connection.
    pub(super) fn begin(&self) -> AtWork {
        self.state.quiet_since.store(AT_WORK, Ordering::Relaxed);
        AtWork(self.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().expect("no panic while held").seats.remove(&self.number);
        self.seats.changed.notify_one();
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.state.quiet_since.store(self.0.seats.now(), Ordering::Relaxed);
        self.0.seats.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn is_dismissed(seat: &Seat) -> bool {
        seat.dismissed().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_longest_quiet_makes_room_and_who_is_at_work_never_does() {
        let seats = Arc::new(Seats::new(3));
        let all: Vec<Seat> = (0..3).map(|_| seats.take().expect("room")).collect();
        all[0].state.quiet_since.store(9, Ordering::Relaxed);
        all[1].state.quiet_since.store(5, Ordering::Relaxed);
        let at_work = all[2].begin();
        seats.room().await;
        let fourth = seats.take().expect("room");
        assert_eq!(all.iter().map(is_dismissed).collect::<Vec<_>>(), [false, true, false]);

        let (first, new) = (all[0].begin(), fourth.begin());
        assert!(seats.room().now_or_never().is_none(), "all are at work");
        drop(at_work);
        seats.room().await;
        drop((first, new));
    }

    #[tokio::test]
    async fn who_is_quiet_for_long_goes() {
        let seats = Arc::new(Seats::new(9));
        let (quiet, busy) = (seats.take().expect("room"), seats.take().expect("room"));
        let at_work = busy.begin();
        seats.dismiss_quiet(Duration::from_secs(60));
        assert!(!is_dismissed(&quiet));
        tokio::time::sleep(Duration::from_millis(3)).await;
        seats.dismiss_quiet(Duration::from_millis(1));
        assert!(is_dismissed(&quiet) && !is_dismissed(&busy));
        drop(at_work);
    }

    #[tokio::test]
    async fn a_seat_is_free_once_its_connection_ended() {
        let seats = Arc::new(Seats::new(1));
        let only = seats.take().expect("room");
        let at_work = only.begin();
        assert!(seats.room().now_or_never().is_none());
        drop(at_work);
        drop(only);
        seats.room().await;
        assert!(seats.taken.lock().expect("no panic").seats.is_empty());
    }
}
