//! `loggerhub index`: indexes what a quota kept out of the index.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use maintenance::IndexedLater;
use shared::ids::TenantId;
use shared::settings::Env;

use crate::looking::{FOUND_NOTHING_OUT, PeriodArguments, end_progress, progress};
use crate::{Doors, Settings};

/// Arguments of `loggerhub index`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Whose.
    #[arg(long, value_parser = TenantId::parse)]
    tenant: TenantId,
    #[command(flatten)]
    period: PeriodArguments,
    /// What was done as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command. Ends 0 where all of it is indexed, 1 where something is left, 2 where an engine was down.
pub async fn run(arguments: &Arguments, env: &Env) -> ExitCode {
    match index(arguments, env).await {
        Ok(IndexedLater { lost: 0, pending: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            end_progress();
            eprintln!("loggerhub: {error:#}");
            ExitCode::from(FOUND_NOTHING_OUT)
        }
    }
}

async fn index(arguments: &Arguments, env: &Env) -> anyhow::Result<IndexedLater> {
    let doors = Doors::open(&Settings::from_env(env)?)?;
    let period = arguments.period.read(&doors).await?;
    let done = maintenance::index_later(&doors.maintenance(), &arguments.tenant, period, progress).await?;
    end_progress();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&done)?)?;
        return Ok(done);
    }
    let IndexedLater { wanted, lost, pending } = done;
    writeln!(out, "{wanted} logs were kept out of the index, and are to be found from now on; {pending} of the tenant's are pending still")?;
    if lost > 0 {
        writeln!(out, "{lost} stay out: raw does not hold them where their rows say, 'loggerhub audit' tells")?;
    }
    Ok(done)
}
