//! The end of a tenant, and taking it back while that can be done.

use std::time::Duration;

use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;

use super::changes::{self, By, Change};
use super::ledger::{self, Ledger, Removed, Step};
use super::{Registry, Tenant, renew_grants};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::retention::Retention;

/// Tables of the control database whose rows go with their tenant (`tenant_id`), and what the receipt calls them. Whoever adds a table with that
/// column lists it here or in [`KEPT`].
pub const FORGOTTEN: &[(&str, &str)] =
    &[("saved_searches", "saved_searches"), ("invitations", "invitations"), ("memberships", "members"), ("quota_notices", "quota_notices"), ("api_keys", "keys")];

/// Tables whose rows stay: what was done, what is to be told, what was billed, and the ledger itself. Webhooks go once they were told of the end.
pub const KEPT: &[&str] = &["audit_trail", "outbox", "tenant_steps", "tenant_plans", "invoices", "credits", "webhooks"];

impl Registry {
    /// Begins the deletion of a tenant: it is not seen any more, and its keys become tombstones: publish them after. Until `grace` is over it can
    /// be restored, and nothing of it is erased.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for one that is being deleted already; [`Error::Conflict`] `legal_hold`; [`Error::Unavailable`].
    pub async fn begin_deletion(&self, id: &TenantId, grace: Duration, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "deleting a tenant");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        refuse_under_hold(&mut tx, id).await?;
        let deletion = "update tenants set status_before = status, status = 'deleting', delete_at = now() + make_interval(secs => $2), updated_at = now() \
             where id = $1 and status not in ('deleting', 'deleted') returning delete_at";
        let delete_at: Option<OffsetDateTime> = sqlx::query_scalar(deletion).bind(id.as_str()).bind(grace.as_secs_f64()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let delete_at = delete_at.ok_or(Error::NotFound("tenant"))?;
        renew_grants(&mut tx, id).await.map_err(&fail)?;
        ledger::open(&mut tx, id, Ledger::Deletion).await.map_err(&fail)?;
        changes::record(&mut tx, id, by, &Change::TenantDeleting { delete_at }).await.map_err(&fail)?;
        tx.commit().await.map_err(&fail)
    }

    /// Takes the deletion of a tenant back: it is as it was before. Its keys have a new version: publish them after.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that is not being deleted; [`Error::Conflict`] `tenant_erased` where its grace is over; [`Error::Unavailable`].
    pub async fn restore(&self, id: &TenantId, by: &By) -> Result<Tenant> {
        let fail = failed(Engine::Control, "restoring a tenant");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let restore = "update tenants set status = coalesce(status_before, 'active'), status_before = null, delete_at = null, updated_at = now() \
             where id = $1 and status = 'deleting' and erasing_at is null returning id, name, status, created_at, updated_at";
        let tenant: Option<Tenant> = sqlx::query_as(restore).bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let Some(tenant) = tenant else {
            let erased: Option<bool> = sqlx::query_scalar("select true from tenants where id = $1 and status in ('deleting', 'deleted')")
                .bind(id.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(&fail)?;
            let too_late = || Error::Conflict { code: "tenant_erased", detail: "its grace is over: what it had is erased".to_owned() };
            return Err(erased.map_or(Error::NotFound("tenant"), |_| too_late()));
        };
        renew_grants(&mut tx, id).await.map_err(&fail)?;
        ledger::close(&mut tx, id, Ledger::Deletion).await.map_err(&fail)?;
        changes::record(&mut tx, id, by, &Change::TenantRestored).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(tenant)
    }

    /// Tenants whose grace is over, at most so many. From now on they cannot be restored.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin_erasing(&self, limit: i64) -> Result<Vec<TenantId>> {
        let fail = failed(Engine::Control, "looking for tenants to be erased");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "update tenants set erasing_at = coalesce(erasing_at, now()) where id in ( \
                 select id from tenants where status = 'deleting' and coalesce(delete_at, updated_at) <= now() order by updated_at limit $1 for no key update) returning id";
        let ids: Vec<String> = sqlx::query_scalar(statement).bind(limit).fetch_all(&mut *tx).await.map_err(&fail)?;
        let ids: Vec<TenantId> = ids.iter().filter_map(|id| TenantId::parse(id).ok()).collect();
        for id in &ids {
            ledger::do_now(&mut tx, id, Step::Grace, &Removed::new()).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(ids)
    }

    /// Forgets what the control database has of a tenant that was being deleted, but its id, its audit trail and its ledgers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn finish_removal(&self, id: &TenantId) -> Result<()> {
        let fail = failed(Engine::Control, "deleting a tenant");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let done = sqlx::query("update tenants set status = 'deleted', updated_at = now() where id = $1 and status = 'deleting'").bind(id.as_str()).execute(&mut *tx).await;
        // Two may finish it at once.
        if done.map_err(&fail)?.rows_affected() > 0 {
            let removed = forget(&mut tx, id).await.map_err(&fail)?;
            ledger::do_now(&mut tx, id, Step::Forget, &removed).await.map_err(&fail)?;
            changes::record(&mut tx, id, &By::SYSTEM, &Change::TenantDeleted).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(&fail)
    }
}

/// What is told of what would go under a legal hold.
#[must_use]
pub fn legal_hold() -> Error {
    Error::Conflict { code: "legal_hold", detail: "its logs are under a legal hold: an operator can end that, with PUT /v1/tenants/{id}/retention".to_owned() }
}

/// Locks the tenant's row, so that no legal hold begins meanwhile, and sees whether there is one.
///
/// # Errors
/// [`Error::Conflict`] `legal_hold`; [`Error::Unavailable`].
async fn refuse_under_hold(tx: &mut PgConnection, id: &TenantId) -> Result<()> {
    let statement = "select retention from tenants where id = $1 for no key update";
    let found: Option<Json<Retention>> = sqlx::query_scalar(statement).bind(id.as_str()).fetch_optional(tx).await.map_err(failed(Engine::Control, "deleting a tenant"))?;
    if found.is_some_and(|found| found.0.periods.legal_hold) {
        return Err(legal_hold());
    }
    Ok(())
}

async fn forget(tx: &mut PgConnection, id: &TenantId) -> sqlx::Result<Removed> {
    let mut removed = Removed::new();
    for (table, name) in FORGOTTEN {
        let rows = sqlx::query(AssertSqlSafe(format!("delete from {table} where tenant_id = $1"))).bind(id.as_str()).execute(&mut *tx).await?;
        removed.insert(*name, rows.rows_affected());
    }
    Ok(removed)
}
