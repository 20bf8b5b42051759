//! Fifty tenants, one of which sends a hundred times what all others send together: how long the others wait for their logs.

use std::time::{Duration, Instant};

use anyhow::bail;
use shared::settings::{Env, PostgresSettings};
use sqlx::Connection;

use crate::data::Event;
use crate::pace::{self, Pace};
use crate::server::Server;

/// Tenants beside the one that floods.
const OTHERS: usize = 49;
/// Logs of one request of theirs, and of the flood's.
const PER_REQUEST: (usize, usize) = (10, 500);
/// How much the flood brings for each log of all others.
const TIMES: usize = 100;
/// How long all may take to be stored in the end.
const STORED_WITHIN: Duration = Duration::from_secs(600);

/// What is offered.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Flood {
    /// Logs in a second of all others together.
    #[arg(long, default_value_t = 490)]
    others: usize,
    /// Seconds before the flood, for comparison.
    #[arg(long, default_value_t = 15)]
    quiet: usize,
    /// Seconds of the flood.
    #[arg(long, default_value_t = 20)]
    flood: usize,
    /// Seconds after it for which the others go on.
    #[arg(long, default_value_t = 60)]
    after: usize,
}

pub(crate) async fn run(env: &Env, events: &[Event], flood: Flood) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut keys = Vec::new();
    for n in 0..OTHERS {
        keys.push(server.tenant(&format!("other_{n}")).await?);
    }
    let flooding = server.tenant("flood").await?;
    let all = Pace { rate: flood.others, per_request: PER_REQUEST.0, seconds: flood.quiet + flood.flood + flood.after };
    let much = Pace { rate: flood.others * TIMES, per_request: PER_REQUEST.1, seconds: flood.flood };
    let flooded = async {
        tokio::time::sleep(Duration::from_secs(flood.quiet as u64)).await;
        let began = Instant::now();
        pace::offer(&server.url, &[flooding], events, much).await?;
        anyhow::Ok(began.elapsed())
    };
    let (others, flooded) = tokio::try_join!(pace::offer(&server.url, &keys, events, all), flooded)?;
    let mut connection = sqlx::PgConnection::connect(PostgresSettings::logs_from_env(env)?.url.reveal()).await?;
    until_stored(&mut connection, all.requests() + much.requests()).await?;

    let logs = much.requests() * much.per_request;
    println!("{OTHERS} tenants, {} logs/s together; one more sends {logs} logs in {:.1} s", flood.others, flooded.as_secs_f64());
    println!("the slowest 202 of the others took {:.0} ms", pace::share(&others, 100).as_secs_f64() * 1000.0);
    println!("| from 202 to stored and indexed, s | batches | p50 | p99 | slowest |");
    println!("|---|---|---|---|---|");
    // The flood's own first and last batch say when it was felt.
    for (name, which) in [
        ("the others, before the flood", "tenant <> 'flood' and batch_id < f.first"),
        ("the others, while the flood was not yet stored", "tenant <> 'flood' and batch_id >= f.first and received(batch_id) < f.ended"),
        ("the flood itself", "tenant = 'flood'"),
    ] {
        let waits = waits(&mut connection, which).await?;
        if waits.is_empty() {
            bail!("nothing was sent by {name}");
        }
        let [p50, p99, slowest] = [50, 99, 100].map(|percent| pace::share(&waits, percent));
        println!("| {name} | {} | {p50:.2} | {p99:.2} | {slowest:.2} |", waits.len());
    }
    Ok(())
}

/// Batches that are stored.
pub(crate) async fn batches_stored(connection: &mut sqlx::PgConnection) -> anyhow::Result<usize> {
    let count: i64 = sqlx::query_scalar("select count(*) from public.receipts").fetch_one(connection).await?;
    Ok(count.try_into()?)
}

/// Waits until so many batches are stored, and the index misses nothing.
pub(crate) async fn until_stored(connection: &mut sqlx::PgConnection, batches: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let (stored, pending): (i64, i64) = sqlx::query_as("select count(*), coalesce(sum(pending), 0)::bigint from public.receipts").fetch_one(&mut *connection).await?;
        if (usize::try_from(stored)?, pending) == (batches, 0) {
            return Ok(());
        }
        if began.elapsed() > STORED_WITHIN {
            bail!("{stored} of {batches} batches stored and {pending} logs pending after {} s", STORED_WITHIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Seconds from receipt, which a batch's id tells, to its rows; shortest first. All clocks are this machine's.
async fn waits(connection: &mut sqlx::PgConnection, which: &str) -> anyhow::Result<Vec<f64>> {
    let received = "to_timestamp(('x' || substr(replace(batch_id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)";
    let statement = format!(
        "select extract(epoch from stored_at - {received})::float8 from public.receipts, \
                (select min(batch_id::text)::uuid as first, max(stored_at) as ended from public.receipts where tenant = 'flood') f where {} order by 1",
        which.replace("received(batch_id)", received)
    );
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(connection).await?)
}
