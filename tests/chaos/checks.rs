//! After the storm: what the clients were told, against what the stores hold.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use shared::settings::{Env, PostgresSettings};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::clients::{Accepted, Clients, PROBE, Told};
use crate::hubs;

/// How long all may take to be stored and indexed once every request has its answer.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);
/// Logs that are read one by one, half of them from raw.
const PICKED: usize = 2000;
/// Of these at a time.
const AT_ONCE: usize = 8;
/// Findings of one kind that are printed.
const SHOWN: usize = 10;

/// What Postgres holds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) rows: i64,
    pub(crate) dead: i64,
}

/// Waits until every accepted batch has a receipt and nothing is pending.
pub(crate) async fn until_drained(env: &Env, told: &Told) -> anyhow::Result<()> {
    let began = Instant::now();
    let batches = i64::try_from(told.accepted.len())?;
    loop {
        let (stored, pending) = progress(env).await?;
        if stored >= batches && pending == 0 {
            return Ok(());
        }
        if began.elapsed() > DRAINED_WITHIN {
            bail!("after {} s {stored} of {batches} batches are stored, and {pending} logs are pending", DRAINED_WITHIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn progress(env: &Env) -> anyhow::Result<(i64, i64)> {
    let statement = "select count(*) filter (where tenant <> $1), coalesce(sum(pending), 0)::bigint from public.receipts";
    Ok(sqlx::query_as(statement).bind(PROBE).fetch_one(&mut connection(env).await?).await?)
}

async fn connection(env: &Env) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect(PostgresSettings::logs_from_env(env)?.url.reveal()).await?)
}

/// Compares receipts and rows of each tenant with its client's list.
pub(crate) async fn receipts(env: &Env, told: &Told, findings: &mut Vec<String>) -> anyhow::Result<Stored> {
    let mut connection = connection(env).await?;
    let mut all = Stored::default();
    for number in 0..Clients::tenants() {
        let tenant = Clients::tenant(number);
        let receipts: Vec<(Uuid, i32, i32, i32)> =
            sqlx::query_as("select batch_id, accepted, stored, dead from public.receipts where tenant = $1").bind(tenant).fetch_all(&mut connection).await?;
        let mut known: HashMap<Uuid, (i32, i32, i32)> = receipts.into_iter().map(|(batch, accepted, stored, dead)| (batch, (accepted, stored, dead))).collect();
        let (mut stored_logs, mut wrong) = (0, Vec::new());
        for sent in told.accepted.iter().filter(|sent| sent.tenant == number) {
            match known.remove(&sent.batch.uuid()) {
                None => wrong.push(format!("{tenant}: batch {} was accepted and has no receipt", sent.batch)),
                Some((accepted, stored, dead)) if accepted == sent.logs && stored + dead == accepted => {
                    stored_logs += i64::from(stored);
                    all.dead += i64::from(dead);
                }
                Some(counts) => wrong.push(format!("{tenant}: batch {} was accepted with {} logs; its receipt says {counts:?}", sent.batch, sent.logs)),
            }
        }
        wrong.extend(known.keys().map(|batch| format!("{tenant}: batch {batch} has a receipt, and no client was told of it")));
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from \"{tenant}\".log_rows"))).fetch_one(&mut connection).await?;
        wrong.extend(miscounted_hours(&mut connection, tenant).await?.into_iter().map(|hour| format!("{tenant}: {hour}")));
        if rows != stored_logs {
            wrong.push(format!("{tenant}: {rows} rows, {stored_logs} by the receipts of what was accepted"));
        }
        all.rows += rows;
        if wrong.len() > SHOWN {
            let more = format!("{tenant}: and {} more", wrong.len() - SHOWN);
            wrong.truncate(SHOWN);
            wrong.push(more);
        }
        findings.append(&mut wrong);
    }
    Ok(all)
}

/// Hours whose counts are not those of their rows; hours that are to be counted anew aside.
async fn miscounted_hours(connection: &mut PgConnection, tenant: &str) -> anyhow::Result<Vec<String>> {
    let statement = format!(
        r#"with by_counts as (
               select hour, sum(logs)::int8 as logs, bool_or(logs is null) as marked from (
                   select hour, logs from public.hourly_counts where tenant = $1 union all select hour, logs from public.hourly_counts_new where tenant = $1) counts group by hour
           ), by_rows as (
               select date_bin('1 hour', "timestamp", '1970-01-01Z') as hour, count(*) as logs from "{tenant}".log_rows group by 1
           )
           select format('%s: %s logs by their rows, %s by their counts', hour, coalesce(r.logs, 0), coalesce(c.logs, 0)) from by_counts c full join by_rows r using (hour)
           where coalesce(r.logs, 0) <> coalesce(c.logs, 0) and c.marked is not true order by hour limit {SHOWN}"#
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(statement)).bind(tenant).fetch_all(connection).await?)
}

/// Reads logs picked at random, from the index and from raw in turn, and compares them with what was sent.
pub(crate) async fn sample(clients: &Clients, told: &Told, findings: &mut Vec<String>) -> anyhow::Result<()> {
    if told.accepted.is_empty() {
        bail!("nothing was accepted at all");
    }
    let mut rng = StdRng::seed_from_u64(told.accepted.len() as u64);
    let picks: Vec<(&Accepted, u64)> = (0..PICKED).map(|_| (&told.accepted[rng.random_range(0..told.accepted.len())], rng.random())).collect();
    let mut looks = futures::stream::iter(picks.into_iter().enumerate().map(|(n, (sent, draw))| look(clients, sent, draw, n % 2 == 0))).buffer_unordered(AT_ONCE);
    let mut wrong = Vec::new();
    while let Some(finding) = looks.next().await {
        wrong.extend(finding?);
    }
    wrong.truncate(SHOWN);
    findings.append(&mut wrong);
    Ok(())
}

async fn look(clients: &Clients, sent: &Accepted, draw: u64, from_raw: bool) -> anyhow::Result<Option<String>> {
    let request = clients.request(sent.request);
    let good = Clients::good_positions(&request);
    let position = good[usize::try_from(draw % good.len() as u64)?];
    let id = sent.batch.log(u16::try_from(position)?).to_string();
    let detail = match clients.detail(sent.tenant, &id, if from_raw { "raw" } else { "auto" }).await {
        Ok(detail) => detail,
        Err(error) => return Ok(Some(format!("log {id} cannot be read: {error:#}"))),
    };
    let expected: Value = serde_json::from_str(clients.record(&request, position))?;
    Ok((detail["record"] != expected).then(|| format!("log {id} came back otherwise than it was sent")))
}

/// What `loggerhub audit` says of all stores.
pub(crate) fn audit(findings: &mut Vec<String>) -> anyhow::Result<Value> {
    let output = hubs::command()?.args(["audit", "--json"]).output().context("loggerhub audit cannot be run")?;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if !output.status.success() || !said["tenants"].is_array() {
        findings.push(format!("loggerhub audit: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
        findings.extend(said["findings"].as_array().into_iter().flatten().take(SHOWN).map(Value::to_string));
    }
    Ok(said)
}
