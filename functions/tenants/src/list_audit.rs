//! The audit trail, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::range::Range;
use shared::rows::Reach;
use shared::tenants::{AuditEntry, AuditQuery, Registry};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

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
    let before = params.cursor.as_deref().map(read_cursor).transpose()?;
    let range = Range::parse(params.from.as_deref(), params.to.as_deref(), timestamp::from_datetime(OffsetDateTime::now_utc()))?;
    if params.action.as_deref().is_some_and(|action| action.contains('\0')) {
        return Err(Error::invalid("action", "is no word that an action could have"));
    }
    let query = AuditQuery { of, action: params.action, from: range.from.map(timestamp::to_datetime), to: range.to.map(timestamp::to_datetime), before };
    let mut entries = registry.audit_trail(&query, i64::try_from(limit + 1).unwrap_or(i64::MAX)).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last.id));
    Ok(AuditPage { entries, next_cursor })
}

fn read_cursor(cursor: &str) -> Result<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok());
    bytes.ok_or_else(paging::invalid_cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_an_id_or_damaged() {
        let id = Uuid::now_v7();
        assert_eq!(read_cursor(&URL_SAFE_NO_PAD.encode(id)).ok(), Some(id));
        for damaged in ["", "x", "AAAA", &URL_SAFE_NO_PAD.encode([7; 15])] {
            assert!(matches!(read_cursor(damaged), Err(Error::Invalid { code: "invalid_cursor", .. })), "{damaged}");
        }
    }
}
