//! How long a tenant's logs are kept, in each store.
//!
//! A log is filed under the day (UTC) on which it was received, and goes with it: one that is kept for seven days is there for the rest of its own
//! day and seven more, and at the next midnight it is in no answer any more. What lies in the stores is removed behind that by maintenance.
//!
//! What has gone once stays gone: where days are added later, the days that were over by then do not come back, whether their logs were removed
//! already or not. Under a legal hold nothing goes, and nothing is removed.

use serde::{Deserialize, Serialize};

use crate::timestamp::DAY_MS;

/// Longest retention, in days: a century.
const MOST_DAYS: u32 = 36_500;

/// How long logs are kept, as it is set. What is not set is kept as long as in the store below it: the index as rows, rows as raw, and raw until
/// the tenant goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct RetentionPeriods {
    /// Days for which they can be searched; no more than `rows_days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36_500, example = 7)]
    pub index_days: Option<u32>,
    /// Days for which they can be listed and read; no more than `raw_days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36_500, example = 90)]
    pub rows_days: Option<u32>,
    /// Days for which what was sent lies in the object store, from which all else can be made again. Dead letters are kept as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36_500, example = 365)]
    pub raw_days: Option<u32>,
    /// Nothing goes, and the tenant cannot be deleted, however many days are over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
}

/// The first day of receipt, since 1970-01-01, that is still there of each store; 0 where all is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Days {
    /// In the index.
    pub index: u64,
    /// In rows.
    pub rows: u64,
    /// In raw.
    pub raw: u64,
}

/// How long a tenant's logs are kept, and what has gone already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// What is set.
    pub periods: RetentionPeriods,
    /// What had gone when that was set.
    pub gone: Days,
}

/// From when on logs are kept, by when they were received, in milliseconds since 1970; 0 where all are. What was received before is in no answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Horizon {
    /// Logs that can be searched.
    pub index: u64,
    /// Logs that can be listed and read.
    pub rows: u64,
    /// Logs whose records lie in the object store, and dead letters.
    pub raw: u64,
}

impl RetentionPeriods {
    /// Whether it can be carried out.
    ///
    /// # Errors
    /// The field that is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        for (field, days) in [("index_days", self.index_days), ("rows_days", self.rows_days), ("raw_days", self.raw_days)] {
            if days.is_some_and(|days| days == 0 || days > MOST_DAYS) {
                return Err((field, "is a number of days from 1 to 36500"));
            }
        }
        let is_longer = |one: Option<u32>, other: Option<u32>| one.zip(other).is_some_and(|(one, other)| one > other);
        if is_longer(self.index_days, self.rows()) {
            return Err(("index_days", "must not be longer than rows_days and raw_days: a hit without its row is none"));
        }
        if is_longer(self.rows_days, self.raw_days) {
            return Err(("rows_days", "must not be longer than raw_days: a row leads to its record"));
        }
        Ok(())
    }

    fn index(&self) -> Option<u32> {
        self.index_days.or(self.rows())
    }

    fn rows(&self) -> Option<u32> {
        self.rows_days.or(self.raw_days)
    }
}

impl Retention {
    /// The first days that are kept at this moment, in milliseconds since 1970.
    #[must_use]
    pub fn days(&self, now_ms: u64) -> Days {
        let today = now_ms / DAY_MS;
        let first = |kept: Option<u32>, gone: u64| match kept {
            Some(days) if !self.periods.legal_hold => gone.max(today.saturating_sub(u64::from(days))),
            _ => gone,
        };
        let periods = &self.periods;
        Days { index: first(periods.index(), self.gone.index), rows: first(periods.rows(), self.gone.rows), raw: first(periods.raw_days, self.gone.raw) }
    }

    /// From when on logs are kept at this moment.
    #[must_use]
    pub fn horizon(&self, now_ms: u64) -> Horizon {
        let Days { index, rows, raw } = self.days(now_ms);
        Horizon { index: index * DAY_MS, rows: rows * DAY_MS, raw: raw * DAY_MS }
    }

