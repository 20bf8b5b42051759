//! Listing a tenant's keys: all that is known of them, but the keys.

use serde::Serialize;
use shared::error::Result;
use shared::grant::Scope;
use shared::ids::TenantId;
use shared::limits::Rate;
use shared::tenants::{ApiKeyRow, Registry};
use time::OffsetDateTime;
use uuid::Uuid;

/// A tenant's keys, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<ListedKey>,
}

/// A key, without the key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ListedKey {
    id: Uuid,
    /// What it begins with, to recognise it by.
    prefix: String,
    name: String,
    scopes: Vec<Scope>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    revoked_at: Option<OffsetDateTime>,
    /// What it may send, within what its tenant may.
    limits: Rate,
    /// The services whose logs it may send; none: all.
    services: Vec<String>,
    /// The networks that it may be used from; none: all.
    networks: Vec<String>,
    /// The origins of pages that may use it in a browser; none: all.
    origins: Vec<String>,
    /// The key that was made in its place.
    replaced_by: Option<Uuid>,
    /// When it was used last, to the minute; it shows within two.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
}

impl From<ApiKeyRow> for ListedKey {
    fn from(row: ApiKeyRow) -> Self {
        let scopes = row.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
        Self {
            id: row.id,
            prefix: row.prefix,
            name: row.name,
            scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            limits: row.limits.0,
            services: row.services,
            networks: row.networks,
            origins: row.origins,
            replaced_by: row.replaced_by,
            last_used_at: row.last_used_at,
        }
    }
}

/// # Errors
/// [`shared::error::Error::NotFound`] for a tenant that is not there, or weather.
pub(crate) async fn list(registry: &Registry, tenant: &TenantId) -> Result<KeyList> {
    registry.tenant(tenant).await?;
    Ok(KeyList { keys: registry.keys(tenant).await?.into_iter().map(ListedKey::from).collect() })
}
