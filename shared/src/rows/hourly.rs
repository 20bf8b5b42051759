//! Logs counted by the day on which they were received, the hour of their own time, service, level and language, so that counts over long times need not look at each row.
//!
//! Who stores rows writes what they come to, in the same transaction: at any moment the counts are those of the rows that were stored. The
//! hours of rows that are made again are marked instead, since those that were lost may have been counted. A range that holds a marked hour
//! is counted by its rows, until maintenance has counted that hour anew. Rows that somebody deletes by hand stay counted until they are made
//! again, or their hours are marked by hand (docs/operations.md).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool, Postgres};
use sqlx::{AssertSqlSafe, QueryBuilder};
use time::OffsetDateTime;

use super::read::{of_kinds, since};
use super::{NewRow, Rows, on};
use crate::error::{Engine, Error, Result, chain};
use crate::ids::{LogId, TenantId};
use crate::postgres::{BEGIN_WRITING, failed, sqlstate};
use crate::query::Scope;
use crate::timestamp::{self, DAY_MS, UnixMs};

/// What an hour has of milliseconds.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// What Postgres says where another transaction changed the same rows since (`serialization_failure`; manual, appendix A).
const CHANGED_SINCE: &str = "40001";

/// What was done with counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct AddedUp {
    /// Counts of transactions that were added to those of their hours.
    pub counts: u64,
    /// Hours that were counted anew.
    pub hours: u64,
}

/// What logs are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct CountedBy<'a> {
    tenant: &'a str,
    hour: UnixMs,
    service: &'a str,
    level: i16,
    language: Option<&'a str>,
    /// The beginning of the day on which they were received.
    received: UnixMs,
}

