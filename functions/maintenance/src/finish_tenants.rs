//! Tenants whose making broke off, and tenants that were deleted: each step of their ledgers that is not done yet is done.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::archive::SHARED;
use shared::error::{Error, Result, chain};
use shared::fault;
use shared::ids::{BatchId, TenantId};
use shared::tenants::{Attempt, By, Ledger, Removed, Step, TenantStatus};

use crate::App;
use crate::leave_shared::leave_shared;
use crate::republish_keys::publish;

/// Tenants of each kind that one run takes up.
const AT_MOST: i64 = 100;
/// Objects that were put so long before the schema was dropped are looked at again: a drain may have put one while others were left.
const LOOKED_BACK: Duration = Duration::from_secs(3600);
/// Objects that are removed at the same time.
const REMOVALS_AT_ONCE: usize = 16;

/// How long to wait for others.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A step of a request, such as a schema that is made, that was begun so long ago was left behind by whoever did it.
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
    /// Tenants with whom something is wrong; each was logged, and its ledger says what.
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
    for tenant in app.registry.behind_with(Step::CloseKeys, patience.making, AT_MOST).await? {
        tally(&tenant, carry_out(app, &tenant, Step::CloseKeys, patience).await, &mut done.failed)?;
    }
    for tenant in app.registry.begin_erasing(AT_MOST).await? {
        done.removed += tally(&tenant, remove(app, &tenant, patience).await, &mut done.failed)?;
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
    for step in app.registry.open_steps(tenant, Ledger::Provisioning).await? {
        carry_out(app, tenant, step, Patience::default()).await?;
    }
    Ok(true)
}

/// Leaves the raw objects that tenants share, and removes the schema: from then on processors drop what still comes in. Then documents and objects
/// of the tenant's own.
async fn remove(app: &App, tenant: &TenantId, patience: Patience) -> Result<bool> {
    for step in app.registry.open_steps(tenant, Ledger::Deletion).await? {
        if !carry_out(app, tenant, step, patience).await? {
            return Ok(false);
        }
    }
    tracing::info!(%tenant, "a tenant was removed");
    Ok(true)
}

/// Does one step, and answers whether it is done.
async fn carry_out(app: &App, tenant: &TenantId, step: Step, patience: Patience) -> Result<bool> {
    let registry = &app.registry;
    match step {
        Step::MakeSchema => registry.attempt(tenant, step, async { app.rows.ensure_schema(tenant).await.map(|()| Attempt::default()) }).await,
        Step::Activate => {
            registry.activate(tenant, &By::SYSTEM).await?;
            fault::point("provisioning.activated");
            Ok(true)
        }
        Step::CloseKeys => registry.attempt(tenant, step, close_keys(app, tenant)).await,
        // Done by whoever asked for the tenants whose grace is over.
        Step::Grace => Ok(true),
        Step::DropSchema => registry.attempt(tenant, step, drop_schema(app, tenant)).await,
        Step::RemoveDocuments => registry.attempt(tenant, step, remove_documents(app, tenant)).await,
        Step::RemoveObjects => registry.attempt(tenant, step, remove_objects(app, tenant)).await,
        Step::RemoveLate => registry.attempt(tenant, step, remove_late(app, tenant, patience.writing)).await,
        Step::Forget => {
            registry.finish_removal(tenant).await?;
            fault::point("deletion.forgotten");
            Ok(true)
        }
    }
}

async fn close_keys(app: &App, tenant: &TenantId) -> Result<Attempt> {
    publish(app, &app.registry.grants_of(tenant).await?).await?;
    Ok(Attempt::default())
}

async fn drop_schema(app: &App, tenant: &TenantId) -> Result<Attempt> {
    let found = app.rows.holdings(tenant).await?;
    // The schema alone knows which of the objects that tenants share are this one's, too.
    let shared: Vec<String> = app.rows.object_paths(tenant).await?.unwrap_or_default().into_iter().map(|(_, path)| path).filter(|path| is_shared(path)).collect();
    let found = Removed::from([("batches", found.batches), ("logs", found.logs), ("dead_letters", found.dead_letters), ("shared_objects", shared.len() as u64)]);
    app.registry.will_be_removed(tenant, Step::DropSchema, &found).await?;
    leave_all(app, tenant, shared).await?;
    app.rows.drop_schema(tenant).await?;
    Ok(Attempt::default())
}

async fn remove_documents(app: &App, tenant: &TenantId) -> Result<Attempt> {
    let documents = app.index.documents_of(tenant).await?;
    app.registry.will_be_removed(tenant, Step::RemoveDocuments, &Removed::from([("documents", documents)])).await?;
    app.index.delete_tenant(tenant).await?;
    Ok(Attempt::default())
}

async fn remove_objects(app: &App, tenant: &TenantId) -> Result<Attempt> {
    let objects = app.archive.owned_by(tenant).await?;
    app.registry.will_be_removed(tenant, Step::RemoveObjects, &Removed::from([("objects", objects.len() as u64)])).await?;
    delete(app, objects).await?;
    Ok(Attempt::default())
}

/// What is found now was written behind the steps before. The counts are of what each attempt found.
async fn remove_late(app: &App, tenant: &TenantId, writing: Duration) -> Result<Attempt> {
    let dropped_for = app.rows.drop_schema(tenant).await?;
    let documents = app.index.documents_of(tenant).await?;
    app.index.delete_tenant(tenant).await?;
    let objects = app.archive.owned_by(tenant).await?;
    let shared = leave_all(app, tenant, shared_since(app, dropped_for + LOOKED_BACK).await?).await?;
    let removed = Removed::from([("documents", documents), ("objects", objects.len() as u64), ("shared_objects", shared)]);
    delete(app, objects).await?;
    Ok(Attempt { waits: dropped_for < writing, removed })
}

/// Takes a tenant's lines out of objects that it shares, and answers out of how many.
///
/// # Errors
/// [`Error::Internal`] once all others were left, where one cannot be read: it holds lines of the tenant, as far as anybody knows.
async fn leave_all(app: &App, tenant: &TenantId, paths: Vec<String>) -> Result<u64> {
    let left = leave_shared(app, paths, &HashSet::from([tenant.clone()])).await?;
    match left.unreadable {
        0 => Ok(left.objects),
        some => Err(Error::internal("leaving raw objects", format!("{some} that it may share cannot be read; the log names them"))),
    }
}

/// Objects that tenants share, put since so long ago: their names tell.
async fn shared_since(app: &App, ago: Duration) -> Result<Vec<String>> {
    let since = BatchId::floor(app.queue.now_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))).to_string();
    // Filed by when their logs were received, which may be long before they were put.
    let mut paths = Vec::new();
    let days = stream::iter(app.archive.days().await?);
    let mut lists = pin!(
        days.map(|day| {
            let since = &since;
            async move { app.archive.list_after(&format!("{day}{SHARED}/"), since).await }
        })
        .buffer_unordered(REMOVALS_AT_ONCE)
    );
    while let Some(some) = lists.try_next().await? {
        paths.extend(some);
    }
    Ok(paths)
}

fn is_shared(path: &str) -> bool {
    path.rsplit('/').nth(1) == Some(SHARED)
}

/// Removes raw objects, some at a time.
pub(crate) async fn delete(app: &App, objects: Vec<String>) -> Result<()> {
    stream::iter(objects).map(|path| async move { app.archive.delete(&path).await }).buffer_unordered(REMOVALS_AT_ONCE).try_collect::<()>().await
}
