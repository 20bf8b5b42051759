//! The parameters of lists and searches, and what they ask for once they are understood.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::index::Sort;
use shared::record::Level;
use shared::text::first_chars;
use shared::timestamp::UnixMs;
use utoipa::IntoParams;

use crate::cursor::{self, Cursor};
use crate::query::Query;
use shared::range::Range;

/// Logs of a page where `limit` says nothing: two screens.
const DEFAULT_LIMIT: usize = 50;
/// Most logs of a page (design, section 4).
const MAX_LIMIT: usize = 1_000;
/// Characters of a wrong value that are repeated to whoever sent it.
const SHOWN: usize = 40;

/// Parameters of a list. One that is empty counts as not sent.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// First moment, included: RFC 3339, `now`, or relative, such as `now-15m` (units s, m, h, d, w).
    #[param(example = "now-15m")]
    pub(crate) from: Option<String>,
    /// Last moment, not included: as `from`.
    #[param(example = "2025-10-10T12:26:36Z")]
    pub(crate) to: Option<String>,
    /// Only this service. Can be repeated: any of them.
    pub(crate) service: Vec<String>,
    /// Only this level: TRACE, DEBUG, INFO, WARN, ERROR, FATAL or a usual synonym, in any case. Can be repeated: any of them.
    pub(crate) level: Vec<String>,
    /// Most logs of the page. A page may end earlier: go by `next_cursor`.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    pub(crate) limit: Option<String>,
    /// `next_cursor` of the page before, with the same filters. `limit` may change.
    pub(crate) cursor: Option<String>,
}

/// Parameters of a search: those of a list, and `q`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParams {
    /// Words that must all be in `message` or `full_log`; `"a phrase"`; `-word` or `-"a phrase"` for what must not. Everything
    /// else is text.
    #[param(value_type = String, required, example = "payment \"timed out\" -retry")]
    q: Option<String>,
    /// First moment, included: RFC 3339, `now`, or relative, such as `now-15m` (units s, m, h, d, w).
    #[param(example = "now-15m")]
    from: Option<String>,
    /// Last moment, not included: as `from`.
    #[param(example = "2025-10-10T12:26:36Z")]
    to: Option<String>,
    /// Only this service. Can be repeated: any of them.
    service: Vec<String>,
    /// Only this level: TRACE, DEBUG, INFO, WARN, ERROR, FATAL or a usual synonym, in any case. Can be repeated: any of them.
    level: Vec<String>,
    /// Most hits of the page. A page may end earlier: go by `next_cursor`.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before, with the same filters. `limit` may change.
    cursor: Option<String>,
}

/// Which logs belong to a list, times aside: what all its pages have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Filters {
    /// Any of these, in order; none stands for all.
    pub(crate) services: Vec<String>,
    /// Any of these, in order; none stands for all.
    pub(crate) levels: Vec<Level>,
    /// Of a search: what to look for.
    pub(crate) query: Option<Query>,
}

/// One page, as it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Which logs.
    pub(crate) filters: Filters,
    /// From when to when.
    pub(crate) range: Range,
    /// Logs received later stay out, in milliseconds since 1970.
    pub(crate) received_up_to: u64,
    /// The page before ended there.
    pub(crate) after: Option<Sort>,
    /// Most logs.
    pub(crate) limit: usize,
}

impl Asked {
    /// A page of a list. `now_ms` is the clock that logs are received by.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn list(params: ListParams, now_ms: u64) -> Result<Self> {
        Self::read(params, None, now_ms)
    }

    /// A page of a search.
    ///
    /// # Errors
    /// As [`Asked::list`].
    pub(crate) fn search(params: SearchParams, now_ms: u64) -> Result<Self> {
        let SearchParams { q, from, to, service, level, limit, cursor } = params;
        let query = Query::parse(q.as_deref().unwrap_or_default())?;
        Self::read(ListParams { from, to, service, level, limit, cursor }, Some(query), now_ms)
    }

    fn read(params: ListParams, query: Option<Query>, now_ms: u64) -> Result<Self> {
        let filters = Filters { services: services(params.service), levels: levels(&params.level)?, query };
        let limit = limit(params.limit.as_deref())?;
        let cursor = params.cursor.map(|text| Cursor::decode(&text, &filters)).transpose()?;
        // Relative times count from the first page's clock: sent again with its cursor, they say the same again.
        let received_up_to = cursor.map_or(now_ms, |cursor| cursor.received_up_to);
        let now = UnixMs::try_from(received_up_to).unwrap_or(UnixMs::MAX);
        let sent = Range::parse(params.from.as_deref(), params.to.as_deref(), now)?;
        let range = match cursor {
            Some(cursor) if differs(sent.from, cursor.range.from) || differs(sent.to, cursor.range.to) => return Err(cursor::invalid()),
            Some(cursor) => cursor.range,
            None => sent,
        };
        Ok(Self { filters, range, received_up_to, after: cursor.map(|cursor| cursor.after), limit })
    }

    /// The cursor of the page after this one.
    pub(crate) fn cursor(&self, after: Sort) -> String {
        Cursor { received_up_to: self.received_up_to, range: self.range, after }.encode(&self.filters)
    }
}

/// A side of the range need not be sent again with a cursor, but must not say otherwise.
fn differs(sent: Option<UnixMs>, known: Option<UnixMs>) -> bool {
    sent.is_some() && sent != known
}

fn services(sent: Vec<String>) -> Vec<String> {
    // NUL as in what was stored: there, too, it was replaced.
    let mut services: Vec<String> = sent.into_iter().filter(|name| !name.is_empty()).map(|name| name.replace('\0', "\u{fffd}")).collect();
    services.sort_unstable();
    services.dedup();
    services
}

fn levels(sent: &[String]) -> Result<Vec<Level>> {
    let unknown =
        |text: &str| Error::invalid("level", format!("`{}` is none of TRACE, DEBUG, INFO, WARN, ERROR, FATAL, nor one of their usual synonyms", first_chars(text, SHOWN)));
    let level = |text: &String| Level::parse(text).ok_or_else(|| unknown(text));
    let mut levels: Vec<Level> = sent.iter().filter(|text| !text.is_empty()).map(level).collect::<Result<_>>()?;
    levels.sort_unstable();
    levels.dedup();
    Ok(levels)
}

fn limit(sent: Option<&str>) -> Result<usize> {
    let limit = sent.map_or(Some(DEFAULT_LIMIT), |text| text.parse().ok());
    limit.filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| Error::invalid("limit", format!("not a number from 1 to {MAX_LIMIT}")))
}

#[cfg(test)]
mod tests;
