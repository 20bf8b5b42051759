//! What tenants use, by the hour in which it was received, key and service.
//!
//! Who stores rows writes what they come to in the same transaction, so a batch that is processed twice counts once, and what is read here is
//! what was really stored. Lines are only ever added; maintenance adds those of the same hour up. A bill marks what it takes with its id, once
//! ([`Rows::take_usage`]), and what bears a mark never changes: the database refuses it.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{AssertSqlSafe, FromRow, QueryBuilder};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::hourly::HOUR_MS;
use super::{IndexState, Rows, StoreBatch, on};
use crate::billing::month::Month;
use crate::billing::usage::{Meter, Usage};
use crate::error::{Engine, Result};
use crate::ids::{BatchId, TenantId};
use crate::postgres::{BEGIN_WRITING, failed};
use crate::retention::Horizon;
use crate::timestamp::{self, UnixMs};

/// The columns that are added up.
const COUNTED: &str = "logs, wire_bytes, bytes, indexed_bytes, raw_bytes, searches, rows_byte_days, index_byte_days, raw_byte_days";
/// What a [`Usage`] is read from.
const USAGE: &str = "coalesce(sum(logs), 0)::int8 as logs, coalesce(sum(wire_bytes), 0)::int8 as wire_bytes, coalesce(sum(bytes), 0)::int8 as bytes, \
     coalesce(sum(indexed_bytes), 0)::int8 as indexed_bytes, coalesce(sum(searches), 0)::int8 as searches, coalesce(sum(rows_byte_days), 0)::int8 as rows_byte_days, \
     coalesce(sum(index_byte_days), 0)::int8 as index_byte_days, coalesce(sum(raw_byte_days), 0)::int8 as raw_byte_days";

/// Whether the bytes on the wire of a batch count with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// They do.
    Counts,
    /// They have been counted before.
    IsCounted,
}

/// Searches that a process counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// Who searched.
    pub tenant: TenantId,
    /// By which key; `None` for a person.
    pub key_id: Option<Uuid>,
    /// In which hour: its first moment.
    pub hour: UnixMs,
    /// How often.
    pub searches: i64,
}

/// How wide the steps of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// An hour.
    Hour,
    /// A day, UTC.
    Day,
    /// A month, UTC.
    Month,
}

impl Interval {
    /// Its name, as Postgres' `date_trunc` knows it, too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The interval of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Hour, Self::Day, Self::Month].into_iter().find(|interval| interval.as_str() == name)
    }
}

/// By what usage is told apart, beside time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grouping {
    /// By service.
    pub service: bool,
    /// By key.
    pub key: bool,
}

/// Which usage is asked for: of whole hours.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// The first hour.
    pub from: OffsetDateTime,
    /// The hour that does not belong to it any more.
    pub to: OffsetDateTime,
    /// How wide the steps are.
    pub interval: Interval,
    /// By what it is told apart.
    pub by: Grouping,
    /// What comes after these: the step, the service, the key.
    pub after: Option<(OffsetDateTime, Option<String>, Option<Uuid>)>,
}

/// What was used in one step, of one service and by one key where those are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Used {
    /// Where the step begins.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// The service; `null` for what is of none, such as searches, or where services are not told apart.
    pub service: Option<String>,
    /// The key; `null` for what is of none, such as what lies in the stores, or where keys are not told apart.
    pub key_id: Option<Uuid>,
    /// What was used.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub used: Usage,
}

/// An hour of a bill's line.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct BilledHour {
    /// Its first moment.
    pub hour: OffsetDateTime,
    /// What was counted in it.
    pub counted: i64,
}

/// A batch of an hour, as its receipt tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct BatchUsed {
    /// The batch's id.
    pub batch_id: Uuid,
    /// The key that sent it.
    pub key_id: Uuid,
    /// Records that were accepted.
    pub accepted: i32,
    /// Those that were stored, which count.
    pub stored: i32,
    /// Those that could not be, which do not.
    pub dead: i32,
    /// Bytes of the body as it came over the wire.
    pub wire_bytes: i64,
    /// Bytes of the accepted records, a line each.
    pub unpacked_bytes: i64,
}

