//! Reading rows: lists newest first, rows by id, and what of some batches the index misses.

use sqlx::postgres::PgRow;
use sqlx::{QueryBuilder, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Rows, on};
use crate::error::{Engine, Result};
use crate::ids::{BatchId, LogId, TenantId};
use crate::postgres::failed;
use crate::record::Level;
use crate::timestamp::{self, UnixMs};

/// One row as it is read.
#[derive(Debug, Clone)]
pub struct Row {
    /// The log's id.
    pub id: LogId,
    /// The record's own time, or that of receipt.
    pub timestamp: UnixMs,
    /// The service.
    pub service: String,
    /// The level.
    pub level: Level,
    /// The beginning of the message.
    pub message: String,
    /// Language of the program.
    pub language: Option<String>,
    /// Whether it is in the index.
    pub indexed: bool,
    /// Path of the raw object.
    pub raw_path: String,
    /// First byte of the frame that holds the record.
    pub raw_offset: i32,
    /// Bytes of that frame.
    pub raw_length: i32,
}

/// A log that the index misses, and where its record lies.
#[derive(Debug, Clone)]
pub struct PendingRow {
    /// The log's id.
    pub id: LogId,
    /// Path of the raw object.
    pub raw_path: String,
    /// First byte of the frame that holds the record.
    pub raw_offset: i32,
    /// Bytes of that frame.
    pub raw_length: i32,
}

/// Where a page ended: the next begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Of the last row.
    pub timestamp: UnixMs,
    /// Of the last row, which tells rows of one millisecond apart.
    pub id: Uuid,
}

/// Which rows to list, newest first.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// First moment, included.
    pub from: Option<UnixMs>,
    /// Last moment, not included.
    pub to: Option<UnixMs>,
    /// Any of these services; none stands for all.
    pub services: Vec<String>,
    /// Any of these levels; none stands for all.
    pub levels: Vec<Level>,
    /// The message holds all of these texts, in any case.
    pub containing: Vec<String>,
    /// The message holds none of these texts, in any case.
    pub lacking: Vec<String>,
    /// Rows with a higher id came after the first page, and stay out of the later ones too.
    pub up_to: Uuid,
    /// The page before this one ended there.
    pub after: Option<Position>,
    /// Rows wanted.
    pub limit: i64,
}

/// One page of rows.
pub type Listed = Vec<Row>;

/// A rare filter over a large tenant looks at every row: it must not hold a connection for ever. Local to the transaction, so that
/// a pooled connection carries nothing on.
const LIST_TIMEOUT: &str = "set local statement_timeout = '10s'";

const ROW: &str = r#"select r.id, r."timestamp", r.service, r.level, r.message, r.language, r.index_state, o.path, r.raw_offset, r.raw_length
    from {schema}.log_rows r join {schema}.objects o on o.id = r.object_id"#;

impl Rows {
    /// A page of a tenant's rows, newest first by their own time, id as the tie-break.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn list(&self, tenant: &TenantId, query: &ListQuery) -> Result<Listed> {
        let mut sql = QueryBuilder::new(on(tenant, ROW).as_str());
        sql.push(" where r.id <= ").push_bind(query.up_to);
        if let Some(from) = query.from {
            sql.push(r#" and r."timestamp" >= "#).push_bind(timestamp::to_datetime(from));
        }
        if let Some(to) = query.to {
            sql.push(r#" and r."timestamp" < "#).push_bind(timestamp::to_datetime(to));
        }
        if let Some(after) = query.after {
            sql.push(r#" and (r."timestamp", r.id) < ("#).push_bind(timestamp::to_datetime(after.timestamp)).push(", ").push_bind(after.id).push(")");
        }
        if !query.services.is_empty() {
            sql.push(" and r.service = any(").push_bind(query.services.clone()).push(")");
        }
        if !query.levels.is_empty() {
            sql.push(" and r.level = any(").push_bind(query.levels.iter().map(|level| *level as i16).collect::<Vec<_>>()).push(")");
        }
        for (texts, like) in [(&query.containing, " and r.message ilike "), (&query.lacking, " and r.message not ilike ")] {
            for text in texts {
                sql.push(like).push_bind(containing(text));
            }
        }
        sql.push(r#" order by r."timestamp" desc, r.id desc limit "#).push_bind(query.limit);
        let fail = failed(Engine::Rows, "listing rows");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        sqlx::query(LIST_TIMEOUT).execute(&mut *tx).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
        rows.iter().map(row_of).collect::<sqlx::Result<_>>().map_err(&fail)
    }

    /// The rows with these ids, in no order. Ids without a row are left out.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn by_ids(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<Row>> {
        let rows = sqlx::query(on(tenant, &format!("{ROW} where r.id = any($1)"))).bind(ids).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(row_of).collect()).map_err(failed(Engine::Rows, "reading rows by id"))
    }

    /// The row with this id.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn by_id(&self, tenant: &TenantId, id: LogId) -> Result<Option<Row>> {
        Ok(self.by_ids(tenant, &[id.uuid()]).await?.pop())
    }

    /// Logs of these batches of a tenant that the index misses, and where their records lie.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's schema is not there.
    pub async fn pending_of(&self, tenant: &TenantId, batches: &[BatchId]) -> Result<Vec<PendingRow>> {
        let (first, last): (Vec<Uuid>, Vec<Uuid>) = batches.iter().map(|batch| (batch.uuid(), batch.log(u16::MAX).uuid())).unzip();
        // The inner limit, past any batch, and the path as a question of its own keep the planner to short walks of primary keys: it
        // cannot know how few ids lie between the two, and would read whole tables instead.
        let statement = "select r.id, (select o.path from {schema}.objects o where o.id = r.object_id) as path, r.raw_offset, r.raw_length \
                         from unnest($1::uuid[], $2::uuid[]) as b (first, last) \
                         cross join lateral (select * from {schema}.log_rows where id between b.first and b.last and index_state = 0 order by id limit 65536) r";
        let rows = sqlx::query(on(tenant, statement)).bind(first).bind(last).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(pending_row_of).collect()).map_err(failed(Engine::Rows, "reading what the index missed"))
    }
}

fn pending_row_of(row: &PgRow) -> sqlx::Result<PendingRow> {
    Ok(PendingRow {
        id: LogId::try_from(row.try_get::<Uuid, _>("id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        raw_path: row.try_get("path")?,
        raw_offset: row.try_get("raw_offset")?,
        raw_length: row.try_get("raw_length")?,
    })
}

/// A `like` pattern for a text in the middle; its own `%`, `_` and `\` stand for themselves.
fn containing(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

fn row_of(row: &PgRow) -> sqlx::Result<Row> {
    Ok(Row {
        id: LogId::try_from(row.try_get::<Uuid, _>("id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        timestamp: timestamp::from_datetime(row.try_get::<OffsetDateTime, _>("timestamp")?),
        service: row.try_get("service")?,
        level: Level::from_number(row.try_get("level")?).unwrap_or(Level::Info),
        message: row.try_get("message")?,
        language: row.try_get("language")?,
        indexed: row.try_get::<i16, _>("index_state")? == super::IndexState::Indexed as i16,
        raw_path: row.try_get("path")?,
        raw_offset: row.try_get("raw_offset")?,
        raw_length: row.try_get("raw_length")?,
    })
}
