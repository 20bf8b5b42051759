//! What became of a batch: `queued`, `stored` or `indexed`.
//!
//! A batch is under way in the queue until its rows are committed, with a receipt, and then acknowledged. So the receipt is
//! asked for first, the queue next, and the receipt once more: who commits and acknowledges between the first two questions
//! is seen by the third, and no accepted batch is ever a 404.
//!
//! `indexed` means that a search finds all of it that can be found. That is more than having been written to the index: what
//! was written shows with the index's next refresh, about a second later. So the index is asked how much of the batch it
//! shows. Where it does not answer, a batch that was stored longer ago than [`SHOWN_AFTER_MS`] counts as shown, and a younger
//! one as `stored`.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared::error::{Error, Fault, Result};
use shared::ids::{BatchId, TenantId};
use shared::index::Index;
use shared::queue::{Kept, Queue};
use shared::rows::{Receipt, Rows};
use shared::timestamp;
use utoipa::IntoParams;

use crate::page::received_at;

/// Several refreshes of the index (one a second by default), in milliseconds.
const SHOWN_AFTER_MS: i64 = 10_000;

/// Longest wait, in seconds: the gateway gives up after 30.
const MAX_WAIT_S: u64 = 25;
/// Wait where no time is sent, in seconds.
const DEFAULT_WAIT_S: u64 = 10;
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Parameters of a batch.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct BatchParams {
    /// Answer when the batch is `stored`, or `indexed`: then a list, or a search, holds it.
    #[param(value_type = Option<String>, example = "indexed")]
    wait: Option<String>,
    /// Seconds after which the answer comes all the same.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 25, default = 10)]
    #[serde(deserialize_with = "shared::http::valued")]
    timeout: Option<String>,
}

impl BatchParams {
    /// What to wait for, and how long at most.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn wait(&self) -> Result<Option<(BatchState, Duration)>> {
        let seconds = self.timeout.as_deref().map_or(Some(DEFAULT_WAIT_S), |text| text.parse().ok());
        let seconds = seconds.filter(|seconds| *seconds <= MAX_WAIT_S).ok_or_else(|| Error::invalid("timeout", format!("not a number of seconds from 0 to {MAX_WAIT_S}")))?;
        match self.wait.as_deref() {
            None => Ok(None),
            Some("stored") => Ok(Some((BatchState::Stored, Duration::from_secs(seconds)))),
            Some("indexed") => Ok(Some((BatchState::Indexed, Duration::from_secs(seconds)))),
            Some(_) => Err(Error::invalid("wait", "neither `stored` nor `indexed`")),
        }
    }
}

/// How far a batch has come. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BatchState {
    /// Accepted, on disk, not yet stored.
    Queued,
    /// In lists and details.
    Stored,
    /// In searches, too: as much of it as can be.
    Indexed,
}

/// What became of a batch. Counts are null while it is queued.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BatchStatus {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    batch_id: BatchId,
    /// When it was received.
    #[schema(format = DateTime)]
    received_at: String,
    /// How far it has come.
    state: BatchState,
    /// How the queue kept it until it was stored; null while it is queued.
    durability: Option<Kept>,
    /// What became of its records.
    #[serde(flatten)]
    counts: Counts,
}

/// What became of a batch's records: `received = accepted + rejected`, `accepted = stored + dead`, `stored = indexed + pending +
/// refused + not_wanted`.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Counts {
    /// Records in the request.
    received: Option<i64>,
    /// Records accepted.
    accepted: Option<i32>,
    /// Records refused at the door.
    rejected: Option<i64>,
    /// Records that are in lists.
    stored: Option<i32>,
    /// Records that were written to the index.
    indexed: Option<i32>,
    /// Records that the index still misses.
    pending: Option<i32>,
    /// Records that the index refused for what they are: listed and readable, not found.
    refused: Option<i32>,
    /// Records that were not to be indexed.
    not_wanted: Option<i32>,
    /// Records that could not be stored: they are dead letters.
    dead: Option<i32>,
    /// Why records were refused at the door, with their positions.
    errors: Option<Vec<Fault>>,
}

