//! The writes of a redrive that come before its transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shared::error::{Result, chain};
use shared::ids::LogId;
use shared::index::{Bulk, Outcome};
use shared::rows::{IndexState, StoreBatch};

use crate::App;

/// How long the index may take for a letter, before its documents count as pending.
const BULK_TIMEOUT: Duration = Duration::from_secs(15);

/// Puts the raw object, which must be there before its rows.
///
/// # Errors
/// Weather of the object store.
pub(super) async fn raw(app: &App, object: Option<(Arc<str>, Bytes)>) -> Result<()> {
    match object {
        Some((path, bytes)) => app.archive.put(&path, bytes).await,
        None => Ok(()),
    }
}

/// Sends the documents. What the index does not take now stays pending: it is made up for as for any other log.
pub(super) async fn documents(app: &App, bulk: Bulk) -> HashMap<LogId, Outcome> {
    // An index that is paused would hold up every letter for as long as a bulk may take.
    if bulk.is_empty() || app.index.ping().await.is_err() {
        return HashMap::new();
    }
    let ids = bulk.ids().to_vec();
    let outcomes = app.index.bulk(bulk, BULK_TIMEOUT).await.unwrap_or_else(|error| {
        tracing::warn!(cause = chain(&error), "the index missed a redriven letter; it is made up for");
        Vec::new()
    });
    ids.into_iter().zip(outcomes).collect()
}

/// Writes into rows and receipt what the index said.
pub(super) fn settle(batch: &mut StoreBatch, outcomes: &HashMap<LogId, Outcome>) {
    let mut counts = [0_i32; 4];
    for row in &mut batch.rows {
        row.index_state = match (row.index_state, outcomes.get(&row.id)) {
            (IndexState::Pending, Some(Outcome::Indexed)) => IndexState::Indexed,
            (IndexState::Pending, Some(Outcome::Refused(_))) => IndexState::Refused,
            (state, _) => state,
        };
        counts[row.index_state as usize] += 1;
    }
    let receipt = &mut batch.receipt;
    [receipt.pending, receipt.indexed, receipt.refused, receipt.not_wanted] = counts;
    receipt.stored = counts.iter().sum();
}
