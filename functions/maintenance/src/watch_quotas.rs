//! Quotas: which marks were passed, and what Redis must be told again of what was sent.

use shared::billing::month::Month;
use shared::error::{Result, chain};
use shared::ids::TenantId;
use shared::limits::Quota;
use shared::queue::Amount;
use shared::tenants::QuotaMark;

use crate::alone::alone;
use crate::{App, STEP_WITHIN};

/// Tells marks of quotas that were passed, each once a month, and answers how many. Where Redis does not know what a tenant sent this month, because
/// it lost that or the quota is new, it is told from the receipts. A tenant whose quota cannot be looked at does not keep others waiting.
///
/// # Errors
/// Weather of Postgres or Redis.
pub async fn watch_quotas(app: &App) -> Result<u64> {
    alone(&app.queue, "watch_quotas", STEP_WITHIN, watch(app)).await.unwrap_or(Ok(0))
}

async fn watch(app: &App) -> Result<u64> {
    let (mut told, mut trouble) = (0, Ok(()));
    for (tenant, quota) in app.registry.quotas().await? {
        match watch_one(app, &tenant, &quota).await {
            Ok(marks) => told += marks,
            Err(error) => {
                tracing::error!(tenant = tenant.as_str(), cause = chain(&error), "a quota could not be looked at");
                trouble = Err(error);
            }
        }
    }
    trouble.map(|()| told)
}

async fn watch_one(app: &App, tenant: &TenantId, quota: &Quota) -> Result<u64> {
    let month = app.queue.month();
    let sent = match app.queue.sent_in(tenant, month).await? {
        Some(sent) => sent,
        None => learn(app, tenant, month).await?,
    };
    let mut told = 0;
    for (meter, used, most) in [("logs", sent.logs, quota.logs), ("bytes", sent.bytes, quota.bytes)] {
        let Some(most) = most else { continue };
        for percent in quota.notify_at.iter().copied().filter(|percent| u128::from(used) * 100 >= u128::from(most) * u128::from(*percent)) {
            let mark = QuotaMark { month, meter, percent, used, quota: most };
            told += u64::from(app.registry.note_quota(tenant, mark).await?);
        }
    }
    Ok(told)
}

/// Tells Redis what was stored this month: from the receipts, which takes a while for a tenant of many requests.
async fn learn(app: &App, tenant: &TenantId, month: Month) -> Result<Amount> {
    let stored = app.rows.received_since(tenant, month.begin()).await?;
    app.queue.set_sent_in(tenant, month, stored).await?;
    Ok(app.queue.sent_in(tenant, month).await?.unwrap_or(stored))
}
