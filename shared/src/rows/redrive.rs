//! Redriving dead letters: who takes one up, and the transaction that ends it.
//!
//! Taking a letter up moves its due time past the longest try, so that two processes do not do the same, and one that died leaves
//! it to the next. Storing twice is kept out by the letter itself: of two transactions only one finds it to delete.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::dead_letters::{self, Buried, DeadLetter, ENTRY_STAGE, KILLED_ITS_PROCESSORS, WholeLetter, whole_of};
use super::store::{NO_PARTITION, bind_rows, register_objects};
use super::{NewRow, Receipt, Rows, StoreBatch, hourly, on, receipts, usage};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::{BEGIN_WRITING, failed, sqlstate};

/// Letters that are taken up together, as they cost about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// One record of at most 1 MiB.
    Record,
    /// An entry of the queue, which may hold 5,000 records.
    Entry,
}

/// What came of storing what a letter held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It is stored and counted, and its letter is gone.
    Stored,
    /// Nothing was written: another stored or discarded it meanwhile.
    Gone,
    /// Nothing was written: the receipt that counts it is not there.
    NoReceipt,
}

impl Rows {
    /// Takes up letters whose try is due, the longest due first; each is due again a minute later, should this process not end it.
    ///
    /// An entry that killed its processors is not: it could go on killing for ever. It waits for somebody to ask again.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn take_redrives(&self, kind: LetterKind, at_most: i64) -> Result<Vec<WholeLetter>> {
        let rows = sqlx::query(
            "update public.dead_letters d set attempts = d.attempts + 1, \
                    redrive_at = case when d.code = $3 then null else now() + interval '60 s' end, \
                    reason = case when d.code = $3 then 'another try was begun, and has not come to its end' else d.reason end \
             from (select id from public.dead_letters where redrive_at <= now() and discarded_at is null and (stage = $4) = $1 \
                   order by redrive_at limit $2 for update skip locked) due \
             where d.id = due.id \
             returning d.id, d.tenant, d.batch_id, d.records, d.stage, d.code, d.reason, octet_length(d.bytes)::bigint as size, d.created_at, d.redrive_at, d.attempts, d.bytes",
        )
        .bind(kind == LetterKind::Entry)
        .bind(at_most)
        .bind(KILLED_ITS_PROCESSORS)
        .bind(ENTRY_STAGE)
        .fetch_all(&self.pool)
        .await;
        rows.and_then(|rows| rows.iter().map(whole_of).collect()).map_err(failed(Engine::Rows, "taking up redrives"))
    }

    /// Makes a letter that was taken up due again in a few seconds: an engine was in trouble.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn postpone_redrive(&self, id: Uuid) -> Result<()> {
        let done = sqlx::query("update public.dead_letters set redrive_at = now() + interval '5 s' where id = $1 and discarded_at is null").bind(id).execute(&self.pool).await;
        done.map(drop).map_err(failed(Engine::Rows, "postponing a redrive"))
    }

    /// Ends a try that failed for what the letter is. It stays, with the new code and reason.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn refuse_redrive(&self, id: Uuid, code: &str, reason: &str) -> Result<()> {
        let done = sqlx::query("update public.dead_letters set redrive_at = null, code = $2, reason = $3 where id = $1 and discarded_at is null")
            .bind(id)
            .bind(code)
            .bind(reason)
            .execute(&self.pool)
            .await;
        done.map(drop).map_err(failed(Engine::Rows, "refusing a redrive"))
    }

    /// Ends a letter by storing what it held, in one transaction: the letter goes, its rows are written under their old ids, those of
    /// its records that are bad themselves become letters of their own, and the receipt is corrected. The counts of `batch.receipt`
    /// are those of `batch` alone. The receipt of an entry whose header could not be read before is made.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for weather; [`Error::Internal`] where a statement fails for what it says. Then nothing is written.
    pub async fn store_redriven(&self, letter: &Buried, batch: &StoreBatch) -> Result<Restored> {
        self.ensure_partitions_for(&[batch]).await?;
        self.try_store_redriven(letter, batch).await.map_err(|error| {
            if sqlstate(&error).as_deref() == Some(NO_PARTITION) {
                // Dropped by hand, or this process was wrong about them: the next try looks again.
                self.forget_partitions();
                return Error::unavailable(Engine::Rows, error);
            }
            failed(Engine::Rows, "storing what a dead letter held")(error)
        })
    }

    /// A transaction that is not committed is rolled back.
    async fn try_store_redriven(&self, letter: &Buried, batch: &StoreBatch) -> sqlx::Result<Restored> {
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await?;
        let made = letter.is_entry() && !receipts::insert(&mut tx, &[batch]).await?.is_empty();
        // The receipt first, as everyone does who changes rows and counts: of two the second waits here.
        if !made && !lock_receipt(&mut tx, &batch.receipt).await? {
            return Ok(Restored::NoReceipt);
        }
        if !delete_letter(&mut tx, letter.id).await? {
            return Ok(Restored::Gone);
        }
        // A receipt that stands and does not count this letter tells that its batch came in by another way, and is stored.
        if made || letter.batch.is_some() {
            insert_missing(&mut tx, &batch.receipt.tenant, &batch.rows.iter().collect::<Vec<_>>()).await?;
            dead_letters::insert(&mut tx, &batch.dead.iter().collect::<Vec<&DeadLetter>>()).await?;
            // An entry that was buried whole was not counted; the bytes of a single record on the wire were counted with its batch.
            usage::add(&mut tx, &[batch], if letter.is_entry() { usage::Wire::Counts } else { usage::Wire::IsCounted }).await?;
        }
        if !made && letter.batch.is_some() {
            correct_receipt(&mut tx, letter, &batch.receipt).await?;
        }
        tx.commit().await?;
        Ok(Restored::Stored)
    }
}

