//! Closing a month: what joins the two databases, which may lie on two servers, so that no statement and no transaction spans both.
//!
//! 1. The control database has one invoice for each month of a tenant, a draft, and its id is what marks its usage.
//! 2. The logs database marks the usage that no bill took, once for each id: a table of ids, in the same transaction, sees to that.
//! 3. What bears the mark is added up: it does not change any more.
//! 4. The control database finalizes the draft: lines, credits, number and event, in one transaction, under the lock of its row.
//!
//! Whoever dies after 1 leaves a draft whose usage is not taken; after 2 or 3, a draft whose usage is. The next run finds the draft and goes
//! on: 2 takes nothing twice, 3 comes to the same, and 4 is done once. Two who do it at once get the same draft in 1, and of each of 2 and 4
//! one does it while the other waits and finds it done. Nothing is taken for an invoice that is not there, and no order of these can bill twice.

use super::invoice::{Drawn, draw_up};
use super::usage::Usage;
use crate::error::{Error, Result};
use crate::fault;
use crate::rows::Rows;
use crate::tenants::{By, Invoice, Registry};

/// Takes the usage of a draft, if nobody has, and answers what it took.
///
/// # Errors
/// Weather of the logs database.
pub async fn take(rows: &Rows, invoice: &Invoice) -> Result<Usage> {
    rows.take_usage(&invoice.tenant_id()?, invoice.id, invoice.usage_from, invoice.month).await?;
    fault::point("billing.after_take");
    rows.usage_of_bill(invoice.id).await
}

/// Finalizes a draft; one that is finalized is answered as it is.
///
/// # Errors
/// Weather of either database; what was done by then is found by the next try.
pub async fn finalize(registry: &Registry, rows: &Rows, draft: &Invoice, by: &By) -> Result<Invoice> {
    let used = take(rows, draft).await?;
    let invoice = registry.finalize_invoice(draft.id, &used, by).await?;
    fault::point("billing.after_finalize");
    Ok(invoice)
}

/// What a draft comes to now: of what it took, with the credits that are left.
///
/// # Errors
/// Weather of either database.
pub async fn drawn(registry: &Registry, rows: &Rows, draft: &Invoice) -> Result<Drawn> {
    let (terms, used) = (registry.terms_of(draft).await?, rows.usage_of_bill(draft.id).await?);
    let credits = registry.credits_left(&draft.tenant_id()?, draft.currency).await?;
    draw_up(draft.currency, &terms, &used, &credits).map_err(|e| Error::internal("drawing up an invoice", e))
}
