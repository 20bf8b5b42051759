//! What Postgres holds of a tenant, read whole: for audits. Ranges are half-open, by id, which says when a log was received.

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use uuid::Uuid;

use super::receipts::{Receipt, receipt_of};
use super::{ENTRY_STAGE, IndexState, Rows, on};
use crate::error::{Engine, Result};
use crate::ids::{LogId, TenantId};
use crate::postgres::{failed, sqlstate};

/// What Postgres says of a table of a schema that is not there: `undefined_table`, `invalid_schema_name` (manual, appendix A).
const NO_SCHEMA: [&str; 2] = ["42P01", "3F000"];

/// A row, without what it says: where its record lies, and what became of it in the index.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// The log's id.
    pub id: LogId,
    /// Which of the tenant's objects holds the record.
    pub object: i64,
    /// First byte of its frame.
    pub offset: i32,
    /// What became of it in the index.
    pub state: IndexState,
}

/// A dead letter, without its bytes.
#[derive(Debug, Clone, Copy)]
pub struct LetterMark {
    /// Its id: a log's, unless it stands for a whole entry.
    pub id: Uuid,
    /// Its batch.
    pub batch: Uuid,
    /// Records that it stands for.
    pub records: i32,
    /// Whether it is an entry of the queue, and not one record.
    pub is_entry: bool,
}

impl Rows {
    /// Tenants that have a schema.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn tenants(&self) -> Result<Vec<TenantId>> {
        let names: Vec<String> = sqlx::query_scalar("select tenant from public.schemas where dropped_at is null order by tenant")
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "listing tenants"))?;
        Ok(names.iter().filter_map(|name| TenantId::parse(name).ok()).collect())
    }

    /// Receipts of a tenant's batches, in the order of their ids.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub fn receipts<'a>(&'a self, tenant: &'a TenantId, from: Uuid, to: Uuid) -> BoxStream<'a, Result<Receipt>> {
        let statement = "select * from public.receipts where tenant = $1 and batch_id >= $2 and batch_id < $3 order by batch_id";
        let rows = sqlx::query(statement).bind(tenant.as_str()).bind(from).bind(to).fetch(&self.pool);
        rows.map(|row| row.and_then(|row| receipt_of(&row))).map_err(failed(Engine::Rows, "reading receipts")).boxed()
    }

    /// A tenant's rows, in no order.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], or [`crate::error::Error::Internal`] where the tenant's schema is not there.
    pub fn places<'a>(&'a self, tenant: &TenantId, from: Uuid, to: Uuid) -> BoxStream<'a, Result<RowPlace>> {
        let statement = on(tenant, "select id, object_id, raw_offset, index_state from {schema}.log_rows where id >= $1 and id < $2");
        let rows = sqlx::query_as::<_, (Uuid, i64, i32, i16)>(statement).bind(from).bind(to).fetch(&self.pool);
        rows.map(|row| {
            let (id, object, offset, state) = row?;
            let id = LogId::try_from(id).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
            Ok(RowPlace { id, object, offset, state: IndexState::from_number(state) })
        })
        .map_err(failed(Engine::Rows, "reading rows"))
        .boxed()
    }

    /// A tenant's raw objects by the numbers that its rows name; `None` where the tenant's schema is not there.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn object_paths(&self, tenant: &TenantId) -> Result<Option<Vec<(i64, String)>>> {
        match sqlx::query_as(on(tenant, "select id, path from {schema}.objects")).fetch_all(&self.pool).await {
            Ok(paths) => Ok(Some(paths)),
            Err(error) if sqlstate(&error).is_some_and(|code| NO_SCHEMA.contains(&code.as_str())) => Ok(None),
            Err(error) => Err(failed(Engine::Rows, "reading the names of raw objects")(error)),
        }
    }

    /// Dead letters of a tenant's batches, those that were given up included.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn letter_marks(&self, tenant: &TenantId, from: Uuid, to: Uuid) -> Result<Vec<LetterMark>> {
        let statement = "select id, batch_id, records, stage from public.dead_letters where tenant = $1 and batch_id >= $2 and batch_id < $3";
        let rows: Vec<(Uuid, Uuid, i32, String)> =
            sqlx::query_as(statement).bind(tenant.as_str()).bind(from).bind(to).fetch_all(&self.pool).await.map_err(failed(Engine::Rows, "reading dead letters"))?;
        Ok(rows.into_iter().map(|(id, batch, records, stage)| LetterMark { id, batch, records, is_entry: stage == ENTRY_STAGE }).collect())
    }
}
