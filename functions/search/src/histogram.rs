//! How many logs there are over time: bars of equal width, exact from the rows where nothing is searched for, else from the index.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use shared::error::{Engine, Error, Result, chain};
use shared::ids::TenantId;
use shared::index::Index;
use shared::query::{Bars, CountBy, Counted, Scope};
use shared::range::{Range, number_and_unit};
use shared::retention::Horizon;
use shared::rows::Rows;
use shared::timestamp::{self, UnixMs};
use utoipa::IntoParams;

use crate::honesty::Honesty;
use crate::page::Source;
use crate::params::{levels, optional_query, services};

/// Longest bar, in milliseconds: ten thousand years hold every time that is taken.
const MAX_WIDTH_MS: i64 = 3_652_500 * 86_400_000;
/// Most bars of an answer: more are narrower than a line on most screens.
const MAX_BARS: i64 = 120;
/// What `from` is before `to` where it is not sent.
const DEFAULT_SPAN_MS: i64 = 86_400_000;
/// Widths that people read easily, in seconds; past the last, multiples of it.
const WIDTHS_S: [i64; 19] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800];

/// Parameters of a histogram.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistogramParams {
    /// What to count, in the language of `GET /v1/search`; without it all logs, exact.
    #[param(value_type = Option<String>, example = "level>=warn")]
    q: Option<String>,
    /// First moment, included: RFC 3339, `now`, or relative, such as `now-15m`. A day before `to` if not sent.
    #[param(example = "now-15m")]
    from: Option<String>,
    /// Last moment, not included: as `from`. Now if not sent.
    #[param(example = "now")]
    to: Option<String>,
    /// Only this service. Can be repeated: any of them.
    service: Vec<String>,
    /// Only this level. Can be repeated: any of them.
    level: Vec<String>,
    /// Splits each bar: `level`, `service` or `language`.
    #[param(example = "level")]
    by: Option<String>,
    /// Width of a bar, such as `30s`, `5m`, `1h` or `1d`; chosen if not sent.
    #[param(example = "5m")]
    interval: Option<String>,
}

/// One bar.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Bar {
    /// Its first moment. That of the first bar may lie before the range, since bars begin at multiples of their width.
    #[schema(format = DateTime)]
    from: String,
    /// Logs in it.
    total: u64,
    /// The same by value, the 20 most frequent ones; empty where nothing splits it.
    by: BTreeMap<String, u64>,
    /// Logs with other values, or with none; 0 where nothing splits it.
    other: u64,
}

/// Bars over a range; those without logs are there, too.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Histogram {
    /// The bars, the oldest first.
    bars: Vec<Bar>,
    /// Width of each, in milliseconds.
    interval_ms: i64,
    /// All logs of the range.
    total: u64,
    /// The range that was used.
    range: Range,
    /// What the answer is worth.
    #[serde(flatten)]
    honesty: Honesty,
}

/// A histogram, as it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    scope: Scope,
    bars: Bars,
    from: UnixMs,
    to: UnixMs,
}

impl Asked {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn read(params: HistogramParams, now_ms: u64, horizon: Horizon) -> Result<Self> {
        let now = UnixMs::try_from(now_ms).unwrap_or(UnixMs::MAX);
        let sent = Range::parse(params.from.as_deref(), params.to.as_deref(), now)?;
        let to = sent.to.unwrap_or(now);
        if sent.from.is_some_and(|from| from >= to) {
            return Err(Error::invalid("from", "must lie before `to`, which is now if not sent"));
        }
        let from = sent.from.unwrap_or((to - DEFAULT_SPAN_MS).max(timestamp::MIN));
        let interval_ms = match params.interval.as_deref() {
            Some(text) => interval(text, from, to)?,
            None => chosen(from, to),
        };
        let query = optional_query(params.q.as_deref(), now)?;
        let by = params.by.as_deref().map(split_by).transpose()?;
        let range = Range { from: Some(from), to: Some(to) };
        let scope = Scope { range, services: services(params.service), levels: levels(&params.level)?, query, received_up_to: now_ms, horizon };
        Ok(Self { scope, bars: Bars { interval_ms, by }, from, to })
    }
}

fn split_by(text: &str) -> Result<CountBy> {
    CountBy::parse(text).ok_or_else(|| Error::invalid("by", "none of level, service, language"))
}

fn bars_between(from: UnixMs, to: UnixMs, width: i64) -> i64 {
    (to - 1).div_euclid(width) - from.div_euclid(width) + 1
}

