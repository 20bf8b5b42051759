//! Receipts: what became of each accepted request, readable as long as its logs are.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Rows, StoreBatch};
use crate::error::{Engine, Fault, Result};
use crate::ids::{BatchId, TenantId};
use crate::postgres::failed;
use crate::queue::Amount;

/// What became of one accepted request. `accepted = stored + dead` and `stored = indexed + pending + refused + not_wanted`.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The batch's id.
    pub batch: BatchId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The key that sent it.
    pub key_id: Uuid,
    /// Retention class.
    pub class: String,
    /// Records accepted.
    pub accepted: i32,
    /// Records refused at the door, with position and reason.
    pub rejected: Vec<Fault>,
    /// Bytes of the body as it came over the wire.
    pub wire_bytes: i64,
    /// Bytes of the accepted records, a line each.
    pub unpacked_bytes: i64,
    /// Records that have a row.
    pub stored: i32,
    /// Records that are dead letters.
    pub dead: i32,
    /// Rows that are in the index.
    pub indexed: i32,
    /// Rows that the index still misses.
    pub pending: i32,
    /// Rows that the index refused for what they are.
    pub refused: i32,
    /// Rows that were not to be indexed.
    pub not_wanted: i32,
    /// Whether the queue that accepted it was not known to be on disk at every answer.
    pub relaxed: bool,
    /// When the rows were written.
    pub stored_at: OffsetDateTime,
}

/// A batch that the index misses logs of: what of its receipt is needed to make up for it.
#[derive(Debug, Clone)]
pub struct PendingBatch {
    /// The batch's id.
    pub batch: BatchId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Retention class.
    pub class: String,
    /// Rows that the index still misses.
    pub pending: i32,
    /// Bytes of the batch's records, a line each.
    pub unpacked_bytes: i64,
}

pub(super) async fn insert(tx: &mut PgConnection, batches: &[&StoreBatch]) -> sqlx::Result<HashSet<BatchId>> {
    // In id order, so that two who store the same batches wait for each other instead of locking each other out.
    let mut receipts: Vec<&Receipt> = batches.iter().map(|batch| &batch.receipt).collect();
    receipts.sort_unstable_by_key(|receipt| receipt.batch);
    let rejected: Vec<Json<&[Fault]>> = receipts.iter().map(|receipt| Json(receipt.rejected.as_slice())).collect();
    macro_rules! column {
        ($of:expr) => {
            receipts.iter().map($of).collect::<Vec<_>>()
        };
    }
    let fresh: Vec<Uuid> = sqlx::query_scalar(
        "insert into public.receipts (batch_id, tenant, key_id, class, accepted, rejected, wire_bytes, unpacked_bytes, stored, dead, indexed, pending, refused, not_wanted, relaxed) \
         select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::int[], $6::jsonb[], $7::bigint[], $8::bigint[], $9::int[], $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], $15::bool[]) \
         on conflict do nothing returning batch_id",
    )
    .bind(column!(|receipt| receipt.batch.uuid()))
    .bind(column!(|receipt| receipt.tenant.as_str()))
    .bind(column!(|receipt| receipt.key_id))
    .bind(column!(|receipt| receipt.class.as_str()))
    .bind(column!(|receipt| receipt.accepted))
    .bind(rejected)
    .bind(column!(|receipt| receipt.wire_bytes))
    .bind(column!(|receipt| receipt.unpacked_bytes))
    .bind(column!(|receipt| receipt.stored))
    .bind(column!(|receipt| receipt.dead))
    .bind(column!(|receipt| receipt.indexed))
    .bind(column!(|receipt| receipt.pending))
    .bind(column!(|receipt| receipt.refused))
    .bind(column!(|receipt| receipt.not_wanted))
    .bind(column!(|receipt| receipt.relaxed))
    .fetch_all(tx)
    .await?;
    Ok(fresh.into_iter().filter_map(|id| BatchId::try_from(id).ok()).collect())
}

