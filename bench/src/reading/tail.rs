//! Tails at a steady rate, with OpenSearch restarted in between.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::Client;
use serde_json::Value;
use shared::ids::{LogId, TenantId};
use shared::settings::Env;
use tokio::task::JoinSet;

use super::Seen;
use crate::data::Event;
use crate::outage::restart_opensearch;
use crate::pace::{self, Pace};
use crate::server::Server;
use crate::verify;

/// How long after the last log was accepted all tails must have shown all of them.
const ALL_WITHIN: Duration = Duration::from_secs(90);

/// What comes in, and when OpenSearch is restarted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Tailing {
    /// Logs in a second.
    #[arg(long, default_value_t = 2_000)]
    rate: usize,
    /// Logs of one request.
    #[arg(long, default_value_t = 100)]
    per_request: usize,
    /// Seconds for which they come in.
    #[arg(long, default_value_t = 60)]
    seconds: usize,
    /// OpenSearch is restarted after so many seconds.
    #[arg(long, default_value_t = 20)]
    restart_after: u64,
}

/// Who reads.
#[derive(Debug, Clone, Copy)]
struct Reader {
    what: &'static str,
    q: &'static str,
    by_events: bool,
}

/// What one of them saw.
struct Report {
    reader: Reader,
    logs: u64,
    skipped: u64,
    /// From receipt to the reader, in milliseconds, least first.
    delays: Vec<u64>,
}

pub(crate) async fn run(env: &Env, events: &[Event], tailing: Tailing) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let tenant = TenantId::parse("tailing")?;
    let key = server.tenant(tenant.as_str()).await?;
    let pace = Pace { rate: tailing.rate, per_request: tailing.per_request, seconds: tailing.seconds };
    let logs = (pace.requests() * pace.per_request) as u64;
    let within = Duration::from_secs(tailing.seconds as u64) + ALL_WITHIN;
    let mut readers = JoinSet::new();
    for reader in [
        Reader { what: "events, all", q: "", by_events: true },
        // Means every log, and can be told by whole records only.
        Reader { what: "events, by a query over texts", q: "-kanarienvogel", by_events: true },
        Reader { what: "long poll, all", q: "", by_events: false },
    ] {
        let (url, key) = (server.url.clone(), key.clone());
        readers.spawn(async move { tokio::time::timeout(within, read(&url, &key, reader, logs)).await.with_context(|| format!("{}: not all within {within:?}", reader.what))? });
    }
    // Readers begin where they come: before the first log.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let began = Instant::now();
    let restarted = tokio::spawn(restart_opensearch(began + Duration::from_secs(tailing.restart_after)));
    pace::offer(&server.url, &[key], events, pace).await?;
    let away = restarted.await??;
    println!("{logs} logs offered at {} a second, requests of {}; OpenSearch restarted, away for {:.1} s", tailing.rate, tailing.per_request, away.as_secs_f64());
    println!("| reader | logs, each once and in order | skipped | from receipt to the reader: p50, s | p99 | longest |");
    println!("|---|---|---|---|---|---|");
    while let Some(report) = readers.join_next().await {
        let report = report??;
        let delay = |percent| if report.delays.is_empty() { 0.0 } else { pace::share(&report.delays, percent) as f64 / 1000.0 };
        println!("| {} | {} | {} | {:.1} | {:.1} | {:.1} |", report.reader.what, report.logs, report.skipped, delay(50), delay(99), delay(100));
    }
    let counts = verify::counts(env, &tenant).await?;
    ensure!(counts.rows == logs, "{} rows", counts.rows);
    Ok(())
}

/// Reads until all logs came, or were told as skipped.
async fn read(url: &str, key: &str, reader: Reader, logs: u64) -> anyhow::Result<Report> {
    let mut report = Report { reader, logs: 0, skipped: 0, delays: Vec::new() };
    let mut seen = Seen::default();
    if reader.by_events { by_events(url, key, logs, &mut seen, &mut report).await } else { by_polls(url, key, logs, &mut seen, &mut report).await }.context(reader.what)?;
    report.delays.sort_unstable();
    Ok(report)
}

impl Report {
    fn take(&mut self, seen: &mut Seen, id: &str) -> anyhow::Result<()> {
        seen.take(id, true)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        self.delays.push(u64::try_from(now)?.saturating_sub(LogId::parse(id)?.unix_ms()));
        self.logs += 1;
        Ok(())
    }
}

async fn by_events(url: &str, key: &str, logs: u64, seen: &mut Seen, report: &mut Report) -> anyhow::Result<()> {
    let request = Client::builder().no_proxy().build()?.get(format!("{url}/v1/tail")).bearer_auth(key).query(&[("q", report.reader.q), ("fields", "id")]);
    let mut answer = request.header("accept", "text/event-stream").send().await?.error_for_status()?;
    let (mut text, mut name) = (Vec::new(), String::new());
    while report.logs + report.skipped < logs {
        let Some(piece) = answer.chunk().await? else { bail!("the stream ended after {} logs", report.logs) };
        text.extend_from_slice(&piece);
        while let Some(end) = text.iter().position(|b| *b == b'\n') {
            let line = String::from_utf8(text.drain(..=end).collect())?;
            if let Some(event) = line.strip_prefix("event:") {
                event.trim().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data:") {
                let data: Value = serde_json::from_str(data.trim())?;
                match name.as_str() {
                    "log" => report.take(seen, data["id"].as_str().context("no id")?)?,
                    "gap" => report.skipped += data["skipped"].as_u64().context("no number")?,
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

async fn by_polls(url: &str, key: &str, logs: u64, seen: &mut Seen, report: &mut Report) -> anyhow::Result<()> {
    let http = Client::builder().no_proxy().build()?;
    let mut cursor = None::<String>;
    while report.logs + report.skipped < logs {
        let mut request = http.get(format!("{url}/v1/tail")).bearer_auth(key).query(&[("q", report.reader.q), ("fields", "id"), ("limit", "1000")]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let page: Value = request.send().await?.error_for_status()?.json().await?;
        for log in page["logs"].as_array().context("no logs")? {
            report.take(seen, log["id"].as_str().context("no id")?)?;
        }
        report.skipped += page["gap"]["skipped"].as_u64().unwrap_or_default();
        cursor = page["cursor"].as_str().map(str::to_owned);
    }
    Ok(())
}
