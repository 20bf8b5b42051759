//! Another try for dead letters, where somebody asked for it.
//!
//! Raw and the index first, then one transaction that takes the letter away, writes rows under the old ids and corrects the
//! receipt. Stopping anywhere loses nothing, for the letter stands until that transaction; doing it twice stores once, for only one
//! transaction finds the letter, and what the other put into raw and the index lies there under the same ids.
//!
//! Weather leaves a letter due. What is still wrong with it becomes its reason, and it waits to be asked for again.

mod prepare;
mod read;
mod write;

use std::time::{Duration, Instant};

use futures::future::join_all;
use shared::error::{Engine, Error, Result, chain};
use shared::fault;
use shared::record::Fault;
use shared::rows::{LetterKind, Restored, WholeLetter};
use uuid::Uuid;

use self::read::Recovered;
use crate::App;

/// Records that are redriven side by side: each waits for three stores, and holds 1 MiB at most. Entries go one by one.
const RECORDS_AT_ONCE: i64 = 8;

/// What a run did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Redriven {
    /// Letters whose records are stored now, or have become letters of their own.
    pub letters: usize,
    /// Records that were stored.
    pub records: usize,
    /// Letters that cannot be stored now either; each says why.
    pub refused: usize,
    /// The engine whose trouble ended the run. What it had in hand is due again in a few seconds.
    pub stopped_by: Option<Engine>,
}

impl Redriven {
    fn add(&mut self, other: &Self) {
        self.letters += other.letters;
        self.records += other.records;
        self.refused += other.refused;
        self.stopped_by = self.stopped_by.or(other.stopped_by);
    }
}

/// Why a letter stays.
#[derive(Debug)]
enum Stays {
    /// An engine is in trouble.
    Weather(Engine, Error),
    /// It cannot be stored, for what it is.
    Refused(Fault),
}

impl From<Error> for Stays {
    fn from(error: Error) -> Self {
        if let Error::Unavailable { engine, .. } = error {
            return Self::Weather(engine, error);
        }
        tracing::error!(cause = chain(&error), "a dead letter cannot be stored");
        Self::Refused(Fault::new("not_stored", error.to_string()))
    }
}

impl From<Fault> for Stays {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

/// Redrives what is due, the longest due first, and takes up nothing new once `budget` is over.
///
/// # Errors
/// Only our own mistakes; weather ends the run, and the report names the engine.
pub async fn redrive(app: &App, budget: Duration) -> Result<Redriven> {
    let until = Instant::now() + budget;
    let mut report = Redriven::default();
    let mut some_left = true;
    while some_left && report.stopped_by.is_none() && Instant::now() < until {
        // In turns, so that many of the one kind do not keep the other waiting.
        let records = take_up(app, LetterKind::Record, RECORDS_AT_ONCE, &mut report).await?;
        some_left = take_up(app, LetterKind::Entry, 1, &mut report).await? || records;
    }
    for (outcome, letters) in [("stored", report.letters), ("refused", report.refused)] {
        metrics::counter!("loggerhub_redriven_letters_total", "outcome" => outcome).increment(letters as u64);
    }
    Ok(report)
}

/// Takes up a few letters, and answers whether there were any.
async fn take_up(app: &App, kind: LetterKind, at_most: i64, report: &mut Redriven) -> Result<bool> {
    let due = match app.rows.take_redrives(kind, at_most).await {
        Ok(due) => due,
        Err(Error::Unavailable { engine, source }) => {
            tracing::warn!(%engine, cause = chain(&*source), "redriving has stopped");
            report.stopped_by = Some(engine);
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    for done in join_all(due.iter().map(|letter| carry_out(app, letter))).await {
        report.add(&done);
    }
    Ok(!due.is_empty())
}

/// One letter's try, and what is to be written of it where it failed.
async fn carry_out(app: &App, due: &WholeLetter) -> Redriven {
    let id = due.letter.id;
    match store(app, due).await {
        Ok(Some(records)) => Redriven { letters: 1, records, ..Redriven::default() },
        Ok(None) => Redriven::default(),
        Err(Stays::Weather(engine, error)) => {
            tracing::warn!(%engine, letter = %id, cause = chain(&error), "a redrive is put off");
            postpone(app, id).await;
            Redriven { stopped_by: Some(engine), ..Redriven::default() }
        }
        Err(Stays::Refused(fault)) => match app.rows.refuse_redrive(id, fault.code, &fault.detail).await {
            Ok(()) => Redriven { refused: 1, ..Redriven::default() },
            // It is due again by itself, and will be refused then.
            Err(error) => {
                tracing::warn!(letter = %id, cause = chain(&error), "it could not be written why a redrive failed");
                Redriven { stopped_by: Some(Engine::Rows), ..Redriven::default() }
            }
        },
    }
}

/// What would be in no answer once it was stored is not: its letter stays as long as raw is kept.
async fn hold_to_retention(app: &App, recovered: &mut Recovered) -> Result<(), Stays> {
    let (tenant, received) = (&recovered.receipt.tenant, recovered.receipt.batch.unix_ms());
    let horizon = match app.registry.retention(tenant).await {
        Ok(retention) => retention.horizon(app.queue.now_ms()),
        Err(Error::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if received < horizon.rows {
        return Err(Fault::new("past_retention", "it was received longer ago than its tenant's rows are kept: stored, it would be in no answer").into());
    }
    recovered.wanted &= received >= horizon.index;
    Ok(())
}

/// Where Postgres does not take that, the letter is due again all the same, a little later.
async fn postpone(app: &App, id: Uuid) {
    if let Err(error) = app.rows.postpone_redrive(id).await {
        tracing::warn!(letter = %id, cause = chain(&error), "a redrive could not be put off");
    }
}

/// Stores what a letter holds. Answers how many records that were; `None` where another ended it meanwhile.
async fn store(app: &App, due: &WholeLetter) -> Result<Option<usize>, Stays> {
    let mut recovered = read::read(&app.rows, due).await?;
    hold_to_retention(app, &mut recovered).await?;
    let (archive, index) = (app.archive.clone(), app.index.clone());
    let work = tokio::task::spawn_blocking(move || prepare::prepare(&archive, &index, &recovered));
    let mut prepared = work.await.map_err(|panic| Error::internal("reading a dead letter", panic))??;
    if let (false, Some(dead)) = (due.letter.is_entry(), prepared.fault.take()) {
        return Err(dead.into());
    }
    fault::point("redrive.before_raw");
    write::raw(app, prepared.object).await?;
    fault::point("redrive.after_raw");
    let outcomes = write::documents(app, prepared.bulk).await;
    fault::point("redrive.after_index");
    write::settle(&mut prepared.batch, &outcomes);
    let restored = app.rows.store_redriven(&due.letter, &prepared.batch).await?;
    fault::point("redrive.after_rows");
    match restored {
        Restored::Stored => Ok(Some(prepared.batch.rows.len())),
        Restored::Gone => Ok(None),
        Restored::NoReceipt => Err(read::no_receipt().into()),
    }
}
