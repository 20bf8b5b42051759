//! Which logs of a tenant a question is about.

use super::Query;
use crate::range::Range;
use crate::record::Level;
use crate::retention::Horizon;

/// Logs of these services and levels, of this time, that a query means, received by a moment.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// From when to when, by their own time.
    pub range: Range,
    /// Any of these services; none stands for all.
    pub services: Vec<String>,
    /// Any of these levels; none stands for all.
    pub levels: Vec<Level>,
    /// What they are asked for; `None` for nothing.
    pub query: Option<Query>,
    /// What was received later, in milliseconds since 1970, stays out.
    pub received_up_to: u64,
    /// What was received earlier has gone: each store is asked from its own on.
    pub horizon: Horizon,
}

/// In which order logs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum Order {
    /// By their own time, id as the tie-break: the latest first.
    #[default]
    Newest,
    /// The same the other way round.
    Oldest,
    /// By how much of the query they hold, then the latest first.
    Relevance,
}

impl Order {
    /// Whether lower times come first.
    #[must_use]
    pub fn is_ascending(self) -> bool {
        self == Self::Oldest
    }
}
