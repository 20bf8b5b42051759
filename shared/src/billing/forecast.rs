//! What a month is going to come to, if it goes on as it began. An estimate: it knows no weekends.

use super::usage::{Meter, Usage};
use crate::timestamp::UnixMs;

/// A month that is under way.
#[derive(Debug, Clone, Copy)]
pub struct UnderWay {
    /// What was used in it so far.
    pub so_far: Usage,
    /// What was used before it and is not billed yet: it counts in this month as it is.
    pub late: Usage,
    /// What lay in the stores when a day was sampled last; 0 where none was.
    pub last_sample: Usage,
    /// Days that are still to be sampled.
    pub days_left: u8,
    /// How much of it is over.
    pub elapsed_ms: UnixMs,
    /// How long it is.
    pub length_ms: UnixMs,
}

/// Less than so much of a month says nothing of the rest of it.
const AT_LEAST_MS: UnixMs = 3_600_000;

/// What the whole month is expected to come to: what flows goes on at the pace so far, and what lies in the stores stays as it is.
#[must_use]
pub fn expected(month: &UnderWay) -> Usage {
    let elapsed = month.elapsed_ms.clamp(AT_LEAST_MS, month.length_ms.max(AT_LEAST_MS));
    let whole = Usage::by(|meter| match meter {
        Meter::RowsByteDays | Meter::IndexByteDays | Meter::RawByteDays => {
            month.so_far.of(meter).saturating_add(month.last_sample.of(meter).saturating_mul(month.days_left.into()))
        }
        _ => i64::try_from(i128::from(month.so_far.of(meter)) * i128::from(month.length_ms) / i128::from(elapsed)).unwrap_or(i64::MAX),
    });
    whole + month.late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flows_goes_on_and_what_lies_stays() {
        let day = 24 * 3_600_000;
        let month = UnderWay {
            so_far: Usage { logs: 100, raw_byte_days: 30, ..Usage::default() },
            late: Usage { logs: 7, ..Usage::default() },
            last_sample: Usage { raw_byte_days: 20, ..Usage::default() },
            days_left: 28,
            elapsed_ms: 2 * day,
            length_ms: 30 * day,
        };
        assert_eq!(expected(&month), Usage { logs: 1507, raw_byte_days: 30 + 28 * 20, ..Usage::default() });
        assert_eq!(expected(&UnderWay { elapsed_ms: 30 * day, days_left: 0, ..month }), Usage { logs: 107, raw_byte_days: 30, ..Usage::default() });
        assert_eq!(expected(&UnderWay { elapsed_ms: 0, ..month }).logs, 100 * 30 * 24 + 7, "the first hour counts as a whole one");
    }
}
