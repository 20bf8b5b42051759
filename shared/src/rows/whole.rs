//! Reading rows for those who look at whole records: a query narrows them by what every row has, and by no text.

use uuid::Uuid;

use super::narrow::Texts;
use super::read::{LIST_TIMEOUT, in_time_order, rows_within};
use super::{ListQuery, Row, Rows, on};
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::query::Scope;

/// Rows that a reader who is behind will not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// How many: all of the tenant's, whatever the reader wants of them.
    pub logs: u64,
    /// The last of them.
    pub up_to: Uuid,
}

impl Rows {
    /// Rows of a scope by their own time, and some that its query does not mean.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn candidates(&self, tenant: &TenantId, query: &ListQuery<'_>) -> Result<Vec<Row>> {
        let mut sql = rows_within(tenant, query.scope, Texts::Elsewhere);
        in_time_order(&mut sql, query.ascending, query.after, query.limit);
        self.rows_of(sql).await
    }

    /// Rows of a scope in the order of receipt, after `after`, and some that its query does not mean.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn received(&self, tenant: &TenantId, scope: &Scope, after: Uuid, limit: usize) -> Result<Vec<Row>> {
        let mut sql = rows_within(tenant, scope, Texts::Elsewhere);
        sql.push(" and r.id > ").push_bind(after).push(" order by r.id limit ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        self.rows_of(sql).await
    }

    /// Of a tenant's rows after `after` and up to `up_to`, those that somebody skips who wants `keep` of them at most: the first ones.
    /// `None` where there are no more than `most`.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], also where counting takes too long.
    pub async fn skipped(&self, tenant: &TenantId, after: Uuid, up_to: Uuid, most: u64, keep: u64) -> Result<Option<Skipped>> {
        let fail = failed(Engine::Rows, "counting rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let count = "select count(*) from {schema}.log_rows where id > $1 and id <= $2";
        let logs: i64 = sqlx::query_scalar(on(tenant, count)).bind(after).bind(up_to).fetch_one(&mut *tx).await.map_err(&fail)?;
        let logs = u64::try_from(logs).unwrap_or_default();
        if logs <= most {
            return Ok(None);
        }
        let last = "select id from {schema}.log_rows where id > $1 and id <= $2 order by id desc offset $3 limit 1";
        let kept = keep.min(logs - 1);
        let up_to: Uuid = sqlx::query_scalar(on(tenant, last)).bind(after).bind(up_to).bind(kept as i64).fetch_one(&mut *tx).await.map_err(&fail)?;
        Ok(Some(Skipped { logs: logs - kept, up_to }))
    }
}
