//! The writes of one drain: raw and documents side by side, then rows in one transaction.

mod bury;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shared::error::{Engine, Result, chain};
use shared::fault;
use shared::ids::TenantId;
use shared::index::Outcome;
use shared::rows::{IndexState, SchemaState, StoreBatch};

use crate::App;
use crate::drain::{Until, in_any_weather, timed};
use crate::prepare::Prepared;

/// First and longest pause of a tenant whose rows cannot be written: doubled each time, so that one that stays broken costs little.
const PARKED_FOR: (Duration, Duration) = (shared::queue::LEFT_BEHIND_AFTER, Duration::from_secs(600));

/// How long the index may take for a drain, before its documents count as pending.
const BULK_TIMEOUT: Duration = Duration::from_secs(15);

/// Tenants whose rows cannot be written just now, for a reason of their own: a schema that is not there, or is damaged.
#[derive(Debug, Clone, Default)]
pub struct Parked(Arc<Mutex<HashMap<TenantId, Pause>>>);

#[derive(Debug, Clone, Copy)]
struct Pause {
    since: Instant,
    length: Duration,
}

impl Parked {
    /// Whether a tenant's entries are to be put aside.
    #[must_use]
    pub fn holds(&self, tenant: &TenantId) -> bool {
        self.0.lock().expect("no panic while held").get(tenant).is_some_and(|pause| pause.since.elapsed() < pause.length)
    }

    fn add(&self, tenant: &TenantId) {
        let mut parked = self.0.lock().expect("no panic while held");
        // One that has not failed again for as long as its last pause was has recovered.
        parked.retain(|_, pause| pause.since.elapsed() < pause.length * 2);
        let length = parked.get(tenant).map_or(PARKED_FOR.0, |pause| (pause.length * 2).min(PARKED_FOR.1));
        parked.insert(tenant.clone(), Pause { since: Instant::now(), length });
    }
}

/// Writes raw and documents, side by side, and answers receipts and rows as the index left them. Raw must be there before its row;
/// the index may be down: then its rows stay pending.
///
/// # Errors
/// [`shared::error::Error::Unavailable`] where the object store has not taken raw when it is time to stop.
pub async fn write(app: &App, prepared: Prepared, until: &Until) -> Result<Vec<StoreBatch>> {
    let Prepared { objects, bulk, mut batches } = prepared;
    fault::point("processor.before_raw");
    let raw = async {
        let put =
            futures::future::try_join_all(objects.iter().map(|(path, bytes)| in_any_weather(until.clone(), Engine::ObjectStore, move || app.archive.put(path, bytes.clone()))));
        put.await.map(|_| fault::point("processor.after_raw"))
    };
    let ids = bulk.ids().to_vec();
    let index = async {
        if bulk.is_empty() || !app.breaker.allows(&app.index).await {
            return Vec::new();
        }
        fault::point("processor.before_index");
        let outcomes = match timed("index", app.index.bulk(bulk, BULK_TIMEOUT)).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::warn!(cause = chain(&error), "the index missed a drain; maintenance will see to it");
                Vec::new()
            }
        };
        // One that takes nothing is in no better state than one that does not answer.
        if outcomes.iter().all(|outcome| *outcome == Outcome::Pending) {
            app.breaker.trip();
        } else {
            app.breaker.mend();
        }
        fault::point("processor.after_index");
        outcomes
    };
    let (raw, outcomes) = tokio::join!(timed("raw", raw), index);
    raw?;
    let outcomes: HashMap<_, _> = ids.into_iter().zip(outcomes).collect();
    for batch in &mut batches {
        settle(batch, &outcomes);
    }
    Ok(batches)
}

/// Writes into a batch what the index said of its documents.
fn settle(batch: &mut StoreBatch, outcomes: &HashMap<shared::ids::LogId, Outcome>) {
    for row in &mut batch.rows {
        row.index_state = match (row.index_state, outcomes.get(&row.id)) {
            (IndexState::Pending, Some(Outcome::Indexed)) => IndexState::Indexed,
            (IndexState::Pending, Some(Outcome::Refused(reason))) => {
                tracing::warn!(log = %row.id, reason, "the index refused a document; its row and raw are kept");
                IndexState::Refused
            }
            (state, _) => state,
        };
    }
    count(batch);
}

/// Writes into a batch's receipt what its rows and dead letters say.
fn count(batch: &mut StoreBatch) {
    let mut states = [0_i32; 4];
    for row in &batch.rows {
        states[row.index_state as usize] += 1;
    }
    let receipt = &mut batch.receipt;
    [receipt.pending, receipt.indexed, receipt.refused, receipt.not_wanted] = states;
    receipt.stored = states.iter().sum();
    receipt.dead = receipt.accepted - receipt.stored;
}

/// Which tenants' batches were stored, and which were not.
#[derive(Debug, Default)]
pub struct Stored {
    /// Rows written for the first time.
    pub rows: usize,
    /// Tenants whose batches are to be parked.
    pub parked: Vec<TenantId>,
}

/// Writes receipts and rows: all in one transaction, or where that fails for what one tenant is, one for each tenant.
///
/// # Errors
/// [`shared::error::Error::Unavailable`]: nothing may be acknowledged.
pub async fn store(app: &App, batches: &[StoreBatch]) -> Result<Stored> {
    let all: Vec<&StoreBatch> = batches.iter().collect();
    match app.rows.store(&all).await {
        Ok(fresh) => Ok(Stored { rows: rows_of(&all, &fresh), parked: Vec::new() }),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) => store_by_tenant(app, &all).await,
    }
}

async fn store_by_tenant(app: &App, all: &[&StoreBatch]) -> Result<Stored> {
    let mut by_tenant: BTreeMap<&TenantId, Vec<&StoreBatch>> = BTreeMap::new();
    for batch in all {
        by_tenant.entry(&batch.receipt.tenant).or_default().push(batch);
    }
    let mut stored = Stored::default();
    for (tenant, batches) in by_tenant {
        match app.rows.store(&batches).await {
            Ok(fresh) => stored.rows += rows_of(&batches, &fresh),
            Err(error) if error.is_retryable() => return Err(error),
            // Removed while its drain was under way.
            Err(_) if app.rows.schema_state(tenant).await? == SchemaState::Dropped => {
                tracing::warn!(%tenant, batches = batches.len(), "what arrived for a tenant that is gone is not stored");
            }
            Err(error) => match store_without_refused(app, tenant, &batches).await {
                Ok(Some(rows)) => stored.rows += rows,
                Err(weather) if weather.is_retryable() => return Err(weather),
                Ok(None) | Err(_) => {
                    tracing::error!(%tenant, cause = chain(&error), "a tenant's rows cannot be written; its batches are parked");
                    app.parked.add(tenant);
                    stored.parked.push(tenant.clone());
                }
            },
        }
    }
    Ok(stored)
}

/// Rows written of a tenant some of whose records cannot be; `None` where it is not the records that fail.
async fn store_without_refused(app: &App, tenant: &TenantId, batches: &[&StoreBatch]) -> Result<Option<usize>> {
    let Some(mended) = bury::without_refused(app, tenant, batches).await? else { return Ok(None) };
    let mended: Vec<&StoreBatch> = mended.iter().collect();
    let fresh = app.rows.store(&mended).await?;
    Ok(Some(rows_of(&mended, &fresh)))
}

fn rows_of(batches: &[&StoreBatch], fresh: &std::collections::HashSet<shared::ids::BatchId>) -> usize {
    batches.iter().filter(|batch| fresh.contains(&batch.receipt.batch)).map(|batch| batch.rows.len()).sum()
}
