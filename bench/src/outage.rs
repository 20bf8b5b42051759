//! A steady rate while OpenSearch is paused for a while: nothing lost or doubled, and how soon and in how much memory it is made up for.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use shared::ids::TenantId;
use shared::settings::{Env, PostgresSettings};
use sqlx::Connection;

use crate::data::Event;
use crate::pace::{self, Pace};
use crate::server::Server;
use crate::verify;

/// Logs of one request, as an SDK that flushes often sends them.
const PER_REQUEST: usize = 100;
/// How long all may take to be made up for.
const MADE_UP_WITHIN: Duration = Duration::from_secs(300);

/// What is offered, and for how long OpenSearch is paused.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Outage {
    /// Logs offered in a second.
    #[arg(long, default_value_t = 10_000)]
    rate: usize,
    /// Seconds for which they are offered.
    #[arg(long, default_value_t = 60)]
    seconds: usize,
    /// OpenSearch is paused after so many seconds.
    #[arg(long, default_value_t = 15)]
    pause_after: u64,
    /// For so many seconds.
    #[arg(long, default_value_t = 20)]
    pause_for: u64,
}

pub(crate) async fn run(env: &Env, events: &[Event], outage: Outage) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let tenant = TenantId::parse("outage")?;
    let key = server.tenant(tenant.as_str()).await?;
    let began = Instant::now();
    let paused = tokio::spawn(pause_opensearch(outage));
    let took = pace::offer(&server.url, &[key], events, outage.pace()).await?;
    let offered_in = began.elapsed();
    let resumed = paused.await??;
    let made_up = made_up(env, &tenant, outage.pace().requests()).await?.saturating_duration_since(resumed);

    let logs = outage.pace().requests() * PER_REQUEST;
    println!("{logs} logs offered in {:.1} s, requests of {PER_REQUEST}; OpenSearch paused for {} s", offered_in.as_secs_f64(), outage.pause_for);
    println!("| held, logs/s | 202 p50, ms | 202 p99, ms | slowest, ms | backlog gone after its return, s | peak memory of loggerhub, MiB |");
    println!("|---|---|---|---|---|---|");
    let ms = |share: usize| pace::share(&took, share).as_secs_f64() * 1000.0;
    println!("| {:.0} | {:.1} | {:.1} | {:.0} | {:.1} | {} |", crate::end_to_end::rate(logs, offered_in), ms(50), ms(99), ms(100), made_up.as_secs_f64(), server.peak_mib()?);
    let counts = verify::counts(env, &tenant).await?;
    println!("{} rows, {} documents, {} ids in raw ({} lines)", counts.rows, counts.documents, counts.raw_ids, counts.raw_lines);
    if [counts.rows, counts.documents, counts.raw_ids] != [logs as u64; 3] {
        bail!("not every log is in every store exactly once");
    }
    Ok(())
}

impl Outage {
    fn pace(self) -> Pace {
        Pace { rate: self.rate, per_request: PER_REQUEST, seconds: self.seconds }
    }
}

/// Stops OpenSearch's process as a long pause of its machine would, and lets it go on. Answers when it went on.
async fn pause_opensearch(outage: Outage) -> anyhow::Result<Instant> {
    let data = std::env::var("LOGGERHUB_DATA").context("LOGGERHUB_DATA is not set: run this by scripts/bench")?;
    let file = format!("{data}/engines/opensearch/pid");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let pid = text.split_whitespace().next().context("no pid")?.to_owned();
    tokio::time::sleep(Duration::from_secs(outage.pause_after)).await;
    signal("STOP", &pid)?;
    tokio::time::sleep(Duration::from_secs(outage.pause_for)).await;
    signal("CONT", &pid)?;
    Ok(Instant::now())
}

fn signal(name: &str, pid: &str) -> anyhow::Result<()> {
    let sent = std::process::Command::new("kill").args(["-s", name, pid]).status()?;
    anyhow::ensure!(sent.success(), "kill -s {name} {pid} failed");
    Ok(())
}

/// Waits until all batches are stored and indexed. Answers when that was seen.
async fn made_up(env: &Env, tenant: &TenantId, batches: usize) -> anyhow::Result<Instant> {
    let mut connection = sqlx::PgConnection::connect(PostgresSettings::logs_from_env(env)?.url.reveal()).await?;
    let began = Instant::now();
    loop {
        let (stored, pending): (i64, i64) =
            sqlx::query_as("select count(*), coalesce(sum(pending), 0)::bigint from public.receipts where tenant = $1").bind(tenant.as_str()).fetch_one(&mut connection).await?;
        if (usize::try_from(stored)?, pending) == (batches, 0) {
            return Ok(Instant::now());
        }
        if began.elapsed() > MADE_UP_WITHIN {
            bail!("{stored} of {batches} batches stored and {pending} logs pending after {} s", MADE_UP_WITHIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
