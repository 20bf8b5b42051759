//! The parameters of lists and searches, and what they ask for once they are understood.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::index::Sort;
use shared::query::{Order, Query, Scope};
use shared::record::Level;
use shared::retention::Horizon;
use shared::text::first_chars;
use shared::timestamp::UnixMs;
use utoipa::IntoParams;

use crate::cursor::{self, Cursor};
use crate::select::Selection;
use shared::range::Range;

/// Logs of a page where `limit` says nothing: two screens.
const DEFAULT_LIMIT: usize = 50;
/// Most logs of a page (design, section 4).
const MAX_LIMIT: usize = 1_000;
/// Characters of a wrong value that are repeated to whoever sent it.
const SHOWN: usize = 40;

/// Parameters of a list. One that is empty counts as not sent, but `limit`, which is a number.
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
    #[serde(deserialize_with = "shared::http::valued")]
    pub(crate) limit: Option<String>,
    /// `next_cursor` of the page before, with the same filters. `limit` may change.
    pub(crate) cursor: Option<String>,
    /// `newest` (the default) or `oldest` first.
    #[param(value_type = Option<String>, example = "newest")]
    pub(crate) sort: Option<String>,
    /// Names of the fields that each log is answered with, with commas between them; none for all.
    #[param(value_type = Option<String>, example = "id,timestamp,message")]
    pub(crate) fields: Option<String>,
}

/// Parameters of a search: those of a list, and `q`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParams {
    /// What to look for: words, `"phrases"`, `-word`, `AND`, `OR`, `NOT`, parentheses, `field:value`, `pay*`, `level>=warn`,
    /// `attributes.amount:[10 TO 20}`. What is no syntax is text. docs/search.md has all of it.
    #[param(value_type = String, required, example = "payment \"timed out\" level>=warn -retry")]
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
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before, with the same filters. `limit` may change.
    cursor: Option<String>,
    /// `newest` (the default) or `oldest` first, or by `relevance`: by how much of the query a log holds.
    #[param(value_type = Option<String>, example = "relevance")]
    sort: Option<String>,
    /// Names of the fields that each log is answered with, with commas between them; none for all.
    #[param(value_type = Option<String>, example = "id,timestamp,message,highlights")]
    fields: Option<String>,
}

/// Which logs belong to a list, times aside: what all its pages have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Filters {
    /// Any of these, in order; none stands for all.
    pub(crate) services: Vec<String>,
    /// Any of these, in order; none stands for all.
    pub(crate) levels: Vec<Level>,
    /// Of a search: what to look for, as it was typed.
    pub(crate) query: Option<String>,
    /// In which order.
    pub(crate) order: Order,
}

/// One page, as it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What all its pages have in common.
    filters: Filters,
    /// Which logs.
    pub(crate) scope: Scope,
    /// In which order.
    pub(crate) order: Order,
    /// The page before ended there, with that score.
    pub(crate) after: Option<(Sort, f32)>,
    /// Most logs.
    pub(crate) limit: usize,
    /// What each log is answered with.
    pub(crate) fields: Selection,
    /// Whether it came with a cursor, and so with a fixed set of logs.
    pub(crate) goes_on: bool,
}

