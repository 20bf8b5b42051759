//! Creating an API key: shown this once, in force before it is shown.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::error::{Error, Result, chain};
use shared::grant::Scope;
use shared::ids::ApiKey;
use shared::keys::KeyRing;
use shared::limits::Rate;
use shared::tenants::{By, NewKey, Registry};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::KeyAdmin;
use crate::fields::{self, Fields, text};
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
}

/// A key that was made. The key itself is shown here and never again.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CreatedKey {
    id: Uuid,
    /// What clients send; keep it, it is not shown again.
    key: String,
    /// What it begins with, to recognise it by.
    prefix: String,
    name: String,
    scopes: Vec<Scope>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    limits: Rate,
}

/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn read(mut fields: Fields, now: OffsetDateTime) -> Result<NewKey> {
    let name = fields.required("name", text(fields::name));
    let scopes = fields.optional("scopes", scopes).unwrap_or_else(|| DEFAULT_SCOPES.to_vec());
    let expires_at = fields.optional("expires_at", text(|text| future(text, now)));
    let limits = fields.optional("limits", rate).unwrap_or_default();
    let name = fields.done(name)?;
    Ok(NewKey { name, scopes, expires_at, limits })
}

fn rate(value: &Value) -> Result<Rate, String> {
    let rate = Rate::deserialize(value).map_err(|e| format!("cannot be read: {e}"))?;
    rate.check().map(|()| rate)
}

fn scopes(value: &Value) -> Result<Vec<Scope>, String> {
    let names = value.as_array().filter(|names| !names.is_empty()).ok_or("must be a list of at least one scope")?;
    let mut scopes = Vec::new();
    for name in names {
        let known = || format!("must hold no other scopes than {}", Scope::ALL.map(Scope::as_str).join(", "));
        let scope = name.as_str().and_then(Scope::parse).ok_or_else(known)?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

fn future(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let at = timestamp::parse(text).map(timestamp::to_datetime).map_err(|e| format!("is {e}"))?;
    if at > now { Ok(at) } else { Err("must be in the future".to_owned()) }
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
    let key = key.reveal().to_owned();
    Ok(CreatedKey { id: kept.id, key, prefix: kept.prefix, name: kept.name, scopes: new.scopes, created_at: kept.created_at, expires_at: kept.expires_at, limits: new.limits })
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
