//! Taking the deletion of a tenant back.

use shared::error::Result;
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::tenants::{By, Registry, Tenant};

use crate::publish::publish_tenant;

/// Restores a tenant with all that it has; its keys open again what they did. Where they cannot be published the tenant is restored all the
/// same, and maintenance publishes them within a minute.
///
/// # Errors
/// [`shared::error::Error::NotFound`] for one that is not being deleted; [`shared::error::Error::Conflict`] `tenant_erased`; weather.
pub(crate) async fn restore(registry: &Registry, ring: &KeyRing, id: &TenantId, by: &By) -> Result<Tenant> {
    let tenant = registry.restore(id, by).await?;
    publish_tenant(registry, ring, id).await?;
    Ok(tenant)
}
