//! Closing months: each tenant that has a plan gets one invoice for each month that has ended.

use std::collections::HashSet;

use shared::billing::closing;
use shared::billing::month::Month;
use shared::error::{Result, chain};
use shared::fault;
use shared::ids::TenantId;
use shared::tenants::By;
use time::OffsetDateTime;

use crate::App;

/// What was closed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Invoices that were finalized.
    pub finalized: usize,
    /// Drafts that wait for an operator.
    pub drafts: usize,
    /// Tenants whose month cannot be closed; each was logged.
    pub failed: usize,
}

/// Closes the months that ended long enough before `now`, the oldest first. Run twice, or by two processes at once, it makes one invoice for
/// each: `shared::billing::closing` says how. A tenant whose month cannot be closed stops no other, and its later months wait for that one,
/// which would else be left without what they took.
///
/// # Errors
/// Weather of either database: what was closed by then is closed.
pub async fn close_months(app: &App, now: OffsetDateTime) -> Result<Closed> {
    let last = Month::of(now - app.billing.close_after).previous();
    let (mut done, mut broken) = (Closed::default(), HashSet::new());
    for open in app.registry.months_to_close(last).await? {
        let Ok(tenant) = TenantId::parse(&open.tenant) else { continue };
        if broken.contains(&tenant) {
            continue;
        }
        match close(app, &tenant, open.month).await {
            Ok(true) => done.finalized += 1,
            Ok(false) => done.drafts += 1,
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                tracing::error!(%tenant, month = %open.month, cause = chain(&error), "a month cannot be closed");
                done.failed += 1;
                broken.insert(tenant);
            }
        }
    }
    Ok(done)
}

/// Answers whether its invoice is finalized.
async fn close(app: &App, tenant: &TenantId, month: Month) -> Result<bool> {
    let Some(draft) = app.registry.open_invoice(tenant, month, &By::SYSTEM).await? else { return Ok(false) };
    fault::point("billing.after_draft");
    if app.billing.finalizes {
        let invoice = closing::finalize(&app.registry, &app.rows, &draft, &By::SYSTEM).await?;
        tracing::info!(%tenant, %month, invoice = %invoice.id, number = invoice.number, "a month is closed");
    } else {
        closing::take(&app.rows, &draft).await?;
    }
    Ok(app.billing.finalizes)
}
