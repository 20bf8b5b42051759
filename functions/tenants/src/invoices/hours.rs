//! From a line of an invoice to the hours that it is made of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::billing::usage::Meter;
use shared::error::{Error, Result};
use shared::rows::{Reach, Rows};
use shared::tenants::Registry;
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use super::whole;
use crate::paging;

/// Which hours to read.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct HourParams {
    /// Hours wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of the hours of a meter, the oldest first. Those of an earlier month came in after that was closed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HourPage {
    /// What was counted; `null` for the base price, which no hour makes.
    meter: Option<Meter>,
    /// What a unit is.
    unit: String,
    /// All hours together: what the lines of this meter add up to.
    #[schema(value_type = String, example = "12.5")]
    quantity: Decimal,
    hours: Vec<Hour>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// What was counted in an hour. Its batches: `GET /v1/usage/batches?hour=`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Hour {
    /// Its first moment; of what lies in the stores, the day's.
    #[serde(with = "time::serde::rfc3339")]
    hour: OffsetDateTime,
    /// As it is counted: logs, bytes, searches.
    counted: i64,
    /// In the units of the line.
    #[schema(value_type = String, example = "0.000214")]
    quantity: Decimal,
}

/// # Errors
/// [`Error::NotFound`] for an invoice of another, or a line that it does not have; [`Error::Invalid`] naming a parameter; weather.
pub(crate) async fn hours(registry: &Registry, rows: &Rows, of: &Reach, id: Uuid, number: &str, params: &HourParams) -> Result<HourPage> {
    let limit = paging::limit(params.limit.as_deref())?;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let invoice = whole(registry, rows, of, id).await?;
    let line = number.parse::<i32>().ok().and_then(|number| invoice.lines.iter().find(|line| line.line == number)).ok_or(Error::NotFound("line"))?;
    let of_meter = invoice.lines.iter().filter(|other| other.meter == line.meter).map(|line| line.quantity);
    let (quantity, unit) = (of_meter.sum(), line.unit.clone());
    let Some(meter) = line.meter else { return Ok(HourPage { meter: None, unit, quantity, hours: Vec::new(), next_cursor: None }) };
    let mut found = rows.hours_of_bill(id, meter, after, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut found, limit, |last| timestamp::from_datetime(last.hour).to_be_bytes());
    let hours = found.into_iter().map(|one| Hour { hour: one.hour, counted: one.counted, quantity: meter.in_units(one.counted) }).collect();
    Ok(HourPage { meter: Some(meter), unit, quantity, hours, next_cursor })
}

fn read_cursor(cursor: &str) -> Result<OffsetDateTime> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(paging::invalid_cursor)?;
    Ok(timestamp::to_datetime(i64::from_be_bytes(bytes)))
}
