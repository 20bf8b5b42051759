//! Spares drains the wait for an index that is down: rows and raw go on, and what the index misses is made up for later.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shared::index::Index;

/// How long the index is left alone after it failed.
const LEAVE_ALONE: Duration = Duration::from_secs(3);

/// Remembers when the index failed last.
#[derive(Debug, Clone, Default)]
pub struct Breaker(Arc<Mutex<Option<Instant>>>);

impl Breaker {
    /// Whether the index is worth a try: it has not failed lately, or answers again.
    pub async fn allows(&self, index: &Index) -> bool {
        let failed = *self.0.lock().expect("no panic while held");
        match failed {
            None => true,
            Some(at) if at.elapsed() < LEAVE_ALONE => false,
            Some(_) => match index.ping().await {
                Ok(()) => {
                    *self.0.lock().expect("no panic while held") = None;
                    true
                }
                Err(_) => {
                    self.trip();
                    false
                }
            },
        }
    }

    /// The index failed.
    pub fn trip(&self) {
        *self.0.lock().expect("no panic while held") = Some(Instant::now());
    }
}
