//! Clients as a good SDK is one: they retry with the same key and body until they have an answer, and keep a list of what was accepted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::ids::BatchId;

use crate::events::{self, BAD};
use crate::hubs::{Hubs, OPERATOR};

/// Requests under way at once.
const AT_ONCE: usize = 64;
/// How long one try may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// First and longest pause between tries; `Retry-After` counts where it is longer than the pause, up to the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long a request may wait for its answer, faults included.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(600);
/// Most records of a request.
const MOST: usize = 500;
/// One record in so many is no good.
const ONE_BAD_IN: u32 = 1000;
/// Tenants; the first sends more than the others together.
const TENANTS: [&str; 6] = ["heavy", "one", "two", "three", "four", "five"];
/// Whose logs tell how soon all goes on after a fault.
pub(crate) const PROBE: &str = "probe";

/// Who sends, and what.
pub(crate) struct Clients {
    hubs: Arc<Hubs>,
    http: reqwest::Client,
    records: Vec<String>,
    keys: Vec<String>,
    probe: String,
    seed: u64,
    rate: u64,
    next: Mutex<Next>,
    told: Mutex<Told>,
}

/// The next request, and how many logs come before it.
#[derive(Default)]
struct Next {
    number: u64,
    logs_before: u64,
}

/// One request: what it holds follows from the seed and its number.
pub(crate) struct Request {
    pub(crate) tenant: usize,
    from: usize,
    good: Vec<bool>,
}

/// A request that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) request: u64,
    pub(crate) tenant: usize,
    pub(crate) batch: BatchId,
    pub(crate) logs: i32,
}

/// What the clients were told.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    pub(crate) accepted: Vec<Accepted>,
    /// Requests that were refused for good, by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Tries that had to be made again, by code.
    pub(crate) bounced: BTreeMap<String, u64>,
    /// Requests that were accepted by an earlier try whose answer never came.
    pub(crate) replayed: u64,
    pub(crate) tries: u64,
    pub(crate) logs_offered: u64,
    pub(crate) logs_rejected: u64,
}

/// How soon all goes on after a fault.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) accepted: Duration,
    pub(crate) indexed: Duration,
}

impl Recovery {
    pub(crate) fn max(self, other: Self) -> Self {
        Self { accepted: self.accepted.max(other.accepted), indexed: self.indexed.max(other.indexed) }
    }
}

/// An answer to one try.
enum Answer {
    Accepted(Value),
    Refused(String),
    Again(String, Duration),
}

impl Clients {
    /// Makes the tenants and a key for each.
    pub(crate) async fn make(hubs: Arc<Hubs>, seed: u64, rate: u64) -> anyhow::Result<Arc<Self>> {
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(AT_ONCE).timeout(ANSWER_WITHIN).build()?;
        let mut keys = Vec::new();
        for tenant in TENANTS.iter().chain([&PROBE]) {
            keys.push(key_of(&http, hubs.url(0), tenant).await.with_context(|| format!("making tenant {tenant}"))?);
        }
        let probe = keys.pop().context("the probe was made last")?;
        Ok(Arc::new(Self { hubs, http, records: events::load()?, keys, probe, seed, rate, next: Mutex::default(), told: Mutex::default() }))
    }