    /// The same with other periods from this moment on: what has gone by now stays gone.
    #[must_use]
    pub fn with(&self, periods: RetentionPeriods, now_ms: u64) -> Self {
        Self { periods, gone: self.days(now_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn periods(index_days: impl Into<Option<u32>>, rows_days: impl Into<Option<u32>>, raw_days: impl Into<Option<u32>>) -> RetentionPeriods {
        RetentionPeriods { index_days: index_days.into(), rows_days: rows_days.into(), raw_days: raw_days.into(), legal_hold: false }
    }

    #[test]
    fn each_store_keeps_no_longer_than_the_one_below_it() {
        let fine =
            [periods(None, None, None), periods(7, 90, 365), periods(7, 7, 7), periods(7, None, None), periods(1, 36_500, None), periods(None, 7, None), periods(1, None, 7)];
        for fine in fine {
            assert_eq!(fine.check(), Ok(()), "{fine:?}");
        }
        let wrong = [
            (periods(0, None, None), "index_days"),
            (periods(1, 1, 36_501), "raw_days"),
            (periods(8, 7, None), "index_days"),
            (periods(8, None, 7), "index_days"),
            (periods(1, 8, 7), "rows_days"),
        ];
        for (wrong, field) in wrong {
            assert_eq!(wrong.check().map_err(|(field, _)| field), Err(field), "{wrong:?}");
        }
    }

    #[test]
    fn a_log_goes_at_the_midnight_after_its_days() {
        let retention = Retention::default().with(periods(1, 2, None), 100 * DAY_MS);
        let at = |ms| retention.horizon(ms);
        let as_below = Retention::default().with(periods(None, None, 3), 100 * DAY_MS).days(100 * DAY_MS);
        assert_eq!(as_below, Days { index: 97, rows: 97, raw: 97 });
        assert_eq!(at(100 * DAY_MS), Horizon { index: 99 * DAY_MS, rows: 98 * DAY_MS, raw: 0 });
        assert_eq!(at(101 * DAY_MS - 1), at(100 * DAY_MS));
        assert_eq!(at(101 * DAY_MS), Horizon { index: 100 * DAY_MS, rows: 99 * DAY_MS, raw: 0 });
    }

    #[test]
    fn under_a_hold_nothing_goes_and_what_had_gone_stays_gone() {
        let seven = Retention::default().with(periods(7, 7, 7), 0);
        let held = seven.with(RetentionPeriods { legal_hold: true, ..seven.periods }, 100 * DAY_MS);
        assert_eq!(held.days(200 * DAY_MS), Days { index: 93, rows: 93, raw: 93 });
        let free = held.with(seven.periods, 200 * DAY_MS);
        assert_eq!(free.days(200 * DAY_MS), Days { index: 193, rows: 193, raw: 193 });
    }

    #[test]
    fn it_is_read_from_what_is_there() {
        let retention = Retention::default().with(periods(7, 90, 365), 400 * DAY_MS);
        let written = serde_json::json!({ "periods": { "index_days": 7, "rows_days": 90, "raw_days": 365 }, "gone": { "index": 0, "rows": 0, "raw": 0 } });
        assert_eq!(serde_json::to_value(retention.with(retention.periods, 0)).ok(), Some(written.clone()));
        assert_eq!(serde_json::from_value::<Retention>(written).ok(), Some(Retention { gone: Days::default(), ..retention }));
        assert_eq!(serde_json::from_str::<Retention>("{}").ok(), Some(Retention::default()));
    }

    proptest! {
        #[test]
        fn however_it_is_changed_nothing_comes_back(changes in prop::collection::vec((0_u64..30, prop::option::of(1_u32..20), any::<bool>()), 1..20)) {
            let (mut now, mut retention, mut before) = (1_000 * DAY_MS, Retention::default(), Days::default());
            for (later, days, legal_hold) in changes {
                now += later * DAY_MS;
                let is_after = |days: Days, before: Days| days.index >= before.index && days.rows >= before.rows && days.raw >= before.raw;
                prop_assert!(is_after(retention.days(now), before));
                before = retention.days(now);
                retention = retention.with(RetentionPeriods { legal_hold, ..periods(days, days, days) }, now);
                prop_assert!(is_after(retention.days(now), before));
                before = retention.days(now);
            }
        }
    }
}
