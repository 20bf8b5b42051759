//! What waits, as metrics: what alarms look at.

use std::time::Duration;

use shared::error::Result;

use crate::App;

/// What waits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How long the oldest entry of the queue has waited; zero where there is none.
    pub oldest: Duration,
    /// Bytes of the queue, as stored.
    pub bytes: u64,
    /// Dead letters that nobody has redriven or given up.
    pub dead_letters: u64,
}

/// Counts what waits and sets the gauges `loggerhub_queue_oldest_seconds`, `loggerhub_queue_bytes` and `loggerhub_dead_letters`.
///
/// # Errors
/// Weather of Redis or Postgres.
pub async fn measure(app: &App) -> Result<Waiting> {
    let partitions = app.queue.inspect().await?;
    let oldest = Duration::from_millis(partitions.iter().filter_map(|partition| partition.oldest_ms).max().unwrap_or_default());
    let bytes = partitions.iter().map(|partition| partition.bytes).sum();
    metrics::gauge!("loggerhub_queue_oldest_seconds").set(oldest.as_secs_f64());
    set("loggerhub_queue_bytes", bytes);
    // After the queue's gauges: they are known even where Postgres is away.
    let dead_letters = app.rows.count_dead_letters().await?;
    set("loggerhub_dead_letters", dead_letters);
    Ok(Waiting { oldest, bytes, dead_letters })
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; nothing that waits comes to 2^53")]
fn set(gauge: &'static str, value: u64) {
    metrics::gauge!(gauge).set(value as f64);
}
