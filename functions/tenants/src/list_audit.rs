//! The audit trail, page by page.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::range::Range;
use shared::rows::Reach;
use shared::tenants::{AuditEntry, AuditQuery, Registry};
use shared::timestamp;
use time::OffsetDateTime;

use crate::paging;

/// Which entries to read.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// Only this tenant's. For operators.
    pub(crate) tenant: Option<String>,
    /// Only this action, such as `apikey.created`.
    #[param(example = "apikey.created")]
    action: Option<String>,
    /// From this moment on: RFC 3339, `now`, or relative, such as `now-7d`.
    #[param(example = "now-7d")]
    from: Option<String>,
    /// Before this moment: as `from`.
    #[param(example = "now")]
    to: Option<String>,
    /// Entries wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of the audit trail, the latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditPage {
    entries: Vec<AuditEntry>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::Invalid`] naming a parameter, or weather.
pub(crate) async fn list(registry: &Registry, of: Reach, params: AuditParams) -> Result<AuditPage> {
    let limit = paging::limit(params.limit.as_deref())?;
    let before = params.cursor.as_deref().map(paging::read_id).transpose()?;
    let range = Range::parse(params.from.as_deref(), params.to.as_deref(), timestamp::from_datetime(OffsetDateTime::now_utc()))?;
    if params.action.as_deref().is_some_and(|action| action.contains('\0')) {
        return Err(Error::invalid("action", "is no word that an action could have"));
    }
    let query = AuditQuery { of, action: params.action, from: range.from.map(timestamp::to_datetime), to: range.to.map(timestamp::to_datetime), before };
    let mut entries = registry.audit_trail(&query, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut entries, limit, |last| last.id);
    Ok(AuditPage { entries, next_cursor })
}
