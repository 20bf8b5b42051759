//! `loggerhub dead-letters`: what could not be stored, of all tenants and of none, straight from the logs database.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use shared::ids::{BatchId, TenantId};
use shared::range::Range;
use shared::rows::{Buried, LetterFilter, Reach, Rows};
use shared::settings::{Env, PostgresSettings};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Doors, Settings};

/// How long `--now` goes on taking up letters.
const NOW_BUDGET: Duration = Duration::from_secs(3600);

/// Arguments of `loggerhub dead-letters`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List letters, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// Most letters.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// A JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one letter with what it holds.
    Show {
        /// The letter.
        id: Uuid,
        /// What is known of it as JSON, without what it holds.
        #[arg(long, conflicts_with = "bytes")]
        json: bool,
        /// What it holds, byte for byte, and nothing else.
        #[arg(long)]
        bytes: bool,
    },
    /// Ask for another try of some letters, or of all that agree with a filter. A running server makes it within seconds.
    Redrive {
        /// The letters.
        ids: Vec<Uuid>,
        #[command(flatten)]
        filter: Filter,
        /// Every letter of every tenant.
        #[arg(long)]
        all: bool,
        /// Carry out here and now whatever is due. Needs the settings of the server.
        #[arg(long)]
        now: bool,
        /// What was done as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give letters up: their bytes are gone, and nothing brings them back.
    Discard {
        /// The letters.
        #[arg(required = true)]
        ids: Vec<Uuid>,
    },
}

/// Which letters.
#[derive(Debug, Default, Args)]
struct Filter {
    /// Only this tenant's.
    #[arg(long, value_parser = TenantId::parse)]
    tenant: Option<TenantId>,
    /// Only those that failed there, such as parse.
    #[arg(long)]
    stage: Option<String>,
    /// Only those that failed for this reason, such as invalid_json.
    #[arg(long)]
    code: Option<String>,
    /// Only those of this batch.
    #[arg(long, value_parser = BatchId::parse)]
    batch: Option<BatchId>,
    /// Buried from this moment on: RFC 3339, or relative, such as now-15m.
    #[arg(long)]
    from: Option<String>,
    /// Buried before this moment: as --from.
    #[arg(long)]
    to: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        matches!(self, Self { tenant: None, stage: None, code: None, batch: None, from: None, to: None })
    }

    fn read(self) -> anyhow::Result<(Reach, LetterFilter)> {
        let Range { from, to } = Range::parse(self.from.as_deref(), self.to.as_deref(), timestamp::from_datetime(OffsetDateTime::now_utc()))?;
        let reach = self.tenant.map_or(Reach::All, Reach::Tenant);
        Ok((reach, LetterFilter { stage: self.stage, code: self.code, batch: self.batch, from, to, gone: Vec::new() }))
    }
}

/// Runs the command.
///
/// # Errors
/// A sentence that says what went wrong.
pub async fn run(arguments: Arguments, env: &Env) -> anyhow::Result<()> {
    let rows = Rows::open(&PostgresSettings::logs_from_env(env)?)?;
    match arguments.command {
        Command::List { filter, limit, json } => list(&rows, filter, limit, json).await,
        Command::Show { id, json, bytes } => show(&rows, id, json, bytes).await,
        Command::Redrive { ids, filter, all, now, json } => {
            if all != (ids.is_empty() && filter.is_empty()) || !(ids.is_empty() || filter.is_empty()) {
                bail!("say which letters: their ids, or a filter, or --all");
            }
            let requested = ask(&rows, &ids, filter).await?;
            let done = if now { Some(carry_out(env).await?) } else { None };
            tell(requested, done.as_ref(), json)
        }
        Command::Discard { ids } => discard(&rows, &ids).await,
    }
}

async fn list(rows: &Rows, filter: Filter, limit: u32, json: bool) -> anyhow::Result<()> {
    let (reach, filter) = filter.read()?;
    let limit = limit as usize;
    let letters = rows.dead_letters(&reach, &filter, None, i64::try_from(limit + 1)?).await?;
    let mut out = std::io::stdout().lock();
    for letter in letters.iter().take(limit) {
        writeln!(out, "{}", if json { serde_json::to_string(letter)? } else { line(letter) })?;
    }
    if letters.len() > limit {
        eprintln!("and more: raise --limit, or narrow it with --from and --to");
    }
    Ok(())
}

/// One letter as a person reads it.
fn line(letter: &Buried) -> String {
    let Buried { id, records, stage, code, reason, size, attempts, .. } = letter;
    let at = timestamp::format(timestamp::from_datetime(letter.created_at));
    let tenant = letter.tenant.as_ref().map_or("(no tenant)", TenantId::as_str);
    let due = letter.redrive_at.map_or("", |_| ", to be redriven");
    format!("{id}  {at}  {tenant}  {stage}/{code}  {records} record(s), {size} B, {attempts} tries{due}: {reason}")
}

async fn show(rows: &Rows, id: Uuid, json: bool, bytes: bool) -> anyhow::Result<()> {
    let whole = rows.dead_letter(&Reach::All, &LetterFilter::default(), id, i32::MAX).await?;
    let mut out = std::io::stdout().lock();
    if bytes {
        return Ok(out.write_all(&whole.bytes)?);
    }
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&whole.letter)?)?);
    }
    writeln!(out, "{}", line(&whole.letter))?;
    // A stranger's bytes: control characters would be commands to the terminal.
    match std::str::from_utf8(&whole.bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') => writeln!(out, "\n{text}")?,
        _ => writeln!(out, "\nWhat it holds is no text for a terminal; --bytes writes it as it is.")?,
    }
    Ok(())
}

async fn ask(rows: &Rows, ids: &[Uuid], filter: Filter) -> anyhow::Result<u64> {
    if ids.is_empty() {
        let (reach, filter) = filter.read()?;
        return Ok(rows.ask_redrives(&reach, &filter).await?);
    }
    for id in ids {
        rows.ask_redrive(&Reach::All, &LetterFilter::default(), *id).await.with_context(|| id.to_string())?;
    }
    Ok(ids.len() as u64)
}

async fn carry_out(env: &Env) -> anyhow::Result<maintenance::Redriven> {
    let doors = Doors::open(&Settings::from_env(env).context("--now needs the settings of the server")?)?;
    let done = maintenance::redrive(&doors.maintenance(), NOW_BUDGET).await?;
    match done.stopped_by {
        Some(engine) => bail!("{engine} is in trouble: {} letters were stored, the others stay asked for", done.letters),
        None => Ok(done),
    }
}

fn tell(requested: u64, done: Option<&maintenance::Redriven>, json: bool) -> anyhow::Result<()> {
    let told = match (done, json) {
        (None, false) => format!("{requested} letter(s) are to be redriven"),
        (None, true) => json!({ "requested": requested }).to_string(),
        (Some(done), false) => {
            let maintenance::Redriven { letters, records, refused, .. } = done;
            format!("{requested} letter(s) were to be redriven; {letters} have been here, with {records} record(s) stored; {refused} cannot be stored still")
        }
        (Some(done), true) => json!({ "requested": requested, "letters": done.letters, "records": done.records, "refused": done.refused }).to_string(),
    };
    Ok(writeln!(std::io::stdout(), "{told}")?)
}

async fn discard(rows: &Rows, ids: &[Uuid]) -> anyhow::Result<()> {
    for id in ids {
        rows.discard(&Reach::All, &LetterFilter::default(), *id).await.with_context(|| id.to_string())?;
    }
    Ok(())
}
