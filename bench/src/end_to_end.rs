//! The main job as a whole: HTTP in, all three stores filled.

use anyhow::bail;
use shared::aws::Identity;
use shared::ids::TenantId;
use shared::index::Index;
use shared::settings::{Env, OpenSearchSettings};

use crate::data::Event;
use crate::server::Server;
use crate::{baseline, drive, verify};

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize, seed: u64) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let index = Index::open(&OpenSearchSettings::from_env(&env.clone().with("LOGGERHUB_INDEX_PREFIX", "baseline"))?, &Identity::of_environment())?;
    println!("{} events, requests of {}, {rounds} rounds in turn after one that is not counted\n", events.len(), drive::PER_REQUEST);
    println!("| round | _bulk alone, logs/s | accepted (202), logs/s | stored in all three, logs/s | ratio | loggerhub CPU, us a log |");
    println!("|---|---|---|---|---|---|");
    let mut ratios = Vec::new();
    for round in 0..=rounds {
        let bulk = rate(events.len(), baseline::bulk(&index, events, round).await?);
        let tenant = TenantId::parse(&format!("bench_{round}"))?;
        let key = server.tenant(tenant.as_str()).await?;
        let cpu = server.cpu_seconds()?;
        let sent = drive::run(&server.url, &key, events).await?;
        let cpu = (server.cpu_seconds()? - cpu) * 1e6 / count(events.len());
        let stored = rate(events.len(), sent.stored_in);
        if round == 0 {
            continue;
        }
        ratios.push(stored / bulk);
        println!("| {round} | {bulk:.0} | {:.0} | {stored:.0} | {:.2} | {cpu:.1} |", rate(events.len(), sent.accepted_in), stored / bulk);
        if round == rounds {
            check(env, &server, &tenant, &key, events, &sent, seed).await?;
        }
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio: median {:.2}, {:.2} to {:.2}; peak memory of loggerhub {:.0} MiB", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1], server.peak_mib()?);
    Ok(())
}

async fn check(env: &Env, server: &Server, tenant: &TenantId, key: &str, events: &[Event], sent: &drive::Sent, seed: u64) -> anyhow::Result<()> {
    let counts = verify::counts(env, tenant).await?;
    println!(
        "\nof {} sent: {} rows in Postgres, {} documents in OpenSearch, {} lines ({} ids) in raw",
        events.len(),
        counts.rows,
        counts.documents,
        counts.raw_lines,
        counts.raw_ids
    );
    let all = events.len() as u64;
    if counts != (verify::Counts { rows: all, documents: all, raw_lines: all, raw_ids: all }) {
        bail!("not every log is in every store exactly once");
    }
    verify::spot_check(&server.url, key, events, sent, seed).await
}

pub(crate) fn rate(events: usize, took: std::time::Duration) -> f64 {
    count(events) / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "events are far fewer than 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
