//! Making rows again, and owning up to what the index lost.
//!
//! Receipts say how many rows a batch must have, so they say what is missing, and nothing is made that they do not count. They are
//! locked first, as by everyone who changes rows and counts.

use std::collections::{BTreeSet, HashSet};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::dead_letters::ENTRY_STAGE;
use super::partitions::ReceiptMonth;
use super::read::{PendingRow, pending_row_of};
use super::redrive::insert_missing;
use super::{NewRow, Rows, on};
use crate::error::{Engine, Result};
use crate::ids::{BatchId, LogId, TenantId};
use crate::postgres::failed;

/// A batch that has fewer rows than its receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortBatch {
    /// The batch.
    pub batch: BatchId,
    /// Rows that are not there.
    pub lacking: i64,
    /// Whether logs of it were kept out of the index.
    pub has_not_wanted: bool,
}

impl Rows {
    /// A tenant's batches from `from` on and below `to` that lack rows, in the order of their ids.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's schema is not there.
    pub async fn short_batches(&self, tenant: &TenantId, from: Uuid, to: Uuid) -> Result<Vec<ShortBatch>> {
        let statement = "select r.batch_id, r.stored - coalesce(c.rows, 0) as lacking, r.not_wanted > 0 from public.receipts r \
             left join (select overlay(id::text placing '0000' from 33)::uuid as batch_id, count(*) as rows from {schema}.log_rows where id >= $2 and id < $3 group by 1) c using (batch_id) \
             where r.tenant = $1 and r.batch_id >= $2 and r.batch_id < $3 and r.stored > coalesce(c.rows, 0) order by r.batch_id";
        let rows: Vec<(Uuid, i64, bool)> =
            sqlx::query_as(on(tenant, statement)).bind(tenant.as_str()).bind(from).bind(to).fetch_all(&self.pool).await.map_err(failed(Engine::Rows, "looking for lost rows"))?;
        Ok(rows.into_iter().filter_map(|(batch, lacking, has_not_wanted)| Some(ShortBatch { batch: BatchId::try_from(batch).ok()?, lacking, has_not_wanted })).collect())
    }

    /// Makes rows again, in one transaction, and counts in the receipts what they now say of the index. Left out are rows that are
    /// there, that belong to no receipt of the tenant's, and that are dead letters, discarded ones too. Answers how many were made.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] for weather; [`crate::error::Error::Internal`] where a statement fails for what it says.
    /// Then nothing is written.
    pub async fn remake(&self, tenant: &TenantId, rows: &[NewRow]) -> Result<u64> {
        let months: BTreeSet<ReceiptMonth> = rows.iter().map(|row| ReceiptMonth::of(row.id.unix_ms())).collect();
        for month in months {
            self.ensure_partition(tenant.as_str(), "log_rows", month).await?;
        }
        self.try_remake(tenant, rows).await.map_err(failed(Engine::Rows, "making rows again"))
    }

    async fn try_remake(&self, tenant: &TenantId, rows: &[NewRow]) -> sqlx::Result<u64> {
        let batches: BTreeSet<Uuid> = rows.iter().map(|row| row.id.batch().uuid()).collect();
        let batches: Vec<Uuid> = batches.into_iter().collect();
        let mut tx = self.pool.begin().await?;
        let receipts: HashSet<Uuid> = sqlx::query_scalar("select batch_id from public.receipts where batch_id = any($1) and tenant = $2 order by batch_id for update")
            .bind(&batches)
            .bind(tenant.as_str())
            .fetch_all(&mut *tx)
            .await?
            .into_iter()
            .collect();
        let dead = dead_of(&mut tx, &batches).await?;
        let is_due = |id: LogId| receipts.contains(&id.batch().uuid()) && !dead.logs.contains(&id.uuid()) && !dead.batches.contains(&id.batch().uuid());
        let due: Vec<&NewRow> = rows.iter().filter(|row| is_due(row.id)).collect();
        let made = if due.is_empty() { 0 } else { insert_missing(&mut tx, tenant, &due).await? };
        if made > 0 {
            recount(&mut tx, tenant, &batches).await?;
        }
        tx.commit().await?;
        Ok(made)
    }

    /// Owns up to logs that the index lost: those that were in it are pending again, and are made up for as any others are. Answers
    /// how many were.
    ///
    /// # Errors
    /// As [`Rows::remake`].
    pub async fn mark_lost_by_index(&self, tenant: &TenantId, logs: &[LogId]) -> Result<u64> {
        self.try_mark_lost(tenant, logs).await.map_err(failed(Engine::Rows, "noting what the index lost"))
    }

    async fn try_mark_lost(&self, tenant: &TenantId, logs: &[LogId]) -> sqlx::Result<u64> {
        let batches: BTreeSet<Uuid> = logs.iter().map(|log| log.batch().uuid()).collect();
        let batches: Vec<Uuid> = batches.into_iter().collect();
        let ids: Vec<Uuid> = logs.iter().map(|log| log.uuid()).collect();
        let mut tx = self.pool.begin().await?;
        sqlx::query("select 1 from public.receipts where batch_id = any($1) order by batch_id for update").bind(&batches).execute(&mut *tx).await?;
        // The bounds are for the planner, as where logs are settled.
        let statement = "update {schema}.log_rows set index_state = 0 where id = any($1) and id between $2 and $3 and index_state = 1";
        let (first, last) = (ids.iter().min().copied(), ids.iter().max().copied());
        let marked = sqlx::query(on(tenant, statement)).bind(&ids).bind(first).bind(last).execute(&mut *tx).await?.rows_affected();
        recount(&mut tx, tenant, &batches).await?;
        tx.commit().await?;
        Ok(marked)
    }

