//! Rebuild: rows and documents of a tenant made again from raw, where receipts say that there were some.
//!
//! Every step stands by itself, does nothing twice, and leaves alone what is there, so a rebuild may run beside all else, be stopped
//! anywhere, and be begun again. Lost rows are found by what receipts count and made of raw. Lost documents are found by comparing
//! rows with the index; their rows are pending from then on, and what is pending is made up for by [`crate::index_missed`], here or
//! in any process that does maintenance.

mod documents;
mod rows;

use std::time::{Duration, Instant};

use shared::error::{Error, Result};
use shared::ids::TenantId;

use crate::{App, Period, index_missed};

/// How long one run of making up for the index may last before progress is told.
const INDEX_BUDGET: Duration = Duration::from_secs(5);
/// How long to wait while others have in hand what is left.
const NO_PROGRESS_FOR: Duration = Duration::from_secs(60);

/// Where to rebuild into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// Rows.
    Postgres,
    /// Documents.
    OpenSearch,
    /// Rows, then documents.
    Both,
}

/// What a rebuild did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// Batches that lacked rows.
    pub short_batches: u64,
    /// Rows that were made.
    pub rows_made: u64,
    /// Rows that are lacking still: raw does not hold them, or they are being made by another.
    pub rows_lacking: u64,
    /// Documents that were not in the index though their rows said so.
    pub documents_lost: u64,
    /// Logs that were pending when documents began to be made: of rows made, documents lost, and whatever the index missed before.
    pub to_index: u64,
    /// Logs that are pending still.
    pub pending: u64,
}

impl Rebuilt {
    /// Whether all is there that receipts count.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rows_lacking == 0 && self.pending == 0
    }
}

/// Rebuilds what was received of a tenant in a period. Tells `progress` what is being done.
///
/// # Errors
/// [`Error::NotFound`] for a tenant that is not there, or is deleted; [`Error::Unavailable`]: begin again when it is over.
pub async fn rebuild(app: &App, tenant: &TenantId, period: Period, into: Into, progress: impl Fn(&str)) -> Result<Rebuilt> {
    // What is over by its retention does not come back.
    let horizon = app.registry.retention(tenant).await?.horizon(app.queue.now_ms());
    // Its schema may have been lost with its rows.
    app.rows.ensure_schema(tenant).await?;
    let mut rebuilt = Rebuilt::default();
    if into != Into::OpenSearch {
        rows::rebuild(app, tenant, period.since(horizon.rows), horizon.index, &mut rebuilt, &progress).await?;
    }
    if into != Into::Postgres {
        rebuilt.documents_lost = documents::find_lost(app, tenant, period.since(horizon.index), &progress).await?;
        rebuilt.to_index = pending(app, tenant).await?;
        rebuilt.pending = index(app, tenant, rebuilt.to_index, &progress).await?;
    }
    Ok(rebuilt)
}

pub(crate) async fn pending(app: &App, tenant: &TenantId) -> Result<u64> {
    app.rows.pending_logs(tenant).await.map(|logs| u64::try_from(logs).unwrap_or_default())
}

/// Makes up for what is pending, and answers how much is left: none, unless nobody gets on with it.
pub(crate) async fn index(app: &App, tenant: &TenantId, mut left: u64, progress: &impl Fn(&str)) -> Result<u64> {
    let mut moved = Instant::now();
    while left > 0 && moved.elapsed() < NO_PROGRESS_FOR {
        progress(&format!("{tenant}: {left} logs to be indexed"));
        let done = index_missed(app, INDEX_BUDGET).await?;
        if let Some(engine) = done.stopped_by {
            return Err(Error::unavailable(engine, "it did not answer while documents were made"));
        }
        let now_left = pending(app, tenant).await?;
        if now_left < left {
            moved = Instant::now();
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        left = now_left;
    }
    Ok(left)
}
