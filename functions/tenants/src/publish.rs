//! From Postgres, where a change is recorded, to the key ring, where it counts.

use shared::error::{Result, chain};
use shared::grant::Grant;
use shared::ids::{KeyHash, TenantId};
use shared::keys::KeyRing;
use shared::tenants::Registry;

/// Publishes grants as they stand in the registry, and remembers there that it was done.
///
/// # Errors
/// [`shared::error::Error::Unavailable`] where Redis does not take them: they stay marked as unpublished, and maintenance finds them.
pub(crate) async fn publish(registry: &Registry, ring: &KeyRing, grants: &[(KeyHash, Grant)]) -> Result<()> {
    ring.publish(grants).await?;
    if let Err(error) = registry.mark_published(grants).await {
        tracing::warn!(cause = chain(&error), "keys were published, but not marked so: maintenance will publish them again");
    }
    Ok(())
}

/// Publishes all grants of a tenant: after its status changed.
///
/// # Errors
/// As [`publish`], and where Postgres does not answer.
pub(crate) async fn publish_tenant(registry: &Registry, ring: &KeyRing, tenant: &TenantId) -> Result<()> {
    publish(registry, ring, &registry.grants_of(tenant).await?).await
}
