//! Reading rows: lists newest first, rows by id, and what of some batches the index misses.

use std::time::{Duration, Instant};

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _, SqlStr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::narrow::{self, Texts};
use super::{Rows, on};
use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, LogId, TenantId};
use crate::postgres::failed;
use crate::query::{Query, Scope, Subject, words};
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

/// Which rows to list.
#[derive(Debug, Clone)]
pub struct ListQuery<'a> {
    /// Among which rows.
    pub scope: &'a Scope,
    /// Whether the oldest come first.
    pub ascending: bool,
    /// The page before this one ended there.
    pub after: Option<Position>,
    /// Rows wanted.
    pub limit: usize,
}

/// One page of rows.
#[derive(Debug, Default)]
pub struct Listed {
    /// The rows.
    pub rows: Vec<Row>,
    /// Looking ended after this row was looked at: there may be more behind it.
    pub unfinished: Option<Position>,
}

/// Rows that are read at once to be looked at in memory.
const LOOKED_AT_ONCE: usize = 2_000;
/// When looking through rows ends with what was found: below the time that one statement has, so that a page comes about.
const LOOK_FOR: Duration = Duration::from_secs(8);

/// Begins reading, in one message. A rare filter over a large tenant looks at every row: it must not hold a connection for ever. Local to
/// the transaction, so that a pooled connection carries nothing on; its statements all see the same moment.
pub(super) const BEGIN_READING: &str = "begin isolation level repeatable read; set local statement_timeout = '10s'";

const ROW: &str = r#"select r.id, r."timestamp", r.service, r.level, r.message, r.language, r.index_state, o.path, r.raw_offset, r.raw_length
    from {schema}.log_rows r join {schema}.objects o on o.id = r.object_id"#;

impl Rows {
    /// A page of a tenant's rows, by their own time, id as the tie-break. A query is held to the beginnings of messages, as far as rows
    /// have its fields.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn list(&self, tenant: &TenantId, query: &ListQuery<'_>) -> Result<Listed> {
        let began = Instant::now();
        let Some(meant) = &query.scope.query else {
            return Ok(Listed { rows: self.by_beginnings(tenant, query).await?, unfinished: None });
        };
        let (mut listed, mut after) = (Listed::default(), query.after);
        let at_once = LOOKED_AT_ONCE.max(query.limit);
        loop {
            let candidates = self.by_beginnings(tenant, &ListQuery { after, limit: at_once, ..*query }).await?;
            let was_last = candidates.len() < at_once;
            after = candidates.last().map(Row::position).or(after);
            let room = query.limit - listed.rows.len();
            let meant = meant.clone();
            // Thousands of texts: not for a thread that serves others.
            let looking = tokio::task::spawn_blocking(move || candidates.into_iter().filter(|row| row.is_meant_by(&meant)).take(room).collect::<Vec<_>>());
            listed.rows.extend(looking.await.map_err(|e| Error::internal("looking through rows", e))?);
            if was_last || listed.rows.len() == query.limit {
                return Ok(listed);
            }
            if began.elapsed() > LOOK_FOR {
                return Ok(Listed { unfinished: after, ..listed });
            }
        }
    }

    /// Rows of a scope, and some that its query does not mean: as far as the beginnings of messages tell.
    async fn by_beginnings(&self, tenant: &TenantId, query: &ListQuery<'_>) -> Result<Vec<Row>> {
        self.rows_of(query.statement(tenant)).await
    }

    /// Carries out a statement that selects [`ROW`].
    pub(super) async fn rows_of(&self, mut sql: QueryBuilder<Postgres>) -> Result<Vec<Row>> {
        let fail = failed(Engine::Rows, "listing rows");
        let mut tx = self.pool.begin_with(BEGIN_READING).await.map_err(&fail)?;
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(&fail)?;
        rows.iter().map(row_of).collect::<sqlx::Result<_>>().map_err(&fail)
    }

    /// The rows with these ids, in no order. Ids without a row are left out.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn by_ids(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<Row>> {
        let rows = sqlx::query(Self::by_ids_statement(tenant)).bind(ids).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(row_of).collect()).map_err(failed(Engine::Rows, "reading rows by id"))
    }

    /// What [`Rows::by_ids`] asks Postgres; its one value are the ids. Seen outside for measurements, which ask the same without us.
    #[must_use]
    pub fn by_ids_statement(tenant: &TenantId) -> SqlStr {
        on(tenant, &format!("{ROW} where r.id = any($1)"))
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

impl ListQuery<'_> {
    /// What [`Rows::list`] asks Postgres, with its values: rows of the scope, and some that its query does not mean.
    #[must_use]
    pub fn statement(&self, tenant: &TenantId) -> QueryBuilder<Postgres> {
        let mut sql = rows_within(tenant, self.scope, Texts::Beginnings);
        in_time_order(&mut sql, self.ascending, self.after, self.limit);
        sql
    }
}

