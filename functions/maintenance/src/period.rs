//! A stretch of time, by when logs were received: ids and object names both tell.

use shared::ids::BatchId;
use shared::timestamp;
use time::Date;
use uuid::Uuid;

/// Moments in milliseconds since 1970, by Redis' clock ([`shared::queue::Queue::now_ms`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First moment, included.
    pub from_ms: u64,
    /// Last moment, not included. No later than now: what is being received is not there yet.
    pub to_ms: u64,
}

impl Period {
    /// The least id of a log that was received in it, and the least of one that was received after it.
    pub(crate) fn ids(&self) -> (Uuid, Uuid) {
        (BatchId::floor(self.from_ms), BatchId::floor(self.to_ms))
    }

    /// The part of it from a moment on.
    pub(crate) fn since(self, unix_ms: u64) -> Self {
        Self { from_ms: self.from_ms.max(unix_ms).min(self.to_ms), ..self }
    }

    pub(crate) fn contains(&self, unix_ms: u64) -> bool {
        (self.from_ms..self.to_ms).contains(&unix_ms)
    }

    /// Whether a raw object may hold logs of it: its name says on which day they were received (`.../2026/11/23/owner/id.ndjson.zst`).
    pub(crate) fn may_be_in(&self, path: &str) -> bool {
        let mut parts = path.rsplit('/').skip(2).take(3);
        let (Some(day), Some(month), Some(year)) = (parts.next(), parts.next(), parts.next()) else { return false };
        let date = |ms: u64| timestamp::to_datetime(i64::try_from(ms).unwrap_or(timestamp::MAX)).date();
        // One of the last millisecond is filed under its day.
        let (first, last) = (date(self.from_ms), date(self.to_ms.saturating_sub(1)));
        let written = |date: Date| format!("{:04}/{:02}/{:02}", date.year(), u8::from(date.month()), date.day());
        (written(first)..=written(last)).contains(&format!("{year}/{month}/{day}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_its_days_may_hold_its_logs() {
        let day = 86_400_000;
        // 2025-10-10 to the first moment of 2025-10-12.
        let period = Period { from_ms: 20_371 * day, to_ms: 20_373 * day };
        let name = |day: &str| period.may_be_in(&format!("some/prefix/raw/standard/{day}/acme/0199.ndjson.zst"));
        assert_eq!(["2025/10/09", "2025/10/10", "2025/10/11", "2025/10/12", "2024/10/10"].map(name), [false, true, true, false, false]);
        assert!(!period.may_be_in("short"));
    }
}
