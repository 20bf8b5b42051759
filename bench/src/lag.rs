//! From 202 to being found, at a steady rate; and what the server takes for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::data::Event;
use crate::drive;
use crate::figures::{Figures, Goal, real};
use crate::pace;
use crate::process;
use crate::server::Server;

/// Logs of a request.
const PER_REQUEST: usize = 100;
/// Every so many requests, one is watched until all of it is found.
const WATCHED: usize = 25;
/// How long after the 202 it is looked for, and then each time this share of what has gone by later: what is far behind must not fall
/// further behind for being asked after.
const LOOK_AFTER: Duration = Duration::from_millis(50);
const LOOK_AGAIN: u32 = 20;
/// How long it is waited for: what is not found by then counts as if it were.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// The steps of a drain, as the server's metrics name them.
const STEPS: [&str; 5] = ["prepare", "raw", "index", "rows", "acknowledge"];
/// What a batch waits for at most where all goes well: the linger, and the index's refresh (the settings' defaults, a second each).
const WAITS_S: f64 = 2.0;

/// How much.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Lag {
    /// Logs in a second.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rate: usize,
    /// For so long.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: usize,
    /// How often all events are stored before: an OpenSearch that just started stores a quarter of what it does a minute later.
    #[arg(long, default_value_t = 6)]
    pub(crate) warm_up: usize,
}

pub(crate) async fn run(events: &[Event], asked: Lag) -> anyhow::Result<()> {
    warm_up(events, asked.warm_up).await?;
    let server = Server::start().await?;
    let key = Arc::new(server.tenant("lag").await?);
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = Arc::new(format!("{}/v1", server.url));
    let every = Duration::from_secs(1) * u32::try_from(PER_REQUEST)? / u32::try_from(asked.rate)?;
    let requests = asked.rate * asked.seconds / PER_REQUEST;
    let (began, cpu) = (Instant::now(), server.cpu_seconds()?);
    let (mut sending, mut lags) = (JoinSet::new(), Vec::new());
    for n in 0..requests {
        tokio::time::sleep_until((began + every * u32::try_from(n)?).into()).await;
        let from = n * PER_REQUEST % (events.len() - PER_REQUEST);
        let body = events[from..from + PER_REQUEST].join("\n");
        let (http, url, key) = (http.clone(), Arc::clone(&url), Arc::clone(&key));
        sending.spawn(async move {
            let answer = http.post(format!("{url}/logs")).bearer_auth(&*key).header("content-type", "application/x-ndjson").body(body).send().await?;
            let accepted = Instant::now();
            let receipt: Value = answer.error_for_status()?.json().await?;
            if n % WATCHED != 0 {
                return Ok(None);
            }
            let batch = format!("{url}/batches/{}", receipt["batch_id"].as_str().context("no batch id")?);
            while accepted.elapsed() < FOUND_WITHIN && http.get(&batch).bearer_auth(&*key).send().await?.json::<Value>().await?["state"] != "indexed" {
                tokio::time::sleep(LOOK_AFTER.max(accepted.elapsed() / LOOK_AGAIN)).await;
            }
            anyhow::Ok(Some(accepted.elapsed().as_secs_f64()))
        });
        while let Some(done) = sending.try_join_next() {
            lags.extend(done??);
        }
    }
    let sent_in = began.elapsed().as_secs_f64();
    while let Some(done) = sending.join_next().await {
        lags.extend(done??);
    }
    lags.sort_by(f64::total_cmp);
    let mut figures = Figures::new("lag");
    let rate = format!("at {} logs/s", asked.rate);
    let logs = real(requests * PER_REQUEST);
    figures.single(format!("logs/s that were sent {rate}"), None, vec![logs / sent_in]);
    figures.single(format!("from 202 to found {rate}, p50, s"), Some(Goal::AtMost(WAITS_S)), vec![pace::share(&lags, 50)]);
    figures.single(format!("from 202 to found {rate}, p99, s"), Some(Goal::AtMost(2.0 * WAITS_S + 0.5)), vec![pace::share(&lags, 99)]);
    figures.single(format!("CPU of loggerhub {rate}, watching included, us a log"), None, vec![(server.cpu_seconds()? - cpu) * 1e6 / logs]);
    figures.single(format!("peak memory of loggerhub {rate}, MiB"), Some(Goal::AtMost(160.0)), vec![process::peak_mib(server.pid())?]);
    for Took { step, drains, seconds } in Took::read(&server, &http).await? {
        figures.single(format!("a drain's step `{step}` {rate}, mean of {drains}, s"), None, vec![seconds / drains]);
    }
    figures.tell()
}

/// By a server of its own: the memory of one that stores as fast as it can is not what the rate takes.
async fn warm_up(events: &[Event], times: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let key = server.tenant("warm_up").await?;
    for _ in 0..times {
        drive::run(&server.url, &key, events).await?;
    }
    Ok(())
}

/// What a step of all drains took, as the server counts it.
struct Took {
    step: &'static str,
    drains: f64,
    seconds: f64,
}

impl Took {
    async fn read(server: &Server, http: &reqwest::Client) -> anyhow::Result<Vec<Self>> {
        let metrics = http.get(format!("{}/metrics", server.url)).send().await?.error_for_status()?.text().await?;
        let value = |what: &str, step: &str| {
            let name = format!("loggerhub_drain_step_seconds_{what}{{step=\"{step}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok()).with_context(|| format!("the metrics have no {name}"))
        };
        STEPS.into_iter().map(|step| Ok(Self { step, drains: value("count", step)?, seconds: value("sum", step)? })).collect()
    }
}
