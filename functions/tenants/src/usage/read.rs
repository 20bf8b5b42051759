//! Usage, step by step.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::billing::month::Month;
use shared::billing::usage::Usage;
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::range::Range;
use shared::rows::{Grouping, Interval, Rows, UsageQuery, Used};
use shared::timestamp;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::hour_of;
use crate::paging;

/// Which usage to read.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// Whose. For operators, who must say.
    pub(crate) tenant: Option<String>,
    /// From the hour of this moment on: RFC 3339, `now`, or relative, such as `now-7d`. Not given: from the beginning of this month.
    #[param(example = "now-7d")]
    from: Option<String>,
    /// Up to the hour of this moment, included where it has begun: as `from`. Not given: `now`.
    #[param(example = "now")]
    to: Option<String>,
    /// `hour`, `day` (the default) or `month`: steps, UTC, of the time of receipt.
    #[param(example = "day")]
    interval: Option<String>,
    /// By what it is told apart: `service`, `key`, or both.
    #[param(example = "service")]
    by: Vec<String>,
    /// Steps wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of usage, the oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UsagePage {
    /// The time that is meant: whole hours.
    range: Range,
    /// How wide the steps are.
    interval: &'static str,
    /// What was used in each step; those in which nothing was are left out.
    usage: Vec<Used>,
    /// What was used in all of the range, this page or not.
    totals: Usage,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::Invalid`] naming a parameter, or weather.
pub(crate) async fn read(rows: &Rows, tenant: &TenantId, params: UsageParams, now: OffsetDateTime) -> Result<UsagePage> {
    let limit = paging::limit(params.limit.as_deref())?;
    let (from, to) = whole_hours(params.from.as_deref(), params.to.as_deref(), now)?;
    let interval = params.interval.as_deref().map_or(Some(Interval::Day), Interval::parse);
    let interval = interval.ok_or_else(|| Error::invalid("interval", "must be `hour`, `day` or `month`"))?;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    let query = UsageQuery { from, to, interval, by: grouping(&params.by)?, after };
    let mut usage = rows.usage(tenant, &query, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut usage, limit, cursor);
    let totals = rows.usage_between(tenant, from, to).await?;
    let range = Range { from: Some(timestamp::from_datetime(from)), to: Some(timestamp::from_datetime(to)) };
    Ok(UsagePage { range, interval: interval.as_str(), usage, totals, next_cursor })
}

fn whole_hours(from: Option<&str>, to: Option<&str>, now: OffsetDateTime) -> Result<(OffsetDateTime, OffsetDateTime)> {
    let range = Range::parse(from, to, timestamp::from_datetime(now))?;
    let from = range.from.map_or_else(|| Month::of(now).begin(), |from| hour_of(timestamp::to_datetime(from)));
    let to = range.to.map_or(now, timestamp::to_datetime);
    let end = hour_of(to);
    let to = if end == to { end } else { end.checked_add(Duration::HOUR).unwrap_or(end) };
    if from < to { Ok((from, to)) } else { Err(Error::invalid("from", "must lie before `to`")) }
}

fn grouping(by: &[String]) -> Result<Grouping> {
    let mut grouping = Grouping::default();
    for name in by {
        match name.as_str() {
            "service" => grouping.service = true,
            "key" => grouping.key = true,
            _ => return Err(Error::invalid("by", "must be `service` or `key`")),
        }
    }
    Ok(grouping)
}

fn cursor(last: &Used) -> Vec<u8> {
    serde_json::to_vec(&(timestamp::from_datetime(last.from), &last.service, last.key_id)).unwrap_or_default()
}

fn read_cursor(cursor: &str) -> Result<(OffsetDateTime, Option<String>, Option<Uuid>)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| paging::invalid_cursor())?;
    let (from, service, key): (i64, Option<String>, Option<Uuid>) = serde_json::from_slice(&bytes).map_err(|_| paging::invalid_cursor())?;
    if service.as_deref().is_some_and(|service| service.contains('\0')) {
        return Err(paging::invalid_cursor());
    }
    Ok((timestamp::to_datetime(from), service, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_whole_hours_and_begins_with_the_month() {
        let at = |text: &str| timestamp::to_datetime(timestamp::parse(text).expect("a time"));
        let now = at("2026-11-25T10:20:30Z");
        let hours = |from, to| whole_hours(from, to, now).ok();
        assert_eq!(hours(None, None), Some((at("2026-11-01T00:00:00Z"), at("2026-11-25T11:00:00Z"))));
        assert_eq!(hours(Some("2026-11-25T09:59:59Z"), Some("2026-11-25T10:00:00Z")), Some((at("2026-11-25T09:00:00Z"), at("2026-11-25T10:00:00Z"))));
        assert_eq!(hours(Some("now"), None), Some((at("2026-11-25T10:00:00Z"), at("2026-11-25T11:00:00Z"))));
        assert_eq!(hours(None, Some("2026-10-01T00:00:00Z")), None);
    }

    #[test]
    fn a_cursor_is_where_a_page_ended_or_damaged() {
        let last = Used { from: OffsetDateTime::UNIX_EPOCH, service: Some("a \"b\"".to_owned()), key_id: Some(Uuid::nil()), used: Usage::default() };
        let read = read_cursor(&URL_SAFE_NO_PAD.encode(cursor(&last))).expect("a cursor");
        assert_eq!(read, (last.from, last.service, last.key_id));
        for damaged in ["", "x", &URL_SAFE_NO_PAD.encode("[1]"), &URL_SAFE_NO_PAD.encode(r#"[0,"a\u0000",null]"#)] {
            assert!(matches!(read_cursor(damaged), Err(Error::Invalid { code: "invalid_cursor", .. })), "{damaged}");
        }
    }
}
