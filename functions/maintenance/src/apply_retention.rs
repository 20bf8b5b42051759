//! What is over goes from the stores: it is in no answer any more by then.
//!
//! What was removed up to which day is noted for each tenant and store, so that a day is gone through once; what broke off is done again, and does no
//! harm. Rows go by whole partitions, once the last day of their month is over. Documents go from indices that tenants share, and an index with
//! its last document. A tenant's own raw objects go whole; from those that it shares its lines are taken out.
//!
//! Whether a tenant is under a legal hold is asked again before each of its days: a hold counts from its answer on, also for a run under way.

mod documents;
mod objects;
mod rows;

use std::time::{Duration, Instant};

use shared::error::{Result, chain};
use shared::fault;
use shared::ids::TenantId;
use shared::retention::Days;
use shared::tenants::{RemovedDays, Retained};
use uuid::Uuid;

use crate::App;
use crate::alone::alone;

/// How long after its budget a run is given up: longer than what it had begun may take by its own timeouts.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(300);
/// How long it is left alone after something went wrong with one tenant, index or day: nobody is in a hurry, and it may be wrong for long.
const REST: Duration = Duration::from_secs(600);

/// What was removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Tenants of whom something was over.
    pub tenants: usize,
    /// Partitions of rows.
    pub partitions: u64,
    /// Dead letters.
    pub letters: u64,
    /// Documents.
    pub documents: u64,
    /// Indices of which nothing was left.
    pub indices: u64,
    /// Raw objects of one tenant.
    pub objects: u64,
    /// Raw objects that others are still in, or were the last to leave.
    pub shared_objects: u64,
    /// Tenants, indices, days and objects with which something is wrong; each was logged, and is tried again in ten minutes.
    pub failed: usize,
}

/// A tenant of whom something is over.
struct Due {
    tenant: TenantId,
    /// First days that are kept.
    kept: Days,
    /// What is removed by now.
    removed: RemovedDays,
    /// Something is wrong: no later day counts as removed.
    is_stuck: bool,
}

/// A run under way.
struct Run<'a> {
    app: &'a App,
    now_ms: u64,
    until: Instant,
    done: Applied,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// What was done; `None` where something is wrong with this alone.
    fn tally<T>(&mut self, of: &str, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::error!(of, cause = chain(&error), "what is over cannot be removed");
                self.done.failed += 1;
                Ok(None)
            }
        }
    }
}

/// Removes what is over at this moment, unless another process is at it, and begins nothing new once `budget` is over.
///
/// # Errors
/// Weather: what was removed by then is, and is noted.
pub async fn apply_retention(app: &App, now_ms: u64, budget: Duration) -> Result<Applied> {
    // Taken for a moment only: it says whether a run before this one found something wrong.
    let holder = Uuid::new_v4();
    if matches!(app.queue.lease(RESTS, holder, Duration::from_millis(1)).await, Ok(false)) {
        return Ok(Applied::default());
    }
    let done = alone(&app.queue, "apply_retention", budget + GIVEN_UP_AFTER, apply(app, now_ms, budget)).await.unwrap_or_else(|| Ok(Applied::default()));
    if done.as_ref().is_ok_and(|done| done.failed > 0) {
        let _ = app.queue.lease(RESTS, Uuid::new_v4(), REST).await;
    }
    done
}

/// The lease that is held while nothing is tried again.
const RESTS: &str = "apply_retention_rests";

async fn apply(app: &App, now_ms: u64, budget: Duration) -> Result<Applied> {
    let due = |one: Retained| Due { kept: one.retention.days(now_ms), tenant: one.tenant, removed: one.removed, is_stuck: false };
    // Under a legal hold nothing goes, not even what was over before. What belongs to a tenant that is being deleted goes with it, or is restored.
    let mut due: Vec<Due> = app.registry.retained().await?.into_iter().filter(|one| !one.retention.periods.legal_hold && !one.is_ending).map(due).collect();
    due.retain(|one| one.kept.index > one.removed.index || one.kept.rows > one.removed.rows || one.kept.raw > one.removed.raw.min(one.removed.letters));
    let mut run = Run { app, now_ms, until: Instant::now() + budget, done: Applied { tenants: due.len(), ..Applied::default() } };
    if due.is_empty() {
        return Ok(run.done);
    }
    // Each whatever the others say, and noted whatever comes of it: an engine that is away keeps the others from nothing.
    let rows = rows::leave(&mut run, &mut due).await;
    let documents = documents::leave(&mut run, &mut due).await;
    let objects = objects::leave(&mut run, &mut due).await;
    fault::point("retention.before_noted");
    for one in &due {
        app.registry.note_removed(&one.tenant, one.removed).await?;
    }
    rows.and(documents).and(objects).map(|()| run.done)
}

/// Those of whom a day is over and who are under no hold at this moment. Who is has come no further by this run.
async fn leaving(app: &App, due: &mut [Due], is_over: impl Fn(&Due) -> bool) -> Result<Vec<TenantId>> {
    let mut leaving = Vec::new();
    for one in due.iter_mut().filter(|one| is_over(one)) {
        if app.registry.is_held(&one.tenant).await? {
            one.is_stuck = true;
        } else {
            leaving.push(one.tenant.clone());
        }
    }
    Ok(leaving)
}
