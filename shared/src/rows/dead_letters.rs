//! Dead letters: what could not be stored, with its bytes and the reason, until it is redriven or discarded.
//!
//! One that was discarded keeps its line without the bytes, so that counts still add up; no list shows it, and nothing brings it
//! back.

use serde::Serialize;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, QueryBuilder, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Rows;
use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, IdError, LogId, TenantId};
use crate::postgres::failed;
use crate::timestamp::{self, UnixMs};

/// The stage of an entry of the queue that could not be opened; every other stage buries single records.
pub const ENTRY_STAGE: &str = "open";
/// The code of an entry that was handed out again and again to processors that died with it.
pub const KILLED_ITS_PROCESSORS: &str = "killed_its_processors";

/// A record, or a whole entry, that cannot be stored.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The log's id, or a fresh one for an entry that could not be opened.
    pub id: Uuid,
    /// Whose it is, where that is known.
    pub tenant: Option<TenantId>,
    /// Its batch, where that is known.
    pub batch: Option<BatchId>,
    /// Records that it stands for: one, or all that its entry holds.
    pub records: i32,
    /// Where it failed, such as `open` or `parse`.
    pub stage: &'static str,
    /// A stable word.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
    /// The record as sent, or the entry's bytes.
    pub bytes: Vec<u8>,
}

/// A dead letter as it is read, its bytes aside.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetter)]
pub struct Buried {
    /// The id that the log would have had, or one of its own for a whole batch.
    pub id: Uuid,
    /// Whose it is; `null` where that could not be read.
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantId>,
    /// Its batch; `null` where that could not be read.
    #[serde(rename = "batch_id")]
    #[schema(value_type = Option<Uuid>)]
    pub batch: Option<BatchId>,
    /// Records that it stands for.
    pub records: i32,
    /// Where it failed: `open` (a whole batch could not be opened), `parse` (a record could not be read), `rows` (Postgres refused its row).
    pub stage: String,
    /// A stable word.
    pub code: String,
    /// A sentence: why it was buried, or why the last try failed.
    pub reason: String,
    /// Bytes of what it holds.
    pub size: i64,
    /// When it was buried.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the next try is due; `null` where nobody asked for one.
    #[serde(with = "time::serde::rfc3339::option")]
    pub redrive_at: Option<OffsetDateTime>,
    /// Tries begun since it was buried.
    pub attempts: i32,
}

impl Buried {
    /// Whether it is an entry of the queue, and not one record.
    #[must_use]
    pub fn is_entry(&self) -> bool {
        self.stage == ENTRY_STAGE
    }

    /// The log that it would have been, if it is one record of a known batch.
    #[must_use]
    pub fn log(&self) -> Option<LogId> {
        LogId::try_from(self.id).ok().filter(|log| !self.is_entry() && self.batch == Some(log.batch()))
    }
}

/// A dead letter with its bytes.
#[derive(Debug, Clone)]
pub struct WholeLetter {
    /// What is known of it.
    pub letter: Buried,
    /// What it holds, or the first part of it.
    pub bytes: Vec<u8>,
}

/// Whose letters a caller may see and touch: every call takes one, so a question without an owner cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// One tenant's: all that a key of it opens.
    Tenant(TenantId),
    /// Everyone's, and those that have no tenant: for operators.
    All,
}

impl Reach {
    /// The tenant, where it is one's.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(tenant) => Some(tenant.as_str()),
            Self::All => None,
        }
    }
}

/// Which letters: all that agree with what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Where it failed.
    pub stage: Option<String>,
    /// Why.
    pub code: Option<String>,
    /// Its batch.
    pub batch: Option<BatchId>,
    /// Buried from this moment on.
    pub from: Option<UnixMs>,
    /// Buried before this moment.
    pub to: Option<UnixMs>,
    /// Those of these tenants have gone that were received before this moment, in milliseconds since 1970.
    pub gone: Vec<(TenantId, u64)>,
}

/// What is read of a letter, bytes aside. The length of a value is known without reading it.
const COLUMNS: &str = "id, tenant, batch_id, records, stage, code, reason, octet_length(bytes)::bigint as size, created_at, redrive_at, attempts";