fn interval(text: &str, from: UnixMs, to: UnixMs) -> Result<i64> {
    let width = number_and_unit(text).and_then(|(number, unit)| number.parse::<i64>().ok()?.checked_mul(unit));
    let width = width.filter(|width| *width > 0).ok_or_else(|| Error::invalid("interval", "not a number of s, m, h, d or w, such as 5m"))?;
    if width > MAX_WIDTH_MS {
        return Err(Error::invalid("interval", format!("is longer than all of time: at most {}d", MAX_WIDTH_MS / 86_400_000)));
    }
    match bars_between(from, to, width) {
        1..=MAX_BARS => Ok(width),
        bars => Err(Error::invalid("interval", format!("that would be {bars} bars; at most {MAX_BARS} are shown"))),
    }
}

/// The least width that people read easily, and that makes no more bars than are shown.
fn chosen(from: UnixMs, to: UnixMs) -> i64 {
    let longest = WIDTHS_S[WIDTHS_S.len() - 1];
    let usual = WIDTHS_S.into_iter().map(|seconds| seconds * 1000).find(|width| bars_between(from, to, *width) <= MAX_BARS);
    usual.unwrap_or_else(|| (1..).map(|weeks| weeks * longest * 1000).find(|width| bars_between(from, to, *width) <= MAX_BARS).unwrap_or(i64::MAX))
}

/// # Errors
/// [`Error::Unavailable`] where no store that may answer does.
pub(crate) async fn histogram(rows: &Rows, index: &Index, tenant: &TenantId, asked: &Asked, now_ms: u64) -> Result<Histogram> {
    let began = Instant::now();
    if asked.scope.query.is_none() {
        match rows.histogram(tenant, &asked.scope, &asked.bars).await {
            Ok(counted) => return Ok(asked.answer(counted, Honesty::new(Source::Postgres, true, None, began).since(asked.scope.horizon.rows))),
            Err(error @ Error::Unavailable { engine: Engine::Rows, .. }) => tracing::warn!(cause = chain(&error), "the rows do not answer: counting in the index"),
            Err(error) => return Err(error),
        }
    }
    // In the place of the rows, and asked for more than the index keeps.
    let is_short = asked.scope.query.is_none() && asked.scope.horizon.index > asked.scope.horizon.rows;
    let pending = rows.oldest_pending(tenant).await.ok();
    let counted = index.histogram(tenant, &asked.scope, &asked.bars).await?;
    let honesty = Honesty::of_index(pending, counted.complete && !is_short, now_ms, began).since(asked.scope.horizon.index);
    Ok(asked.answer(counted, honesty))
}

impl Asked {
    fn answer(&self, mut counted: Counted, honesty: Honesty) -> Histogram {
        let width = self.bars.interval_ms;
        let starts = (self.from.div_euclid(width)..=(self.to - 1).div_euclid(width)).map(|n| n * width);
        let bars: Vec<Bar> = starts
            .map(|start| {
                let counts = counted.bars.remove(&start).unwrap_or_default();
                let other = if self.bars.by.is_some() { counts.total.saturating_sub(counts.by.values().sum()) } else { 0 };
                Bar { from: timestamp::format(start.max(timestamp::MIN)), total: counts.total, by: counts.by, other }
            })
            .collect();
        let total = bars.iter().map(|bar| bar.total).sum();
        Histogram { bars, interval_ms: width, total, range: self.scope.range, honesty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths_are_those_that_people_read() {
        let minutes = |n: i64| n * 60_000;
        assert_eq!([chosen(0, minutes(1)), chosen(0, minutes(60)), chosen(0, minutes(1440)), chosen(0, minutes(43_200))], [1_000, 30_000, 900_000, 21_600_000]);
        assert!(interval("5m", 0, minutes(60)).is_ok_and(|width| width == 300_000));
        assert!(interval("3652500d", 0, minutes(60)).is_ok() && interval("3652501d", 0, minutes(60)).is_err());
        for text in ["", "m", "0m", "5", "5y", "-5m", "1s", "99999999999999999999s"] {
            assert!(interval(text, 0, minutes(60)).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_bars_and_never_none(from in timestamp::MIN..timestamp::MAX, span in 1..=i64::MAX / 4) {
            let to = (from + span.min(timestamp::MAX - from)).max(from + 1);
            let bars = bars_between(from, to, chosen(from, to));
            prop_assert!((1..=MAX_BARS).contains(&bars), "{}", bars);
        }
    }
}
