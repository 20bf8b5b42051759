//! Storing batches: receipts first, then the rows of those batches only that had no receipt yet.

use std::collections::{BTreeMap, HashSet};

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{Encode, Postgres, Type};
use uuid::Uuid;

use super::dead_letters::{self, DeadLetter};
use super::partitions::ReceiptMonth;
use super::receipts::Receipt;
use super::{Rows, copy, hourly, on, usage};
use crate::error::{Engine, Error, Result};
use crate::fault;
use crate::ids::{BatchId, LogId, TenantId};
use crate::postgres::{BEGIN_WRITING, failed, sqlstate};
use crate::record::{Level, Record};
use crate::text::first_chars;
use crate::timestamp::{self, UnixMs};

/// Postgres raises this where no partition takes a row (`check_violation`).
pub(super) const NO_PARTITION: &str = "23514";

/// What became of a log in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum IndexState {
    /// Not yet: maintenance will see to it.
    Pending = 0,
    /// It is there.
    Indexed = 1,
    /// The index refused it for what it is.
    Refused = 2,
    /// It was not to be indexed.
    NotWanted = 3,
}

impl IndexState {
    /// The state of a row's `index_state`; what is none counts as not there yet.
    #[must_use]
    pub fn from_number(number: i16) -> Self {
        match number {
            1 => Self::Indexed,
            2 => Self::Refused,
            3 => Self::NotWanted,
            _ => Self::Pending,
        }
    }
}

/// A row to be written.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// The log's id.
    pub id: LogId,
    /// The record's own time, or that of receipt.
    pub timestamp: UnixMs,
    /// Path of the raw object.
    pub raw_path: std::sync::Arc<str>,
    /// First byte of the frame that holds the record.
    pub raw_offset: i32,
    /// Bytes of that frame.
    pub raw_length: i32,
    /// The level.
    pub level: Level,
    /// What became of it in the index.
    pub index_state: IndexState,
    /// The service.
    pub service: String,
    /// Language of the program.
    pub language: Option<String>,
    /// At most [`super::MAX_MESSAGE_CHARS`] characters, without NUL.
    pub message: String,
    /// Bytes of the record as sent, with the line's end: what is counted as used.
    pub bytes: i64,
}

impl NewRow {
    /// The row of a record that was received under this id, as this line. Its place in the raw object is still to be set.
    #[must_use]
    pub fn new(id: LogId, record: &Record<'_>, line: &[u8], raw_path: std::sync::Arc<str>, index_state: IndexState) -> Self {
        Self {
            id,
            timestamp: record.timestamp.unwrap_or_else(|| i64::try_from(id.unix_ms()).unwrap_or(timestamp::MAX)),
            raw_path,
            raw_offset: 0,
            raw_length: 0,
            level: record.level.unwrap_or(Level::Info),
            index_state,
            service: record.service().to_owned(),
            language: record.language.as_deref().map(str::to_owned),
            message: first_chars(record.summary(), super::MAX_MESSAGE_CHARS).to_owned(),
            bytes: i64::try_from(line.len()).map_or(i64::MAX, |bytes| bytes.saturating_add(1)),
        }
    }
}

/// A batch to be stored.
#[derive(Debug, Clone)]
pub struct StoreBatch {
    /// Its receipt.
    pub receipt: Receipt,
    /// Its rows.
    pub rows: Vec<NewRow>,
    /// What of it cannot be stored.
    pub dead: Vec<DeadLetter>,
}

impl Rows {
    /// Stores batches in one transaction: all or none. A batch that has a receipt already is left as it is, so storing one twice
    /// stores it once. Answers the batches that were new.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for weather; [`Error::Internal`] where a statement fails for what it says, such as a schema that
    /// is not there: then one transaction for each tenant tells whose it is.
    pub async fn store(&self, batches: &[&StoreBatch]) -> Result<HashSet<BatchId>> {
        for attempt in 0..2 {
            self.ensure_partitions_for(batches).await?;
            match self.try_store(batches).await {
                // Dropped by hand, or this process was wrong about them: look again, once.
                Err(error) if attempt == 0 && sqlstate(&error).as_deref() == Some(NO_PARTITION) => self.forget_partitions(),
                outcome => return outcome.map_err(failed(Engine::Rows, "storing rows")),
            }
        }
        Err(Error::internal("storing rows", "a partition that was made is not there"))
    }

