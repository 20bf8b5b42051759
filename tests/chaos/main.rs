//! Chaos: real records sent to two hubs while they and their engines are killed, paused, restarted and filled up; then every log that
//! was accepted must be in every store exactly once. `scripts/chaos` starts engines of its own and calls this.
//!
//! The schedule follows from the seed alone and is printed first, so that a run can be repeated.

mod checks;
mod clients;
mod events;
mod faults;
mod hubs;
mod report;
mod schedule;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use shared::settings::Env;

use crate::clients::Clients;
use crate::faults::Machine;
use crate::hubs::Hubs;

/// Sends real records while all that they pass through is disturbed, and proves where each of them went.
#[derive(Parser)]
struct Arguments {
    /// Fixes the schedule of faults and what is sent.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long records are offered.
    #[arg(long, default_value_t = 3)]
    minutes: u64,
    /// Logs offered in a second.
    #[arg(long, default_value_t = 5000)]
    rate: u64,
    /// Whether the folders of Postgres and of the object store lie on small disks of their own, to be filled.
    #[arg(long)]
    disks: bool,
    /// First of two ports for the hubs.
    #[arg(long)]
    port: u16,
    /// Where the hubs' logs go, and the figures.
    #[arg(long)]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Answers whether every accepted log was found where it must be.
async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let env = Env::from_process();
    let length = Duration::from_secs(arguments.minutes * 60);
    let schedule = schedule::make(arguments.seed, length, arguments.disks);
    println!("seed {}, {} minutes, {} faults:", arguments.seed, arguments.minutes, schedule.iter().map(|step| step.faults.len()).sum::<usize>());
    schedule.iter().for_each(|step| println!("  {step}"));

    let hubs = Arc::new(Hubs::start(arguments.port, &arguments.out).await?);
    let machine = Machine::new(Arc::clone(&hubs))?;
    let clients = Clients::make(Arc::clone(&hubs), arguments.seed, arguments.rate).await.context("making tenants")?;
    let began = Instant::now();
    let sending = tokio::spawn(Arc::clone(&clients).offer(length));
    let mut recoveries = Vec::new();
    for step in &schedule {
        tokio::time::sleep_until((began + step.at).into()).await;
        println!("{:>5.0} s  {step}", began.elapsed().as_secs_f64());
        machine.carry_out(step).await?;
        recoveries.push(tokio::spawn(Arc::clone(&clients).recovery(Instant::now())));
    }
    println!("{:>5.0} s  the last fault is over", began.elapsed().as_secs_f64());
    machine.all_up().await?;
    let told = sending.await??;
    println!("{:>5.0} s  every request has its answer", began.elapsed().as_secs_f64());
    let mut longest = clients::Recovery::default();
    let mut findings = Vec::new();
    for recovery in recoveries {
        match recovery.await? {
            Ok(recovery) => longest = longest.max(recovery),
            Err(error) => findings.push(format!("after a fault: {error:#}")),
        }
    }
    let drained = checks::until_drained(&env, &told).await;
    println!("{:>5.0} s  {}", began.elapsed().as_secs_f64(), if drained.is_ok() { "all is stored and indexed" } else { "waiting is over" });
    let peaks = hubs.peaks_mib();
    findings.extend(drained.err().map(|error| format!("{error:#}")));
    let stored = checks::receipts(&env, &told, &mut findings).await?;
    checks::sample(&clients, &told, &mut findings).await?;
    let audit = checks::audit(&mut findings)?;
    hubs.stop();
    report::Report { arguments, schedule: &schedule, told: &told, stored, audit: &audit, longest, peaks, findings: &findings }.print()?;
    Ok(findings.is_empty())
}
