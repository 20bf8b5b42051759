//! What an answer is worth: which store gave it, whether it saw everything, how far behind the index is, and how long it took.

use std::time::Instant;

use serde::Serialize;

use crate::page::{Source, received_at};

/// What every answer about logs says of itself.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Honesty {
    /// Which store answered.
    pub(crate) source: Source,
    /// Whether all that was stored by then was looked at: no shard was missing or late, and the index misses nothing. What was written to it
    /// within the last second may not show yet.
    pub(crate) complete: bool,
    /// Seconds for which logs have waited for the index by now, the oldest of this tenant's; 0 where none waits, null where that is not
    /// known, or the index was not asked.
    pub(crate) lag_s: Option<f64>,
    /// What was received before this moment has gone by the tenant's retention, and is not in the answer; null where all is kept.
    #[schema(format = DateTime)]
    pub(crate) kept_from: Option<String>,
    /// How long the answer took, in milliseconds.
    pub(crate) took_ms: u64,
}

impl Honesty {
    /// Of an answer that was asked for at `began`.
    pub(crate) fn new(source: Source, complete: bool, lag_s: Option<f64>, began: Instant) -> Self {
        Self { source, complete, lag_s, kept_from: None, took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) }
    }

    /// The same of an answer about what was received since a moment, in milliseconds since 1970; 0 for all.
    pub(crate) fn since(self, ms: u64) -> Self {
        Self { kept_from: (ms > 0).then(|| received_at(ms)), ..self }
    }

    /// Of an answer from the index. `pending` was asked of the rows before it: when the oldest batch was received of which the index misses
    /// something; `None` where they did not answer.
    pub(crate) fn of_index(pending: Option<Option<u64>>, complete: bool, now_ms: u64, began: Instant) -> Self {
        let lag_s = pending.map(|since| since.map_or(0.0, |since| now_ms.saturating_sub(since) as f64 / 1000.0));
        Self::new(Source::OpenSearch, complete && pending == Some(None), lag_s, began)
    }
}