    pub(super) async fn ensure_partitions_for(&self, batches: &[&StoreBatch]) -> Result<()> {
        let needed: HashSet<(&TenantId, ReceiptMonth)> = batches.iter().map(|batch| (&batch.receipt.tenant, ReceiptMonth::of(batch.receipt.batch.unix_ms()))).collect();
        for (tenant, month) in needed {
            self.ensure_partition("public", "receipts", month).await?;
            if batches.iter().any(|batch| batch.receipt.tenant == *tenant && !batch.rows.is_empty()) {
                self.ensure_partition(tenant.as_str(), "log_rows", month).await?;
            }
        }
        Ok(())
    }

    async fn try_store(&self, batches: &[&StoreBatch]) -> sqlx::Result<HashSet<BatchId>> {
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await?;
        let fresh = super::receipts::insert(&mut tx, batches).await?;
        fault::point("rows.after_receipts");
        let new: Vec<&StoreBatch> = batches.iter().copied().filter(|batch| fresh.contains(&batch.receipt.batch)).collect();
        let mut by_tenant: BTreeMap<&TenantId, Vec<&NewRow>> = BTreeMap::new();
        for batch in &new {
            by_tenant.entry(&batch.receipt.tenant).or_default().extend(&batch.rows);
        }
        for (tenant, rows) in &by_tenant {
            write_rows(&mut tx, tenant, rows).await?;
        }
        hourly::add(&mut tx, &by_tenant).await?;
        usage::add(&mut tx, &new, usage::Wire::Counts).await?;
        let dead: Vec<&DeadLetter> = new.iter().flat_map(|batch| &batch.dead).collect();
        dead_letters::insert(&mut tx, &dead).await?;
        fault::point("rows.after_copy");
        tx.commit().await?;
        Ok(fresh)
    }