#[derive(Debug, Default)]
struct Counts {
    logs: i64,
    wire_bytes: i64,
    bytes: i64,
    indexed_bytes: i64,
    raw_bytes: i64,
}

/// Adds what the rows of these batches come to, in the transaction that stores them: one statement, a line for each tenant, hour, key and
/// service. A batch none of whose records could be stored costs nothing.
pub(super) async fn add(tx: &mut PgConnection, batches: &[&StoreBatch], wire: Wire) -> sqlx::Result<()> {
    let counts = count(batches, wire);
    if counts.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($of:expr) => {
            counts.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "insert into public.usage_new (tenant, hour, key_id, service, logs, wire_bytes, bytes, indexed_bytes, raw_bytes) \
         select * from unnest($1::text[], $2::timestamptz[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])",
    )
    .bind(column!(|((tenant, ..), _)| *tenant))
    .bind(column!(|((_, hour, ..), _)| timestamp::to_datetime(*hour)))
    .bind(column!(|((_, _, key, _), _)| *key))
    .bind(column!(|((.., service), _)| *service))
    .bind(column!(|(_, counts)| counts.logs))
    .bind(column!(|(_, counts)| counts.wire_bytes))
    .bind(column!(|(_, counts)| counts.bytes))
    .bind(column!(|(_, counts)| counts.indexed_bytes))
    .bind(column!(|(_, counts)| counts.raw_bytes))
    .execute(tx)
    .await
    .map(drop)
}

fn count<'a>(batches: &[&'a StoreBatch], wire: Wire) -> BTreeMap<(&'a str, UnixMs, Uuid, &'a str), Counts> {
    let mut all: BTreeMap<(&str, UnixMs, Uuid, &str), Counts> = BTreeMap::new();
    // Frames never mix tenants, and rows that lie in the same one mostly follow each other.
    let mut frames: HashSet<(&str, i32)> = HashSet::new();
    let mut last = None;
    for batch in batches {
        let mut services: BTreeMap<&str, Counts> = BTreeMap::new();
        for row in &batch.rows {
            let counts = services.entry(row.service.as_str()).or_default();
            counts.logs += 1;
            counts.bytes += row.bytes;
            // What the index has not taken yet it is going to; what it refused for what it is, or was never to have, does not count.
            if matches!(row.index_state, IndexState::Pending | IndexState::Indexed) {
                counts.indexed_bytes += row.bytes;
            }
            let frame = Some((&*row.raw_path, row.raw_offset));
            if frame != last {
                last = frame;
                if frames.insert((&*row.raw_path, row.raw_offset)) {
                    counts.raw_bytes += i64::from(row.raw_length);
                }
            }
        }
        if wire == Wire::Counts {
            split(batch.receipt.wire_bytes, &mut services);
        }
        let hour = i64::try_from(batch.receipt.batch.unix_ms()).unwrap_or(timestamp::MAX).div_euclid(HOUR_MS) * HOUR_MS;
        for (service, counts) in services {
            let sum = all.entry((batch.receipt.tenant.as_str(), hour, batch.receipt.key_id, service)).or_default();
            sum.logs += counts.logs;
            sum.wire_bytes += counts.wire_bytes;
            sum.bytes += counts.bytes;
            sum.indexed_bytes += counts.indexed_bytes;
            sum.raw_bytes += counts.raw_bytes;
        }
    }
    all
}

/// Splits the bytes on the wire of a batch by the bytes of its services' records; the parts add up to the whole.
fn split(wire_bytes: i64, services: &mut BTreeMap<&str, Counts>) {
    let all: i128 = services.values().map(|counts| i128::from(counts.bytes)).sum();
    let (mut reached, mut given) = (0_i128, 0_i64);
    for counts in services.values_mut() {
        reached += i128::from(counts.bytes);
        let up_to_here = i64::try_from(i128::from(wire_bytes) * reached / all.max(1)).unwrap_or(i64::MAX);
        counts.wire_bytes = up_to_here - given;
        given = up_to_here;
    }
}

