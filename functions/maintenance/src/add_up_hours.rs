//! Counts of hours, added up from what storing left.

use std::time::Duration;

use shared::error::Result;
use shared::rows::AddedUp;

use crate::alone::alone;
use crate::{App, STEP_WITHIN};

/// Adds up the counts of hours, and counts anew the hours of rows that were made again, as many as `budget` has time for; nothing where another
/// process is at it.
///
/// # Errors
/// Weather of Postgres, or what is wrong with one tenant: what was done by then is done.
pub async fn add_up_hours(app: &App, budget: Duration) -> Result<AddedUp> {
    alone(&app.queue, "add_up_hours", STEP_WITHIN, app.rows.add_up_hours(budget)).await.unwrap_or_else(|| Ok(AddedUp::default()))
}
