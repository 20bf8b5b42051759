//! What is counted, and in which units it is billed.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// One thing that is counted. Its name is that of the column that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Logs that were stored.
    Logs,
    /// Bytes of what was sent, as it came over the wire.
    WireBytes,
    /// Bytes of the records that were stored, as sent, a line each.
    Bytes,
    /// Bytes of those that are in the index, or on their way there.
    IndexedBytes,
    /// Searches, counts over time, counts of values, and exports.
    Searches,
    /// Bytes that lay in the rows, day by day.
    RowsByteDays,
    /// Bytes that lay in the index, day by day.
    IndexByteDays,
    /// Bytes that lay in raw, day by day.
    RawByteDays,
}

impl Meter {
    /// All of them, in the order of an invoice.
    pub const ALL: [Self; 8] = [Self::Logs, Self::WireBytes, Self::Bytes, Self::IndexedBytes, Self::Searches, Self::RowsByteDays, Self::IndexByteDays, Self::RawByteDays];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::WireBytes => "wire_bytes",
            Self::Bytes => "bytes",
            Self::IndexedBytes => "indexed_bytes",
            Self::Searches => "searches",
            Self::RowsByteDays => "rows_byte_days",
            Self::IndexByteDays => "index_byte_days",
            Self::RawByteDays => "raw_byte_days",
        }
    }

    /// The meter of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.as_str() == name)
    }

    /// What an invoice calls it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Logs => "Logs stored",
            Self::WireBytes => "Received over the wire",
            Self::Bytes => "Records stored",
            Self::IndexedBytes => "Records indexed",
            Self::Searches => "Searches",
            Self::RowsByteDays => "Kept in the rows",
            Self::IndexByteDays => "Kept in the index",
            Self::RawByteDays => "Kept in raw",
        }
    }

    /// The unit that is billed.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Logs => "million logs",
            Self::Searches => "thousand searches",
            Self::WireBytes | Self::Bytes | Self::IndexedBytes => "GB",
            Self::RowsByteDays | Self::IndexByteDays | Self::RawByteDays => "GB-day",
        }
    }

    /// How many zeros the unit has: a GB is 10^9 bytes.
    pub(super) fn zeros(self) -> u32 {
        match self {
            Self::Logs => 6,
            Self::Searches => 3,
            _ => 9,
        }
    }

    /// What was counted, in units: exact, since a unit is a power of ten.
    #[must_use]
    pub fn in_units(self, counted: i64) -> Decimal {
        Decimal::new(counted, self.zeros()).normalize()
    }
}

/// What was used, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Usage {
    /// Logs that were stored.
    pub logs: i64,
    /// Bytes of what was sent, as it came over the wire. A batch of several services is split by the bytes of their records.
    pub wire_bytes: i64,
    /// Bytes of the records that were stored, as sent, a line each.
    pub bytes: i64,
    /// Bytes of those that are in the index, or on their way there.
    pub indexed_bytes: i64,
    /// Searches, counts over time, counts of values, and exports.
    pub searches: i64,
    /// Bytes that lay in the rows, day by day.
    pub rows_byte_days: i64,
    /// Bytes that lay in the index, day by day: as sent.
    pub index_byte_days: i64,
    /// Bytes that lay in raw, day by day: compressed.
    pub raw_byte_days: i64,
}

impl Usage {
    /// What was counted by this meter.
    #[must_use]
    pub fn of(&self, meter: Meter) -> i64 {
        match meter {
            Meter::Logs => self.logs,
            Meter::WireBytes => self.wire_bytes,
            Meter::Bytes => self.bytes,
            Meter::IndexedBytes => self.indexed_bytes,
            Meter::Searches => self.searches,
            Meter::RowsByteDays => self.rows_byte_days,
            Meter::IndexByteDays => self.index_byte_days,
            Meter::RawByteDays => self.raw_byte_days,
        }
    }

    /// The usage of which each meter counted so much.
    #[must_use]
    pub fn by(counted: impl Fn(Meter) -> i64) -> Self {
        Self {
            logs: counted(Meter::Logs),
            wire_bytes: counted(Meter::WireBytes),
            bytes: counted(Meter::Bytes),
            indexed_bytes: counted(Meter::IndexedBytes),
            searches: counted(Meter::Searches),
            rows_byte_days: counted(Meter::RowsByteDays),
            index_byte_days: counted(Meter::IndexByteDays),
            raw_byte_days: counted(Meter::RawByteDays),
        }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::by(|meter| self.of(meter).saturating_add(other.of(meter)))
    }
}
