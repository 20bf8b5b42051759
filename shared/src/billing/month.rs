//! Months, UTC: what is billed, and from when plans count.

use std::fmt;

use serde::{Serialize, Serializer};
use time::{Date, Month as Name, OffsetDateTime};

use crate::timestamp::{self, UnixMs};

/// A month, UTC, in the years 1970 to 9998.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month(Date);

impl Month {
    /// The month of a moment.
    #[must_use]
    pub fn of(at: OffsetDateTime) -> Self {
        Self::of_date(at.to_offset(time::UtcOffset::UTC).date())
    }

    /// The month of a day.
    #[must_use]
    pub fn of_date(day: Date) -> Self {
        Self(day.replace_day(1).expect("every month has a first"))
    }

    /// Reads `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
        let name = Name::try_from(u8::try_from(digits(month)?).ok()?).ok()?;
        let year = digits(year).filter(|year| (1970..=9998).contains(year))?;
        Date::from_calendar_date(i32::from(year), name, 1).ok().map(Self)
    }

    /// Its first day.
    #[must_use]
    pub fn first_day(self) -> Date {
        self.0
    }

    /// Its first moment.
    #[must_use]
    pub fn begin(self) -> OffsetDateTime {
        self.0.midnight().assume_utc()
    }

    /// Its end: the first moment of the next.
    #[must_use]
    pub fn end(self) -> OffsetDateTime {
        self.next().begin()
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        let year = if self.0.month() == Name::December { self.0.year() + 1 } else { self.0.year() };
        Self(Date::from_calendar_date(year, self.0.month().next(), 1).unwrap_or(self.0))
    }

    /// The one before it.
    #[must_use]
    pub fn previous(self) -> Self {
        let year = if self.0.month() == Name::January { self.0.year() - 1 } else { self.0.year() };
        Self(Date::from_calendar_date(year, self.0.month().previous(), 1).unwrap_or(self.0))
    }

    /// Its days.
    #[must_use]
    pub fn days(self) -> u8 {
        self.0.month().length(self.0.year())
    }

    /// Its length in milliseconds: UTC knows no summer time, and POSIX clocks no leap seconds.
    #[must_use]
    pub fn length_ms(self) -> UnixMs {
        timestamp::from_datetime(self.end()) - timestamp::from_datetime(self.begin())
    }
}

impl From<Date> for Month {
    fn from(day: Date) -> Self {
        Self::of_date(day)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), u8::from(self.0.month()))
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_as_it_is_shown() {
        for text in ["1970-01", "2026-11", "2024-02", "9998-12"] {
            assert_eq!(Month::parse(text).map(|month| month.to_string()).as_deref(), Some(text));
        }
        for bad in ["", "2026", "2026-1", "2026-13", "2026-00", "1969-12", "9999-01", "2026-11-01", "+026-11", "2026-+1", "２026-11"] {
            assert_eq!(Month::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn months_follow_each_other() {
        let december = Month::parse("2026-12").expect("a month");
        assert_eq!((december.next().to_string(), december.previous().to_string(), december.next().previous()), ("2027-01".to_owned(), "2026-11".to_owned(), december));
        assert_eq!((Month::parse("2024-02").map(Month::days), december.length_ms()), (Some(29), 31 * 24 * 3600 * 1000));
    }
}