impl Rows {
    /// Adds searches that a process counted.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`]: nothing was added.
    pub async fn add_searches(&self, searched: &[Searched]) -> Result<()> {
        macro_rules! column {
            ($of:expr) => {
                searched.iter().map($of).collect::<Vec<_>>()
            };
        }
        let statement = "insert into public.usage_new (tenant, hour, key_id, searches) select * from unnest($1::text[], $2::timestamptz[], $3::uuid[], $4::bigint[])";
        let done = sqlx::query(statement)
            .bind(column!(|one| one.tenant.as_str()))
            .bind(column!(|one| timestamp::to_datetime(one.hour.div_euclid(HOUR_MS) * HOUR_MS)))
            .bind(column!(|one| one.key_id))
            .bind(column!(|one| one.searches))
            .execute(&self.pool)
            .await;
        done.map(drop).map_err(failed(Engine::Rows, "counting searches"))
    }

    /// Adds up the lines that storing left, and answers how many.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn add_up_usage(&self) -> Result<u64> {
        let fail = failed(Engine::Rows, "adding up usage");
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        // Past what another is at, and in one order, as where logs are counted by the hour.
        let statement = format!(
            "with taken as (select ctid from public.usage_new for update skip locked), \
             gone as (delete from public.usage_new n using taken where n.ctid = taken.ctid returning n.*), {ADDED} select count(*) from gone"
        );
        let gone: i64 = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(u64::try_from(gone).unwrap_or_default())
    }

    /// Has a bill take the usage of a tenant's hours from `from` on and before the end of `month` that no other took: once. Done again, by
    /// whoever, it takes nothing more, so that what came in between counts in the next bill.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`]: nothing was taken.
    pub async fn take_usage(&self, tenant: &TenantId, bill: Uuid, from: Month, month: Month) -> Result<()> {
        let fail = failed(Engine::Rows, "taking the usage of a month");
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        let once = "insert into public.usage_bills (bill, tenant, month) values ($1, $2, $3) on conflict do nothing";
        let first = sqlx::query(once).bind(bill).bind(tenant.as_str()).bind(month.first_day()).execute(&mut *tx).await.map_err(&fail)?;
        if first.rows_affected() == 0 {
            return tx.rollback().await.map_err(fail);
        }
        // Waits for who adds up the same lines: they are where the next statement finds them.
        let statement = format!("with gone as (delete from public.usage_new where tenant = $1 and hour >= $2 and hour < $3 returning *), {ADDED} select count(*) from gone");
        sqlx::query(AssertSqlSafe(statement)).bind(tenant.as_str()).bind(from.begin()).bind(month.end()).execute(&mut *tx).await.map_err(&fail)?;
        sqlx::query("update public.usage_hours set bill = $4 where tenant = $1 and hour >= $2 and hour < $3 and bill is null")
            .bind(tenant.as_str())
            .bind(from.begin())
            .bind(month.end())
            .bind(bill)
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// What a bill took.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn usage_of_bill(&self, bill: Uuid) -> Result<Usage> {
        sqlx::query_as(AssertSqlSafe(format!("select {USAGE} from public.usage_hours where bill = $1")))
            .bind(bill)
            .fetch_one(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "adding up a bill"))
    }

    /// The hours in which a meter counted what a bill took, after `after`, the oldest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn hours_of_bill(&self, bill: Uuid, meter: Meter, after: Option<OffsetDateTime>, limit: i64) -> Result<Vec<BilledHour>> {
        let column = meter.as_str();
        let statement = format!(
            "select hour, sum({column})::int8 as counted from public.usage_hours where bill = $1 and {column} <> 0 and ($2::timestamptz is null or hour > $2) \
             group by hour order by hour limit $3"
        );
        sqlx::query_as(AssertSqlSafe(statement)).bind(bill).bind(after).bind(limit).fetch_all(&self.pool).await.map_err(failed(Engine::Rows, "reading the hours of a bill"))
    }

    /// Batches that a tenant sent in an hour, after `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn batches_of_hour(&self, tenant: &TenantId, hour: OffsetDateTime, key: Option<Uuid>, after: Option<Uuid>, limit: i64) -> Result<Vec<BatchUsed>> {
        let begin = u64::try_from(timestamp::from_datetime(hour)).unwrap_or_default();
        let end = begin.saturating_add(HOUR_MS.unsigned_abs());
        // By the primary key, whose first bits are the time: one hour of all tenants at most is looked at.
        let statement = "select batch_id, key_id, accepted, stored, dead, wire_bytes, unpacked_bytes from public.receipts \
             where batch_id >= $2 and batch_id < $3 and batch_id > $4 and tenant = $1 and ($5::uuid is null or key_id = $5) order by batch_id limit $6";
        sqlx::query_as(statement)
            .bind(tenant.as_str())
            .bind(BatchId::floor(begin))
            .bind(BatchId::floor(end))
            .bind(after.unwrap_or_default())
            .bind(key)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "reading the batches of an hour"))
    }

    /// What a tenant used, step by step: all that was stored by now.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn usage(&self, tenant: &TenantId, query: &UsageQuery, limit: i64) -> Result<Vec<Used>> {
        let column = |by: bool, column: &'static str| if by { column } else { "null" };
        let (service, key) = (column(query.by.service, "service"), column(query.by.key, "key_id"));
        let mut sql = QueryBuilder::new(format!(
            "select * from (select date_trunc('{}', hour, 'UTC') as \"from\", {service}::text as service, {key}::uuid as key_id, {USAGE} from ",
            query.interval.as_str()
        ));
        push_usage(&mut sql, tenant, query.from, query.to);
        // Without what nothing was counted of, and in an order in which null comes first.
        sql.push(" group by 1, 2, 3) steps where (logs, wire_bytes, bytes, searches, rows_byte_days, index_byte_days, raw_byte_days) <> (0, 0, 0, 0, 0, 0, 0)");
        if let Some((from, service, key)) = &query.after {
            sql.push(" and (\"from\", service is not null, coalesce(service, ''), key_id is not null, coalesce(key_id, '00000000-0000-0000-0000-000000000000')) > (");
            sql.push_bind(*from).push(", ").push_bind(service.is_some()).push(", ").push_bind(service.clone().unwrap_or_default());
            sql.push(", ").push_bind(key.is_some()).push(", ").push_bind(key.unwrap_or_default()).push(")");
        }
        sql.push(" order by \"from\", service is not null, coalesce(service, ''), key_id is not null, coalesce(key_id, '00000000-0000-0000-0000-000000000000') limit ");
        sql.push_bind(limit);
        sql.build_query_as().fetch_all(&self.pool).await.map_err(failed(Engine::Rows, "reading usage"))
    }

    /// What a tenant used in a time, as a whole.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn usage_between(&self, tenant: &TenantId, from: OffsetDateTime, to: OffsetDateTime) -> Result<Usage> {
        let mut sql = QueryBuilder::new(format!("select {USAGE} from "));
        push_usage(&mut sql, tenant, from, to);
        sql.build_query_as().fetch_one(&self.pool).await.map_err(failed(Engine::Rows, "reading usage"))
    }

    /// What a tenant used in a time and no bill has taken.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn usage_not_billed(&self, tenant: &TenantId, from: OffsetDateTime, to: OffsetDateTime) -> Result<Usage> {
        let statement = format!(
            "select {USAGE} from (select {COUNTED} from public.usage_hours where tenant = $1 and hour >= $2 and hour < $3 and bill is null \
             union all select {COUNTED} from public.usage_new where tenant = $1 and hour >= $2 and hour < $3) u"
        );
        sqlx::query_as(AssertSqlSafe(statement)).bind(tenant.as_str()).bind(from).bind(to).fetch_one(&self.pool).await.map_err(failed(Engine::Rows, "reading usage"))
    }

    /// Tenants whose storage was not sampled on that day.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn not_sampled(&self, day: Date) -> Result<Vec<TenantId>> {
        let statement = "select tenant from public.schemas s where dropped_at is null \
             and not exists (select 1 from public.storage_samples d where d.tenant = s.tenant and d.day = $1) order by tenant";
        let names: Vec<String> = sqlx::query_scalar(statement).bind(day).fetch_all(&self.pool).await.map_err(failed(Engine::Rows, "looking for what is to be sampled"))?;
        Ok(names.iter().filter_map(|name| TenantId::parse(name).ok()).collect())
    }

    /// Counts what lies in each store of a tenant for a day, once. The rows as Postgres measures them, with their indexes. Of the index, which
    /// tenants share, the bytes of the records that were sent to it, and of raw the bytes of the frames that were put: as usage counted them, of
    /// what has not gone (`kept`).
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's schema cannot be measured.
    pub async fn sample_storage(&self, tenant: &TenantId, day: Date, kept: Horizon) -> Result<bool> {
        let fail = failed(Engine::Rows, "sampling storage");
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        let statement = on(
            tenant,
            "with once as (insert into public.storage_samples (tenant, day) values ($1, $2) on conflict do nothing returning 1), \
             measured as ( \
                 select coalesce(sum(pg_total_relation_size(relid)), 0)::int8 as bytes from pg_partition_tree(to_regclass('{schema}.log_rows')) \
             ), received as ( \
                 select coalesce(sum(indexed_bytes) filter (where hour >= $5), 0)::int8 as indexed_bytes, coalesce(sum(raw_bytes), 0)::int8 as raw_bytes from ( \
                     select hour, indexed_bytes, raw_bytes from public.usage_hours where tenant = $1 and hour >= $6 and hour < $3 \
                     union all select hour, indexed_bytes, raw_bytes from public.usage_new where tenant = $1 and hour >= $6 and hour < $3) u \
             ) insert into public.usage_new (tenant, hour, rows_byte_days, index_byte_days, raw_byte_days) \
             select $1, $4, measured.bytes, received.indexed_bytes, received.raw_bytes from once, measured, received",
        );
        let (begin, end) = (day.midnight().assume_utc(), day.next_day().unwrap_or(day).midnight().assume_utc());
        let since = |ms: u64| timestamp::to_datetime(i64::try_from(ms).unwrap_or(timestamp::MAX));
        let sample = sqlx::query(statement).bind(tenant.as_str()).bind(day).bind(end).bind(begin).bind(since(kept.index)).bind(since(kept.raw));
        let done = sample.execute(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() > 0)
    }
}