/// What became of a tenant's batch, once it has come so far, or after so long.
///
/// # Errors
/// As [`status`].
pub(crate) async fn status_after(rows: &Rows, queue: &Queue, index: &Index, tenant: &TenantId, batch: BatchId, wait: Option<(BatchState, Duration)>) -> Result<BatchStatus> {
    let began = Instant::now();
    loop {
        let status = status(rows, queue, index, tenant, batch).await?;
        match wait {
            Some((state, at_most)) if status.state < state && began.elapsed() < at_most => tokio::time::sleep(LOOK_EVERY).await,
            _ => return Ok(status),
        }
    }
}

/// What became of a tenant's batch.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unavailable`] where Postgres does not answer, or there is no receipt and Redis does not.
async fn status(rows: &Rows, queue: &Queue, index: &Index, tenant: &TenantId, batch: BatchId) -> Result<BatchStatus> {
    if let Some(receipt) = rows.receipt(tenant, batch).await? {
        return stored(index, receipt, queue.now_ms()).await;
    }
    if queue.is_under_way(tenant, batch).await? {
        return Ok(BatchStatus { batch_id: batch, received_at: received_at(batch.unix_ms()), state: BatchState::Queued, durability: None, counts: Counts::default() });
    }
    let receipt = rows.receipt(tenant, batch).await?.ok_or(Error::NotFound("batch"))?;
    stored(index, receipt, queue.now_ms()).await
}

async fn stored(index: &Index, receipt: Receipt, now_ms: u64) -> Result<BatchStatus> {
    let state = if is_shown(index, &receipt, now_ms).await { BatchState::Indexed } else { BatchState::Stored };
    Ok(BatchStatus { batch_id: receipt.batch, received_at: received_at(receipt.batch.unix_ms()), state, durability: Some(Kept::of(receipt.relaxed)), counts: receipt.into() })
}

/// Whether a search finds all of the batch that it ever will.
async fn is_shown(index: &Index, receipt: &Receipt, now_ms: u64) -> bool {
    if receipt.pending > 0 || receipt.indexed == 0 {
        return receipt.pending == 0;
    }
    match index.count_batch(&receipt.tenant, receipt.batch).await {
        // At least: a record that Postgres refused may have got into the index before that.
        Ok(shown) => shown >= u64::try_from(receipt.indexed).unwrap_or_default(),
        Err(_) => i64::try_from(now_ms).unwrap_or(i64::MAX) - timestamp::from_datetime(receipt.stored_at) >= SHOWN_AFTER_MS,
    }
}

impl From<Receipt> for Counts {
    fn from(receipt: Receipt) -> Self {
        let rejected = i64::try_from(receipt.rejected.len()).unwrap_or(i64::MAX);
        Self {
            received: Some(i64::from(receipt.accepted) + rejected),
            accepted: Some(receipt.accepted),
            rejected: Some(rejected),
            stored: Some(receipt.stored),
            indexed: Some(receipt.indexed),
            pending: Some(receipt.pending),
            refused: Some(receipt.refused),
            not_wanted: Some(receipt.not_wanted),
            dead: Some(receipt.dead),
            errors: Some(receipt.rejected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_queued_batch_are_null() {
        let batch = BatchId::new(1_760_099_196_000);
        let status = BatchStatus { batch_id: batch, received_at: received_at(batch.unix_ms()), state: BatchState::Queued, durability: None, counts: Counts::default() };
        let json = serde_json::to_value(&status).expect("JSON");
        assert_eq!((&json["state"], &json["received_at"], &json["accepted"]), (&"queued".into(), &"2025-10-10T12:26:36.000Z".into(), &serde_json::Value::Null));
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(14));
    }
}
