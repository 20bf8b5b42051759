//! Invoices, page by page.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::rows::Reach;
use shared::tenants::{Invoice, InvoiceStatus, Registry};

use crate::paging;

/// Which invoices to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvoiceQuery {
    /// Only this tenant's. For operators.
    pub(crate) tenant: Option<String>,
    /// Only those that have come so far.
    #[param(value_type = Option<InvoiceStatus>)]
    #[serde(deserialize_with = "shared::http::valued")]
    status: Option<String>,
    /// Invoices wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of invoices, the latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct InvoicePage {
    /// Without their lines. What a draft comes to is computed when it is read.
    invoices: Vec<Invoice>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::Invalid`] naming a parameter, or weather.
pub(crate) async fn list(registry: &Registry, of: &Reach, query: &InvoiceQuery) -> Result<InvoicePage> {
    let limit = paging::limit(query.limit.as_deref())?;
    let before = query.cursor.as_deref().map(paging::read_id).transpose()?;
    let known = |status| InvoiceStatus::parse(status).ok_or_else(|| Error::invalid("status", "must be `draft`, `finalized`, `paid` or `void`"));
    let status = query.status.as_deref().map(known).transpose()?;
    let mut invoices = registry.invoices(of, status, before, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut invoices, limit, |last| last.id);
    Ok(InvoicePage { invoices, next_cursor })
}
