//! What an audit says.

use serde::Serialize;
use shared::ids::{BatchId, LogId, TenantId};

/// What was found of all tenants.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// One for each tenant.
    pub tenants: Vec<TenantAudit>,
    /// What is not as it must be.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// Whether each accepted log is accounted for.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Counts of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantAudit {
    /// Whose.
    pub tenant: TenantId,
    /// Batches with a receipt.
    pub batches: u64,
    /// Records that their receipts say were accepted.
    pub accepted: u64,
    /// Rows in Postgres.
    pub rows: u64,
    /// Documents in OpenSearch.
    pub documents: u64,
    /// Documents of records that are dead letters: they were written before Postgres refused the row, and no search shows them.
    pub documents_of_letters: u64,
    /// Logs in raw.
    pub raw_ids: u64,
    /// Lines in raw beyond the first of each log; readers drop them.
    pub raw_doubles: u64,
    /// Records that are dead letters.
    pub dead: u64,
    /// Rows that the index still misses; it is made up for.
    pub pending: u64,
    /// Rows that the index refused for what they are.
    pub refused: u64,
    /// Rows that were not to be indexed.
    pub not_wanted: u64,
    /// Batches without a receipt that are still in the queue.
    pub under_way: u64,
}

/// Where something is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// `public.receipts`.
    Receipts,
    /// The tenant's rows.
    Rows,
    /// OpenSearch.
    Documents,
    /// The object store.
    Raw,
    /// `public.dead_letters`.
    DeadLetters,
}

/// What is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is not there.
    Missing,
    /// It is there, and nothing says why.
    Extra,
    /// It is there more than once.
    Doubled,
    /// Its counts do not add up.
    Miscounted,
    /// It does not lie where its row says.
    Misplaced,
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whose.
    pub tenant: TenantId,
    /// Of which batch.
    #[serde(serialize_with = "as_text")]
    pub batch_id: BatchId,
    /// Of which log, where it is about one.
    #[serde(serialize_with = "as_optional_text", skip_serializing_if = "Option::is_none")]
    pub log_id: Option<LogId>,
    /// Where.
    pub store: Store,
    /// What.
    pub kind: Kind,
    /// A sentence for people.
    pub detail: String,
}

fn as_text<S: serde::Serializer>(id: &BatchId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_optional_text<S: serde::Serializer>(id: &Option<LogId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}
