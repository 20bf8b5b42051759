//! The main job as a whole: HTTP in, all three stores filled.

use anyhow::bail;
use shared::aws::Identity;
use shared::ids::TenantId;
use shared::index::Index;
use shared::settings::{Env, OpenSearchSettings};

use crate::data::Event;
use crate::figures::{Figures, Goal, real};
use crate::indexing::Engine;
use crate::server::Server;
use crate::{baseline, drive, verify};

/// How often the events are sent in a round: of the time that a few take, most is the linger before the first and the refresh after the last.
const TIMES: usize = 4;

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize, seed: u64) -> anyhow::Result<()> {
    let events = &[events; TIMES].concat();
    let server = Server::start().await?;
    let settings = OpenSearchSettings::from_env(&env.clone().with("LOGGERHUB_INDEX_PREFIX", "baseline"))?;
    let index = Index::open(&settings, &Identity::of_environment())?;
    let engine = Engine::open(&settings)?;
    let (mut same, mut plain, mut accepted, mut stored, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let of_plain = engine.plain(engine.pid().await?, events).await?.rate;
        let bulk = rate(events.len(), baseline::bulk(&index, events, round).await?);
        let tenant = TenantId::parse(&format!("bench_{round}"))?;
        let key = server.tenant(tenant.as_str()).await?;
        let before = server.cpu_seconds()?;
        let sent = drive::run(&server.url, &key, events).await?;
        if round == 0 {
            continue;
        }
        cpu.push((server.cpu_seconds()? - before) * 1e6 / real(events.len()));
        plain.push(of_plain);
        same.push(bulk);
        accepted.push(rate(events.len(), sent.accepted_in));
        stored.push(rate(events.len(), sent.stored_in));
        if round == rounds {
            check(env, &server, &tenant, &key, events, &sent, seed).await?;
        }
    }
    let mut figures = Figures::new("end-to-end");
    let what = "logs/s stored in all three";
    figures.compare(what, "_bulk alone, our mapping", Some(Goal::AtLeast(0.65)), same, stored.clone());
    figures.compare(what, "_bulk alone, a plain mapping", Some(Goal::AtLeast(0.8)), plain, stored.clone());
    figures.single(what, Some(Goal::AtLeast(30_000.0)), stored);
    figures.single("logs/s answered 202 meanwhile", None, accepted);
    figures.single("CPU of loggerhub, us a log", None, cpu);
    figures.single("peak memory of loggerhub, MiB", None, vec![server.peak_mib()?]);
    figures.tell()
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
    real(events) / took.as_secs_f64()
}
