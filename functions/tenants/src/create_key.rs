//! Creating an API key: shown this once, in force before it is shown.

use serde::Serialize;
use shared::error::{Error, Result, chain};
use shared::grant::{Allowed, Scope};
use shared::ids::ApiKey;
use shared::keys::KeyRing;
use shared::limits::Rate;
use shared::tenants::{By, NewKey, Registry};
use time::OffsetDateTime;

use crate::access::KeyAdmin;
use crate::fields::{self, Fields, text};
use crate::key_fields;
use crate::list_keys::ListedKey;
use crate::publish::publish;

/// What a key may do where nobody says.
const DEFAULT_SCOPES: [Scope; 2] = [Scope::LogsWrite, Scope::LogsRead];

/// A key to be made, as it is sent.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what `read` takes")]
pub(crate) struct KeyRequest {
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do: `logs:write` and `logs:read` where this is not given.
    #[schema(min_items = 1)]
    scopes: Option<Vec<Scope>>,
    /// When it ends: a moment in the future. Not given: never.
    expires_at: Option<OffsetDateTime>,
    /// What it may send, within what its tenant may.
    limits: Option<Rate>,
    /// The services whose logs it may send; not given, or none: all.
    #[schema(max_items = 100)]
    services: Option<Vec<String>>,
    /// The networks that it may be used from, such as `10.0.0.0/8`; not given, or none: all.
    #[schema(max_items = 100)]
    networks: Option<Vec<String>>,
    /// The origins of pages that may use it in a browser, such as `https://app.example.com`; not given, or none: all.
    #[schema(max_items = 100)]
    origins: Option<Vec<String>>,
}

/// A key that was made. The key itself is shown here and never again.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CreatedKey {
    /// What clients send; keep it, it is not shown again.
    pub(crate) key: String,
    #[serde(flatten)]
    pub(crate) kept: ListedKey,
}

/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn read(mut fields: Fields, now: OffsetDateTime) -> Result<NewKey> {
    let name = fields.required("name", text(fields::name));
    let scopes = fields.optional("scopes", key_fields::scopes).unwrap_or_else(|| DEFAULT_SCOPES.to_vec());
    let expires_at = fields.optional("expires_at", text(|text| key_fields::future(text, now)));
    let limits = fields.optional("limits", key_fields::rate).unwrap_or_default();
    let allowed = Allowed {
        services: fields.optional("services", key_fields::services).unwrap_or_default(),
        networks: fields.optional("networks", key_fields::networks).unwrap_or_default(),
        origins: fields.optional("origins", key_fields::origins).unwrap_or_default(),
    };
    let name = fields.done(name)?;
    Ok(NewKey { name, scopes, expires_at, limits, allowed })
}

/// Makes a key: kept in Postgres, then published. Where Redis does not take it, it is revoked again: nobody will ever see it.
///
/// # Errors
/// [`Error::Forbidden`] `scope_not_held`; [`Error::NotFound`] or [`Error::Conflict`] for a tenant that is gone, or not there yet; weather.
pub(crate) async fn create(registry: &Registry, ring: &KeyRing, admin: &KeyAdmin, new: NewKey, by: &By) -> Result<CreatedKey> {
    admin.may_grant(&new.scopes)?;
    let key = ApiKey::generate();
    let kept = registry.add_key(&admin.tenant, &key, &new, by).await?;
    if let Err(error) = put_in_force(registry, ring, &key).await {
        if let Err(error) = registry.revoke_key(&admin.tenant, kept.id, &By::SYSTEM).await {
            tracing::warn!(key_id = %kept.id, cause = chain(&error), "a key that was not published could not be revoked; nobody has seen it");
        }
        return Err(error);
    }
    Ok(CreatedKey { key: key.reveal().to_owned(), kept: kept.into() })
}

async fn put_in_force(registry: &Registry, ring: &KeyRing, key: &ApiKey) -> Result<()> {
    let grant = registry.grant(&key.hash()).await?.ok_or_else(|| Error::internal("making a key", "it was kept, and is not there"))?;
    publish(registry, ring, &[(key.hash(), grant)]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn a_key_sends_and_reads_unless_told_otherwise() {
        let key = read(fields(r#"{"name":"k"}"#), NOW).expect("all that must be there");
        assert_eq!((key.scopes, key.expires_at), (DEFAULT_SCOPES.to_vec(), None));
        let key = read(fields(r#"{"name":"k","scopes":["keys:manage","keys:manage"],"expires_at":"1970-01-01T00:00:01Z"}"#), NOW).expect("it is right");
        assert_eq!((key.scopes, key.expires_at), (vec![Scope::KeysManage], Some(NOW + time::Duration::SECOND)));
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let cases = [
            (r#"{}"#, "name"),
            (r#"{"name":"k","scopes":[]}"#, "scopes"),
            (r#"{"name":"k","scopes":"logs:read"}"#, "scopes"),
            (r#"{"name":"k","scopes":["logs:read","logs:all"]}"#, "scopes"),
            (r#"{"name":"k","scopes":[7]}"#, "scopes"),
            (r#"{"name":"k","expires_at":"tomorrow"}"#, "expires_at"),
            (r#"{"name":"k","expires_at":1}"#, "expires_at"),
            (r#"{"name":"k","expires_at":"1970-01-01T00:00:00Z"}"#, "expires_at"),
            (r#"{"name":"k","tenant":"other"}"#, "tenant"),
        ];
        for (body, field) in cases {
            let Err(Error::Invalid { faults, .. }) = read(fields(body), NOW) else { panic!("{body}") };
            assert_eq!(faults.iter().filter_map(|fault| fault.field.as_deref()).collect::<Vec<_>>(), [field], "{body}");
        }
    }
}
