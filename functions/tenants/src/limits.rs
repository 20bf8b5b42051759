//! What tenants may send: read and set, and published to their keys.

use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::limits::{TenantLimits, read_object};
use shared::tenants::{By, Registry};

use crate::publish::publish_tenant;

/// Limits as they were sent.
///
/// # Errors
/// [`Error::Invalid`] naming what is wrong.
pub(crate) fn read(sent: &serde_json::Value) -> Result<TenantLimits> {
    let limits = read_object::<TenantLimits>(sent).map_err(|wrong| Error::invalid("limits", wrong))?;
    limits.check().map_err(|wrong| Error::invalid("limits", wrong))?;
    Ok(limits)
}

/// Sets what a tenant may send, and answers what counts: without limits of its own those of its plan. It counts for all its keys within 5 s of the answer; where it cannot be published it is recorded all the same,
/// and doing it again publishes again, as maintenance does.
///
/// # Errors
/// [`Error::NotFound`], or weather.
pub(crate) async fn set(registry: &Registry, ring: &KeyRing, id: &TenantId, limits: &TenantLimits, by: &By) -> Result<TenantLimits> {
    registry.set_limits(id, limits, by).await?;
    publish_tenant(registry, ring, id).await?;
    registry.limits(id).await
}
