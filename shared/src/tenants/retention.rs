//! How long tenants' logs are kept.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::changes::{self, By, Change};
use super::{Registry, renew_grants};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::retention::{Days, Retention, RetentionPeriods};

/// A tenant of whom something goes.
#[derive(Debug, Clone)]
pub struct Retained {
    /// Which.
    pub tenant: TenantId,
    /// How long its logs are kept.
    pub retention: Retention,
    /// All that was received on a day before these was removed.
    pub removed_before: Days,
}

impl Registry {
    /// How long a tenant's logs are kept.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn retention(&self, id: &TenantId) -> Result<Retention> {
        let statement = "select retention from tenants where id = $1 and status not in ('deleting', 'deleted')";
        let found: Option<Json<Retention>> =
            sqlx::query_scalar(statement).bind(id.as_str()).fetch_optional(&self.pool).await.map_err(failed(Engine::Control, "reading a retention"))?;
        found.map(|found| found.0).ok_or(Error::NotFound("tenant"))
    }

    /// Sets how long a tenant's logs are kept, from this moment on. Every key of it has a new version: publish them after.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn set_retention(&self, id: &TenantId, periods: RetentionPeriods, now_ms: u64, by: &By) -> Result<Retention> {
        let fail = failed(Engine::Control, "setting a retention");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "select retention from tenants where id = $1 and status not in ('deleting', 'deleted') for no key update";
        let before: Option<Json<Retention>> = sqlx::query_scalar(statement).bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let retention = before.ok_or(Error::NotFound("tenant"))?.0.with(periods, now_ms);
        let update = "update tenants set retention = $2, updated_at = now() where id = $1";
        sqlx::query(update).bind(id.as_str()).bind(Json(retention)).execute(&mut *tx).await.map_err(&fail)?;
        renew_grants(&mut tx, id).await.map_err(&fail)?;
        changes::record(&mut tx, id, by, &Change::RetentionSet { periods }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(retention)
    }

    /// All tenants of whom something goes, or has gone.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn retained(&self) -> Result<Vec<Retained>> {
        let fail = failed(Engine::Control, "reading retentions");
        let statement = "select id, retention, removed_before from tenants where retention <> '{}' and status not in ('deleting', 'deleted') order by id";
        let rows = sqlx::query(statement).fetch_all(&self.pool).await.map_err(&fail)?;
        let read = |row: &PgRow| {
            Ok(Retained {
                tenant: TenantId::parse(row.try_get("id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
                retention: row.try_get::<Json<_>, _>("retention")?.0,
                removed_before: row.try_get::<Json<_>, _>("removed_before")?.0,
            })
        };
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(fail)
    }

    /// Notes up to which days a tenant's logs were removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then they are removed once more.
    pub async fn note_removed(&self, id: &TenantId, removed_before: Days) -> Result<()> {
        let update = "update tenants set removed_before = $2 where id = $1";
        sqlx::query(update).bind(id.as_str()).bind(Json(removed_before)).execute(&self.pool).await.map(drop).map_err(failed(Engine::Control, "noting what was removed"))
    }
}
