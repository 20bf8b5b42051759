//! `loggerhub audit`: accounts for every log that was accepted, and says what is missing or doubled.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use maintenance::audit::{Audit, Finding, TenantAudit};
use serde_json::json;
use shared::ids::TenantId;
use shared::settings::Env;

use crate::looking::{FOUND_NOTHING_OUT, PeriodArguments, end_progress, progress};
use crate::{Doors, Settings};

/// Findings that are shown to people; `--json` holds all of them.
const SHOWN: usize = 100;

/// Arguments of `loggerhub audit`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this tenant.
    #[arg(long, value_parser = TenantId::parse)]
    tenant: Option<TenantId>,
    #[command(flatten)]
    period: PeriodArguments,
    /// Everything as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command. Ends 0 where each log is accounted for, 1 where not, 2 where that could not be found out.
pub async fn run(arguments: &Arguments, env: &Env) -> ExitCode {
    match look(arguments, env).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            end_progress();
            eprintln!("loggerhub: {error:#}");
            ExitCode::from(FOUND_NOTHING_OUT)
        }
    }
}

async fn look(arguments: &Arguments, env: &Env) -> anyhow::Result<bool> {
    let doors = Doors::open(&Settings::from_env(env)?)?;
    let period = arguments.period.read(&doors).await?;
    let audit = maintenance::audit::audit(&doors.maintenance(), arguments.tenant.as_ref(), period, progress).await?;
    end_progress();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json!({ "clean": audit.is_clean(), "tenants": audit.tenants, "findings": audit.findings }))?;
    } else {
        tell(&mut out, &audit)?;
    }
    Ok(audit.is_clean())
}

/// What the table's columns are called.
const COLUMNS: [&str; 10] = ["batches", "accepted", "rows", "documents", "raw", "doubles", "dead", "pending", "unindexed", "under way"];

fn tell(out: &mut impl Write, audit: &Audit) -> std::io::Result<()> {
    let width = audit.tenants.iter().map(|tenant| tenant.tenant.as_str().len()).max().unwrap_or_default().max(8);
    line(out, width, "tenant", &COLUMNS)?;
    let mut all = [0; COLUMNS.len()];
    for tenant in &audit.tenants {
        let numbers = numbers(tenant);
        all.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        line(out, width, tenant.tenant.as_str(), &numbers)?;
    }
    line(out, width, "all", &all)?;
    writeln!(out)?;
    for finding in audit.findings.iter().take(SHOWN) {
        writeln!(out, "{}", sentence(finding))?;
    }
    match audit.findings.len() {
        0 => writeln!(out, "clean: every accepted log is accounted for"),
        some if some > SHOWN => writeln!(out, "and {} more: --json tells all\nNOT CLEAN: {some} findings", some - SHOWN),
        some => writeln!(out, "NOT CLEAN: {some} findings"),
    }
}

fn numbers(tenant: &TenantAudit) -> [u64; COLUMNS.len()] {
    let unindexed = tenant.refused + tenant.not_wanted;
    [tenant.batches, tenant.accepted, tenant.rows, tenant.documents, tenant.raw_ids, tenant.raw_doubles, tenant.dead, tenant.pending, unindexed, tenant.under_way]
}

fn line<T: std::fmt::Display>(out: &mut impl Write, width: usize, name: &str, cells: &[T; COLUMNS.len()]) -> std::io::Result<()> {
    write!(out, "{name:width$}")?;
    cells.iter().try_for_each(|cell| write!(out, "{cell:>11}"))?;
    writeln!(out)
}

fn sentence(finding: &Finding) -> String {
    let what = finding.log_id.map_or_else(|| format!("batch {}", finding.batch_id), |id| format!("log {id}"));
    let words = json!([finding.store, finding.kind]);
    format!("{}: {what}: {} {}: {}", finding.tenant, words[0].as_str().unwrap_or_default().replace('_', " "), words[1].as_str().unwrap_or_default(), finding.detail)
}
