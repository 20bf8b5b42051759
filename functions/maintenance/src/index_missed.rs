//! What OpenSearch missed while it was down or busy: found through receipts, read from raw, indexed, settled.
//!
//! Truth lies in raw and the state of each log in its row, so nothing is lost by stopping anywhere, and nothing is counted twice by
//! doing it twice or side by side: a document is created once, and a row leaves `pending` once. Where OpenSearch, the object store
//! or Postgres is in trouble, the run stops at once. A log whose record cannot be found is an error of ours: it is logged, stays
//! pending, and holds up nobody else.

mod documents;
mod groups;
mod records;

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Engine, Error, Result, chain};
use shared::fault;
use shared::ids::{LogId, TenantId};
use shared::index::Outcome;
use shared::rows::{IndexState, PendingBatch};

use self::documents::{Filled, Missed};
use self::records::Frame;
use crate::App;
use crate::alone::alone;

/// Groups in work at the same time: while one waits for a store, another is packed.
const GROUPS_AT_ONCE: usize = 2;
/// Tenants of a group for whom Postgres is asked at the same time.
const TENANTS_AT_ONCE: usize = 4;
/// Frames of a group that are fetched at the same time.
const FRAMES_AT_ONCE: usize = 16;

/// How long one request may take. Nobody waits, and one that is given up goes on in OpenSearch, so that the next is slower still.
const BULK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long after its budget a run is given up: longer than what it had begun may take by its own timeouts.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(180);

/// What a run did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Logs that are in the index now.
    pub indexed: usize,
    /// Logs that the index refused for what they are.
    pub refused: usize,
    /// Logs for which OpenSearch had no room now.
    pub waiting: usize,
    /// Logs whose record could not be found in raw.
    pub lost: usize,
    /// Batches whose rows could not be read or written.
    pub broken: usize,
    /// The engine whose trouble ended the run.
    pub stopped_by: Option<Engine>,
    /// Nothing was done, because another process is at it; or the run was given up.
    pub elsewhere: bool,
}

impl Indexed {
    fn add(&mut self, other: &Self) {
        self.indexed += other.indexed;
        self.refused += other.refused;
        self.waiting += other.waiting;
        self.lost += other.lost;
        self.broken += other.broken;
    }

    fn tell(&self) {
        let outcomes = [("indexed", self.indexed), ("refused", self.refused), ("waiting", self.waiting), ("lost", self.lost)];
        for (outcome, logs) in outcomes {
            metrics::counter!("loggerhub_missed_logs_total", "outcome" => outcome).increment(logs as u64);
        }
    }
}

/// Indices that took nothing in this run: closed, blocked or full. What belongs there is left for the next run.
type Refusing = Mutex<HashSet<String>>;

/// Indexes what was missed, oldest first, and takes up nothing new once `budget` is over. One process does at a time.
///
/// # Errors
/// Only our own mistakes; weather ends the run, and the report names the engine.
pub async fn index_missed(app: &App, budget: Duration) -> Result<Indexed> {
    let done = alone(&app.queue, "index_missed", budget + GIVEN_UP_AFTER, work(app, budget)).await;
    done.unwrap_or_else(|| Ok(Indexed { elsewhere: true, ..Indexed::default() }))
}

