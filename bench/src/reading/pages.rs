//! A hundred thousand logs, page by page, while others come in.

use std::time::Instant;

use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::Value;
use shared::ids::TenantId;
use shared::settings::Env;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Seen;
use crate::data::Event;
use crate::pace::{self, Pace};
use crate::server::Server;

/// Logs of one request.
const PER_REQUEST: usize = 100;
/// Logs in a second before the reading begins.
const FILL_RATE: usize = 10_000;

/// What is paged through, while what comes in.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Paging {
    /// Logs that are there when the reading begins.
    #[arg(long, default_value_t = 100_000)]
    logs: usize,
    /// Logs of a page.
    #[arg(long, default_value_t = 200)]
    limit: usize,
    /// Logs in a second that come in meanwhile.
    #[arg(long, default_value_t = 2_000)]
    rate: usize,
    /// Seconds for which they come in at most.
    #[arg(long, default_value_t = 600)]
    seconds: usize,
}

pub(crate) async fn run(env: &Env, events: &[Event], paging: Paging) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let tenant = TenantId::parse("paging")?;
    let key = server.tenant(tenant.as_str()).await?;
    let fill = Pace { rate: FILL_RATE, per_request: PER_REQUEST, seconds: paging.logs.div_ceil(FILL_RATE) };
    pace::offer(&server.url, std::slice::from_ref(&key), events, fill).await?;
    let there = wait_for(env, &tenant, fill.requests() * PER_REQUEST, &server.url, &key).await?;
    println!("{} logs are there; {} logs/s come in meanwhile", there.len(), paging.rate);
    println!("| route | pages | logs | of those that were there | seconds | ms a page |");
    println!("|---|---|---|---|---|---|");
    let pace = Pace { rate: paging.rate, per_request: PER_REQUEST, seconds: paging.seconds };
    let (url, keys, events) = (server.url.clone(), vec![key.clone()], events.to_vec());
    let coming = tokio::spawn(async move { pace::offer(&url, &keys, &events, pace).await });
    for (path, sort) in [("/v1/logs", "newest"), ("/v1/logs", "oldest"), ("/v1/search", "newest"), ("/v1/search", "oldest")] {
        ensure!(!coming.is_finished(), "nothing comes in any more: raise --seconds");
        let began = Instant::now();
        let (seen, pages) = read(&server.url, &key, path, sort, paging.limit).await?;
        let missed = there.iter().filter(|id| !seen.ids.contains(*id)).count();
        ensure!(missed == 0, "{path} {sort}: {missed} logs were missed");
        let seconds = began.elapsed().as_secs_f64();
        println!("| `{path}?sort={sort}` | {pages} | {} | {}, each once | {seconds:.1} | {:.1} |", seen.ids.len(), there.len(), seconds * 1000.0 / pages as f64);
    }
    coming.abort();
    Ok(())
}

/// The ids of all rows, once there are so many and a search finds them.
async fn wait_for(env: &Env, tenant: &TenantId, logs: usize, url: &str, key: &str) -> anyhow::Result<Vec<String>> {
    let mut database = PgConnection::connect(&env.text("LOGGERHUB_LOGS_DATABASE_URL")?).await?;
    let http = Client::builder().no_proxy().build()?;
    for _ in 0..600 {
        let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("select id::text from {tenant}.log_rows"))).fetch_all(&mut database).await?;
        let mark: Value = http.get(format!("{url}/v1/watermark")).bearer_auth(key).send().await?.error_for_status()?.json().await?;
        if ids.len() == logs && mark["lag_s"].as_f64().is_some_and(|lag| lag < 6.0) {
            // What came last is older than the watermark then.
            tokio::time::sleep(std::time::Duration::from_secs(6)).await;
            return Ok(ids);
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    anyhow::bail!("{logs} logs were not stored in time")
}

async fn read(url: &str, key: &str, path: &str, sort: &str, limit: usize) -> anyhow::Result<(Seen, usize)> {
    let http = Client::builder().no_proxy().build()?;
    let (mut seen, mut pages, mut cursor) = (Seen::default(), 0, None::<String>);
    loop {
        let mut request = http.get(format!("{url}{path}")).bearer_auth(key).query(&[("sort", sort), ("limit", &limit.to_string()), ("fields", "id")]);
        if path == "/v1/search" {
            request = request.query(&[("q", "-kanarienvogel")]);
        }
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let page: Value = request.send().await?.error_for_status()?.json().await?;
        pages += 1;
        for log in page["logs"].as_array().context("no page")? {
            seen.take(log["id"].as_str().context("no id")?, false).with_context(|| format!("{path} {sort}, page {pages}"))?;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok((seen, pages)),
        }
    }
}