/// Adds the lines of `gone` to those of their hours that no bill took.
const ADDED: &str = "added as ( \
     insert into public.usage_hours as h (tenant, hour, key_id, service, logs, wire_bytes, bytes, indexed_bytes, raw_bytes, searches, rows_byte_days, index_byte_days, raw_byte_days) \
     select tenant, hour, key_id, service, sum(logs)::int8, sum(wire_bytes)::int8, sum(bytes)::int8, sum(indexed_bytes)::int8, sum(raw_bytes)::int8, sum(searches)::int8, \
            sum(rows_byte_days)::int8, sum(index_byte_days)::int8, sum(raw_byte_days)::int8 \
     from gone group by 1, 2, 3, 4 order by 1, 2, 3, 4 \
     on conflict on constraint usage_hours_once do update set logs = h.logs + excluded.logs, wire_bytes = h.wire_bytes + excluded.wire_bytes, bytes = h.bytes + excluded.bytes, \
            indexed_bytes = h.indexed_bytes + excluded.indexed_bytes, raw_bytes = h.raw_bytes + excluded.raw_bytes, searches = h.searches + excluded.searches, \
            rows_byte_days = h.rows_byte_days + excluded.rows_byte_days, index_byte_days = h.index_byte_days + excluded.index_byte_days, \
            raw_byte_days = h.raw_byte_days + excluded.raw_byte_days)";

