//! From when to when: RFC 3339 times, or times relative to now. Half-open: `from` belongs to the range, `to` does not.

use crate::error::{Error, Result};
use crate::timestamp::{self, TimestampError, UnixMs};
use serde::{Serialize, Serializer};

/// The units of relative times, in milliseconds.
const UNITS: [(char, i64); 5] = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000), ('w', 604_800_000)];
/// Why a text is no moment.
const NO_MOMENT: &str = "not a time: send RFC 3339, such as 2025-10-10T12:26:36Z, or `now`, or `now-15m` (units s, m, h, d, w)";

/// A range of time, open where a side is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Range {
    /// First moment, included.
    #[serde(serialize_with = "as_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<UnixMs>,
    /// Last moment, not included.
    #[serde(serialize_with = "as_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<UnixMs>,
}

impl Range {
    /// Reads both sides as they were sent. `now` is what relative times count from.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub fn parse(from: Option<&str>, to: Option<&str>, now: UnixMs) -> Result<Self> {
        let side = |name, text: Option<&str>| text.map(|text| moment(text, now).map_err(|reason| Error::invalid(name, reason))).transpose();
        let range = Self { from: side("from", from)?, to: side("to", to)? };
        match (range.from, range.to) {
            (Some(from), Some(to)) if from >= to => Err(Error::invalid("from", "must lie before `to`")),
            _ => Ok(range),
        }
    }
}

/// A moment as it was typed. The error is a sentence.
pub(crate) fn moment(text: &str, now: UnixMs) -> Result<UnixMs, String> {
    match text.trim().strip_prefix("now") {
        Some(offset) => relative(offset, now),
        None => absolute(text.trim()),
    }
}

/// The digits of a span of time such as `15m`, and what its unit (s, m, h, d, w) is in milliseconds.
#[must_use]
pub fn number_and_unit(span: &str) -> Option<(&str, i64)> {
    let (number, unit) = UNITS.iter().find_map(|(letter, ms)| Some((span.strip_suffix(*letter)?, *ms)))?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some((number, unit))
}

fn relative(offset: &str, now: UnixMs) -> Result<UnixMs, String> {
    if offset.is_empty() {
        return Ok(now);
    }
    let (number, unit) = offset.strip_prefix('-').and_then(number_and_unit).ok_or(NO_MOMENT)?;
    let at = number.parse::<i64>().ok().and_then(|number| now.checked_sub(number.checked_mul(unit)?));
    at.filter(|at| *at >= timestamp::MIN).ok_or_else(|| TimestampError::Range.to_string())
}

fn absolute(text: &str) -> Result<UnixMs, String> {
    // A `+` in a query is a space, and who writes `+02:00` by hand forgets to escape it. Nothing else can be meant.
    let zoned = text.rsplit_once(' ').filter(|(time, _)| time.len() > 10).map(|(time, zone)| format!("{time}+{zone}"));
    timestamp::parse(zoned.as_deref().unwrap_or(text)).map_err(|error| match error {
        TimestampError::Format => NO_MOMENT.to_owned(),
        TimestampError::Range => error.to_string(),
    })
}

fn as_time<S: Serializer>(side: &Option<UnixMs>, serializer: S) -> Result<S::Ok, S::Error> {
    side.map(timestamp::format).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMs = 1_760_099_196_000;

    #[test]
    fn absolute_and_relative_times() {
        for (text, at) in [
            ("2025-10-10T12:26:36Z", NOW),
            ("2025-10-10T14:26:36+02:00", NOW),
            ("2025-10-10T14:26:36 02:00", NOW),
            ("2025-10-10 12:26:36Z", NOW),
            ("now", NOW),
            ("now-0s", NOW),
            ("now-15m", NOW - 900_000),
            ("now-2h", NOW - 7_200_000),
            ("now-1d", NOW - 86_400_000),
            ("now-3w", NOW - 3 * 604_800_000),
        ] {
            assert_eq!(moment(text, NOW), Ok(at), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_sentence() {
        for text in ["", "yesterday", "now-", "now-m", "now-5", "now-5y", "now--5m", "now-5m-5m", "now+5m", "NOW", "now 5m", "now-５m", "1760099196000", "2025-10-10"] {
            assert_eq!(moment(text, NOW), Err(NO_MOMENT.to_owned()), "{text}");
        }
        for text in ["2025-02-30T00:00:00Z", "now-9223372036854775807w", "now-99999999999999999999s", "now-110000w"] {
            assert_eq!(moment(text, NOW), Err(TimestampError::Range.to_string()), "{text}");
        }
    }

    #[test]
    fn a_range_is_half_open_and_holds_something() {
        assert_eq!(Range::parse(Some("now-1h"), Some("now"), NOW).expect("a range"), Range { from: Some(NOW - 3_600_000), to: Some(NOW) });
        assert_eq!(Range::parse(None, None, NOW).expect("all of time"), Range::default());
        for (from, to) in [("now", "now"), ("now", "now-1s")] {
            let error = Range::parse(Some(from), Some(to), NOW).expect_err("nothing lies in it");
            assert!(matches!(&error, Error::Invalid { faults, .. } if faults[0].field.as_deref() == Some("from")), "{error:?}");
        }
    }

    #[test]
    fn an_answer_shows_milliseconds_and_null() {
        let json = serde_json::to_string(&Range { from: Some(NOW), to: None }).expect("JSON");
        assert_eq!(json, r#"{"from":"2025-10-10T12:26:36.000Z","to":null}"#);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(now)?[-+ ]?\\PC{0,30}") {
            let _ = moment(&text, NOW);
        }

        #[test]
        fn what_an_answer_shows_can_be_sent_back(at in timestamp::MIN..=timestamp::MAX) {
            prop_assert_eq!(moment(&timestamp::format(at), NOW), Ok(at));
        }
    }
}
