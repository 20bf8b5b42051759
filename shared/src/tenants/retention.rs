//! How long tenants' logs are kept.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::changes::{self, By, Change};
use super::{Registry, renew_grants};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::retention::{Retention, RetentionPeriods};

/// A tenant whose logs are kept for so many days, or were once.
#[derive(Debug, Clone)]
pub struct Retained {
    /// Which.
    pub tenant: TenantId,
    /// How long its logs are kept.
    pub retention: Retention,
    /// What was removed of them.
    pub removed: RemovedDays,
    /// Whether it is being deleted.
    pub is_ending: bool,
}

/// All that was received on a day before these, counted since 1970-01-01, was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemovedDays {
    /// From the index.
    pub index: u64,
    /// From rows.
    pub rows: u64,
    /// From raw.
    pub raw: u64,
    /// From dead letters.
    pub letters: u64,
    /// When raw was gone through last, in milliseconds since 1970: what was put later into days that had been removed is looked for again.
    pub raw_at_ms: u64,
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

    /// Sets how long a tenant's logs are kept, from this moment on, as `over` makes it of what is set. Of two who set it at once, the second sees what
    /// the first made of it. Every key of it has a new version: publish them after.
    ///
    /// # Errors
    /// What `over` says; [`Error::NotFound`]; [`Error::Unavailable`].
    pub async fn set_retention(&self, id: &TenantId, over: impl FnOnce(RetentionPeriods) -> Result<RetentionPeriods>, now_ms: u64, by: &By) -> Result<Retention> {
        let fail = failed(Engine::Control, "setting a retention");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "select retention from tenants where id = $1 and status not in ('deleting', 'deleted') for no key update";
        let before: Option<Json<Retention>> = sqlx::query_scalar(statement).bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let before = before.ok_or(Error::NotFound("tenant"))?.0;
        let periods = over(before.periods)?;
        let retention = before.with(periods, now_ms);
        let update = "update tenants set retention = $2, updated_at = now() where id = $1";
        sqlx::query(update).bind(id.as_str()).bind(Json(retention)).execute(&mut *tx).await.map_err(&fail)?;
        renew_grants(&mut tx, id).await.map_err(&fail)?;
        changes::record(&mut tx, id, by, &Change::RetentionSet { periods }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(retention)
    }

    /// All tenants whose logs are kept for so many days, or were once; those that are being deleted included.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn retained(&self) -> Result<Vec<Retained>> {
        let fail = failed(Engine::Control, "reading retentions");
        let statement = "select id, retention, removed_before, status = 'deleting' as is_ending from tenants where retention <> '{}' and status <> 'deleted' order by id";
        let rows = sqlx::query(statement).fetch_all(&self.pool).await.map_err(&fail)?;
        let read = |row: &PgRow| {
            Ok(Retained {
                tenant: TenantId::parse(row.try_get("id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
                retention: row.try_get::<Json<_>, _>("retention")?.0,
                removed: row.try_get::<Json<_>, _>("removed_before")?.0,
                is_ending: row.try_get("is_ending")?,
            })
        };
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(fail)
    }

    /// Whether a tenant is under a legal hold now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn is_held(&self, id: &TenantId) -> Result<bool> {
        let statement = "select coalesce((retention #>> '{periods,legal_hold}')::bool, false) from tenants where id = $1";
        let held: Option<bool> = sqlx::query_scalar(statement).bind(id.as_str()).fetch_optional(&self.pool).await.map_err(failed(Engine::Control, "looking for a legal hold"))?;
        Ok(held.unwrap_or_default())
    }

    /// Notes up to which days a tenant's logs were removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then they are removed once more.
    pub async fn note_removed(&self, id: &TenantId, removed: RemovedDays) -> Result<()> {
        let update = "update tenants set removed_before = $2 where id = $1";
        sqlx::query(update).bind(id.as_str()).bind(Json(removed)).execute(&self.pool).await.map(drop).map_err(failed(Engine::Control, "noting what was removed"))
    }
}
