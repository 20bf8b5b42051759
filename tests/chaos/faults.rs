//! Doing it: signals to processes that this run started, and disks that it made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::hubs::Hubs;
use crate::schedule::{Fault, Kind, Step, Target};

/// Times that an engine is started before it counts as lost: after `kill -9` its port or its lock may be held for a moment.
const STARTS: usize = 10;

/// The processes and disks of this run.
pub(crate) struct Machine {
    hubs: Arc<Hubs>,
    /// `LOGGERHUB_DATA`: the engines' folders.
    data: PathBuf,
}

impl Machine {
    pub(crate) fn new(hubs: Arc<Hubs>) -> anyhow::Result<Self> {
        let data = std::env::var_os("LOGGERHUB_DATA").context("LOGGERHUB_DATA is not set: run this by scripts/chaos")?;
        Ok(Self { hubs, data: data.into() })
    }

    /// Lets a step's faults happen side by side, and comes back when they are over and mended.
    pub(crate) async fn carry_out(&self, step: &Step) -> anyhow::Result<()> {
        futures::future::try_join_all(step.faults.iter().map(|fault| self.befall(fault))).await.map(drop)
    }

    /// Starts whatever does not run.
    pub(crate) async fn all_up(&self) -> anyhow::Result<()> {
        for target in [Target::Redis, Target::Postgres, Target::OpenSearch, Target::ObjectStore, Target::Hub(0), Target::Hub(1)] {
            self.start(target).await?;
        }
        Ok(())
    }

    async fn befall(&self, fault: &Fault) -> anyhow::Result<()> {
        let target = fault.target;
        match fault.kind {
            Kind::Kill => {
                self.signal("KILL", target)?;
                tokio::time::sleep(fault.lasts).await;
            }
            Kind::Pause => {
                let stopped = self.signal("STOP", target)?;
                tokio::time::sleep(fault.lasts).await;
                signal_all("CONT", &stopped)?;
            }
            Kind::Restart => self.stop(target).await?,
            Kind::FullDisk => {
                let filler = self.data.join("engines").join(target.engine()).join("data/filler");
                tokio::task::spawn_blocking({
                    let filler = filler.clone();
                    move || fill(&filler)
                })
                .await??;
                tokio::time::sleep(fault.lasts).await;
                std::fs::remove_file(&filler).context("freeing a disk")?;
            }
        }
        self.start(target).await
    }

    /// Sends a signal to a process and all its descendants: Postgres' have sessions of their own. Answers whom it was sent to.
    fn signal(&self, signal: &str, target: Target) -> anyhow::Result<Vec<u32>> {
        let root = match target {
            Target::Hub(number) => self.hubs.pid(number),
            engine => pid_in(&self.data.join("engines").join(engine.engine()).join("pid")),
        };
        let pids = root.map(family).unwrap_or_default();
        signal_all(signal, &pids)?;
        Ok(pids)
    }

    async fn stop(&self, target: Target) -> anyhow::Result<()> {
        match target {
            Target::Hub(number) => self.hubs.terminate(number).await,
            engine => self.engines("stop", engine).await.map(drop),
        }
    }

    async fn start(&self, target: Target) -> anyhow::Result<()> {
        if let Target::Hub(number) = target {
            return self.hubs.start_again(number).await;
        }
        for _ in 0..STARTS {
            if self.engines("start", target).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        bail!("{target} does not start any more")
    }

    /// Answers whether it went well.
    async fn engines(&self, command: &str, engine: Target) -> anyhow::Result<bool> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/engines");
        let mut run = std::process::Command::new(script);
        run.args([command, engine.engine()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || run.status()).await?;
        Ok(ran.context("scripts/engines cannot be run")?.success())
    }
}

/// Takes all room that is left on the disk of this file.
fn fill(filler: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(filler).context("making a filler")?;
    let block = vec![0; 1024 * 1024];
    while file.write_all(&block).is_ok() {}
    Ok(())
}

fn pid_in(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.split_whitespace().next()?.parse().ok()
}

/// A process and its descendants, if it is alive.
fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent_of(pid)?))
        })
        .collect();
    if !parents.iter().any(|(pid, _)| *pid == root) {
        return Vec::new();
    }
    let mut family = BTreeSet::from([root]);
    while let Some((pid, _)) = parents.iter().find(|(pid, parent)| family.contains(parent) && !family.contains(pid)) {
        family.insert(*pid);
    }
    // The parent first, so that it makes no more of them.
    std::iter::once(root).chain(family.into_iter().filter(|pid| *pid != root)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
}

fn signal_all(signal: &str, pids: &[u32]) -> anyhow::Result<()> {
    if pids.is_empty() {
        return Ok(());
    }
    // Some may have ended by themselves meanwhile.
    let mut kill = std::process::Command::new("kill");
    kill.args(["-s", signal]).args(pids.iter().map(u32::to_string)).stderr(Stdio::null());
    kill.status().context("kill cannot be run").map(drop)
}
