//! Deleting a tenant: at once for everyone who looks, while what it has is removed behind it.

use std::time::Duration;

use shared::error::Result;
use shared::fault;
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::tenants::{Attempt, By, Registry, Step};

use crate::publish::publish_tenant;

/// Ends a tenant: it is not seen any more, and its keys open nothing. Once the grace is over maintenance removes its schema with rows and
/// receipts, its documents in the index, the raw objects that are its own and its lines in those that it shares, step by step; the tenant's ledger keeps
/// what was removed. Its id is never used again.
///
/// Where its keys cannot be published the deletion is recorded all the same, and maintenance publishes them within a minute.
///
/// # Errors
/// [`shared::error::Error::NotFound`], also for one that is being deleted already; weather.
pub(crate) async fn delete(registry: &Registry, ring: &KeyRing, id: &TenantId, grace: Duration, by: &By) -> Result<()> {
    registry.begin_deletion(id, grace, by).await?;
    fault::point("deletion.begun");
    registry.attempt(id, Step::CloseKeys, async { publish_tenant(registry, ring, id).await.map(|()| Attempt::default()) }).await.map(drop)
}
