//! Partitions and indices, there before the first log needs them.

use shared::error::Result;
use shared::grant::DEFAULT_CLASS;
use shared::timestamp::DAY_MS;

use crate::App;

/// What was made sure of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Tenants that lacked a partition.
    pub tenants: usize,
}

/// Makes the partitions of this month and the next, and the indices of today and tomorrow (UTC), where they are not there.
///
/// # Errors
/// Weather of Postgres or OpenSearch: each of the two was tried whatever the other said.
pub async fn keep_partitions(app: &App) -> Result<Kept> {
    // Ids are made of Redis' clock. Where it does not answer, ours will do: it is off by seconds, not by a day.
    let _ = app.queue.ask_clock().await;
    let (tenants, indices) = tokio::join!(app.rows.ensure_all_partitions(), keep_indices(app));
    indices?;
    Ok(Kept { tenants: tenants? })
}

async fn keep_indices(app: &App) -> Result<()> {
    let now = app.queue.now_ms();
    for day in [now, now + DAY_MS] {
        app.index.ensure(&app.index.name(DEFAULT_CLASS, day)).await?;
    }
    Ok(())
}
