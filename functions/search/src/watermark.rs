//! The moment before which everything that a tenant sent can be searched.

use std::time::Duration;

use serde::Serialize;
use shared::error::Result;
use shared::ids::TenantId;
use shared::index::Index;
use shared::queue::Queue;
use shared::rows::Rows;

use crate::page::received_at;

/// What was received less than this ago may not be searchable: a batch is first seen in the queue a moment after its id was made, and the
/// index shows what it holds about a second later.
const SETTLES_IN: Duration = Duration::from_secs(5);
/// How long a refresh of the index may take once it is due.
const REFRESHED_WITHIN: Duration = Duration::from_secs(2);

/// Up to when a tenant's logs can be searched.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Watermark {
    /// Everything received before it is in searches: as much of it as can be.
    #[schema(format = DateTime)]
    watermark: String,
    /// Seconds from then until now.
    lag_s: f64,
}

/// # Errors
/// [`shared::error::Error::Unavailable`] where Redis or Postgres does not answer.
pub(crate) async fn watermark(rows: &Rows, index: &Index, queue: &Queue, tenant: &TenantId) -> Result<Watermark> {
    // The queue first: a batch that leaves it meanwhile has its receipt by then.
    let (now_ms, first_under_way) = queue.first_under_way(tenant).await?;
    let pending = rows.oldest_pending(tenant).await?;
    // What was pending then and is not now was told just now.
    let unshown = rows.oldest_told_within(tenant, index.refresh_interval() + REFRESHED_WITHIN).await?;
    let settled = now_ms.saturating_sub(u64::try_from(SETTLES_IN.as_millis()).unwrap_or_default());
    let at = first_under_way.into_iter().chain(pending).chain(unshown).fold(settled, u64::min);
    Ok(Watermark { watermark: received_at(at), lag_s: now_ms.saturating_sub(at) as f64 / 1000.0 })
}
