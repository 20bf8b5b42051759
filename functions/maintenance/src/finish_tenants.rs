//! Tenants whose making broke off, and tenants that were deleted.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Error, Result, chain};
use shared::ids::TenantId;
use shared::tenants::{By, TenantStatus};

use crate::App;

/// Tenants of each kind that one run takes up.
const AT_MOST: i64 = 100;
/// Objects that are removed at the same time.
const REMOVALS_AT_ONCE: usize = 16;

/// How long to wait for others.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A tenant that has been in the making for so long was left behind by whoever made it.
    pub making: Duration,
    /// A processor that looked before the schema was dropped may still write documents and objects of it for so long. The removal
    /// begins at once, is done again at each run, and counts as finished only after this.
    pub writing: Duration,
}

impl Default for Patience {
    /// A minute: a request is answered within seconds. Five: an entry that nobody renews is claimed after half of one, so a drain
    /// that still has it in hand after ten times that is none that lives.
    fn default() -> Self {
        Self { making: Duration::from_secs(60), writing: Duration::from_secs(300) }
    }
}

/// What was finished.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Tenants that work now.
    pub made: usize,
    /// Tenants of whom nothing is left but the id.
    pub removed: usize,
    /// Tenants with whom something is wrong; each was logged.
    pub failed: usize,
}

/// Finishes what was begun with tenants.
///
/// # Errors
/// Weather. What is wrong with one tenant is logged and counted, and the others go on.
pub async fn finish_tenants(app: &App, patience: Patience) -> Result<Finished> {
    let mut done = Finished::default();
    for tenant in app.registry.in_status(TenantStatus::Provisioning, patience.making, AT_MOST).await? {
        done.made += tally(&tenant, make(app, &tenant).await, &mut done.failed)?;
    }
    for tenant in app.registry.begin_erasing(AT_MOST).await? {
        done.removed += tally(&tenant, remove(app, &tenant, patience.writing).await, &mut done.failed)?;
    }
    Ok(done)
}

fn tally(tenant: &TenantId, outcome: Result<bool>, failed: &mut usize) -> Result<usize> {
    match outcome {
        Ok(finished) => Ok(usize::from(finished)),
        // Deleted while it was being made: its turn comes.
        Err(Error::NotFound(_)) => Ok(0),
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::error!(%tenant, cause = chain(&error), "a tenant cannot be finished");
            *failed += 1;
            Ok(0)
        }
    }
}

async fn make(app: &App, tenant: &TenantId) -> Result<bool> {
    app.rows.ensure_schema(tenant).await?;
    app.registry.activate(tenant, &By::SYSTEM).await?;
    Ok(true)
}

/// Removes the schema first: from then on processors drop what still comes in. Then documents and objects of the tenant's own.
async fn remove(app: &App, tenant: &TenantId, writing: Duration) -> Result<bool> {
    let dropped_for = app.rows.drop_schema(tenant).await?;
    app.index.delete_tenant(tenant).await?;
    let objects = app.archive.owned_by(tenant).await?;
    stream::iter(objects).map(|path| async move { app.archive.delete(&path).await }).buffer_unordered(REMOVALS_AT_ONCE).try_collect::<()>().await?;
    if dropped_for < writing {
        return Ok(false);
    }
    app.registry.finish_removal(tenant).await?;
    tracing::info!(%tenant, "a tenant was removed");
    Ok(true)
}
