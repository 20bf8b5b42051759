//! Logs counted in bars of time.

use std::collections::BTreeMap;

use crate::timestamp::UnixMs;

/// Values that a bar is split into at most; what is left is in its total alone.
pub const VALUES_OF_A_BAR: usize = 20;

/// What a bar is split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountBy {
    /// `level`.
    Level,
    /// `service`.
    Service,
    /// `language`.
    Language,
}

/// Bars of equal width, the first of which begins at a multiple of it since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Bars {
    /// Their width in milliseconds, at least 1.
    pub interval_ms: i64,
    /// What each is split by.
    pub by: Option<CountBy>,
}

/// The logs of a bar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// By value, the most frequent ones: together they may be less.
    pub by: BTreeMap<String, u64>,
}

/// Bars by their beginnings; those without logs are left out.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// The bars.
    pub bars: BTreeMap<UnixMs, Counts>,
    /// Whether all was counted.
    pub complete: bool,
}

/// A field whose values are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FacetField {
    /// One that every log is filed by.
    Record(CountBy),
    /// The attribute at this path.
    Attribute(String),
}

/// How often the values of a field occur.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facet {
    /// Values and the logs that have them, the most frequent first; those of equal counts by value.
    pub values: Vec<(String, u64)>,
    /// Logs with other values, counted once for each.
    pub other: u64,
}

impl CountBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Level, Self::Service, Self::Language];

    /// The field of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The field's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Service => "service",
            Self::Language => "language",
        }
    }
}

impl Facet {
    /// The most frequent of these values.
    #[must_use]
    pub fn top(mut all: Vec<(String, u64)>, limit: usize) -> Self {
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let other = all.iter().skip(limit).map(|(_, count)| count).sum();
        all.truncate(limit);
        Self { values: all, other }
    }
}
