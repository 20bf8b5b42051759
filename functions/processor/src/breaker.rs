//! Spares drains the wait for an index that is down, and an index that has too much to do the drains: rows and raw go on, and what the
//! index misses is made up for later.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shared::index::Index;

/// How long the index is left alone after it failed once, and at most where it goes on failing. A request that was given up goes on
/// inside of OpenSearch: to send the next at once would only make it slower.
const LEAVE_ALONE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(12));

/// Remembers when the index failed last.
#[derive(Debug, Clone, Default)]
pub struct Breaker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Nothing is sent before; `None` while all is well.
    until: Option<Instant>,
    /// How long it was left alone last; doubled when it fails again before anything went well.
    pause: Duration,
}

impl Breaker {
    /// Whether the index is worth a try: it has not failed lately, or answers again.
    pub async fn allows(&self, index: &Index) -> bool {
        let until = self.state().until;
        match until {
            None => true,
            Some(until) if Instant::now() < until => false,
            Some(_) if index.ping().await.is_ok() => true,
            Some(_) => {
                self.state().until = Some(Instant::now() + LEAVE_ALONE.0);
                false
            }
        }
    }

    /// The index took nothing.
    pub fn trip(&self) {
        let mut state = self.state();
        state.pause = (state.pause * 2).clamp(LEAVE_ALONE.0, LEAVE_ALONE.1);
        state.until = Some(Instant::now() + state.pause);
    }

    /// The index took something.
    pub fn mend(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_goes_on_failing_is_left_alone_for_longer_up_to_a_bound() {
        let breaker = Breaker::default();
        let pauses: Vec<u64> = (0..4)
            .map(|_| {
                breaker.trip();
                breaker.state().pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [3, 6, 12, 12]);
        breaker.mend();
        assert!(breaker.state().until.is_none());
        breaker.trip();
        assert_eq!(breaker.state().pause, LEAVE_ALONE.0);
    }
}