pub(super) async fn insert(tx: &mut PgConnection, letters: &[&DeadLetter]) -> sqlx::Result<()> {
    for letter in letters {
        sqlx::query("insert into public.dead_letters (id, tenant, batch_id, records, stage, code, reason, bytes) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing")
            .bind(letter.id)
            .bind(letter.tenant.as_ref().map(TenantId::as_str))
            .bind(letter.batch.map(BatchId::uuid))
            .bind(letter.records)
            .bind(letter.stage)
            .bind(&letter.code)
            .bind(&letter.reason)
            .bind(&letter.bytes)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

impl Rows {
    /// Buries what belongs to no batch that could be read.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Internal`].
    pub async fn bury(&self, letters: &[&DeadLetter]) -> Result<()> {
        let fail = failed(Engine::Rows, "burying a dead letter");
        let mut connection = self.pool.acquire().await.map_err(&fail)?;
        insert(&mut connection, letters).await.map_err(&fail)
    }

    /// A page of letters, newest ids first, from the one before `before` on.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn dead_letters(&self, reach: &Reach, filter: &LetterFilter, before: Option<Uuid>, limit: i64) -> Result<Vec<Buried>> {
        let mut sql = QueryBuilder::new(format!("select {COLUMNS} from public.dead_letters where discarded_at is null"));
        narrow(&mut sql, reach, filter);
        if let Some(before) = before {
            sql.push(" and id < ").push_bind(before);
        }
        sql.push(" order by id desc limit ").push_bind(limit);
        let rows = sql.build().fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(buried_of).collect()).map_err(failed(Engine::Rows, "listing dead letters"))
    }

    /// How many letters there are that nobody has given up.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_dead_letters(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("select count(*) from public.dead_letters where discarded_at is null")
            .fetch_one(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "counting dead letters"))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// One letter that agrees with the filter, with no more than the first `at_most` of its bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for another's and for one that was discarded; [`Error::Unavailable`].
    pub async fn dead_letter(&self, reach: &Reach, filter: &LetterFilter, id: Uuid, at_most: i32) -> Result<WholeLetter> {
        let mut sql = QueryBuilder::new(format!("select {COLUMNS}, substring(bytes from 1 for "));
        sql.push_bind(at_most).push(") as bytes from public.dead_letters where discarded_at is null and id = ").push_bind(id);
        narrow(&mut sql, reach, filter);
        let row = sql.build().fetch_optional(&self.pool).await;
        let found = row.and_then(|row| row.map(|row| whole_of(&row)).transpose()).map_err(failed(Engine::Rows, "reading a dead letter"))?;
        found.ok_or(Error::NotFound("dead letter"))
    }

    /// Asks for another try of one letter. Asking again changes nothing.
    ///
    /// # Errors
    /// As [`Rows::dead_letter`].
    pub async fn ask_redrive(&self, reach: &Reach, filter: &LetterFilter, id: Uuid) -> Result<Buried> {
        let mut sql = QueryBuilder::new("update public.dead_letters set redrive_at = coalesce(redrive_at, now()) where discarded_at is null and id = ");
        sql.push_bind(id);
        narrow(&mut sql, reach, filter);
        sql.push(" returning ").push(COLUMNS);
        let row = sql.build().fetch_optional(&self.pool).await;
        let asked = row.and_then(|row| row.map(|row| buried_of(&row)).transpose()).map_err(failed(Engine::Rows, "asking for a redrive"))?;
        asked.ok_or(Error::NotFound("dead letter"))
    }

    /// Asks for another try of all letters that agree with the filter. Answers how many those are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ask_redrives(&self, reach: &Reach, filter: &LetterFilter) -> Result<u64> {
        let mut sql = QueryBuilder::new("update public.dead_letters set redrive_at = coalesce(redrive_at, now()) where discarded_at is null");
        narrow(&mut sql, reach, filter);
        let asked = sql.build().execute(&self.pool).await;
        asked.map(|asked| asked.rows_affected()).map_err(failed(Engine::Rows, "asking for redrives"))
    }

    /// Gives a letter up: its bytes are gone, and its line stays for the counts.
    ///
    /// # Errors
    /// As [`Rows::dead_letter`].
    pub async fn discard(&self, reach: &Reach, filter: &LetterFilter, id: Uuid) -> Result<()> {
        let mut sql = QueryBuilder::new("update public.dead_letters set discarded_at = now(), bytes = '', redrive_at = null where discarded_at is null and id = ");
        sql.push_bind(id);
        narrow(&mut sql, reach, filter);
        let done = sql.build().execute(&self.pool).await.map_err(failed(Engine::Rows, "discarding a dead letter"))?;
        if done.rows_affected() == 0 { Err(Error::NotFound("dead letter")) } else { Ok(()) }
    }
}

/// Goes on with a `where`: only what is within reach, and agrees with the filter.
fn narrow(sql: &mut QueryBuilder<Postgres>, reach: &Reach, filter: &LetterFilter) {
    if let Some(tenant) = reach.tenant() {
        sql.push(" and tenant = ").push_bind(tenant.to_owned());
    }
    for (column, wanted) in [(" and stage = ", &filter.stage), (" and code = ", &filter.code)] {
        if let Some(wanted) = wanted {
            sql.push(column).push_bind(wanted.clone());
        }
    }
    if let Some(batch) = filter.batch {
        sql.push(" and batch_id = ").push_bind(batch.uuid());
    }
    if let Some(from) = filter.from {
        sql.push(" and created_at >= ").push_bind(timestamp::to_datetime(from));
    }
    if let Some(to) = filter.to {
        sql.push(" and created_at < ").push_bind(timestamp::to_datetime(to));
    }
    if !filter.gone.is_empty() {
        let (tenants, floors): (Vec<String>, Vec<Uuid>) = filter.gone.iter().map(|(tenant, ms)| (tenant.to_string(), BatchId::floor(*ms))).unzip();
        sql.push(" and not exists (select 1 from unnest(").push_bind(tenants).push("::text[], ").push_bind(floors);
        sql.push("::uuid[]) as gone (tenant, floor) where gone.tenant = dead_letters.tenant and dead_letters.id < gone.floor)");
    }
}

fn buried_of(row: &PgRow) -> sqlx::Result<Buried> {
    let decode = |e: IdError| sqlx::Error::Decode(Box::new(e));
    Ok(Buried {
        id: row.try_get("id")?,
        tenant: row.try_get::<Option<String>, _>("tenant")?.map(|tenant| TenantId::parse(&tenant)).transpose().map_err(decode)?,
        batch: row.try_get::<Option<Uuid>, _>("batch_id")?.map(BatchId::try_from).transpose().map_err(decode)?,
        records: row.try_get("records")?,
        stage: row.try_get("stage")?,
        code: row.try_get("code")?,
        reason: row.try_get("reason")?,
        size: row.try_get("size")?,
        created_at: row.try_get("created_at")?,
        redrive_at: row.try_get("redrive_at")?,
        attempts: row.try_get("attempts")?,
    })
}

pub(super) fn whole_of(row: &PgRow) -> sqlx::Result<WholeLetter> {
    Ok(WholeLetter { letter: buried_of(row)?, bytes: row.try_get("bytes")? })
}