async fn work(app: &App, budget: Duration) -> Result<Indexed> {
    let until = Instant::now() + budget;
    let refusing = Refusing::default();
    let groups = groups::missed(&app.rows).try_take_while(|_| std::future::ready(Ok(Instant::now() < until)));
    let mut work = pin!(groups.map_ok(|group| index_group(app, group, &refusing)).try_buffer_unordered(GROUPS_AT_ONCE));
    let mut report = Indexed::default();
    while let Some(done) = work.next().await {
        match done {
            Ok(done) => report.add(&done),
            Err(Error::Unavailable { engine, source }) => {
                tracing::warn!(%engine, cause = chain(&*source), "indexing what was missed has stopped");
                report.stopped_by = Some(engine);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    report.tell();
    Ok(report)
}

async fn index_group(app: &App, group: Vec<PendingBatch>, refusing: &Refusing) -> Result<Indexed> {
    // Before anything is read that could not be sent.
    app.index.ping().await?;
    let mut done = Indexed::default();
    let mut by_tenant: BTreeMap<TenantId, Vec<PendingBatch>> = BTreeMap::new();
    for batch in group {
        if refusing.lock().expect("no panic while held").contains(&index_of(app, &batch)) {
            done.waiting += usize::try_from(batch.pending).unwrap_or_default();
        } else {
            by_tenant.entry(batch.tenant.clone()).or_default().push(batch);
        }
    }
    let frames = frames_of(app, by_tenant, &mut done).await?;
    let missed = records_of(app, frames, &mut done).await?;
    let bulks = tokio::task::spawn_blocking(move || documents::fill(&missed)).await.map_err(|e| Error::internal("making documents", e))?;
    for filled in bulks {
        send(app, filled, refusing, &mut done).await?;
    }
    Ok(done)
}

fn index_of(app: &App, batch: &PendingBatch) -> String {
    app.index.name(&batch.class, batch.batch.unix_ms())
}

/// Asks for the rows of each tenant, and sorts them by the frames that hold their records.
async fn frames_of(app: &App, by_tenant: BTreeMap<TenantId, Vec<PendingBatch>>, done: &mut Indexed) -> Result<Vec<Frame>> {
    let asked = stream::iter(by_tenant).map(|(tenant, batches)| async move {
        let ids: Vec<_> = batches.iter().map(|batch| batch.batch).collect();
        let rows = app.rows.pending_of(&tenant, &ids).await;
        (Arc::new(tenant), batches, rows)
    });
    let mut asked = pin!(asked.buffer_unordered(TENANTS_AT_ONCE));
    let mut frames = Vec::new();
    while let Some((tenant, batches, rows)) = asked.next().await {
        match rows {
            Ok(rows) => {
                let indices = batches.iter().map(|batch| (batch.batch, Arc::from(index_of(app, batch)))).collect();
                frames.extend(records::frames(&tenant, &indices, rows));
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                tracing::error!(%tenant, cause = chain(&error), "rows that the index misses cannot be read");
                done.broken += batches.len();
            }
        }
    }
    Ok(frames)
}

/// Fetches each frame once, and takes the records out of it.
async fn records_of(app: &App, frames: Vec<Frame>, done: &mut Indexed) -> Result<Vec<Missed>> {
    let mut reading = pin!(stream::iter(frames).map(|frame| records::read(&app.archive, frame)).buffer_unordered(FRAMES_AT_ONCE));
    let mut all = Vec::new();
    while let Some(read) = reading.next().await {
        let (found, lost) = read?;
        all.extend(found);
        done.lost += lost;
    }
    Ok(all)
}

/// Sends one bulk, and settles what became of its documents.
async fn send(app: &App, filled: Filled, refusing: &Refusing, done: &mut Indexed) -> Result<()> {
    fault::point("maintenance.before_bulk");
    let outcomes = app.index.bulk(filled.bulk, BULK_TIMEOUT).await?;
    fault::point("maintenance.after_bulk");
    let mut took: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    let mut settled: BTreeMap<Arc<TenantId>, Vec<(LogId, IndexState)>> = BTreeMap::new();
    for (document, outcome) in filled.documents.into_iter().zip(outcomes) {
        let state = match outcome {
            Outcome::Indexed => IndexState::Indexed,
            Outcome::Refused(_) => IndexState::Refused,
            Outcome::Pending => IndexState::Pending,
        };
        *took.entry(document.index).or_default() |= state != IndexState::Pending;
        if state == IndexState::Pending {
            done.waiting += 1;
        } else {
            settled.entry(document.tenant).or_default().push((document.id, state));
        }
    }
    for (tenant, id) in filled.unreadable {
        settled.entry(tenant).or_default().push((id, IndexState::Refused));
    }
    refusing.lock().expect("no panic while held").extend(took.into_iter().filter(|(_, took)| !took).map(|(index, _)| index.to_string()));
    settle(app, settled, done).await?;
    fault::point("maintenance.after_settle");
    Ok(())
}

async fn settle(app: &App, settled: BTreeMap<Arc<TenantId>, Vec<(LogId, IndexState)>>, done: &mut Indexed) -> Result<()> {
    let settling = stream::iter(settled).map(|(tenant, logs)| async move {
        let outcome = app.rows.settle(&tenant, &logs).await;
        (tenant, logs, outcome)
    });
    let mut settling = pin!(settling.buffer_unordered(TENANTS_AT_ONCE));
    while let Some((tenant, logs, outcome)) = settling.next().await {
        match outcome {
            Ok(()) => {
                let refused = logs.iter().filter(|(_, state)| *state == IndexState::Refused).count();
                done.refused += refused;
                done.indexed += logs.len() - refused;
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                tracing::error!(%tenant, cause = chain(&error), "what was indexed cannot be settled");
                done.broken += logs.iter().map(|(id, _)| id.batch()).collect::<HashSet<_>>().len();
            }
        }
    }
    Ok(())
}