    /// Writes what became of logs that were pending, and corrects the receipts of their batches by what really changed: all in one
    /// transaction. Logs that were settled already are left alone, so two who settle the same ones count them once.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Internal`]: then nothing is written.
    pub async fn settle(&self, tenant: &TenantId, settled: &[(LogId, IndexState)]) -> Result<()> {
        let fail = failed(Engine::Rows, "settling what was pending");
        let mut batches: Vec<Uuid> = settled.iter().map(|(id, _)| id.batch().uuid()).collect();
        batches.sort_unstable();
        batches.dedup();
        let (ids, states): (Vec<Uuid>, Vec<i16>) = settled.iter().map(|(id, state)| (id.uuid(), *state as i16)).unzip();
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        // Receipts first, in the order of their ids: of two who settle the same batches the second waits here, and finds them settled.
        sqlx::query("select 1 from public.receipts where batch_id = any($1) order by batch_id for update").bind(&batches).execute(&mut *tx).await.map_err(&fail)?;
        let statement = "with moved as ( \
                 update {schema}.log_rows r set index_state = s.state from unnest($1::uuid[], $2::smallint[]) as s (id, state) \
                 where r.id = s.id and r.id between $4 and $5 and r.index_state = 0 and s.state <> 0 returning r.id, r.index_state \
             ), counted as ( \
                 select overlay(id::text placing '0000' from 33)::uuid as batch_id, count(*) as moved, \
                        count(*) filter (where index_state = 1) as indexed, count(*) filter (where index_state = 2) as refused, \
                        count(*) filter (where index_state = 3) as not_wanted from moved group by 1 \
             ) \
             update public.receipts r set searchable_at = now(), pending = r.pending - c.moved, indexed = r.indexed + c.indexed, refused = r.refused + c.refused, \
                    not_wanted = r.not_wanted + c.not_wanted \
             from counted c where r.batch_id = c.batch_id and r.batch_id = any($3)";
        // The bounds are for the planner: without them a month's partition may look cheaper to read whole.
        let (first, last) = (ids.iter().min().copied(), ids.iter().max().copied());
        sqlx::query(on(tenant, statement)).bind(ids).bind(states).bind(&batches).bind(first).bind(last).execute(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(&fail)
    }
}

/// Rows from which on COPY is the quicker way. It sends its data and its end apart, and of what is shorter than a segment (64 KiB on the loopback) the end waits
/// for the data to be acknowledged, 40 ms on Linux: sqlx 0.9.0 does not set TCP_NODELAY (its issue 4335).
const COPY_FROM: usize = 250;

/// Writes a tenant's rows, and registers the raw objects that they name.
pub(super) async fn write_rows(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<()> {
    match rows.len() {
        0 => Ok(()),
        1..COPY_FROM => insert_few(tx, tenant, rows).await,
        _ => copy_rows(tx, tenant, rows).await,
    }
}

/// Gives the number of a path that was there before too, also where another transaction made it since this statement began: `do nothing` would
/// keep such a one from being seen. Paths are new but for what is done again, so that little is written twice.
const KNOWN: &str = "on conflict (path) do update set path = excluded.path returning id, path";

async fn insert_few(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<()> {
    let statement = format!(
        "with known as (insert into {{schema}}.objects (path) select distinct path from unnest($3::text[]) as named (path) order by path {KNOWN}) \
         insert into {{schema}}.log_rows ({}) \
         select n.id, n.at, known.id, n.raw_offset, n.raw_length, n.level, n.index_state, n.service, n.language, n.message \
         from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::int[], $5::int[], $6::smallint[], $7::smallint[], $8::text[], $9::text[], $10::text[]) \
              as n (id, at, path, raw_offset, raw_length, level, index_state, service, language, message) join known on known.path = n.path",
        copy::COLUMNS
    );
    // A connection keeps a hundred statements; there are more tenants than that.
    let insert = sqlx::query(on(tenant, &statement)).persistent(false);
    let paths: Vec<&str> = rows.iter().map(|row| &*row.raw_path).collect();
    let inserted = bind_rows(insert, rows, paths).execute(tx).await?.rows_affected();
    if inserted != rows.len() as u64 {
        return Err(sqlx::Error::Protocol(format!("{inserted} of {} rows found their raw object", rows.len())));
    }
    Ok(())
}

/// Binds rows as ten arrays, one for each column of [`copy::COLUMNS`]. `objects` names the raw object of each.
pub(super) fn bind_rows<'q, O>(query: Query<'q, Postgres, PgArguments>, rows: &[&'q NewRow], objects: Vec<O>) -> Query<'q, Postgres, PgArguments>
where
    Vec<O>: Encode<'q, Postgres> + Type<Postgres> + 'q,
{
    macro_rules! column {
        ($of:expr) => {
            rows.iter().copied().map($of).collect::<Vec<_>>()
        };
    }
    let query = query.bind(column!(|row| row.id.uuid())).bind(column!(|row| timestamp::to_datetime(row.timestamp))).bind(objects);
    let query = query.bind(column!(|row| row.raw_offset)).bind(column!(|row| row.raw_length)).bind(column!(|row| row.level as i16));
    let query = query.bind(column!(|row| row.index_state as i16)).bind(column!(|row| row.service.as_str())).bind(column!(|row| row.language.as_deref()));
    query.bind(column!(|row| row.message.as_str()))
}

async fn copy_rows(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<()> {
    let objects = register_objects(tx, tenant, rows).await?;
    let object = |row: &NewRow| objects.get(&*row.raw_path).copied().unwrap_or_default();
    let statement = format!("copy \"{tenant}\".log_rows ({}) from stdin (format binary)", copy::COLUMNS);
    let mut sink = tx.copy_in_raw(&statement).await?;
    let bytes = copy::encode(rows.iter().map(|row| (*row, object(row))));
    if let Err(error) = sink.send(bytes).await {
        let _ = sink.abort("the rows could not be sent").await;
        return Err(error);
    }
    sink.finish().await.map(drop)
}

/// The number of each raw object that rows name, made where it had none.
pub(super) async fn register_objects(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<BTreeMap<String, i64>> {
    let mut paths: Vec<&str> = rows.iter().map(|row| &*row.raw_path).collect();
    paths.sort_unstable();
    paths.dedup();
    let register = on(tenant, &format!("insert into {{schema}}.objects (path) select unnest($1::text[]) {KNOWN}"));
    Ok(sqlx::query_as::<_, (i64, String)>(register).bind(&paths).fetch_all(tx).await?.into_iter().map(|(id, path)| (path, id)).collect())
}
