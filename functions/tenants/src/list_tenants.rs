//! Listing tenants, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::error::Result;
use shared::ids::TenantId;
use shared::tenants::{Registry, Tenant};

use crate::paging;

/// Which tenants to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TenantQuery {
    /// Tenants wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of tenants, in the order of their ids.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TenantPage {
    tenants: Vec<Tenant>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`shared::error::Error::Invalid`] for a limit out of range or a damaged cursor, or weather.
pub(crate) async fn list(registry: &Registry, query: &TenantQuery) -> Result<TenantPage> {
    let limit = paging::limit(query.limit.as_deref())?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let mut tenants = registry.tenants(after.as_ref(), paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut tenants, limit, |last| last.id.clone());
    Ok(TenantPage { tenants, next_cursor })
}

fn read_cursor(cursor: &str) -> Result<TenantId> {
    let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| TenantId::parse(std::str::from_utf8(&bytes).ok()?).ok());
    id.ok_or_else(paging::invalid_cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::error::Error;

    #[test]
    fn a_cursor_is_an_id_or_damaged() {
        assert_eq!(read_cursor(&URL_SAFE_NO_PAD.encode("tenant_a")).ok().map(String::from).as_deref(), Some("tenant_a"));
        for damaged in ["", "x", "tenant_a!", &URL_SAFE_NO_PAD.encode("Tenant A"), &URL_SAFE_NO_PAD.encode([0xff, 0xfe])] {
            assert!(matches!(read_cursor(damaged), Err(Error::Invalid { code: "invalid_cursor", .. })), "{damaged}");
        }
    }
}
