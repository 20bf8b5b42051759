//! Revoking a key: done once the key ring has its tombstone.

use shared::error::Result;
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::tenants::{By, Registry};
use uuid::Uuid;

use crate::publish::publish;

/// Revokes a key. Doing it again publishes it again.
///
/// # Errors
/// [`shared::error::Error::NotFound`] for one that is not there, or is another tenant's; weather: then it is recorded as revoked,
/// and may open doors until it, or maintenance, is asked again.
pub(crate) async fn revoke(registry: &Registry, ring: &KeyRing, tenant: &TenantId, key_id: Uuid, by: &By) -> Result<()> {
    registry.tenant(tenant).await?;
    let revoked = registry.revoke_key(tenant, key_id, by).await?;
    publish(registry, ring, &[revoked]).await
}
