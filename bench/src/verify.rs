//! After the run: every log is in every store exactly once, and comes back equal to what was sent.

use std::collections::HashSet;
use std::io::BufRead;

use anyhow::{Context, bail};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use shared::archive::Archive;
use shared::aws::Identity;
use shared::ids::{BatchId, TenantId};
use shared::raw::RawLine;
use shared::settings::{ArchiveSettings, Env, OpenSearchSettings, PostgresSettings};
use sqlx::{AssertSqlSafe, Connection};

use crate::data::Event;
use crate::drive::{PER_REQUEST, Sent};

/// Records that are read one by one.
const PICKED: usize = 200;

/// Counts of one tenant in each store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    pub(crate) documents: u64,
    pub(crate) raw_lines: u64,
    pub(crate) raw_ids: u64,
}

/// Counts what the stores hold of a tenant, by asking each store itself.
pub(crate) async fn counts(env: &Env, tenant: &TenantId) -> anyhow::Result<Counts> {
    let (raw_lines, raw_ids) = raw(env, tenant).await?;
    Ok(Counts { rows: rows(env, tenant).await?, documents: documents(env, tenant).await?, raw_lines, raw_ids })
}

async fn rows(env: &Env, tenant: &TenantId) -> anyhow::Result<u64> {
    let settings = PostgresSettings::logs_from_env(env)?;
    let mut connection = sqlx::PgConnection::connect(settings.url.reveal()).await?;
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from \"{tenant}\".logs"))).fetch_one(&mut connection).await?;
    Ok(count.try_into()?)
}

async fn documents(env: &Env, tenant: &TenantId) -> anyhow::Result<u64> {
    let settings = OpenSearchSettings::from_env(env)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/{}-*", settings.url.reveal(), settings.prefix);
    http.post(format!("{url}/_refresh")).send().await?.error_for_status()?;
    let query = json!({ "query": { "term": { "tenant": tenant } } });
    let answer: Value = http.post(format!("{url}/_count")).json(&query).send().await?.error_for_status()?.json().await?;
    answer["count"].as_u64().context("no count")
}

async fn raw(env: &Env, tenant: &TenantId) -> anyhow::Result<(u64, u64)> {
    let archive = Archive::open(&ArchiveSettings::from_env(env)?, &Identity::of_environment())?;
    let (mut lines, mut ids) = (0, HashSet::new());
    for path in archive.list("raw/").await? {
        let bytes = archive.whole(&path).await?;
        for line in std::io::BufReader::new(zstd::stream::read::Decoder::new(&bytes[..])?).split(b'\n') {
            let line = line?;
            let line: RawLine<'_> = serde_json::from_slice(&line)?;
            if line.tenant == *tenant {
                lines += 1;
                ids.insert(line.id);
            }
        }
    }
    Ok((lines, ids.len() as u64))
}

/// Reads records picked at random, from the index and from raw in turn, and compares them with what was sent.
pub(crate) async fn spot_check(url: &str, key: &str, events: &[Event], sent: &Sent, seed: u64) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    for pick in 0..PICKED {
        let at = rng.random_range(0..events.len());
        let batch = BatchId::parse(&sent.batches[at / PER_REQUEST])?;
        let id = batch.log(u16::try_from(at % PER_REQUEST)?);
        let source = if pick % 2 == 0 { "auto" } else { "raw" };
        let answer = http.get(format!("{url}/v1/logs/{id}?source={source}")).bearer_auth(key).send().await?;
        let detail: Value = answer.error_for_status()?.json().await?;
        let expected: Value = serde_json::from_str(&events[at])?;
        if detail["record"] != expected {
            bail!("log {id} came back from {} as {}, and was sent as {expected}", detail["source"], detail["record"]);
        }
    }
    println!("{PICKED} records picked at random came back equal to what was sent, half of them from raw");
    Ok(())
}
