//! Many tenants: how long each takes to be made, what ingest and search of one lose by the others, and what a migration of all takes with one schema
//! broken, a process that is killed half way, and the schema mended.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use reqwest::Client;
use serde_json::Value;
use shared::settings::{Env, PostgresSettings};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::data::Event;
use crate::flood::until_stored;
use crate::pace::{self, Pace};
use crate::server::{Server, command};

/// Searches and lists of each measurement.
const READS: usize = 200;
/// What is searched for: a word that stands in many logs.
const QUERY: &str = "error";
/// When the migration is killed, of the share that it has brought forward.
const KILLED_AT: f64 = 0.3;

/// How many, and how much.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Tenants {
    /// Tenants.
    #[arg(long, default_value_t = 1000)]
    tenants: usize,
    /// Logs in a second, of one tenant and then of all together.
    #[arg(long, default_value_t = 2000)]
    rate: usize,
    /// Logs of a request.
    #[arg(long, default_value_t = 20)]
    per_request: usize,
    /// Seconds of each.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
}

pub(crate) async fn run(env: &Env, events: &[Event], asked: Tenants) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut rows = PgConnection::connect(PostgresSettings::logs_from_env(env)?.url.reveal()).await?;
    let pace = Pace { rate: asked.rate, per_request: asked.per_request, seconds: asked.seconds };
    let http = Client::builder().no_proxy().build()?;

    let alone = server.tenant("alone").await?;
    println!("| | times | p50, ms | p99, ms | slowest, ms |\n|---|---|---|---|---|");
    let sent = offer(&server, &mut rows, std::slice::from_ref(&alone), events, pace, pace.requests()).await?;
    tell("202 of one tenant, alone", &sent.0);
    let before = [read(&http, &server, std::slice::from_ref(&alone), "/v1/search", READS).await?, read(&http, &server, std::slice::from_ref(&alone), "/v1/logs", READS).await?];
    tell("search of one tenant, alone", &before[0]);
    tell("list of one tenant, alone", &before[1]);

    let (mut making, mut keys) = (Vec::new(), Vec::new());
    for n in 0..asked.tenants {
        let began = Instant::now();
        server.make_tenant(&name(n)).await?;
        making.push(began.elapsed());
        keys.push(server.key(&name(n)).await?);
    }
    let (first, last) = (&making[..asked.tenants / 10], &making[asked.tenants - asked.tenants / 10..]);
    let (mut first, mut last) = (first.to_vec(), last.to_vec());
    making.sort_unstable();
    first.sort_unstable();
    last.sort_unstable();
    tell("making a tenant", &making);
    tell("the first tenth of them", &first);
    tell("the last tenth of them", &last);

    let many = offer(&server, &mut rows, &keys, events, pace, 2 * pace.requests()).await?;
    tell("202 of all tenants in turn, the same rate together", &many.0);
    for (path, name, alone_before) in [("/v1/search", "search", &before[0]), ("/v1/logs", "list", &before[1])] {
        let again = read(&http, &server, std::slice::from_ref(&alone), path, READS).await?;
        tell(&format!("{name} of the one, beside all"), &again);
        tell(&format!("{name} of all in turn"), &read(&http, &server, &keys, path, READS).await?);
        println!("| {name} of the one, beside all / alone, p50 | | {:.2} | | |", pace::share(&again, 50).as_secs_f64() / pace::share(alone_before, 50).as_secs_f64());
    }
    println!("\nfrom the last 202 until all was stored and indexed: {:.1} s of one tenant, {:.1} s of {}", sent.1.as_secs_f64(), many.1.as_secs_f64(), asked.tenants);
    println!("the server's peak memory: {:.0} MiB", server.peak_mib()?);
    drop(server);
    migrate(&mut rows, asked.tenants).await
}

fn name(n: usize) -> String {
    format!("tenant_{n:05}")
}

