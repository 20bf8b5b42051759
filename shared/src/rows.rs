//! The logs database: every statement on receipts, dead letters and the tenants' schemas.
//!
//! A tenant's schema has its id as name. Statements name it in full; there is no `search_path`, so a pooled connection carries
//! nothing from one tenant to the next. The text of a statement holds nothing but a [`TenantId`] and names made here.

mod audit;
pub mod copy;
mod counts;
mod dead_letters;
mod hourly;
mod narrow;
mod partitions;
mod read;
mod rebuild;
mod receipts;
mod redrive;
mod refusals;
mod refused;
mod retention;
mod schema;
mod store;
mod usage;
mod whole;

pub use audit::{LetterMark, RowPlace};
pub use dead_letters::{Buried, DeadLetter, ENTRY_STAGE, KILLED_ITS_PROCESSORS, LetterFilter, Reach, WholeLetter};
pub use hourly::AddedUp;
pub use read::{ListQuery, Listed, PendingRow, Position, Row};
pub use rebuild::ShortBatch;
pub use receipts::{PendingBatch, Receipt};
pub use redrive::{LetterKind, Restored};
pub use refusals::{RefusedHour, RefusedQuery};
pub use refused::RefusedRow;
pub use retention::HeldLogs;
pub use schema::{Holdings, Migrated, SchemaState};
pub use store::{IndexState, NewRow, StoreBatch};
pub use usage::{BatchUsed, BilledHour, Grouping, Interval, Searched, UsageQuery, Used};
pub use whole::Skipped;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr, SqlStr};

use crate::error::{Engine, Result};
use crate::ids::TenantId;
use crate::postgres::{self, failed};
use crate::settings::PostgresSettings;

/// Longest `message` of a row, in characters: a list shows a line, and the whole text is in the index and in raw.
pub const MAX_MESSAGE_CHARS: usize = 500;

/// The logs database.
#[derive(Debug, Clone)]
pub struct Rows {
    pool: PgPool,
    /// Partitions that this process has seen to be there.
    known_partitions: Arc<Mutex<HashSet<String>>>,
}

impl Rows {
    /// Prepares the pool; nothing is sent before the first statement.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] for a URL that is none.
    pub fn open(settings: &PostgresSettings) -> Result<Self> {
        Ok(Self { pool: postgres::pool(settings)?, known_partitions: Arc::default() })
    }

    /// Asks whether Postgres answers.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("select 1").execute(&self.pool).await.map_err(failed(Engine::Rows, "asking Postgres")).map(drop)
    }

    /// Closes the connections, for a process that ends.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A statement on a tenant's schema: `{schema}` in the text becomes its quoted name.
fn on(tenant: &TenantId, text: &str) -> SqlStr {
    AssertSqlSafe(text.replace("{schema}", &format!("\"{tenant}\""))).into_sql_str()
}