impl Asked {
    /// A page of a list. `now_ms` is the clock that logs are received by.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn list(params: ListParams, now_ms: u64) -> Result<Self> {
        Self::read(params, None, &[Order::Newest, Order::Oldest], Selection::OF_A_LOG, now_ms)
    }

    /// A page of a search.
    ///
    /// # Errors
    /// As [`Asked::list`].
    pub(crate) fn search(params: SearchParams, now_ms: u64) -> Result<Self> {
        let SearchParams { q, from, to, service, level, limit, cursor, sort, fields } = params;
        let params = ListParams { from, to, service, level, limit, cursor, sort, fields };
        Self::read(params, Some(q.unwrap_or_default()), &[Order::Newest, Order::Oldest, Order::Relevance], Selection::OF_A_HIT, now_ms)
    }

    /// All of a list, or of a search where there is something to look for.
    ///
    /// # Errors
    /// As [`Asked::list`].
    pub(crate) fn export(params: ListParams, query: Option<String>, now_ms: u64) -> Result<Self> {
        Self::read(params, query.filter(|text| !text.trim().is_empty()), &[Order::Newest, Order::Oldest], Selection::OF_A_LOG, now_ms)
    }

    fn read(params: ListParams, query: Option<String>, orders: &[Order], selectable: &[&'static str], now_ms: u64) -> Result<Self> {
        let order = order(params.sort.as_deref(), orders)?;
        let filters = Filters { services: services(params.service), levels: levels(&params.level)?, query, order };
        let limit = limit(params.limit.as_deref())?;
        let fields = Selection::parse(params.fields.as_deref(), selectable)?;
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
        let query = filters.query.as_deref().map(|text| query_of(text, now)).transpose()?;
        let scope = Scope { range, services: filters.services.clone(), levels: filters.levels.clone(), query, received_up_to, horizon: Horizon::default() };
        Ok(Self { filters, scope, order, after: cursor.and_then(|cursor| Some((cursor.after?, cursor.score))), limit, fields, goes_on: cursor.is_some() })
    }

    /// The same, of what is still there: that is told by who asks, and by no cursor.
    pub(crate) fn since(mut self, horizon: Horizon) -> Self {
        self.scope.horizon = horizon;
        self
    }

    /// The cursor of the page after this one.
    pub(crate) fn cursor(&self, after: Sort, score: f32) -> String {
        Cursor { received_up_to: self.scope.received_up_to, range: self.scope.range, after: Some(after), score }.encode(&self.filters)
    }

    /// The cursor of the first page: what belongs to the list is fixed by it.
    pub(crate) fn first_cursor(&self) -> String {
        Cursor { received_up_to: self.scope.received_up_to, range: self.scope.range, after: None, score: 0.0 }.encode(&self.filters)
    }
}

/// A side of the range need not be sent again with a cursor, but must not say otherwise.
fn differs(sent: Option<UnixMs>, known: Option<UnixMs>) -> bool {
    sent.is_some() && sent != known
}

/// The parameter `service`: each name once, in order.
pub(crate) fn services(sent: Vec<String>) -> Vec<String> {
    // NUL as in what was stored: there, too, it was replaced.
    let mut services: Vec<String> = sent.into_iter().filter(|name| !name.is_empty()).map(|name| name.replace('\0', "\u{fffd}")).collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// The parameter `level`: each level once, in order.
///
/// # Errors
/// [`Error::Invalid`] for what is none.
pub(crate) fn levels(sent: &[String]) -> Result<Vec<Level>> {
    let unknown =
        |text: &str| Error::invalid("level", format!("`{}` is none of TRACE, DEBUG, INFO, WARN, ERROR, FATAL, nor one of their usual synonyms", first_chars(text, SHOWN)));
    let level = |text: &String| Level::parse(text).ok_or_else(|| unknown(text));
    let mut levels: Vec<Level> = sent.iter().filter(|text| !text.is_empty()).map(level).collect::<Result<_>>()?;
    levels.sort_unstable();
    levels.dedup();
    Ok(levels)
}

fn limit(sent: Option<&str>) -> Result<usize> {
    number("limit", sent, DEFAULT_LIMIT, 1..=MAX_LIMIT)
}

/// A number within bounds, or what stands for none.
///
/// # Errors
/// [`Error::Invalid`] naming the parameter.
pub(crate) fn number(name: &str, sent: Option<&str>, default: usize, bounds: RangeInclusive<usize>) -> Result<usize> {
    let number = sent.map_or(Some(default), |text| text.parse().ok());
    number.filter(|number| bounds.contains(number)).ok_or_else(|| Error::invalid(name, format!("not a number from {} to {}", bounds.start(), bounds.end())))
}

/// The parameter `q`.
fn query_of(text: &str, now: UnixMs) -> Result<Query> {
    Query::parse(text, now).map_err(|error| Error::invalid_query("q", error))
}

/// The parameter `q`, where it need not be sent: nothing but white space counts as not sent.
///
/// # Errors
/// [`Error::Invalid`] with the place of what is wrong.
pub(crate) fn optional_query(sent: Option<&str>, now: UnixMs) -> Result<Option<Query>> {
    sent.filter(|text| !text.trim().is_empty()).map(|text| query_of(text, now)).transpose()
}

fn order(sent: Option<&str>, orders: &[Order]) -> Result<Order> {
    let name = |order: &Order| match order {
        Order::Newest => "newest",
        Order::Oldest => "oldest",
        Order::Relevance => "relevance",
    };
    let Some(sent) = sent else { return Ok(Order::Newest) };
    let known = || orders.iter().map(name).collect::<Vec<_>>().join(", ");
    orders.iter().copied().find(|order| name(order) == sent).ok_or_else(|| Error::invalid("sort", format!("none of {}", known())))
}

#[cfg(test)]
mod tests;
