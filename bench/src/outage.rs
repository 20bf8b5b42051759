//! A steady rate while an engine is away for a while: nothing lost or doubled, how soon and how fast it is made up for, and in how
//! much memory.

mod fault;
mod progress;

pub(crate) use self::fault::restart_opensearch;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use shared::ids::TenantId;
use shared::settings::Env;

use self::fault::{Away, Engine};
use self::progress::Progress;
use crate::data::Event;
use crate::pace::{self, Pace};
use crate::server::Server;
use crate::verify;

/// Logs of one request, as an SDK that flushes often sends them.
const PER_REQUEST: usize = 100;
/// What is missing counts as made up for once no more is missing than at some time in so long before the outage.
const BEFORE: Duration = Duration::from_secs(5);

/// What is offered, and which engine is away when.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Outage {
    /// Which engine: OpenSearch is paused, as by a long pause of its machine; the others are stopped and started.
    #[arg(long, value_enum, default_value_t = Engine::Opensearch)]
    engine: Engine,
    /// Logs offered in a second.
    #[arg(long, default_value_t = 10_000)]
    rate: usize,
    /// Seconds for which they are offered.
    #[arg(long, default_value_t = 90)]
    seconds: usize,
    /// The engine is away after so many seconds.
    #[arg(long, default_value_t = 15)]
    away_after: u64,
    /// For so many seconds.
    #[arg(long, default_value_t = 20)]
    away_for: u64,
}

pub(crate) async fn run(env: &Env, events: &[Event], outage: Outage) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let tenant = TenantId::parse("outage")?;
    let key = server.tenant(tenant.as_str()).await?;
    let pace = Pace { rate: outage.rate, per_request: PER_REQUEST, seconds: outage.seconds };
    let logs = pace.requests() * PER_REQUEST;
    let began = Instant::now();
    let progress = tokio::spawn(progress::watch(env.clone(), tenant.clone(), i64::try_from(logs)?));
    let away = tokio::spawn(fault::befall(outage.engine, began + Duration::from_secs(outage.away_after), Duration::from_secs(outage.away_for)));
    let took = pace::offer(&server.url, &[key], events, pace).await?;
    let offered_in = began.elapsed();
    let (away, progress) = (away.await??, progress.await??);
    let made_up = MadeUp::of(&progress, outage, began, away)?;

    println!("{logs} logs offered in {:.1} s, requests of {PER_REQUEST}; {} away for {:.1} s", offered_in.as_secs_f64(), outage.engine, (away.until - away.from).as_secs_f64());
    println!(
        "| held, logs/s | 202 p50, ms | 202 p99, ms | slowest, ms | missing at its return | taken up after, s | logs/s from then, new ones included | backlog gone after, s | peak memory of loggerhub, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let ms = |share: usize| pace::share(&took, share).as_secs_f64() * 1000.0;
    println!(
        "| {:.0} | {:.1} | {:.1} | {:.0} | {} | {:.1} | {:.0} | {:.1} | {} |",
        crate::end_to_end::rate(logs, offered_in),
        ms(50),
        ms(99),
        ms(100),
        made_up.missing,
        made_up.taken_up.as_secs_f64(),
        made_up.rate,
        made_up.gone.as_secs_f64(),
        server.peak_mib()?
    );
    let counts = verify::counts(env, &tenant).await?;
    println!("{} rows, {} documents, {} ids in raw ({} lines)", counts.rows, counts.documents, counts.raw_ids, counts.raw_lines);
    if [counts.rows, counts.documents, counts.raw_ids] != [logs as u64; 3] {
        bail!("not every log is in every store exactly once");
    }
    Ok(())
}

/// How an outage was made up for; times run from the engine's return.
struct MadeUp {
    /// Logs that were accepted and lacked in some store when it returned.
    missing: i64,
    /// The first of them was stored, or indexed.
    taken_up: Duration,
    /// Logs in a second from then until the backlog was gone.
    rate: f64,
    /// No more was missing than before.
    gone: Duration,
}

impl MadeUp {
    fn of(progress: &[Progress], outage: Outage, began: Instant, away: Away) -> anyhow::Result<Self> {
        let offered = |at: Instant| i64::try_from((at - began).as_millis().min(outage.seconds as u128 * 1000) * outage.rate as u128 / 1000).unwrap_or(i64::MAX);
        let missing = |progress: &Progress| offered(progress.at) - progress.done;
        let usual = progress.iter().filter(|seen| seen.at < away.from && seen.at + BEFORE > away.from).map(missing).max().context("nothing was seen before the outage")?;
        let after: Vec<&Progress> = progress.iter().filter(|seen| seen.at >= away.until).collect();
        let first = after.first().context("nothing was seen after the outage")?;
        let taken_up = after
            .windows(2)
            .find(|pair| if outage.engine == Engine::Opensearch { pair[1].pending < pair[0].pending } else { pair[1].done > first.done })
            .context("nothing was missing after the outage: let it last longer")?;
        let gone = after.iter().find(|seen| seen.at > taken_up[1].at && seen.pending == 0 && missing(seen) <= usual).context("the backlog was never gone")?;
        let logs = f64::from(i32::try_from(gone.done - taken_up[0].done)?);
        Ok(Self { missing: missing(first), taken_up: taken_up[1].at - away.until, rate: logs / (gone.at - taken_up[0].at).as_secs_f64(), gone: gone.at - away.until })
    }
}