pub(super) fn pending_row_of(row: &PgRow) -> sqlx::Result<PendingRow> {
    Ok(PendingRow {
        id: LogId::try_from(row.try_get::<Uuid, _>("id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        raw_path: row.try_get("path")?,
        raw_offset: row.try_get("raw_offset")?,
        raw_length: row.try_get("raw_length")?,
    })
}

/// A statement for the rows of a scope, so far without order.
pub(super) fn rows_within(tenant: &TenantId, scope: &Scope, texts: Texts) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(on(tenant, ROW).as_str());
    within(&mut sql, scope, texts);
    sql
}

/// Ends a statement for rows: by their own time, from a place on.
pub(super) fn in_time_order(sql: &mut QueryBuilder<Postgres>, ascending: bool, after: Option<Position>, limit: usize) {
    if let Some(after) = after {
        sql.push(if ascending { r#" and (r."timestamp", r.id) > ("# } else { r#" and (r."timestamp", r.id) < ("# });
        sql.push_bind(timestamp::to_datetime(after.timestamp)).push(", ").push_bind(after.id).push(")");
    }
    sql.push(if ascending { r#" order by r."timestamp", r.id limit "# } else { r#" order by r."timestamp" desc, r.id desc limit "# });
    sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
}

/// Adds a scope to a statement on `log_rows r`; its query only as far as SQL can say it.
pub(super) fn within(sql: &mut QueryBuilder<Postgres>, scope: &Scope, texts: Texts) {
    sql.push(" where r.id <= ").push_bind(BatchId::last_log(scope.received_up_to));
    since(sql, scope);
    if let Some(from) = scope.range.from {
        sql.push(r#" and r."timestamp" >= "#).push_bind(timestamp::to_datetime(from));
    }
    if let Some(to) = scope.range.to {
        sql.push(r#" and r."timestamp" < "#).push_bind(timestamp::to_datetime(to));
    }
    of_kinds(sql, scope);
    if let Some(query) = &scope.query {
        narrow::push(sql, query.root(), texts);
    }
}

/// Keeps out of a statement on `log_rows r` what has gone by a scope.
pub(super) fn since(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    if scope.horizon.rows > 0 {
        sql.push(" and r.id >= ").push_bind(BatchId::floor(scope.horizon.rows));
    }
}

/// Adds a scope's services and levels to a statement on rows or counts `r`.
pub(super) fn of_kinds(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    if !scope.services.is_empty() {
        sql.push(" and r.service = any(").push_bind(scope.services.clone()).push(")");
    }
    if scope.levels.iter().all(|level| *level >= Level::Warn) && !scope.levels.is_empty() {
        // In the statement's text, where the planner sees that the index of what is rare will do.
        sql.push(" and r.level >= 4");
    }
    if !scope.levels.is_empty() {
        sql.push(" and r.level = any(").push_bind(scope.levels.iter().map(|level| *level as i16).collect::<Vec<_>>()).push(")");
    }
}

impl Row {
    /// Its place in the order of lists.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { timestamp: self.timestamp, id: self.id.uuid() }
    }

    /// Whether a query means it, as far as a row can tell: its message is the beginning of the log's.
    #[must_use]
    pub fn is_meant_by(&self, query: &Query) -> bool {
        query.matches(&Subject {
            id: self.id,
            service: &self.service,
            level: self.level,
            timestamp: self.timestamp,
            message: &self.message,
            full_log: None,
            language: self.language.as_deref(),
            trace_id: None,
            span_id: None,
            attributes: &[],
            attribute_numbers: &[],
            parts: &words::runs([self.message.as_str()]),
        })
    }
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
