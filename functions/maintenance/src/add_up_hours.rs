//! Counts of hours, added up from what storing left.

use shared::error::Result;
use shared::rows::AddedUp;

use crate::App;

/// Adds up the counts of hours, and counts anew the hours of rows that were made again.
///
/// # Errors
/// Weather of Postgres: what was done by then is done.
pub async fn add_up_hours(app: &App) -> Result<AddedUp> {
    app.rows.add_up_hours().await
}
