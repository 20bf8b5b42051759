//! Usage, added up from what storing left, and what lies in the stores, sampled once a day.

use std::collections::HashMap;

use shared::error::{Error, Result, chain};
use shared::ids::TenantId;
use shared::retention::Horizon;
use shared::timestamp;
use time::OffsetDateTime;

use crate::alone::alone;
use crate::{App, STEP_WITHIN};

/// What was sampled.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Tenants whose storage of the day was counted.
    pub tenants: usize,
    /// Tenants whose storage cannot be measured; each was logged.
    pub failed: usize,
}

/// Adds up the lines of usage that storing left, and answers how many; none where another process is at it.
///
/// # Errors
/// Weather of Postgres.
pub async fn add_up_usage(app: &App) -> Result<u64> {
    alone(&app.queue, "add_up_usage", STEP_WITHIN, app.rows.add_up_usage()).await.unwrap_or(Ok(0))
}

/// Samples what lies in the stores of each tenant that was not sampled on this day (UTC) yet. A day on which maintenance never runs is not
/// sampled, and costs nobody anything.
///
/// # Errors
/// Weather of Postgres: who was sampled by then is. What is wrong with one tenant is logged and counted, and the others go on.
pub async fn sample_storage(app: &App, now: OffsetDateTime) -> Result<Sampled> {
    let (mut done, day) = (Sampled::default(), now.date());
    let tenants = app.rows.not_sampled(day).await?;
    if tenants.is_empty() {
        return Ok(done);
    }
    let now_ms = u64::try_from(timestamp::from_datetime(now)).unwrap_or_default();
    let kept: HashMap<TenantId, Horizon> = app.registry.retained().await?.into_iter().map(|one| (one.tenant, one.retention.horizon(now_ms))).collect();
    for tenant in tenants {
        match app.rows.sample_storage(&tenant, day, kept.get(&tenant).copied().unwrap_or_default()).await {
            Ok(sampled) => done.tenants += usize::from(sampled),
            Err(error @ Error::Unavailable { .. }) => return Err(error),
            Err(error) => {
                tracing::error!(%tenant, cause = chain(&error), "the storage of a tenant cannot be measured");
                done.failed += 1;
            }
        }
    }
    Ok(done)
}
