//! Changing a tenant's name, suspending it and letting it work again.

use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::tenants::{By, Registry, Standing, Tenant};

use crate::fields::{self, Fields, text};
use crate::publish::publish_tenant;

/// What to change of a tenant: at least one of these.
#[derive(Debug, utoipa::ToSchema)]
pub(crate) struct TenantChange {
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Suspended, it can read, but not send.
    status: Option<Standing>,
}

impl TenantChange {
    /// # Errors
    /// [`Error::Invalid`], each fault named.
    pub(crate) fn read(mut fields: Fields) -> Result<Self> {
        let name = fields.optional("name", text(fields::name));
        let status = fields.optional("status", text(|status| Standing::parse(status).ok_or_else(|| "must be `active` or `suspended`".to_owned())));
        let change = fields.done(Some(Self { name, status }))?;
        if change.name.is_none() && change.status.is_none() {
            return Err(Error::Invalid { code: "nothing_to_change", detail: "give `name`, `status` or both".to_owned(), faults: Vec::new() });
        }
        Ok(change)
    }
}

/// Changes a tenant. A status, even the one it has, is published to all its keys: where that fails the change is recorded all
/// the same, and doing it again publishes again, as maintenance does.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] `tenant_provisioning` for the status of one that is still being made; weather.
pub(crate) async fn change(registry: &Registry, ring: &KeyRing, id: &TenantId, change: &TenantChange, by: &By) -> Result<Tenant> {
    let tenant = registry.change(id, change.name.as_deref(), change.status, by).await?;
    if change.status.is_some() {
        publish_tenant(registry, ring, id).await?;
    }
    Ok(tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    #[test]
    fn only_what_an_operator_may_set_is_a_status() {
        for bad in [r#"{"status":"deleted"}"#, r#"{"status":"provisioning"}"#, r#"{"status":true}"#, "{}", r#"{"name":null}"#, r#"{"id":"other"}"#] {
            assert!(matches!(TenantChange::read(fields(bad)), Err(Error::Invalid { .. })), "{bad}");
        }
        assert_eq!(TenantChange::read(fields(r#"{"status":"suspended"}"#)).ok().and_then(|change| change.status), Some(Standing::Suspended));
    }
}
