//! How much was refused at the door, by the hour: kept here from the counts in Redis.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rows;
use super::hourly::HOUR_MS;
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::queue::{HourOfRefusals, Refusal, RefusedCount};
use crate::timestamp;

/// What of refusals to read.
#[derive(Debug, Clone)]
pub struct RefusedQuery {
    /// Whose.
    pub tenant: TenantId,
    /// From this hour on.
    pub from: Option<OffsetDateTime>,
    /// Before this one.
    pub to: Option<OffsetDateTime>,
    /// Those behind this one, in the order of lists.
    pub after: Option<(OffsetDateTime, Refusal)>,
}

/// How much was refused of one kind in one hour.
#[derive(Debug, Clone)]
pub struct RefusedHour {
    /// The hour, by its beginning.
    pub hour: OffsetDateTime,
    /// Its kind.
    pub kind: Refusal,
    /// How much.
    pub count: RefusedCount,
}

impl Rows {
    /// Keeps counts. They only rise, so the same ones can be kept again.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn keep_refused(&self, hours: &[HourOfRefusals]) -> Result<()> {
        let counts: Vec<(&HourOfRefusals, &Refusal, &RefusedCount)> = hours.iter().flat_map(|hour| hour.counts.iter().map(move |(kind, count)| (hour, kind, count))).collect();
        if counts.is_empty() {
            return Ok(());
        }
        macro_rules! column {
            ($of:expr) => {
                counts.iter().map($of).collect::<Vec<_>>()
            };
        }
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        // Those of tenants that are gone are let go.
        sqlx::query(
            "insert into public.refused as r (tenant, hour, key_id, service, reason, epoch, requests, logs, bytes) \
             select n.* from unnest($1::text[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[]) \
                 as n (tenant, hour, key_id, service, reason, epoch, requests, logs, bytes) \
             join public.schemas s on s.tenant = n.tenant and s.dropped_at is null order by 1, 2, 3, 4, 5, 6 \
             on conflict (tenant, hour, key_id, service, reason, epoch) do update \
             set requests = greatest(r.requests, excluded.requests), logs = greatest(r.logs, excluded.logs), bytes = greatest(r.bytes, excluded.bytes)",
        )
        .bind(column!(|(hour, ..)| hour.tenant.as_str()))
        .bind(column!(|(hour, ..)| timestamp::to_datetime(i64::try_from(hour.hour).unwrap_or_default().saturating_mul(HOUR_MS))))
        .bind(column!(|(_, kind, _)| kind.key_id))
        .bind(column!(|(_, kind, _)| kind.service.replace('\0', "\u{fffd}")))
        .bind(column!(|(_, kind, _)| kind.reason.as_str()))
        .bind(column!(|(hour, ..)| hour.epoch))
        .bind(column!(|(.., count)| number(count.requests)))
        .bind(column!(|(.., count)| number(count.logs)))
        .bind(column!(|(.., count)| number(count.bytes)))
        .execute(&self.pool)
        .await
        .map_err(failed(Engine::Rows, "keeping what was refused"))
        .map(drop)
    }

    /// What was refused of a tenant, latest hour first.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn refused_hours(&self, query: &RefusedQuery, limit: i64) -> Result<Vec<RefusedHour>> {
        let after = query.after.as_ref();
        let rows = sqlx::query(
            "select hour, key_id, service, reason, sum(requests)::bigint as requests, sum(logs)::bigint as logs, sum(bytes)::bigint as bytes from public.refused \
             where tenant = $1 and ($2::timestamptz is null or hour >= $2) and ($3::timestamptz is null or hour < $3) \
                 and ($4::timestamptz is null or hour < $4 or (hour = $4 and (key_id, service, reason) > ($5, $6, $7))) \
             group by hour, key_id, service, reason order by hour desc, key_id, service, reason limit $8",
        )
        .bind(query.tenant.as_str())
        .bind(query.from)
        .bind(query.to)
        .bind(after.map(|(hour, _)| *hour))
        .bind(after.map(|(_, kind)| kind.key_id))
        .bind(after.map(|(_, kind)| kind.service.as_str()))
        .bind(after.map(|(_, kind)| kind.reason.as_str()))
        .bind(limit)
        .fetch_all(&self.pool)
        .await;
        rows.and_then(|rows| rows.iter().map(hour_of).collect()).map_err(failed(Engine::Rows, "reading what was refused"))
    }

    /// All that was refused of a tenant in a range of hours.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn refused_total(&self, query: &RefusedQuery) -> Result<RefusedCount> {
        let row = sqlx::query(
            "select coalesce(sum(requests), 0)::bigint as requests, coalesce(sum(logs), 0)::bigint as logs, coalesce(sum(bytes), 0)::bigint as bytes from public.refused \
             where tenant = $1 and ($2::timestamptz is null or hour >= $2) and ($3::timestamptz is null or hour < $3)",
        )
        .bind(query.tenant.as_str())
        .bind(query.from)
        .bind(query.to)
        .fetch_one(&self.pool)
        .await;
        row.and_then(|row| count_of(&row)).map_err(failed(Engine::Rows, "adding up what was refused"))
    }
}

/// Forgets what was refused of a tenant.
pub(super) async fn forget(tx: &mut PgConnection, tenant: &TenantId) -> sqlx::Result<()> {
    sqlx::query("delete from public.refused where tenant = $1").bind(tenant.as_str()).execute(tx).await.map(drop)
}

fn hour_of(row: &PgRow) -> sqlx::Result<RefusedHour> {
    let kind = Refusal { key_id: row.try_get::<Uuid, _>("key_id")?, service: row.try_get("service")?, reason: row.try_get("reason")? };
    Ok(RefusedHour { hour: row.try_get("hour")?, kind, count: count_of(row)? })
}

fn count_of(row: &PgRow) -> sqlx::Result<RefusedCount> {
    let number = |name| row.try_get::<i64, _>(name).map(|count| u64::try_from(count).unwrap_or_default());
    Ok(RefusedCount { requests: number("requests")?, logs: number("logs")?, bytes: number("bytes")? })
}
