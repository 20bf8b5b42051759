//! Sends an engine of `scripts/bench` away, and brings it back.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

/// Which engine is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    Opensearch,
    Postgres,
    ObjectStore,
}

impl fmt::Display for Engine {
    /// As `scripts/engines` calls it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opensearch => "opensearch",
            Self::Postgres => "postgres",
            Self::ObjectStore => "object-store",
        })
    }
}

/// From when until when it was away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Away {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// Sends it away at that moment and brings it back after so long; what it takes to start counts as away.
pub(crate) async fn befall(engine: Engine, at: Instant, away_for: Duration) -> anyhow::Result<Away> {
    tokio::time::sleep_until(at.into()).await;
    let from = Instant::now();
    if engine == Engine::Opensearch {
        let pid = pid_of(engine)?;
        run(Command::new("kill").args(["-s", "STOP", &pid])).await?;
        tokio::time::sleep(away_for).await;
        run(Command::new("kill").args(["-s", "CONT", &pid])).await?;
    } else {
        run(engines().args(["stop", &engine.to_string()])).await?;
        tokio::time::sleep(away_for.saturating_sub(from.elapsed())).await;
        run(engines().args(["start", &engine.to_string()])).await?;
    }
    Ok(Away { from, until: Instant::now() })
}

/// Stops OpenSearch at that moment, and starts it again. Answers how long it was away.
pub(crate) async fn restart_opensearch(at: Instant) -> anyhow::Result<Duration> {
    tokio::time::sleep_until(at.into()).await;
    let from = Instant::now();
    for step in ["stop", "start"] {
        run(engines().args([step, &Engine::Opensearch.to_string()])).await?;
    }
    Ok(from.elapsed())
}

fn engines() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/engines"))
}

fn pid_of(engine: Engine) -> anyhow::Result<String> {
    let data = std::env::var("LOGGERHUB_DATA").context("LOGGERHUB_DATA is not set: run this by scripts/bench")?;
    let file = format!("{data}/engines/{engine}/pid");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    Ok(text.split_whitespace().next().context("no pid")?.to_owned())
}

/// On a thread of its own: the clients' pace must not wait for it.
async fn run(command: &mut Command) -> anyhow::Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
