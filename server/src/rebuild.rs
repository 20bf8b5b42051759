//! `loggerhub rebuild`: makes a tenant's rows and documents again from raw.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use maintenance::Rebuilt;
use shared::ids::TenantId;
use shared::settings::Env;

use crate::looking::{FOUND_NOTHING_OUT, PeriodArguments, end_progress, progress};
use crate::{Doors, Settings};

/// Arguments of `loggerhub rebuild`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Whose.
    #[arg(long, value_parser = TenantId::parse)]
    tenant: TenantId,
    /// Which of the two are made again.
    #[arg(long, value_enum)]
    into: Into,
    #[command(flatten)]
    period: PeriodArguments,
    /// What was done as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Into {
    /// Rows.
    Postgres,
    /// Documents.
    Opensearch,
    /// Rows, then documents.
    Both,
}

/// Runs the command. Ends 0 where all is there that receipts count, 1 where something is lacking still, 2 where an engine was down.
pub async fn run(arguments: &Arguments, env: &Env) -> ExitCode {
    match rebuild(arguments, env).await {
        Ok(rebuilt) if rebuilt.is_whole() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            end_progress();
            eprintln!("loggerhub: {error:#}");
            ExitCode::from(FOUND_NOTHING_OUT)
        }
    }
}

async fn rebuild(arguments: &Arguments, env: &Env) -> anyhow::Result<Rebuilt> {
    let doors = Doors::open(&Settings::from_env(env)?)?;
    let period = arguments.period.read(&doors).await?;
    let into = match arguments.into {
        Into::Postgres => maintenance::Into::Postgres,
        Into::Opensearch => maintenance::Into::OpenSearch,
        Into::Both => maintenance::Into::Both,
    };
    let rebuilt = maintenance::rebuild(&doors.maintenance(), &arguments.tenant, period, into, progress).await?;
    end_progress();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&rebuilt)?)?;
    } else {
        tell(&mut out, arguments.into, &rebuilt)?;
    }
    Ok(rebuilt)
}

fn tell(out: &mut impl Write, into: Into, rebuilt: &Rebuilt) -> std::io::Result<()> {
    let Rebuilt { short_batches, rows_made, rows_lacking, documents_lost, to_index, pending } = rebuilt;
    if !matches!(into, Into::Opensearch) {
        writeln!(out, "rows: {short_batches} batches lacked some; {rows_made} made, {rows_lacking} lacking still")?;
    }
    if !matches!(into, Into::Postgres) {
        // Those of rows that were made just now are to be indexed, too.
        writeln!(out, "documents: {documents_lost} were lost; {to_index} were to be indexed, {pending} are pending still")?;
    }
    match (rebuilt.is_whole(), rows_lacking) {
        (true, _) => writeln!(out, "all is there that receipts count"),
        (false, 0) => writeln!(out, "a running server goes on with what is pending"),
        (false, _) => writeln!(out, "raw does not hold what is lacking, or a running server is storing it: 'loggerhub audit' tells"),
    }
}
