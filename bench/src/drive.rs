//! Sends events over a few connections and waits until they are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::data::Event;

/// Events of one request.
pub(crate) const PER_REQUEST: usize = 500;
/// Connections.
const CONNECTIONS: usize = 8;
/// How long everything may take to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(300);

/// What was sent: the batch of each request, in the order of the events.
pub(crate) struct Sent {
    pub(crate) batches: Vec<String>,
    pub(crate) accepted_in: Duration,
    pub(crate) stored_in: Duration,
}

/// Sends all events, and waits until all three stores have them.
pub(crate) async fn run(url: &str, key: &str, events: &[Event]) -> anyhow::Result<Sent> {
    let began = Instant::now();
    let batches = post(url, key, events).await?;
    let accepted_in = began.elapsed();
    let http = client()?;
    // Batches are stored nearly in order, so waiting for one after the other asks little of the server.
    for batch in &batches {
        while !is_stored(&http, url, key, batch).await? {
            if began.elapsed() > STORED_WITHIN {
                bail!("batch {batch} is not stored after {} s", STORED_WITHIN.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(Sent { batches, accepted_in, stored_in: began.elapsed() })
}

/// Sends all events. Answers the batch of each request, in the order of the events.
pub(crate) async fn post(url: &str, key: &str, events: &[Event]) -> anyhow::Result<Vec<String>> {
    send_all(url, events.chunks(PER_REQUEST).map(|chunk| (key.to_owned(), chunk.join("\n"))).collect()).await
}

/// Sends requests, each a key and a body. Answers the batch of each.
pub(crate) async fn send_all(url: &str, requests: Vec<(String, String)>) -> anyhow::Result<Vec<String>> {
    let mut batches = vec![String::new(); requests.len()];
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(send(format!("{url}/v1/logs"), Arc::clone(&requests), Arc::clone(&next)))).collect();
    for sender in senders {
        for (at, batch) in sender.await?? {
            batches[at] = batch;
        }
    }
    Ok(batches)
}

/// One kept connection.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build()?)
}

async fn send(url: String, requests: Arc<Vec<(String, String)>>, next: Arc<AtomicUsize>) -> anyhow::Result<Vec<(usize, String)>> {
    let http = client()?;
    let mut batches = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some((key, body)) = requests.get(at) else { return Ok(batches) };
        let answer = http.post(&url).bearer_auth(key).header("content-type", "application/x-ndjson").body(body.clone()).send().await?;
        if answer.status() != reqwest::StatusCode::ACCEPTED {
            bail!("{}: {}", answer.status(), answer.text().await?);
        }
        let receipt: Value = answer.json().await?;
        if receipt["rejected"] != 0 {
            bail!("some of the events were refused: {}", receipt["errors"]);
        }
        batches.push((at, receipt["batch_id"].as_str().context("no batch id")?.to_owned()));
    }
}

/// Whether rows, raw and documents of a batch are there.
async fn is_stored(http: &reqwest::Client, url: &str, key: &str, batch: &str) -> anyhow::Result<bool> {
    let receipt: Value = http.get(format!("{url}/v1/batches/{batch}")).bearer_auth(key).send().await?.error_for_status()?.json().await?;
    Ok(receipt["state"] != "queued" && receipt["indexed"] == receipt["accepted"])
}
