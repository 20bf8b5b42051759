//! Requests at a steady pace, whatever becomes of those before: what users send does not wait for us.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::data::Event;

/// Requests under way at once; one that would be more waits, and the pace is then not held.
const AT_ONCE: usize = 64;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Logs in a second, over all tenants.
    pub(crate) rate: usize,
    /// Logs of one request.
    pub(crate) per_request: usize,
    /// For so long.
    pub(crate) seconds: usize,
}

impl Pace {
    /// Requests in all.
    pub(crate) fn requests(self) -> usize {
        self.rate * self.seconds / self.per_request
    }
}

/// The events that [`offer`] sends.
pub(crate) fn sent(events: &[Event], pace: Pace) -> impl Iterator<Item = &Event> {
    (0..pace.requests()).flat_map(move |n| body(events, pace, n))
}

fn body(events: &[Event], pace: Pace, n: usize) -> &[Event] {
    let from = n * pace.per_request % (events.len() - pace.per_request);
    &events[from..from + pace.per_request]
}

/// Sends with one key after the other. Answers how long each request took, shortest first.
pub(crate) async fn offer(url: &str, keys: &[String], events: &[Event], pace: Pace) -> anyhow::Result<Vec<Duration>> {
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(AT_ONCE).build()?;
    let (url, room) = (format!("{url}/v1/logs"), Arc::new(Semaphore::new(AT_ONCE)));
    let every = Duration::from_secs(1) * u32::try_from(pace.per_request)? / u32::try_from(pace.rate)?;
    let (began, mut sending, mut took) = (Instant::now(), JoinSet::new(), Vec::new());
    for n in 0..pace.requests() {
        tokio::time::sleep_until((began + every * u32::try_from(n)?).into()).await;
        let room = Arc::clone(&room).acquire_owned().await?;
        let body = body(events, pace, n).join("\n");
        let request = http.post(&url).bearer_auth(&keys[n % keys.len()]).header("content-type", "application/x-ndjson").body(body);
        sending.spawn(async move {
            let began = Instant::now();
            let answer = request.send().await?;
            let status = answer.status();
            let receipt: Value = answer.json().await?;
            drop(room);
            if status != reqwest::StatusCode::ACCEPTED || receipt["rejected"] != 0 {
                bail!("{status}: {receipt}");
            }
            Ok(began.elapsed())
        });
        while let Some(done) = sending.try_join_next() {
            took.push(done??);
        }
    }
    while let Some(done) = sending.join_next().await {
        took.push(done??);
    }
    took.sort_unstable();
    Ok(took)
}

/// The value below which so many of a hundred lie, of a list that is sorted.
pub(crate) fn share<T: Copy>(sorted: &[T], percent: usize) -> T {
    sorted[(sorted.len() - 1) * percent / 100]
}