/// Adds what these rows come to, in the transaction that stores them.
pub(super) async fn add(tx: &mut PgConnection, rows: &BTreeMap<&TenantId, Vec<&NewRow>>) -> sqlx::Result<()> {
    let mut counts: BTreeMap<CountedBy<'_>, i64> = BTreeMap::new();
    for (tenant, rows) in rows {
        for row in rows {
            let by = CountedBy {
                tenant: tenant.as_str(),
                hour: hour_of(row.timestamp),
                service: &row.service,
                level: row.level as i16,
                language: row.language.as_deref(),
                received: day_of(row.id),
            };
            *counts.entry(by).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($of:expr) => {
            counts.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query("insert into public.hourly_counts_new (tenant, hour, service, level, language, received, logs) \
         select tenant, hour, service, level, language, (received at time zone 'utc')::date, logs \
         from unnest($1::text[], $2::timestamptz[], $3::text[], $4::smallint[], $5::text[], $6::timestamptz[], $7::bigint[]) as n (tenant, hour, service, level, language, received, logs)")
        .bind(column!(|(by, _)| by.tenant))
        .bind(column!(|(by, _)| timestamp::to_datetime(by.hour)))
        .bind(column!(|(by, _)| by.service))
        .bind(column!(|(by, _)| by.level))
        .bind(column!(|(by, _)| by.language))
        .bind(column!(|(by, _)| timestamp::to_datetime(by.received)))
        .bind(column!(|(_, logs)| *logs))
        .execute(tx)
        .await
        .map(drop)
}

/// Has the hours of these rows counted anew, in the transaction that makes them again.
pub(super) async fn mark(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<()> {
    let hours: BTreeSet<UnixMs> = rows.iter().map(|row| hour_of(row.timestamp)).collect();
    let hours: Vec<OffsetDateTime> = hours.into_iter().map(timestamp::to_datetime).collect();
    let statement = "insert into public.hourly_counts_new (tenant, hour, service, level, logs) select $1, hour, '', 0, null from unnest($2::timestamptz[]) as hour";
    sqlx::query(statement).bind(tenant.as_str()).bind(hours).execute(tx).await.map(drop)
}

/// Forgets a tenant's counts.
pub(super) async fn forget(tx: &mut PgConnection, tenant: &TenantId) -> sqlx::Result<()> {
    // In the order in which they are added up.
    for table in ["hourly_counts_new", "hourly_counts"] {
        sqlx::query(AssertSqlSafe(format!("delete from public.{table} where tenant = $1"))).bind(tenant.as_str()).execute(&mut *tx).await?;
    }
    Ok(())
}

impl Rows {
    /// Adds up the counts that storing left, and counts anew the hours that were marked, as many as `budget` has time for. A tenant whose rows
    /// cannot be counted does not keep the others from theirs.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or the first [`Error::Internal`] once all tenants were seen to; what was done by then is done.
    pub async fn add_up_hours(&self, budget: Duration) -> Result<AddedUp> {
        let until = Instant::now() + budget;
        let fail = failed(Engine::Rows, "adding up hourly counts");
        let mut done = AddedUp { counts: add_up(&self.pool).await.map_err(&fail)?, hours: 0 };
        let marked: Vec<(String, OffsetDateTime)> = sqlx::query_as(
            "select distinct n.tenant, n.hour from public.hourly_counts_new n join public.schemas s on s.tenant = n.tenant and s.dropped_at is null \
             where n.logs is null order by 1, 2",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(&fail)?;
        let mut broken: Option<(TenantId, Error)> = None;
        for (tenant, hour) in marked {
            let Ok(tenant) = TenantId::parse(&tenant) else { continue };
            if Instant::now() >= until {
                break;
            }
            if broken.as_ref().is_some_and(|(one, _)| *one == tenant) {
                continue;
            }
            match count_anew(&self.pool, &tenant, hour).await {
                Ok(counted) => done.hours += u64::from(counted),
                // The next run sees to it.
                Err(error) if sqlstate(&error).as_deref() == Some(CHANGED_SINCE) => {}
                Err(error) => match fail(error) {
                    weather @ Error::Unavailable { .. } => return Err(weather),
                    error => {
                        tracing::error!(%tenant, cause = chain(&error), "the hours of a tenant cannot be counted");
                        broken.get_or_insert((tenant, error));
                    }
                },
            }
        }
        broken.map_or(Ok(done), |(_, error)| Err(error))
    }
}

async fn add_up(pool: &PgPool) -> sqlx::Result<u64> {
    let mut tx = pool.begin_with(BEGIN_WRITING).await?;
    // What a processor of an older version stored is not known by its day: its hours are counted anew.
    let unknown = "insert into public.hourly_counts_new (tenant, hour, service, level, logs) \
         select distinct tenant, hour, '', 0::smallint, null::bigint from public.hourly_counts_new where logs is not null and received = '1970-01-01'";
    sqlx::query(unknown).execute(&mut *tx).await?;
    // In one order, and past what another is at: of two who add to the same hours, neither waits for one who waits for it.
    let statement = "with taken as (select ctid from public.hourly_counts_new where logs is not null for update skip locked), \
             gone as ( \
                 delete from public.hourly_counts_new n using taken where n.ctid = taken.ctid returning n.tenant, n.hour, n.service, n.level, n.language, n.received, n.logs \
             ), added as ( \
                 insert into public.hourly_counts as c (tenant, hour, service, level, language, received, logs) \
                 select tenant, hour, service, level, language, received, sum(logs)::int8 from gone group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6 \
                 on conflict on constraint hourly_counts_once do update set logs = c.logs + excluded.logs \
             ) select count(*) from gone";
    let gone: i64 = sqlx::query_scalar(statement).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(u64::try_from(gone).unwrap_or_default())
}

/// Counts an hour by its rows, as one moment saw them: what is stored meanwhile brings counts of its own, which stay. Answers `false` where
/// another has done it.
async fn count_anew(pool: &PgPool, tenant: &TenantId, hour: OffsetDateTime) -> sqlx::Result<bool> {
    let mut tx = pool.begin_with("begin isolation level repeatable read; set local lock_timeout = '5s'").await?;
    // As whoever drops the schema: the rows first, then their counts, and these whole: who adds to them locks row by row.
    sqlx::query(on(tenant, "lock table {schema}.log_rows in access share mode")).execute(&mut *tx).await?;
    sqlx::query("lock table public.hourly_counts in share row exclusive mode").execute(&mut *tx).await?;
    let marks: Vec<bool> = sqlx::query_scalar("delete from public.hourly_counts_new where tenant = $1 and hour = $2 returning logs is null")
        .bind(tenant.as_str())
        .bind(hour)
        .fetch_all(&mut *tx)
        .await?;
    if !marks.contains(&true) {
        return Ok(false);
    }
    sqlx::query("delete from public.hourly_counts where tenant = $1 and hour = $2").bind(tenant.as_str()).bind(hour).execute(&mut *tx).await?;
    // A count that another added since cannot be seen here: to conflict with it is to be told that things have changed.
    let count = r#"insert into public.hourly_counts (tenant, hour, service, level, language, received, logs)
         select $1, $2, service, level, language, public.received_on(id), count(*) from {schema}.log_rows
         where "timestamp" >= $2 and "timestamp" < $2 + interval '1 hour' group by 3, 4, 5, 6
         on conflict on constraint hourly_counts_once do update set logs = excluded.logs"#;
    sqlx::query(on(tenant, count)).bind(tenant.as_str()).bind(hour).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// The whole hours of a scope: from the first, included, to the last, not included; no bound where the scope has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WholeHours {
    first: Option<UnixMs>,
    last: Option<UnixMs>,
}

impl WholeHours {
    /// `None` where there is none, or where counts cannot tell which logs are meant.
    pub(super) fn of(scope: &Scope) -> Option<Self> {
        if scope.query.is_some() {
            return None;
        }
        let first = scope.range.from.map(|from| hour_of(from.saturating_add(HOUR_MS - 1)));
        let last = scope.range.to.map(hour_of);
        let any = first.zip(last).is_none_or(|(first, last)| first < last) && first.is_none_or(|first| first <= timestamp::MAX);
        any.then_some(Self { first, last })
    }

    /// Whether all of them are counted, by the day of receipt where that makes a difference: else their rows are to be looked at.
    pub(super) async fn are_counted(self, tx: &mut PgConnection, tenant: &TenantId, scope: &Scope) -> sqlx::Result<bool> {
        let mut sql = QueryBuilder::new("select not exists (select 1 from public.hourly_counts_new r where (r.logs is null");
        sql.push(if scope.horizon.rows > 0 { " or r.received = '1970-01-01')" } else { ")" });
        self.push_bounds(&mut sql, tenant);
        if scope.horizon.rows > 0 {
            sql.push(" union all select 1 from public.hourly_counts r where r.received = '1970-01-01'");
            self.push_bounds(&mut sql, tenant);
        }
        sql.push(")").build_query_scalar().fetch_one(tx).await
    }

    /// Adds `select "timestamp", service, level, language, logs` for all that a scope holds: counts of these hours, and rows of what lies
    /// before and after them.
    pub(super) fn push(self, sql: &mut QueryBuilder<Postgres>, tenant: &TenantId, scope: &Scope) {
        for (nth, table) in ["hourly_counts", "hourly_counts_new"].into_iter().enumerate() {
            sql.push(if nth == 0 { "" } else { " union all " });
            sql.push(format!(r#"select r.hour as "timestamp", r.service, r.level, r.language, r.logs from public.{table} r where r.logs is not null"#));
            self.push_bounds(sql, tenant);
            if scope.horizon.rows > 0 {
                sql.push(" and r.received >= ").push_bind(timestamp::to_datetime(i64::try_from(scope.horizon.rows).unwrap_or(timestamp::MAX)).date());
            }
            of_kinds(sql, scope);
        }
        for (from, to) in [(scope.range.from, self.first), (self.last, scope.range.to)] {
            if let Some((from, to)) = from.zip(to).filter(|(from, to)| from < to) {
                sql.push(on(tenant, r#" union all select r."timestamp", r.service, r.level, r.language, 1::int8 from {schema}.log_rows r where r."timestamp" >= "#).as_str());
                sql.push_bind(timestamp::to_datetime(from)).push(r#" and r."timestamp" < "#).push_bind(timestamp::to_datetime(to));
                since(sql, scope);
                of_kinds(sql, scope);
            }
        }
    }

    fn push_bounds(self, sql: &mut QueryBuilder<Postgres>, tenant: &TenantId) {
        sql.push(" and r.tenant = ").push_bind(tenant.to_string());
        if let Some(first) = self.first {
            sql.push(" and r.hour >= ").push_bind(timestamp::to_datetime(first));
        }
        if let Some(last) = self.last {
            sql.push(" and r.hour < ").push_bind(timestamp::to_datetime(last));
        }
    }
}

/// The beginning of the day on which a log was received.
fn day_of(log: LogId) -> UnixMs {
    let ms = log.unix_ms();
    i64::try_from(ms - ms % DAY_MS).unwrap_or(timestamp::MAX)
}

/// The beginning of the hour of a moment.
fn hour_of(moment: UnixMs) -> UnixMs {
    moment.div_euclid(HOUR_MS) * HOUR_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Range;

    #[test]
    fn whole_hours_lie_within_the_scope() {
        let hours = |from, to| WholeHours::of(&Scope { range: Range { from, to }, ..Scope::default() });
        let whole = |first, last| Some(WholeHours { first, last });
        assert_eq!(hours(None, None), whole(None, None));
        assert_eq!(hours(Some(1), Some(2 * HOUR_MS)), whole(Some(HOUR_MS), Some(2 * HOUR_MS)));
        assert_eq!(hours(Some(0), Some(HOUR_MS)), whole(Some(0), Some(HOUR_MS)));
        assert_eq!(hours(Some(-1), Some(HOUR_MS - 1)), None);
        assert_eq!(hours(Some(timestamp::MIN), None), whole(Some(timestamp::MIN), None));
        assert_eq!(hours(Some(timestamp::MAX), None), None);
    }
}
