//! Changing a key, and making another in its place.

use std::time::Duration;

use shared::error::{Error, Result, chain};
use shared::grant::Scope;
use shared::ids::ApiKey;
use shared::keys::KeyRing;
use shared::limits::Rate;
use shared::tenants::{By, KeyChange, Registry};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::KeyAdmin;
use crate::create_key::CreatedKey;
use crate::fields::{self, Fields, text};
use crate::key_fields;
use crate::list_keys::ListedKey;
use crate::publish::publish;

/// How long the old key opens doors beside the new one, where nobody says.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// Longest of that.
const MAX_OVERLAP: u64 = 90 * 24 * 3600;

/// What to change of a key, as it is sent: at least one of these. What is not given stays.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what `read` takes")]
pub(crate) struct KeyChangeRequest {
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// When it ends: a moment in the future, or `null` for never.
    expires_at: Option<OffsetDateTime>,
    /// What it may send, within what its tenant may; `{}` for as much.
    limits: Option<Rate>,
    /// The services whose logs it may send; none: all.
    #[schema(max_items = 100)]
    services: Option<Vec<String>>,
    /// The networks that it may be used from, such as `10.0.0.0/8`; none: all.
    #[schema(max_items = 100)]
    networks: Option<Vec<String>>,
    /// The origins of pages that may use it in a browser; none: all.
    #[schema(max_items = 100)]
    origins: Option<Vec<String>>,
}

/// How to rotate a key.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what `read_overlap` takes")]
pub(crate) struct RotateRequest {
    /// For how many seconds the old key opens doors beside the new one.
    #[schema(minimum = 0, maximum = 7_776_000, default = 86400)]
    overlap_seconds: Option<u32>,
}

/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn read(mut fields: Fields, now: OffsetDateTime) -> Result<KeyChange> {
    let change = KeyChange {
        name: fields.optional("name", text(fields::name)),
        expires_at: fields.nullable("expires_at", text(|text| key_fields::future(text, now))),
        limits: fields.optional("limits", key_fields::rate),
        services: fields.optional("services", key_fields::services),
        networks: fields.optional("networks", key_fields::networks),
        origins: fields.optional("origins", key_fields::origins),
    };
    let change = fields.done(Some(change))?;
    if change == KeyChange::default() {
        let detail = "give `name`, `expires_at`, `limits`, `services`, `networks` or `origins`".to_owned();
        return Err(Error::Invalid { code: "nothing_to_change", detail, faults: Vec::new() });
    }
    Ok(change)
}

/// # Errors
/// [`Error::Invalid`] naming the field.
pub(crate) fn read_overlap(mut fields: Fields) -> Result<Duration> {
    let seconds = |value: &serde_json::Value| value.as_u64().filter(|seconds| *seconds <= MAX_OVERLAP).ok_or_else(|| format!("must be a number from 0 to {MAX_OVERLAP}"));
    let overlap = fields.optional("overlap_seconds", seconds).map_or(DEFAULT_OVERLAP, Duration::from_secs);
    fields.done(Some(overlap))
}

/// Changes a key. It counts everywhere within 5 s of the answer.
///
/// # Errors
/// [`Error::Forbidden`] `scope_not_held` for a key that reaches further than the caller; [`Error::NotFound`] for one that is not there, is revoked, or
/// is another tenant's; weather: then it is recorded, and counts once it, or maintenance, is asked again.
pub(crate) async fn change(registry: &Registry, ring: &KeyRing, admin: &KeyAdmin, key_id: Uuid, change: &KeyChange, by: &By) -> Result<ListedKey> {
    may_touch(registry, admin, key_id).await?;
    let (row, grant) = registry.change_key(&admin.tenant, key_id, change, by).await?;
    publish(registry, ring, &[grant]).await?;
    Ok(row.into())
}

/// Makes a key in the place of another, in force before it is shown.
///
/// # Errors
/// As [`change`]. Where Redis does not take the new key, it is revoked again; the old one ends all the same, and can be changed.
pub(crate) async fn rotate(registry: &Registry, ring: &KeyRing, admin: &KeyAdmin, key_id: Uuid, overlap: Duration, by: &By) -> Result<CreatedKey> {
    may_touch(registry, admin, key_id).await?;
    let key = ApiKey::generate();
    let (row, grants) = registry.rotate_key(&admin.tenant, key_id, &key, overlap, by).await?;
    if let Err(error) = publish(registry, ring, &grants).await {
        if let Err(error) = registry.revoke_key(&admin.tenant, row.id, &By::SYSTEM).await {
            tracing::warn!(key_id = %row.id, cause = chain(&error), "a key that was not published could not be revoked; nobody has seen it");
        }
        return Err(error);
    }
    Ok(CreatedKey { key: key.reveal().to_owned(), kept: row.into() })
}

/// Whoever could not give a key what it holds must not get one that holds it, nor widen its use.
async fn may_touch(registry: &Registry, admin: &KeyAdmin, key_id: Uuid) -> Result<()> {
    registry.tenant(&admin.tenant).await?;
    let keys = registry.keys(&admin.tenant).await?;
    let key = keys.iter().find(|key| key.id == key_id).ok_or(Error::NotFound("key"))?;
    admin.may_grant(&key.scopes.iter().filter_map(|name| Scope::parse(name)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn null_takes_the_end_away_and_what_is_not_given_stays() {
        let change = |body: &str| read(fields(body), NOW);
        assert_eq!(change(r#"{"expires_at":null}"#).ok(), Some(KeyChange { expires_at: Some(None), ..KeyChange::default() }));
        assert_eq!(change(r#"{"services":[]}"#).ok(), Some(KeyChange { services: Some(Vec::new()), ..KeyChange::default() }));
        for bad in ["{}", r#"{"scopes":["logs:read"]}"#, r#"{"expires_at":"1970-01-01T00:00:00Z"}"#, r#"{"networks":["x"]}"#, r#"{"limits":{"logs_per_second":0}}"#] {
            assert!(matches!(change(bad), Err(Error::Invalid { .. })), "{bad}");
        }
    }

    #[test]
    fn an_overlap_is_at_most_ninety_days() {
        assert_eq!(read_overlap(fields("{}")).ok(), Some(DEFAULT_OVERLAP));
        assert_eq!(read_overlap(fields(r#"{"overlap_seconds":0}"#)).ok(), Some(Duration::ZERO));
        for bad in [r#"{"overlap_seconds":-1}"#, r#"{"overlap_seconds":7776001}"#, r#"{"overlap_seconds":"1"}"#, r#"{"overlap":1}"#] {
            assert!(read_overlap(fields(bad)).is_err(), "{bad}");
        }
    }
}
