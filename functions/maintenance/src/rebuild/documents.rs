//! Documents that the index lost: found by comparing it with rows, and noted in them.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::TryStreamExt;
use shared::error::Result;
use shared::fault;
use shared::ids::{BatchId, LogId, TenantId};
use shared::rows::IndexState;

use crate::positions::Positions;
use crate::{App, Period};

/// Logs that are noted in one transaction.
const NOTED_AT_ONCE: usize = 5000;

/// What rows say of one batch.
#[derive(Default)]
struct Rows {
    indexed: Positions,
    /// Whether it has other rows, or dead letters: then its documents may be more than the indexed, and their number tells nothing.
    mixed: bool,
}

/// Finds rows whose documents are not there, makes them pending, and answers how many there were. Rows that the index refused, or
/// that were not wanted in it, are left as they are.
pub(super) async fn find_lost(app: &App, tenant: &TenantId, period: Period, progress: &impl Fn(&str)) -> Result<u64> {
    progress(&format!("{tenant}: comparing rows with the index"));
    // Rows first: a document is written before its row says so, and is found once the index was refreshed after.
    let rows = rows_of(app, tenant, period).await?;
    app.index.refresh().await?;
    let documents = documents_of(app, tenant, period).await?;
    let (mut lost, mut found, all) = (Vec::new(), 0, rows.len());
    for (at, (batch, rows)) in rows.into_iter().enumerate() {
        lost.extend(lost_of(app, tenant, batch, &rows, documents.get(&batch).copied().unwrap_or_default()).await?);
        if lost.len() >= NOTED_AT_ONCE || at + 1 == all {
            found += note(app, tenant, &std::mem::take(&mut lost)).await?;
            progress(&format!("{tenant}: {} of {all} batches, {found} documents are lost", at + 1));
        }
    }
    Ok(found)
}

async fn rows_of(app: &App, tenant: &TenantId, period: Period) -> Result<BTreeMap<BatchId, Rows>> {
    let (from, to) = period.ids();
    let mut rows: BTreeMap<BatchId, Rows> = BTreeMap::new();
    let mut places = app.rows.places(tenant, from, to);
    while let Some(row) = places.try_next().await? {
        let of_batch = rows.entry(row.id.batch()).or_default();
        if row.state == IndexState::Indexed {
            of_batch.indexed.insert(row.id.position());
        } else {
            of_batch.mixed = true;
        }
    }
    for letter in app.rows.letter_marks(tenant, from, to).await? {
        if let Some(of_batch) = BatchId::try_from(letter.batch).ok().and_then(|batch| rows.get_mut(&batch)) {
            of_batch.mixed = true;
        }
    }
    Ok(rows)
}

async fn documents_of(app: &App, tenant: &TenantId, period: Period) -> Result<HashMap<BatchId, u64>> {
    let (from, to) = period.ids();
    let (mut documents, mut after) = (HashMap::new(), None);
    loop {
        let page = app.index.count_by_batch(tenant, from, to, after).await?;
        let Some((last, _)) = page.last() else { return Ok(documents) };
        after = Some(*last);
        documents.extend(page);
    }
}

async fn lost_of(app: &App, tenant: &TenantId, batch: BatchId, rows: &Rows, documents: u64) -> Result<Vec<LogId>> {
    if documents == rows.indexed.len() as u64 && !rows.mixed {
        return Ok(Vec::new());
    }
    let there: HashSet<LogId> = if documents == 0 { HashSet::new() } else { app.index.ids_of_batch(tenant, batch).await?.into_iter().collect() };
    Ok(rows.indexed.iter().map(|position| batch.log(position)).filter(|log| !there.contains(log)).collect())
}

async fn note(app: &App, tenant: &TenantId, lost: &[LogId]) -> Result<u64> {
    if lost.is_empty() {
        return Ok(0);
    }
    let noted = app.rows.mark_lost_by_index(tenant, lost).await?;
    fault::point("rebuild.after_pending");
    Ok(noted)
}