    pub(crate) fn tenant(number: usize) -> &'static str {
        TENANTS[number]
    }

    pub(crate) fn key(&self, tenant: usize) -> &str {
        &self.keys[tenant]
    }

    pub(crate) fn tenants() -> usize {
        TENANTS.len()
    }

    /// Offers records at the rate for so long; comes back when each request has its answer.
    pub(crate) async fn offer(self: Arc<Self>, length: Duration) -> anyhow::Result<Told> {
        let began = Instant::now();
        let senders: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(Arc::clone(&self).send_in_turn(began, length))).collect();
        for sender in senders {
            sender.await??;
        }
        Ok(self.told.lock().expect("no panic while held").clone())
    }

    async fn send_in_turn(self: Arc<Self>, began: Instant, length: Duration) -> anyhow::Result<()> {
        while let Some((number, at)) = self.take_next(length) {
            // One that is late because all others wait for an answer is sent at once.
            tokio::time::sleep_until((began + at).into()).await;
            self.send(number).await?;
        }
        Ok(())
    }

    /// The next request and its time, counted from the beginning.
    fn take_next(&self, length: Duration) -> Option<(u64, Duration)> {
        let mut next = self.next.lock().expect("no panic while held");
        let at = Duration::from_micros(next.logs_before * 1_000_000 / self.rate);
        if at >= length {
            return None;
        }
        let number = next.number;
        *next = Next { number: number + 1, logs_before: next.logs_before + self.request(number).good.len() as u64 };
        Some((number, at))
    }

    pub(crate) fn request(&self, number: u64) -> Request {
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(number));
        let tenant = if rng.random_ratio(3, 5) { 0 } else { rng.random_range(1..TENANTS.len()) };
        let size = rng.random_range(1..=MOST);
        let from = rng.random_range(0..self.records.len() - size.min(self.records.len() - 1));
        Request { tenant, from, good: (0..size).map(|_| !rng.random_ratio(1, ONE_BAD_IN)).collect() }
    }

    /// The record at a position of a request.
    pub(crate) fn record(&self, request: &Request, position: usize) -> &str {
        if request.good[position] { &self.records[(request.from + position) % self.records.len()] } else { BAD }
    }

    /// Positions of the records that are good.
    pub(crate) fn good_positions(request: &Request) -> Vec<usize> {
        (0..request.good.len()).filter(|position| request.good[*position]).collect()
    }

    /// Sends one request until it is answered.
    async fn send(&self, number: u64) -> anyhow::Result<()> {
        let request = self.request(number);
        let body = (0..request.good.len()).map(|position| self.record(&request, position)).collect::<Vec<_>>().join("\n");
        let good = request.good.iter().filter(|good| **good).count();
        let (began, mut pause, mut tries) = (Instant::now(), BACK_OFF.0, 0);
        {
            let mut told = self.told.lock().expect("no panic while held");
            told.logs_offered += request.good.len() as u64;
        }
        loop {
            let sent_at = unix_ms();
            let answer = self.try_once(&self.keys[request.tenant], Some(&format!("chaos-{number}")), &body, usize::try_from(number)? + tries).await;
            tries += 1;
            let wait = {
                let mut told = self.told.lock().expect("no panic while held");
                told.tries += 1;
                match answer {
                    Answer::Accepted(receipt) => {
                        anyhow::ensure!(receipt["accepted"] == good, "request {number} has {good} good records, and was answered {receipt}");
                        let batch = BatchId::parse(receipt["batch_id"].as_str().context("no batch id")?)?;
                        // Ids say when they were made, by a clock of this machine: older than this try, so an earlier one was taken in.
                        told.replayed += u64::from(tries > 1 && batch.unix_ms() + 50 < sent_at);
                        told.logs_rejected += (request.good.len() - good) as u64;
                        told.accepted.push(Accepted { request: number, tenant: request.tenant, batch, logs: i32::try_from(good)? });
                        return Ok(());
                    }
                    Answer::Refused(code) => {
                        *told.refused.entry(code).or_default() += 1;
                        told.logs_rejected += request.good.len() as u64;
                        anyhow::ensure!(good == 0, "request {number} with {good} good records was refused for good");
                        return Ok(());
                    }
                    Answer::Again(code, after) => {
                        *told.bounced.entry(code).or_default() += 1;
                        after.max(pause)
                    }
                }
            };
            if began.elapsed() > GIVEN_UP_AFTER {
                bail!("request {number} has no answer after {tries} tries");
            }
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(wait.min(BACK_OFF.1).mul_f64(jitter)).await;
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    async fn try_once(&self, key: &str, idempotency: Option<&str>, body: &str, hub: usize) -> Answer {
        let mut request = self.http.post(format!("{}/v1/logs", self.hubs.url(hub))).bearer_auth(key).header("content-type", "application/x-ndjson");
        if let Some(idempotency) = idempotency {
            request = request.header("idempotency-key", idempotency);
        }
        let Ok(answer) = request.body(body.to_owned()).send().await else { return Answer::Again("no answer".to_owned(), Duration::ZERO) };
        let status = answer.status();
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
        let Ok(said) = answer.json::<Value>().await else { return Answer::Again("half an answer".to_owned(), Duration::ZERO) };
        let code = said["code"].as_str().unwrap_or("no code").to_owned();
        match status {
            StatusCode::ACCEPTED => Answer::Accepted(said),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Answer::Again(code, after),
            status if status.is_server_error() => Answer::Again(code, after),
            _ => Answer::Refused(code),
        }
    }

    /// How long after `since` a log is accepted, and how long until it is found.
    pub(crate) async fn recovery(self: Arc<Self>, since: Instant) -> anyhow::Result<Recovery> {
        let mut hub = 0;
        let batch = loop {
            hub += 1;
            if let Answer::Accepted(receipt) = self.try_once(&self.probe, None, r#"{"service":"probe","message":"is anybody there?"}"#, hub).await {
                break receipt["batch_id"].as_str().context("no batch id")?.to_owned();
            }
            anyhow::ensure!(since.elapsed() < GIVEN_UP_AFTER, "nothing is accepted any more");
            tokio::time::sleep(BACK_OFF.0).await;
        };
        let accepted = since.elapsed();
        loop {
            hub += 1;
            let asked = self.http.get(format!("{}/v1/batches/{batch}", self.hubs.url(hub))).bearer_auth(&self.probe).send().await;
            if let Ok(answer) = asked
                && answer.json::<Value>().await.is_ok_and(|said| said["state"] == "indexed")
            {
                return Ok(Recovery { accepted, indexed: since.elapsed() });
            }
            anyhow::ensure!(since.elapsed() < GIVEN_UP_AFTER, "batch {batch} is not indexed");
            tokio::time::sleep(BACK_OFF.0 * 2).await;
        }
    }

    /// What a hub answers of a log.
    pub(crate) async fn detail(&self, tenant: usize, id: &str, source: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}/v1/logs/{id}?source={source}", self.hubs.url(0))).bearer_auth(self.key(tenant)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

async fn key_of(http: &reqwest::Client, url: &str, tenant: &str) -> anyhow::Result<String> {
    let as_operator = async |path: String, body: Value| -> anyhow::Result<Value> {
        let answer = http.post(format!("{url}{path}")).bearer_auth(OPERATOR).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    };
    as_operator("/v1/tenants".to_owned(), json!({ "id": tenant, "name": tenant })).await?;
    let key = as_operator(format!("/v1/tenants/{tenant}/keys"), json!({ "name": "chaos" })).await?;
    key["key"].as_str().map(str::to_owned).context("no key in the answer")
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