    /// A tenant's logs that were not wanted in the index, from `from` on and below `to`, in the order of their ids, at most so many.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's schema is not there.
    pub async fn not_wanted(&self, tenant: &TenantId, from: Uuid, to: Uuid, limit: i64) -> Result<Vec<PendingRow>> {
        let statement = "select r.id, o.path, r.raw_offset, r.raw_length from {schema}.log_rows r join {schema}.objects o on o.id = r.object_id \
             where r.id >= $1 and r.id < $2 and r.index_state = 3 order by r.id limit $3";
        let rows = sqlx::query(on(tenant, statement)).bind(from).bind(to).bind(limit).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(pending_row_of).collect()).map_err(failed(Engine::Rows, "reading what was not wanted in the index"))
    }

    /// Has logs indexed that were not wanted in it, of which each is given with the bytes of its record, its line's end counted in: they are pending,
    /// and made up for as any others are. What they come to is counted as used, in the transaction that changes them, and so once. Answers how many
    /// there were.
    ///
    /// # Errors
    /// As [`Rows::remake`].
    pub async fn want_indexed(&self, tenant: &TenantId, logs: &[(LogId, i64)]) -> Result<u64> {
        self.try_want_indexed(tenant, logs).await.map_err(failed(Engine::Rows, "having logs indexed"))
    }

    async fn try_want_indexed(&self, tenant: &TenantId, logs: &[(LogId, i64)]) -> sqlx::Result<u64> {
        let batches: BTreeSet<Uuid> = logs.iter().map(|(log, _)| log.batch().uuid()).collect();
        let batches: Vec<Uuid> = batches.into_iter().collect();
        let (ids, bytes): (Vec<Uuid>, Vec<i64>) = logs.iter().map(|(log, bytes)| (log.uuid(), *bytes)).unzip();
        let mut tx = self.pool.begin().await?;
        sqlx::query("select 1 from public.receipts where batch_id = any($1) order by batch_id for update").bind(&batches).execute(&mut *tx).await?;
        let (first, last) = (ids.iter().min().copied(), ids.iter().max().copied());
        // Of the hour of receipt, and of the key, as where it was stored.
        let statement = "with wanted as ( \
                 update {schema}.log_rows set index_state = 0 where id = any($1) and id between $3 and $4 and index_state = 3 returning id, service \
             ), measured as ( \
                 select w.id, w.service, m.bytes, overlay(w.id::text placing '0000' from 33)::uuid as batch from wanted w join unnest($1::uuid[], $2::int8[]) as m (id, bytes) using (id) \
             ), counted as ( \
                 insert into public.usage_new (tenant, hour, key_id, service, indexed_bytes) \
                 select r.tenant, date_bin('1 hour', to_timestamp(('x' || left(replace(r.batch_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0), '1970-01-01Z'), r.key_id, m.service, \
                        sum(m.bytes)::int8 \
                 from measured m join public.receipts r on r.batch_id = m.batch group by 1, 2, 3, 4 \
             ) select count(*) from wanted";
        let wanted: i64 = sqlx::query_scalar(on(tenant, statement)).bind(&ids).bind(&bytes).bind(first).bind(last).fetch_one(&mut *tx).await?;
        recount(&mut tx, tenant, &batches).await?;
        tx.commit().await?;
        Ok(u64::try_from(wanted).unwrap_or_default())
    }

    /// How many of a tenant's rows the index still misses.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn pending_logs(&self, tenant: &TenantId) -> Result<i64> {
        sqlx::query_scalar("select coalesce(sum(pending), 0) from public.receipts where pending > 0 and tenant = $1")
            .bind(tenant.as_str())
            .fetch_one(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "counting what the index misses"))
    }
}

/// What of some batches is dead: single logs, and batches as a whole.
struct Dead {
    logs: HashSet<Uuid>,
    batches: HashSet<Uuid>,
}

async fn dead_of(tx: &mut PgConnection, batches: &[Uuid]) -> sqlx::Result<Dead> {
    let letters: Vec<(Uuid, Uuid, String)> = sqlx::query_as("select id, batch_id, stage from public.dead_letters where batch_id = any($1)").bind(batches).fetch_all(tx).await?;
    let (entries, logs): (Vec<_>, Vec<_>) = letters.into_iter().partition(|(_, _, stage)| stage == ENTRY_STAGE);
    Ok(Dead { logs: logs.into_iter().map(|(id, ..)| id).collect(), batches: entries.into_iter().map(|(_, batch, _)| batch).collect() })
}

/// Counts in receipts what their rows say. What a receipt counts and no row stands for stays counted as indexed: it is missing, and
/// an audit says so.
async fn recount(tx: &mut PgConnection, tenant: &TenantId, batches: &[Uuid]) -> sqlx::Result<()> {
    let statement = "with counted as ( \
             select overlay(id::text placing '0000' from 33)::uuid as batch_id, count(*) filter (where index_state = 0) as pending, \
                    count(*) filter (where index_state = 2) as refused, count(*) filter (where index_state = 3) as not_wanted \
             from {schema}.log_rows join unnest($1::uuid[]) as b (batch) on id >= b.batch and id < overlay(b.batch::text placing 'ffff' from 33)::uuid group by 1 \
         ) \
         update public.receipts r set searchable_at = now(), pending = c.pending, refused = c.refused, not_wanted = c.not_wanted, indexed = r.stored - c.pending - c.refused - c.not_wanted \
         from counted c where r.batch_id = c.batch_id and r.batch_id = any($1)";
    sqlx::query(on(tenant, statement)).bind(batches).execute(tx).await.map(drop)
}
