//! What was refused, from the counts in Redis to Postgres.

use shared::error::Result;

use crate::App;

/// Keeps what was refused, and lets go of the counts of hours that are over. Answers the hours that were looked at.
///
/// # Errors
/// Weather of Redis or Postgres: the counts stay where they are.
pub async fn keep_refusals(app: &App) -> Result<u64> {
    let hours = app.queue.refused().await?;
    app.rows.keep_refused(&hours).await?;
    app.queue.forget_refused(&hours).await?;
    Ok(hours.len() as u64)
}
