//! Which rows Postgres refuses for what they are, so that they can be buried alone.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::store::write_rows;
use super::{NewRow, Rows};
use crate::error::{Engine, Result};
use crate::ids::{BatchId, LogId, TenantId};
use crate::postgres::{BEGIN_WRITING, failed};

/// A row that cannot be written, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The log's id.
    pub id: LogId,
    /// What Postgres said, without the values: SQLSTATE and constraint.
    pub reason: String,
}

/// Most rows that are found to be refused. Where there are more, it is the tenant's table that was changed, and finding each of them,
/// some ten statements a row, would keep the rest of the drain from being stored.
const MOST_REFUSED: usize = 100;

impl Rows {
    /// Tries a tenant's rows, none of which is stored yet, and answers those that Postgres refuses, found by halving under
    /// savepoints; `None` where those are more than a hundred. Nothing stays written.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`]; [`crate::error::Error::Internal`] where it is not the rows but the schema that fails.
    pub async fn refused(&self, tenant: &TenantId, rows: &[&NewRow]) -> Result<Option<Vec<RefusedRow>>> {
        let fail = failed(Engine::Rows, "looking for rows that cannot be written");
        let mut tx = self.pool.begin_with(BEGIN_WRITING).await.map_err(&fail)?;
        let refused = halve(&mut tx, tenant, rows).await.map_err(&fail)?;
        tx.rollback().await.map_err(&fail)?;
        Ok(refused)
    }

    /// Which of these batches have a receipt: an attempt that broke off after its rows, or another process, has stored them.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn stored_of(&self, batches: &[BatchId]) -> Result<HashSet<BatchId>> {
        let ids: Vec<Uuid> = batches.iter().map(|batch| batch.uuid()).collect();
        let stored: Vec<Uuid> = sqlx::query_scalar("select batch_id from public.receipts where batch_id = any($1)")
            .bind(ids)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "looking for receipts"))?;
        Ok(stored.into_iter().filter_map(|id| BatchId::try_from(id).ok()).collect())
    }
}

async fn halve(tx: &mut PgConnection, tenant: &TenantId, rows: &[&NewRow]) -> sqlx::Result<Option<Vec<RefusedRow>>> {
    let (mut refused, mut untried) = (Vec::new(), vec![rows]);
    while let Some(some) = untried.pop() {
        if refused.len() > MOST_REFUSED {
            return Ok(None);
        }
        sqlx::query("savepoint halving").execute(&mut *tx).await?;
        let Err(error) = write_rows(tx, tenant, some).await else {
            sqlx::query("release savepoint halving").execute(&mut *tx).await?;
            continue;
        };
        let Some(reason) = value_error(&error) else { return Err(error) };
        sqlx::query("rollback to savepoint halving").execute(&mut *tx).await?;
        match some {
            [] => {}
            [row] => refused.push(RefusedRow { id: row.id, reason }),
            _ => {
                let (first, second) = some.split_at(some.len() / 2);
                untried.extend([second, first]);
            }
        }
    }
    Ok(Some(refused))
}

/// What is wrong with a value, where that is what is wrong: class 22 (data exception) and violated constraints of class 23 (Postgres
/// manual, appendix A). A missing partition is of class 23, too, and names no constraint.
fn value_error(error: &sqlx::Error) -> Option<String> {
    let said = error.as_database_error()?;
    let code = said.code()?;
    match said.constraint() {
        Some(constraint) if code.starts_with("23") => Some(format!("Postgres refuses its row: SQLSTATE {code}, constraint {constraint}")),
        _ if code.starts_with("22") => Some(format!("Postgres refuses its row: SQLSTATE {code}")),
        _ => None,
    }
}
