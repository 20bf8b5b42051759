//! Listing dead letters, newest first, page by page. A cursor is the id of a page's last letter.

use serde::{Deserialize, Serialize};
use shared::auth::Read;
use shared::error::Result;
use shared::rows::{Buried, Rows};
use shared::tenants::Registry;

use super::{Letters, RedriveRequest};
use crate::paging;
use crate::retention::of_what_is_kept;

/// Which letters to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct LetterQuery {
    /// Only this tenant's. For operators.
    tenant: Option<String>,
    /// Only those that failed there, such as `parse`.
    stage: Option<String>,
    /// Only those that failed for this reason, such as `invalid_json`.
    code: Option<String>,
    /// Only those of this batch.
    batch_id: Option<String>,
    /// Buried from this moment on: RFC 3339, `now`, or relative, such as `now-15m` (units s, m, h, d, w).
    #[param(example = "now-15m")]
    from: Option<String>,
    /// Buried before this moment: as `from`.
    #[param(example = "2025-10-10T12:26:36Z")]
    to: Option<String>,
    /// Letters wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of dead letters, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LetterPage {
    dead_letters: Vec<Buried>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`shared::error::Error::Invalid`] naming the parameter, or weather.
pub(crate) async fn list(registry: &Registry, rows: &Rows, letters: Letters<Read>, query: LetterQuery) -> Result<LetterPage> {
    let LetterQuery { tenant, stage, code, batch_id, from, to, limit, cursor } = query;
    let (tenant, filter) = RedriveRequest { tenant, stage, code, batch_id, from, to }.read()?;
    let reach = letters.of_tenant(tenant)?;
    let filter = of_what_is_kept(registry, &reach, filter).await?;
    let limit = paging::limit(limit.as_deref())?;
    let before = cursor.as_deref().map(paging::read_id).transpose()?;
    let mut found = rows.dead_letters(&reach, &filter, before, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut found, limit, |last| last.id);
    Ok(LetterPage { dead_letters: found, next_cursor })
}
