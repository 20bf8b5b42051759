//! Processes that are gone leave their names as consumers of the queue.

use std::time::Duration;

use shared::error::Result;

use crate::App;

/// How long a consumer is silent before it counts as gone: every processor that lives asks far more often.
const SILENT_FOR: Duration = Duration::from_secs(3600);

/// What was forgotten.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Consumers.
    pub consumers: u64,
}

/// Forgets consumers that hold nothing and have been silent for an hour.
///
/// # Errors
/// Weather of Redis.
pub async fn forget_consumers(app: &App) -> Result<Forgotten> {
    Ok(Forgotten { consumers: app.queue.forget_consumers(SILENT_FOR).await? })
}