impl Rows {
    /// The receipt of a tenant's batch, once it is stored.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn receipt(&self, tenant: &TenantId, batch: BatchId) -> Result<Option<Receipt>> {
        let row = sqlx::query("select * from public.receipts where batch_id = $1 and tenant = $2").bind(batch.uuid()).bind(tenant.as_str()).fetch_optional(&self.pool).await;
        row.and_then(|row| row.map(|row| receipt_of(&row)).transpose()).map_err(failed(Engine::Rows, "reading a receipt"))
    }

    /// What of a tenant's was received since then, as far as it is stored.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn received_since(&self, tenant: &TenantId, since: OffsetDateTime) -> Result<Amount> {
        let first = BatchId::floor(u64::try_from(crate::timestamp::from_datetime(since)).unwrap_or_default());
        let statement = "select coalesce(sum(accepted), 0)::bigint, coalesce(sum(unpacked_bytes), 0)::bigint from public.receipts where tenant = $1 and batch_id >= $2";
        let found = sqlx::query_as::<_, (i64, i64)>(statement).bind(tenant.as_str()).bind(first).fetch_one(&self.pool).await;
        let (logs, bytes) = found.map_err(failed(Engine::Rows, "adding up receipts"))?;
        Ok(Amount { logs: u64::try_from(logs).unwrap_or_default(), bytes: u64::try_from(bytes).unwrap_or_default() })
    }

    /// Batches that the index misses logs of, oldest first, from the one after `after` on.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn pending_batches(&self, after: Option<BatchId>, at_most: i64) -> Result<Vec<PendingBatch>> {
        let rows = sqlx::query("select batch_id, tenant, class, pending, unpacked_bytes from public.receipts where pending > 0 and batch_id > $1 order by batch_id limit $2")
            .bind(after.map_or(Uuid::nil(), BatchId::uuid))
            .bind(at_most)
            .fetch_all(&self.pool)
            .await;
        rows.and_then(|rows| rows.iter().map(pending_batch_of).collect()).map_err(failed(Engine::Rows, "looking for what the index missed"))
    }

    /// When the oldest batch of a tenant was received of which the index misses something, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn oldest_pending(&self, tenant: &TenantId) -> Result<Option<u64>> {
        let oldest: Option<Uuid> = sqlx::query_scalar("select batch_id from public.receipts where pending > 0 and tenant = $1 order by batch_id limit 1")
            .bind(tenant.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "looking for what the index missed"))?;
        Ok(oldest.and_then(|id| BatchId::try_from(id).ok()).map(BatchId::unix_ms))
    }

    /// When the oldest batch of a tenant was received of which the index was told something within this last while, in milliseconds
    /// since 1970: it may not show yet.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn oldest_told_within(&self, tenant: &TenantId, last: Duration) -> Result<Option<u64>> {
        // By itself the planner may walk the primary key from the oldest receipt on.
        let statement = "with told as materialized (select batch_id from public.receipts where tenant = $1 and searchable_at > now() - make_interval(secs => $2)) \
                         select batch_id from told order by batch_id limit 1";
        let oldest: Option<Uuid> = sqlx::query_scalar(statement)
            .bind(tenant.as_str())
            .bind(last.as_secs_f64())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "looking for what may not show yet"))?;
        Ok(oldest.and_then(|id| BatchId::try_from(id).ok()).map(BatchId::unix_ms))
    }
}

fn pending_batch_of(row: &PgRow) -> sqlx::Result<PendingBatch> {
    let decode = |e: crate::ids::IdError| sqlx::Error::Decode(Box::new(e));
    Ok(PendingBatch {
        batch: BatchId::try_from(row.try_get::<Uuid, _>("batch_id")?).map_err(decode)?,
        tenant: TenantId::parse(row.try_get("tenant")?).map_err(decode)?,
        class: row.try_get("class")?,
        pending: row.try_get("pending")?,
        unpacked_bytes: row.try_get("unpacked_bytes")?,
    })
}

pub(super) fn receipt_of(row: &PgRow) -> sqlx::Result<Receipt> {
    let decode = |e: crate::ids::IdError| sqlx::Error::Decode(Box::new(e));
    Ok(Receipt {
        batch: BatchId::try_from(row.try_get::<Uuid, _>("batch_id")?).map_err(decode)?,
        tenant: TenantId::parse(row.try_get("tenant")?).map_err(decode)?,
        key_id: row.try_get("key_id")?,
        class: row.try_get("class")?,
        accepted: row.try_get("accepted")?,
        rejected: row.try_get::<Json<Vec<Fault>>, _>("rejected")?.0,
        wire_bytes: row.try_get("wire_bytes")?,
        unpacked_bytes: row.try_get("unpacked_bytes")?,
        stored: row.try_get("stored")?,
        dead: row.try_get("dead")?,
        indexed: row.try_get("indexed")?,
        pending: row.try_get("pending")?,
        refused: row.try_get("refused")?,
        not_wanted: row.try_get("not_wanted")?,
        relaxed: row.try_get("relaxed")?,
        stored_at: row.try_get("stored_at")?,
    })
}
