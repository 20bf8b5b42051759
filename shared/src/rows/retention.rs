//! What goes because its days are over: partitions, counts, dead letters and the names of raw objects; and how much that is.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::partitions::ReceiptMonth;
use super::read::BEGIN_READING;
use super::{Rows, on};
use crate::error::{Engine, Result};
use crate::ids::{BatchId, TenantId};
use crate::postgres::{BEGIN_WRITING, failed};
use crate::timestamp;

/// Dropping a partition locks its table: readers and writers wait no longer than this, and the next run tries again.
const BEGIN_DROPPING: &str = "begin; set local lock_timeout = '2s'";

/// Logs of a tenant, counted and measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct HeldLogs {
    /// Logs that were stored.
    pub stored: i64,
    /// Of those, the ones that are in the index, or on their way there.
    pub indexed: i64,
    /// Dead letters.
    pub dead: i64,
    /// Bytes of the records that are in the index, or on their way there.
    pub indexed_bytes: i64,
    /// Bytes of raw.
    pub raw_bytes: i64,
}

impl Rows {
    /// Drops a tenant's partitions of months that ended before a moment, in milliseconds since 1970, and the counts of what was received before
    /// it. Answers how many partitions were dropped.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's table is locked for long.
    pub async fn drop_before(&self, tenant: &TenantId, unix_ms: u64) -> Result<u64> {
        let fail = failed(Engine::Rows, "dropping what is over");
        let names: Vec<String> = sqlx::query_scalar(
            "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = to_regclass(quote_ident($1) || '.log_rows') order by 1",
        )
        .bind(tenant.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(&fail)?;
        // The month of the moment itself is still going on.
        let first_kept = ReceiptMonth::of(unix_ms).partition_of("log_rows");
        let mut dropped = 0;
        for name in names.iter().filter(|name| **name < first_kept && name.starts_with("log_rows_")) {
            let mut tx = self.pool.begin_with(BEGIN_DROPPING).await.map_err(&fail)?;
            sqlx::query(AssertSqlSafe(format!("drop table if exists \"{tenant}\".{name}"))).execute(&mut *tx).await.map_err(&fail)?;
            tx.commit().await.map_err(&fail)?;
            dropped += 1;
        }
        if dropped > 0 {
            self.forget_partitions();
        }
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        forget_counts(&mut tx, tenant, unix_ms).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(dropped)
    }

    /// Removes a tenant's dead letters of what was received before a moment, in milliseconds since 1970. Answers how many.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn remove_letters_before(&self, tenant: &TenantId, unix_ms: u64) -> Result<u64> {
        let statement = "delete from public.dead_letters where tenant = $1 and id < $2";
        let done = sqlx::query(statement).bind(tenant.as_str()).bind(BatchId::floor(unix_ms)).execute(&self.pool).await;
        done.map(|done| done.rows_affected()).map_err(failed(Engine::Rows, "removing dead letters"))
    }

    /// Forgets the names of a tenant's raw objects of days before a moment, in milliseconds since 1970. Answers how many.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's schema is not there.
    pub async fn forget_objects_before(&self, tenant: &TenantId, unix_ms: u64) -> Result<u64> {
        let day = timestamp::to_datetime(i64::try_from(unix_ms).unwrap_or(timestamp::MAX)).date();
        let written = format!("{:04}/{:02}/{:02}", day.year(), u8::from(day.month()), day.day());
        // `.../yyyy/mm/dd/owner/id.ndjson.zst`, whatever stands before it.
        let statement = on(tenant, r"delete from {schema}.objects where substring(path from '(\d{4}/\d{2}/\d{2})/[^/]+/[^/]+$') < $1");
        let done = sqlx::query(statement).bind(written).execute(&self.pool).await;
        done.map(|done| done.rows_affected()).map_err(failed(Engine::Rows, "forgetting raw objects"))
    }

    /// How much of a tenant was received from one moment on and before another, in milliseconds since 1970: as its receipts and its usage say.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn held_between(&self, tenant: &TenantId, from_ms: u64, to_ms: u64) -> Result<HeldLogs> {
        let statement = "with counted as ( \
                 select coalesce(sum(stored), 0)::int8 as stored, coalesce(sum(indexed + pending), 0)::int8 as indexed from public.receipts \
                 where tenant = $1 and batch_id >= $2 and batch_id < $3 \
             ), letters as ( \
                 select coalesce(sum(records), 0)::int8 as dead from public.dead_letters where tenant = $1 and id >= $2 and id < $3 and discarded_at is null \
             ), measured as ( \
                 select coalesce(sum(indexed_bytes), 0)::int8 as indexed_bytes, coalesce(sum(raw_bytes), 0)::int8 as raw_bytes from ( \
                     select indexed_bytes, raw_bytes from public.usage_hours where tenant = $1 and hour >= $4 and hour < $5 \
                     union all select indexed_bytes, raw_bytes from public.usage_new where tenant = $1 and hour >= $4 and hour < $5) u \
             ) select * from counted, letters, measured";
        let (from, to): (Uuid, Uuid) = (BatchId::floor(from_ms), BatchId::floor(to_ms));
        let at = |ms: u64| timestamp::to_datetime(i64::try_from(ms).unwrap_or(timestamp::MAX));
        let fail = failed(Engine::Rows, "counting what would go");
        let mut tx = self.pool.begin_with(BEGIN_READING).await.map_err(&fail)?;
        sqlx::query_as(statement).bind(tenant.as_str()).bind(from).bind(to).bind(at(from_ms)).bind(at(to_ms)).fetch_one(&mut *tx).await.map_err(fail)
    }

    /// Gives up indexing what was received of a tenant before a moment, in milliseconds since 1970, and is pending still: it is over for the index.
    /// Answers how many batches that concerned.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's table is locked or not there.
    pub async fn give_up_pending(&self, tenant: &TenantId, unix_ms: u64) -> Result<u64> {
        let fail = failed(Engine::Rows, "giving up what is pending");
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        let batches: Vec<Uuid> = sqlx::query_scalar("select batch_id from public.receipts where tenant = $1 and pending > 0 and batch_id < $2 order by batch_id for update")
            .bind(tenant.as_str())
            .bind(BatchId::floor(unix_ms))
            .fetch_all(&mut *tx)
            .await
            .map_err(&fail)?;
        if batches.is_empty() {
            return Ok(0);
        }
        let rows = "update {schema}.log_rows r set index_state = 3 from unnest($1::uuid[]) as b (batch) \
             where r.id between b.batch and overlay(b.batch::text placing 'ffff' from 33)::uuid and r.index_state = 0";
        sqlx::query(on(tenant, rows)).bind(&batches).execute(&mut *tx).await.map_err(&fail)?;
        let receipts = "update public.receipts set not_wanted = not_wanted + pending, pending = 0 where batch_id = any($1)";
        sqlx::query(receipts).bind(&batches).execute(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(batches.len() as u64)
    }
}

/// Of the counts that were added up only, and in the order in which they are: those of the last minute go another day.
async fn forget_counts(tx: &mut PgConnection, tenant: &TenantId, unix_ms: u64) -> sqlx::Result<()> {
    let day = timestamp::to_datetime(i64::try_from(unix_ms).unwrap_or(timestamp::MAX)).date();
    let statement = "with over as ( \
             select ctid from public.hourly_counts where tenant = $1 and received < $2 order by hour, service, level, language, received for update \
         ) delete from public.hourly_counts c using over where c.ctid = over.ctid";
    sqlx::query(statement).bind(tenant.as_str()).bind(day).execute(tx).await.map(drop)
}
