//! Reading rows for those who look at whole records: a query narrows them by what every row has, and by no text.

use sqlx::{QueryBuilder, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::narrow::Texts;
use super::read::{in_time_order, rows_within, within};
use super::{ListQuery, Listed, Position, Row, Rows, on};
use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::query::Scope;
use crate::timestamp;

/// Rows that are looked at for one page of candidates: some tens of milliseconds.
const LOOKED_AT_ONCE: i64 = 20_000;
/// How long counting what a reader will not get may take: the number is for show.
const COUNT_TIMEOUT: &str = "set local statement_timeout = '3s'";

/// Rows that a reader who is behind will not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// How many: all of the tenant's, whatever the reader wants of them; `None` where counting takes too long.
    pub logs: Option<u64>,
    /// The last of them.
    pub up_to: Uuid,
}

impl Rows {
    /// Rows of a scope by their own time, and some that its query does not mean. So many are looked at, whatever they are: where there are more,
    /// the answer says how far it came.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn candidates(&self, tenant: &TenantId, query: &ListQuery<'_>) -> Result<Listed> {
        let everything = Scope { range: query.scope.range, received_up_to: query.scope.received_up_to, horizon: query.scope.horizon, ..Scope::default() };
        let mut edge = QueryBuilder::new(on(tenant, r#"select r."timestamp", r.id from {schema}.log_rows r"#).as_str());
        within(&mut edge, &everything, Texts::Elsewhere);
        in_time_order(&mut edge, query.ascending, query.after, 1);
        edge.push(" offset ").push_bind(LOOKED_AT_ONCE - 1);
        let fail = failed(Engine::Rows, "looking how far to look");
        let edge = edge.build().fetch_optional(&self.pool).await.map_err(&fail)?;
        let edge = edge.map(|row| Ok::<_, sqlx::Error>((row.try_get::<OffsetDateTime, _>(0)?, row.try_get::<Uuid, _>(1)?))).transpose().map_err(&fail)?;
        let mut sql = rows_within(tenant, query.scope, Texts::Elsewhere);
        if let Some((at, id)) = edge {
            sql.push(if query.ascending { r#" and (r."timestamp", r.id) <= ("# } else { r#" and (r."timestamp", r.id) >= ("# });
            sql.push_bind(at).push(", ").push_bind(id).push(")");
        }
        in_time_order(&mut sql, query.ascending, query.after, query.limit);
        let rows = self.rows_of(sql).await?;
        Ok(Listed { rows, unfinished: edge.map(|(at, id)| Position { timestamp: timestamp::from_datetime(at), id }) })
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
    /// [`crate::error::Error::Unavailable`].
    pub async fn skipped(&self, tenant: &TenantId, after: Uuid, up_to: Uuid, most: u32, keep: u32) -> Result<Option<Skipped>> {
        let fail = failed(Engine::Rows, "looking how far a reader is behind");
        let from_the_end = async |offset: u32| -> sqlx::Result<Option<Uuid>> {
            let statement = "select id from {schema}.log_rows where id > $1 and id <= $2 order by id desc offset $3 limit 1";
            sqlx::query_scalar(on(tenant, statement)).bind(after).bind(up_to).bind(i64::from(offset)).fetch_optional(&self.pool).await
        };
        if from_the_end(most).await.map_err(&fail)?.is_none() {
            return Ok(None);
        }
        let Some(up_to) = from_the_end(keep).await.map_err(&fail)? else { return Ok(None) };
        let counted = async {
            let mut tx = self.pool.begin().await?;
            sqlx::query(COUNT_TIMEOUT).execute(&mut *tx).await?;
            let count = "select count(*) from {schema}.log_rows where id > $1 and id <= $2";
            sqlx::query_scalar::<_, i64>(on(tenant, count)).bind(after).bind(up_to).fetch_one(&mut *tx).await
        };
        Ok(Some(Skipped { logs: counted.await.ok().and_then(|logs| u64::try_from(logs).ok()), up_to }))
    }
}
