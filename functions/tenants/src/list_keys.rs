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
    limits: Rate,
}

impl From<ApiKeyRow> for ListedKey {
    fn from(row: ApiKeyRow) -> Self {
        let scopes = row.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
        Self { id: row.id, prefix: row.prefix, name: row.name, scopes, created_at: row.created_at, expires_at: row.expires_at, revoked_at: row.revoked_at, limits: row.limits.0 }
    }
}

/// # Errors
/// [`shared::error::Error::NotFound`] for a tenant that is not there, or weather.
pub(crate) async fn list(registry: &Registry, tenant: &TenantId) -> Result<KeyList> {
    registry.tenant(tenant).await?;
    Ok(KeyList { keys: registry.keys(tenant).await?.into_iter().map(ListedKey::from).collect() })
}
