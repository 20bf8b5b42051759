//! What tenants may send, and which marks of their quotas they have passed.

use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Row as _};

use super::changes::{self, By, Change};
use super::{Registry, renew_grants};
use crate::billing::month::Month;
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::limits::{Quota, TenantLimits};
use crate::postgres::failed;

/// A mark of a quota that a tenant has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaMark {
    /// The month.
    pub month: Month,
    /// What was counted: `logs` or `bytes`.
    pub meter: &'static str,
    /// How many percent of the quota.
    pub percent: u32,
    /// What was sent by then.
    pub used: u64,
    /// What the month may hold.
    pub quota: u64,
}

/// What the plan of tenant `t` lets it send in the month that begins on `$1`.
const OF_THE_PLAN: &str = "coalesce(( \
     select v.terms -> 'limits' from plan_versions v \
     where v.plan_id = (select p.plan_id from tenant_plans p where p.tenant_id = t.id and p.from_month <= $1 order by p.from_month desc limit 1) and v.from_month <= $1 \
     order by v.version desc limit 1), '{}')";

impl Registry {
    /// What a tenant may send: its own limits, or where it has none those of its plan.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn limits(&self, id: &TenantId) -> Result<TenantLimits> {
        let statement = "select case when limits <> '{}' then limits else plan_limits end from tenants where id = $1 and status not in ('deleting', 'deleted')";
        let limits: Option<Json<TenantLimits>> =
            sqlx::query_scalar(statement).bind(id.as_str()).fetch_optional(&self.pool).await.map_err(failed(Engine::Control, "reading limits"))?;
        limits.map(|limits| limits.0).ok_or(Error::NotFound("tenant"))
    }

    /// Sets what a tenant may send. Every key of it has a new version: publish them after.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn set_limits(&self, id: &TenantId, limits: &TenantLimits, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "setting limits");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let set = "update tenants set limits = $2, updated_at = now() where id = $1 and status not in ('deleting', 'deleted')";
        let done = sqlx::query(set).bind(id.as_str()).bind(Json(limits)).execute(&mut *tx).await.map_err(&fail)?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("tenant"));
        }
        renew_grants(&mut tx, id).await.map_err(&fail)?;
        changes::record(&mut tx, id, by, &Change::LimitsSet { limits }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Tenants whose plan lets them send something else in this month than they have noted.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn with_other_plan_limits(&self, month: Month) -> Result<Vec<TenantId>> {
        let statement = format!("select t.id from tenants t where t.status not in ('deleting', 'deleted') and t.plan_limits is distinct from {OF_THE_PLAN} order by t.id");
        let ids: sqlx::Result<Vec<String>> = sqlx::query_scalar(AssertSqlSafe(statement)).bind(month.first_day()).fetch_all(&self.pool).await;
        let ids = ids.map_err(failed(Engine::Control, "looking for the limits of plans"))?;
        Ok(ids.iter().filter_map(|id| TenantId::parse(id).ok()).collect())
    }

    /// Notes what a tenant's plan lets it send in this month, and answers whether that is something else than before: then every key of it has a new
    /// version, to be published after.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn take_plan_limits(&self, id: &TenantId, month: Month) -> Result<bool> {
        let fail = failed(Engine::Control, "taking the limits of a plan");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = format!(
            "update tenants t set plan_limits = {OF_THE_PLAN} where t.id = $2 and t.status not in ('deleting', 'deleted') and t.plan_limits is distinct from {OF_THE_PLAN}"
        );
        let done = sqlx::query(AssertSqlSafe(statement)).bind(month.first_day()).bind(id.as_str()).execute(&mut *tx).await.map_err(&fail)?;
        let is_other = done.rows_affected() > 0;
        if is_other {
            renew_grants(&mut tx, id).await.map_err(&fail)?;
            let counts = "select plan_limits from tenants where id = $1 and limits = '{}'";
            let counting: Option<Json<TenantLimits>> = sqlx::query_scalar(counts).bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(&fail)?;
            if let Some(Json(limits)) = counting {
                changes::record(&mut tx, id, &By::SYSTEM, &Change::LimitsSet { limits: &limits }).await.map_err(&fail)?;
            }
        }
        tx.commit().await.map_err(fail)?;
        Ok(is_other)
    }

    /// All tenants with a quota.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn quotas(&self) -> Result<Vec<(TenantId, Quota)>> {
        let fail = failed(Engine::Control, "reading quotas");
        let statement = "select id, coalesce(nullif(limits, '{}'), plan_limits) -> 'quota' as quota from tenants \
             where coalesce(nullif(limits, '{}'), plan_limits) ? 'quota' and status not in ('deleting', 'deleted') order by id";
        let rows = sqlx::query(statement).fetch_all(&self.pool).await.map_err(&fail)?;
        let read = |row: &sqlx::postgres::PgRow| {
            let id = TenantId::parse(row.try_get("id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
            Ok((id, row.try_get::<Json<Quota>, _>("quota")?.0))
        };
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(fail)
    }

    /// Notes that a tenant has passed a mark, and tells it; once a month, however often it is called. Answers whether it was the first time.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_quota(&self, tenant: &TenantId, mark: QuotaMark) -> Result<bool> {
        let fail = failed(Engine::Control, "noting a quota");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "insert into quota_notices (tenant_id, month, meter, percent) values ($1, $2, $3, $4) on conflict do nothing";
        let percent = i32::try_from(mark.percent).unwrap_or(i32::MAX);
        let done = sqlx::query(statement).bind(tenant.as_str()).bind(mark.month.to_string()).bind(mark.meter).bind(percent).execute(&mut *tx).await.map_err(&fail)?;
        let first = done.rows_affected() > 0;
        if first {
            changes::record(&mut tx, tenant, &By::SYSTEM, &Change::QuotaReached(mark)).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(first)
    }
}
