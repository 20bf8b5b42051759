//! What plans let tenants send: as a month begins, or a plan changes, another version of it counts.

use shared::error::{Result, chain};

use crate::App;
use crate::republish_keys::publish;

/// Has every tenant held to what its plan says for this month, and answers for how many that was something else. Keys that cannot be published now
/// are with the next run.
///
/// # Errors
/// Weather of Postgres.
pub async fn take_plan_limits(app: &App) -> Result<u64> {
    let (month, mut taken) = (app.queue.month(), 0);
    for tenant in app.registry.with_other_plan_limits(month).await? {
        if app.registry.take_plan_limits(&tenant, month).await? {
            taken += 1;
            if let Err(error) = publish(app, &app.registry.grants_of(&tenant).await?).await {
                tracing::warn!(%tenant, cause = chain(&error), "what a plan lets a tenant send is not published yet");
            }
        }
    }
    Ok(taken)
}
