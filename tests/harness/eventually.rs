//! Waiting on a condition, with a deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long anything may take that takes a second on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const POLL_EVERY: Duration = Duration::from_millis(25);

/// Asks again and again until the answer is `Ok`. The text of an `Err` is what the panic says when `within` has passed.
pub(crate) async fn eventually<T, E: Display>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(last) if began.elapsed() > within => panic!("{what}: not within {} s; last seen: {last}", within.as_secs()),
            Err(_) => tokio::time::sleep(POLL_EVERY).await,
        }
    }
}