/// Adds all lines of a tenant's hours, added up or not, billed or not.
fn push_usage(sql: &mut QueryBuilder<Postgres>, tenant: &TenantId, from: OffsetDateTime, to: OffsetDateTime) {
    for (nth, table) in ["usage_hours", "usage_new"].into_iter().enumerate() {
        sql.push(if nth == 0 { "(" } else { " union all " });
        sql.push(format!("select hour, service, key_id, {COUNTED} from public.{table} where tenant = "));
        sql.push_bind(tenant.to_string()).push(" and hour >= ").push_bind(from).push(" and hour < ").push_bind(to);
    }
    sql.push(") u");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::rows::{NewRow, Receipt};
    use proptest::prelude::*;

    fn batch(wire_bytes: i64, rows: &[(&str, IndexState, &str, i32)]) -> StoreBatch {
        let batch = BatchId::new(1_760_099_196_000);
        let row = |(position, (service, state, path, offset)): (u16, &(&str, IndexState, &str, i32))| {
            let line = format!(r#"{{"service":"{service}","message":"m"}}"#);
            let record = Record::parse(line.as_bytes()).expect("a record");
            NewRow { raw_offset: *offset, raw_length: 100, ..NewRow::new(batch.log(position), &record, line.as_bytes(), (*path).into(), *state) }
        };
        let receipt = Receipt {
            batch,
            tenant: TenantId::parse("tenant_a").expect("an id"),
            key_id: Uuid::nil(),
            class: "standard".to_owned(),
            accepted: 0,
            rejected: Vec::new(),
            wire_bytes,
            unpacked_bytes: 0,
            stored: 0,
            dead: 0,
            indexed: 0,
            pending: 0,
            refused: 0,
            not_wanted: 0,
            relaxed: false,
            stored_at: OffsetDateTime::UNIX_EPOCH,
        };
        StoreBatch { receipt, rows: (0..).zip(rows).map(row).collect(), dead: Vec::new() }
    }

    #[test]
    fn each_service_has_its_own_and_a_frame_counts_once() {
        use IndexState::{Indexed, NotWanted, Pending, Refused};
        let one = batch(1000, &[("a", Indexed, "x", 0), ("bb", Pending, "x", 0), ("a", Refused, "x", 9), ("a", NotWanted, "y", 0)]);
        let two = batch(7, &[("a", Indexed, "x", 9)]);
        let counts = count(&[&one, &two], Wire::Counts);
        let (a, bb) = (r#"{"service":"a","message":"m"}"#.len() as i64 + 1, r#"{"service":"bb","message":"m"}"#.len() as i64 + 1);
        let found: Vec<_> = counts.iter().map(|((tenant, hour, _, service), sum)| (*tenant, *hour, *service, sum.logs, sum.bytes, sum.indexed_bytes, sum.raw_bytes)).collect();
        let hour = 1_760_097_600_000;
        assert_eq!(found, [("tenant_a", hour, "a", 4, 4 * a, 2 * a, 300), ("tenant_a", hour, "bb", 1, bb, bb, 0)]);
        assert_eq!(counts.values().map(|sum| sum.wire_bytes).sum::<i64>(), 1007);
        assert_eq!(count(&[&one], Wire::IsCounted).values().map(|sum| sum.wire_bytes).sum::<i64>(), 0);
        assert!(count(&[&batch(1000, &[])], Wire::Counts).is_empty(), "what could not be stored costs nothing");
    }

    proptest! {
        #[test]
        fn the_parts_of_a_body_add_up_to_it(wire_bytes in 0_i64..10_000_000, parts in proptest::collection::vec(0_i64..1_000_000, 1..20)) {
            let names: Vec<String> = (0..parts.len()).map(|n| format!("{n:02}")).collect();
            let mut services: BTreeMap<&str, Counts> = names.iter().zip(&parts).map(|(name, bytes)| (name.as_str(), Counts { bytes: bytes + 1, ..Counts::default() })).collect();
            split(wire_bytes, &mut services);
            prop_assert_eq!(services.values().map(|counts| counts.wire_bytes).sum::<i64>(), wire_bytes);
            prop_assert!(services.values().all(|counts| counts.wire_bytes >= 0));
        }
    }
}
