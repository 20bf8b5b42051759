//! Listing webhooks, and what became of their deliveries, page by page. A cursor is the id of a page's last delivery.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::tenants::{Delivery, DeliveryState, Registry, Webhook};
use uuid::Uuid;

use crate::paging;

/// All webhooks of a tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WebhookList {
    /// Oldest first.
    webhooks: Vec<Webhook>,
}

/// Which deliveries to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Only those in this state: `pending`, `delivered` or `dead`.
    #[param(value_type = Option<DeliveryState>)]
    #[serde(deserialize_with = "shared::http::valued")]
    state: Option<String>,
    /// Deliveries wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before, with the same filter.
    cursor: Option<String>,
}

/// A page of deliveries, the latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct DeliveryPage {
    deliveries: Vec<Delivery>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::NotFound`] for a tenant that is not there, or weather.
pub(crate) async fn webhooks(registry: &Registry, tenant: &TenantId) -> Result<WebhookList> {
    registry.tenant(tenant).await?;
    Ok(WebhookList { webhooks: registry.webhooks(tenant).await? })
}

/// # Errors
/// [`Error::Invalid`] naming the parameter; [`Error::NotFound`]; weather.
pub(crate) async fn deliveries(registry: &Registry, tenant: &TenantId, webhook: Uuid, query: DeliveryQuery) -> Result<DeliveryPage> {
    let limit = paging::limit(query.limit.as_deref())?;
    let before = query.cursor.as_deref().map(paging::read_id).transpose()?;
    let known = |name: &str| DeliveryState::parse(name).ok_or_else(|| Error::invalid("state", "must be `pending`, `delivered` or `dead`"));
    let state = query.state.as_deref().map(known).transpose()?;
    let mut found = registry.deliveries(tenant, webhook, state, before, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut found, limit, |last| last.id);
    Ok(DeliveryPage { deliveries: found, next_cursor })
}
