//! From an hour of usage to the batches that came in it.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::rows::{BatchUsed, Rows};
use shared::timestamp;
use uuid::Uuid;

use super::hour_of;
use crate::paging;

/// Which batches to read.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct BatchParams {
    /// Whose. For operators, who must say.
    pub(crate) tenant: Option<String>,
    /// The hour, by a moment in it: RFC 3339.
    #[param(required = true, example = "2026-11-25T10:00:00Z")]
    hour: Option<String>,
    /// Only what this key sent.
    #[param(value_type = Option<Uuid>)]
    #[serde(deserialize_with = "shared::http::valued")]
    key_id: Option<String>,
    /// Batches wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of batches, in the order in which they were received.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BatchPage {
    batches: Vec<BatchUsed>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::Invalid`] naming a parameter, or weather.
pub(crate) async fn batches(rows: &Rows, tenant: &TenantId, params: BatchParams) -> Result<BatchPage> {
    let limit = paging::limit(params.limit.as_deref())?;
    let after = params.cursor.as_deref().map(paging::read_id).transpose()?;
    let hour = params.hour.as_deref().ok_or_else(|| Error::invalid("hour", "must be given"))?;
    let hour = timestamp::parse(hour).map_err(|e| Error::invalid("hour", format!("is {e}")))?;
    let key = params.key_id.as_deref().map(Uuid::parse_str).transpose().map_err(|_| Error::invalid("key_id", "is no id"))?;
    let mut batches = rows.batches_of_hour(tenant, hour_of(timestamp::to_datetime(hour)), key, after, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut batches, limit, |last| last.batch_id);
    Ok(BatchPage { batches, next_cursor })
}
