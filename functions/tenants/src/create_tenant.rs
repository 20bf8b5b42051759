//! Creating a tenant: its id is registered, its schema made, and then it works.

use shared::error::Result;
use shared::fault;
use shared::ids::TenantId;
use shared::rows::Rows;
use shared::tenants::{Attempt, By, Registry, Step, Tenant};

use crate::fields::{self, Fields, text};

/// A tenant to be created.
#[derive(Debug, utoipa::ToSchema)]
pub(crate) struct NewTenant {
    /// `^[a-z][a-z0-9_]{1,46}$`, not a name that Postgres keeps for itself; never used again after deletion.
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9_]{1,46}$")]
    id: TenantId,
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

impl NewTenant {
    /// # Errors
    /// [`shared::error::Error::Invalid`], each fault named.
    pub(crate) fn read(mut fields: Fields) -> Result<Self> {
        let id = fields.required("id", text(|id| TenantId::parse(id).map_err(|e| e.to_string())));
        let name = fields.required("name", text(fields::name));
        let (id, name) = fields.done(id.zip(name))?;
        Ok(Self { id, name })
    }
}

/// Creates a tenant. Where it breaks off, doing it again goes on, and maintenance does so too.
///
/// # Errors
/// [`shared::error::Error::Conflict`] `tenant_exists`; `NotFound` where it was deleted meanwhile; weather.
pub(crate) async fn create(registry: &Registry, rows: &Rows, new: &NewTenant, by: &By) -> Result<Tenant> {
    registry.register(&new.id, &new.name, by).await?;
    fault::point("provisioning.registered");
    registry.attempt(&new.id, Step::MakeSchema, async { rows.ensure_schema(&new.id).await.map(|()| Attempt::default()) }).await?;
    let tenant = registry.activate(&new.id, by).await?;
    fault::point("provisioning.activated");
    Ok(tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;
    use shared::error::Error;

    #[test]
    fn a_reserved_id_is_told_in_the_words_of_ids() {
        let Err(Error::Invalid { faults, .. }) = NewTenant::read(fields(r#"{"id":"pg_x","name":"n"}"#)) else { panic!("it is reserved") };
        assert_eq!((faults[0].field.as_deref(), faults[0].detail.as_str()), (Some("id"), "this tenant id is reserved"));
        assert!(NewTenant::read(fields(r#"{"id":"tenant_a","name":"n"}"#)).is_ok());
    }
}