async fn lock_receipt(tx: &mut PgConnection, receipt: &Receipt) -> sqlx::Result<bool> {
    let found = sqlx::query("select 1 from public.receipts where batch_id = $1 and tenant = $2 for update").bind(receipt.batch.uuid()).bind(receipt.tenant.as_str());
    found.fetch_optional(tx).await.map(|row| row.is_some())
}

async fn delete_letter(tx: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    let deleted = sqlx::query("delete from public.dead_letters where id = $1 and discarded_at is null").bind(id).execute(tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Writes rows that are not there yet, has their hours counted anew, and answers how many those were.
pub(super) async fn insert_missing(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<u64> {
    let objects = register_objects(tx, tenant, rows).await?;
    hourly::mark(tx, tenant, rows).await?;
    let statement = r#"insert into {schema}.log_rows (id, "timestamp", object_id, raw_offset, raw_length, level, index_state, service, language, message)
         select * from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::int[], $5::int[], $6::smallint[], $7::smallint[], $8::text[], $9::text[], $10::text[])
         on conflict do nothing"#;
    let objects: Vec<Option<i64>> = rows.iter().map(|row| objects.get(&*row.raw_path).copied()).collect();
    bind_rows(sqlx::query(on(tenant, statement)), rows, objects).execute(tx).await.map(|done| done.rows_affected())
}

/// Moves what was dead to where it is now.
async fn correct_receipt(tx: &mut PgConnection, letter: &Buried, now: &Receipt) -> sqlx::Result<()> {
    sqlx::query(
        "update public.receipts set searchable_at = now(), dead = dead - $2 + $3, stored = stored + $4, indexed = indexed + $5, pending = pending + $6, \
                refused = refused + $7, not_wanted = not_wanted + $8 where batch_id = $1",
    )
    .bind(now.batch.uuid())
    .bind(letter.records)
    .bind(now.dead)
    .bind(now.stored)
    .bind(now.indexed)
    .bind(now.pending)
    .bind(now.refused)
    .bind(now.not_wanted)
    .execute(tx)
    .await
    .map(drop)
}
