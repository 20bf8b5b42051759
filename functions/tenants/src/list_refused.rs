//! What was refused, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::queue::{Refusal, RefusedCount};
use shared::range::Range;
use shared::rows::{Reach, RefusedHour, RefusedQuery, Rows};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::paging;

/// Which counts to read.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct RefusedParams {
    /// This tenant's. For operators, who must name one.
    pub(crate) tenant: Option<String>,
    /// From this hour on: RFC 3339, `now`, or relative, such as `now-7d`.
    #[param(example = "now-7d")]
    from: Option<String>,
    /// Before this hour: as `from`.
    #[param(example = "now")]
    to: Option<String>,
    /// Counts wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of what was refused, the latest hour first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RefusedPage {
    refused: Vec<RefusedLine>,
    /// All of the range, other pages included.
    total: RefusedAmount,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// How much was refused in an hour, of a key and a service, for one reason.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RefusedLine {
    /// The hour, by its beginning.
    #[serde(with = "time::serde::rfc3339")]
    hour: OffsetDateTime,
    key_id: Uuid,
    /// `null` where the body was not read, or the record could not be.
    service: Option<String>,
    /// The `code` of the answer, or of the record.
    reason: String,
    #[serde(flatten)]
    amount: RefusedAmount,
}

/// How much was refused.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RefusedAmount {
    /// Requests that were refused whole. One that holds several services is counted with each of them.
    requests: u64,
    /// Records, where the body was read.
    logs: u64,
    /// Their bytes, a line each; of a body that was not read, those on the wire.
    bytes: u64,
}

impl From<RefusedCount> for RefusedAmount {
    fn from(count: RefusedCount) -> Self {
        Self { requests: count.requests, logs: count.logs, bytes: count.bytes }
    }
}

impl From<RefusedHour> for RefusedLine {
    fn from(hour: RefusedHour) -> Self {
        let service = Some(hour.kind.service).filter(|service| !service.is_empty());
        Self { hour: hour.hour, key_id: hour.kind.key_id, service, reason: hour.kind.reason, amount: hour.count.into() }
    }
}

/// # Errors
/// [`Error::Invalid`] naming a parameter, or weather.
pub(crate) async fn list(rows: &Rows, of: Reach, params: RefusedParams) -> Result<RefusedPage> {
    let Reach::Tenant(tenant) = of else { return Err(Error::invalid("tenant", "must be given")) };
    let limit = paging::limit(params.limit.as_deref())?;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let range = Range::parse(params.from.as_deref(), params.to.as_deref(), timestamp::from_datetime(OffsetDateTime::now_utc()))?;
    let query = RefusedQuery { tenant, from: range.from.map(timestamp::to_datetime), to: range.to.map(timestamp::to_datetime), after };
    let mut found = rows.refused_hours(&query, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut found, limit, cursor);
    let total = rows.refused_total(&query).await?.into();
    Ok(RefusedPage { refused: found.into_iter().map(RefusedLine::from).collect(), total, next_cursor })
}

/// Where a page ended: the hour and the kind of its last line.
fn cursor(last: &RefusedHour) -> Vec<u8> {
    serde_json::to_vec(&(timestamp::from_datetime(last.hour), &last.kind)).unwrap_or_default()
}

fn read_cursor(sent: &str) -> Result<(OffsetDateTime, Refusal)> {
    let bytes = URL_SAFE_NO_PAD.decode(sent).ok();
    let read: Option<(i64, Refusal)> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let (hour, kind) = read.filter(|(_, kind)| !kind.service.contains('\0') && !kind.reason.contains('\0')).ok_or_else(paging::invalid_cursor)?;
    Ok((timestamp::to_datetime(hour), kind))
}