fn tell(what: &str, sorted: &[Duration]) {
    let [p50, p99, slowest] = [50, 99, 100].map(|percent| pace::share(sorted, percent).as_secs_f64() * 1000.0);
    println!("| {what} | {} | {p50:.1} | {p99:.1} | {slowest:.1} |", sorted.len());
}

/// Sends at a pace, and waits until so many batches in all are stored. Answers how long requests took, and how long all took after the last of them.
async fn offer(server: &Server, rows: &mut PgConnection, keys: &[String], events: &[Event], pace: Pace, batches: usize) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let took = pace::offer(&server.url, keys, events, pace).await?;
    let sent = Instant::now();
    until_stored(rows, batches).await?;
    Ok((took, sent.elapsed()))
}

/// Reads with one key after the other, one request at a time; shortest first.
async fn read(http: &Client, server: &Server, keys: &[String], path: &str, times: usize) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for n in 0..times {
        // Every key has its turn, however few times there are.
        let key = &keys[n * keys.len() / times];
        let parameters: &[(&str, &str)] = if path == "/v1/search" { &[("q", QUERY), ("limit", "50")] } else { &[("limit", "50")] };
        let began = Instant::now();
        let answer = http.get(format!("{}{path}", server.url)).query(parameters).bearer_auth(key).send().await?.error_for_status()?;
        let page: Value = answer.json().await?;
        took.push(began.elapsed());
        ensure!(page["complete"] != false, "an answer lacks something: {page}");
    }
    took.sort_unstable();
    Ok(took)
}

async fn migrate(rows: &mut PgConnection, tenants: usize) -> anyhow::Result<()> {
    // As version 1 made them: version 2 adds this index.
    let all: Vec<String> = sqlx::query_scalar("select tenant from public.schemas").fetch_all(&mut *rows).await?;
    for tenant in &all {
        sqlx::raw_sql(AssertSqlSafe(format!("drop index {tenant}.log_rows_rare; update public.schemas set version = 1 where tenant = '{tenant}'"))).execute(&mut *rows).await?;
    }
    let broken = name(tenants / 2);
    sqlx::raw_sql(AssertSqlSafe(format!("alter table {broken}.log_rows rename column service to renamed"))).execute(&mut *rows).await?;

    println!("\n| loggerhub migrate | s | ends | at the new version |\n|---|---|---|---|");
    let program = std::env::current_exe()?.with_file_name("loggerhub");
    let mut killed = command(&program).arg("migrate").spawn()?;
    let began = Instant::now();
    while at_version_2(rows).await? < (all.len() as f64 * KILLED_AT) as i64 {
        ensure!(killed.try_wait()?.is_none(), "it ended before it was killed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    killed.kill()?;
    let ended = killed.wait()?;
    println!("| of {} schemas, one broken; killed | {:.1} | {ended} | {} |", all.len(), began.elapsed().as_secs_f64(), at_version_2(rows).await?);

    for (what, succeeds) in [("again", false), ("once the broken one is mended", true)] {
        if succeeds {
            sqlx::raw_sql(AssertSqlSafe(format!("alter table {broken}.log_rows rename column renamed to service"))).execute(&mut *rows).await?;
        }
        let began = Instant::now();
        let done = command(&program).arg("migrate").stderr(std::process::Stdio::piped()).output().context("loggerhub migrate")?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        println!("| {what} | {:.1} | {} | {} |", began.elapsed().as_secs_f64(), done.status, at_version_2(rows).await?);
        if done.status.success() != succeeds || said.contains(&broken) == succeeds {
            bail!("{}: {said}", done.status);
        }
        if !succeeds {
            println!("\n{}\n", said.trim_end());
            println!("| loggerhub migrate | s | ends | at the new version |\n|---|---|---|---|");
        }
    }
    Ok(())
}

async fn at_version_2(rows: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from public.schemas where version = 2").fetch_one(rows).await?)
}
