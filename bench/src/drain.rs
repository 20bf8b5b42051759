//! The processor alone: what waits is drained by a server that takes nothing in meanwhile. Its CPU beside what reading, COPY's rows and zstd take of the
//! same logs; its raw objects beside gzip of the same lines.

use std::io::Write;
use std::time::Instant;

use anyhow::ensure;
use flate2::Compression;
use flate2::write::GzEncoder;
use shared::archive::Archive;
use shared::aws::Identity;
use shared::ids::TenantId;
use shared::settings::{ArchiveSettings, Env, PostgresSettings};
use sqlx::{Connection, PgConnection};

use crate::data::Event;
use crate::door::NEVER_DRAINS;
use crate::figures::{Figures, Goal, real};
use crate::flood::{batches_stored, until_stored};
use crate::pace::{self, Pace};
use crate::process;
use crate::server::Server;
use crate::{drive, stage};

/// Level and bytes of a frame of what raw is compressed to, as the processor writes it.
const ZSTD_LEVEL: i32 = 3;
const FRAME: usize = 1024 * 1024;
/// Of gzip.
const GZIP_LEVEL: u32 = 6;
/// How much of a slow tenant is sent.
const SLOWLY: Pace = Pace { rate: 100, per_request: 10, seconds: 20 };

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize) -> anyhow::Result<()> {
    let mut rows = PgConnection::connect(PostgresSettings::logs_from_env(env)?.url.reveal()).await?;
    let archive = Archive::open(&ArchiveSettings::from_env(env)?, &Identity::of_environment())?;
    let mut figures = Figures::new("drain");
    let (mut parts, mut ours, mut rates, mut packed, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let gzipped = gzip(events)?;
    for round in 0..=rounds {
        let door = Server::start_with(&NEVER_DRAINS).await?;
        let key = door.tenant(&format!("drain_{round}")).await?;
        let batches = drive::post(&door.url, &key, events).await?.len();
        drop(door);
        let (before, stored) = (raw_bytes(&archive).await?, batches_stored(&mut rows).await?);
        let alone = apart(events)?;
        let began = Instant::now();
        let server = Server::start().await?;
        until_stored(&mut rows, stored + batches).await?;
        let took = began.elapsed();
        if round > 0 {
            parts.push(alone);
            ours.push(server.cpu_seconds()? * 1e6 / real(events.len()));
            rates.push(real(events.len()) / took.as_secs_f64());
            packed.push(real(raw_bytes(&archive).await? - before) / real(events.len()));
            memory.push(server.peak_mib()?);
        }
    }
    let rounds = packed.len();
    figures.compare("CPU of the processor, us a log", "reading, COPY's rows and zstd -3 alone", Some(Goal::AtMost(3.0)), parts, ours);
    figures.compare("raw bytes a log, full drains", "gzip -6 of the same lines", Some(Goal::AtMost(0.75)), vec![gzipped; rounds], packed);
    slowly(&archive, &mut rows, events, &mut figures).await?;
    figures.single("logs/s drained, start included", None, rates);
    figures.single("peak memory of loggerhub that drains, MiB", None, memory);
    figures.tell()
}

/// One tenant that sends a hundred logs a second.
async fn slowly(archive: &Archive, rows: &mut PgConnection, events: &[Event], figures: &mut Figures) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let key = server.tenant("slowly").await?;
    let (before, stored) = (raw_bytes(archive).await?, batches_stored(rows).await?);
    pace::offer(&server.url, &[key], events, SLOWLY).await?;
    until_stored(rows, stored + SLOWLY.requests()).await?;
    let logs = SLOWLY.requests() * SLOWLY.per_request;
    let sent: Vec<Event> = pace::sent(events, SLOWLY).cloned().collect();
    ensure!(sent.len() == logs, "as many as were sent");
    let packed = real(raw_bytes(archive).await? - before) / real(logs);
    figures.compare("raw bytes a log, 100 logs/s of one tenant", "gzip -6 of the same lines", Some(Goal::AtMost(1.15)), vec![gzip(&sent)?], vec![packed]);
    Ok(())
}

async fn raw_bytes(archive: &Archive) -> anyhow::Result<usize> {
    let mut bytes = 0;
    for path in archive.list("raw/").await? {
        bytes += archive.whole(&path).await?.len();
    }
    Ok(bytes)
}

fn gzip(events: &[Event]) -> anyhow::Result<f64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    for event in events {
        writeln!(encoder, "{event}")?;
    }
    Ok(real(encoder.finish()?.len()) / real(events.len()))
}

/// CPU of the parts that cannot be left out, one after the other in this process, us a log.
fn apart(events: &[Event]) -> anyhow::Result<f64> {
    let me = std::process::id();
    let before = process::cpu_seconds(me)?;
    let batches = stage::batches(events, events.len() / stage::LOGS_OF_A_BATCH * stage::LOGS_OF_A_BATCH, &TenantId::parse("apart")?)?;
    let copied: usize = batches.chunks(stage::BATCHES_AT_ONCE).map(|some| stage::copied(some).len()).sum();
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let (mut frame, mut packed) = (Vec::with_capacity(2 * FRAME), 0);
    for event in events {
        frame.extend_from_slice(event.as_bytes());
        frame.push(b'\n');
        if frame.len() >= FRAME {
            packed += compressor.compress(&frame)?.len();
            frame.clear();
        }
    }
    packed += compressor.compress(&frame)?.len();
    ensure!(copied > 0 && packed > 0, "something was done");
    Ok((process::cpu_seconds(me)? - before) * 1e6 / real(events.len()))
}
