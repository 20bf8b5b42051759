//! When keys were used last, from Redis to Postgres.

use shared::error::Result;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::App;

/// Notes when keys were used last, to the minute, and answers how many were.
///
/// # Errors
/// Weather of Redis or Postgres: then it is noted later.
pub async fn note_used_keys(app: &App) -> Result<u64> {
    let uses = app.ring.uses().await?;
    let used: Vec<(Uuid, OffsetDateTime)> = uses.iter().map(|one| (one.key_id, one.at)).collect();
    app.registry.note_used(&used).await?;
    app.ring.forget_uses(&uses).await?;
    Ok(used.len() as u64)
}
