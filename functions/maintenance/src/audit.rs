//! The audit: receipts, rows, documents, raw and dead letters compared, so that each accepted log can be accounted for.
//!
//! Receipts are read first, and the stores after: a receipt, its rows and its dead letters are one transaction, raw and documents come
//! before it. So whatever a receipt says must be found. What is found without a receipt is looked for in the queue, and then for a
//! receipt once more; a receipt that has changed since is left to the next audit. What is over by a tenant's retention is not looked for: of some
//! days the index holds nothing while rows do, and of others raw alone is left. Nothing here writes.

mod compare;
mod raw;
mod report;

pub use report::{Audit, Finding, Kind, Store, TenantAudit};

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::Result;
use shared::ids::{BatchId, TenantId};
use shared::retention::Horizon;
use shared::rows::{IndexState, Receipt};

use self::raw::RawObjects;
use crate::positions::Positions;
use crate::{App, Period};

/// What the stores hold of one batch.
#[derive(Debug, Default)]
struct Held {
    rows: Positions,
    /// Rows by `index_state`.
    states: [usize; 4],
    indexed: Positions,
    pending: Positions,
    /// Rows whose record does not lie where they say.
    misplaced: Positions,
    raw: Positions,
    documents: u64,
    /// Records that are dead letters by themselves, and how many in all.
    letters: Positions,
    dead: i64,
    /// The batch is a dead letter as a whole: an attempt may have left raw and documents of any of its records.
    buried_whole: bool,
}

impl Held {
    /// Whether a record is a dead letter, by itself or with its batch.
    fn is_dead(&self, position: u16) -> bool {
        self.letters.contains(position) || (self.buried_whole && !self.rows.contains(position))
    }
}

/// Audits the logs of one tenant, or of all, that were received in a period. Tells `progress` what is being done.
///
/// # Errors
/// [`shared::error::Error::Unavailable`]: without every store there is no audit.
pub async fn audit(app: &App, tenant: Option<&TenantId>, period: Period, progress: impl Fn(&str)) -> Result<Audit> {
    let tenants = match tenant {
        Some(tenant) => vec![tenant.clone()],
        None => app.rows.tenants().await?,
    };
    app.index.refresh().await?;
    let mut receipts = BTreeMap::new();
    for tenant in &tenants {
        progress(&format!("{tenant}: receipts"));
        receipts.insert(tenant, receipts_of(app, tenant, period).await?);
    }
    app.index.refresh().await?;
    let wanted: HashSet<&TenantId> = tenants.iter().collect();
    let mut raw = raw::read(app, period, &wanted, &progress).await?;
    let mut audit = Audit::default();
    // Asked last: what has gone meanwhile is looked for no more.
    let now_ms = app.queue.now_ms();
    let retained: HashMap<TenantId, Horizon> = app.registry.retained().await?.into_iter().map(|one| (one.tenant, one.retention.horizon(now_ms))).collect();
    for tenant in &tenants {
        progress(&format!("{tenant}: rows and documents"));
        let horizon = retained.get(tenant).copied().unwrap_or_default();
        let mut raw = raw.take(tenant);
        raw.forget_before(horizon.rows);
        let held = held_of(app, tenant, period.since(horizon.rows), raw).await?;
        let mut receipts = receipts.remove(tenant).unwrap_or_default();
        receipts.retain(|batch, _| batch.unix_ms() >= horizon.rows);
        compare::tenant(app, tenant, receipts, held, horizon, &mut audit).await?;
    }
    Ok(audit)
}

async fn receipts_of(app: &App, tenant: &TenantId, period: Period) -> Result<BTreeMap<BatchId, Receipt>> {
    let (from, to) = period.ids();
    app.rows.receipts(tenant, from, to).map_ok(|receipt| (receipt.batch, receipt)).try_collect().await
}

/// What all stores hold of a tenant, by batch; and how many doubles lie in raw.
async fn held_of(app: &App, tenant: &TenantId, period: Period, raw: RawObjects) -> Result<(BTreeMap<BatchId, Held>, u64)> {
    let (from, to) = period.ids();
    let mut held: BTreeMap<BatchId, Held> = BTreeMap::new();
    // Without its schema a tenant has no rows: findings, where receipts count some.
    let objects = app.rows.object_paths(tenant).await?;
    let mut places = if objects.is_some() { app.rows.places(tenant, from, to) } else { stream::empty().boxed() };
    let objects: HashMap<i64, String> = objects.unwrap_or_default().into_iter().collect();
    while let Some(row) = places.try_next().await? {
        let (batch, position) = (held.entry(row.id.batch()).or_default(), row.id.position());
        batch.rows.insert(position);
        batch.states[row.state as usize] += 1;
        match row.state {
            IndexState::Indexed => batch.indexed.insert(position),
            IndexState::Pending => batch.pending.insert(position),
            IndexState::Refused | IndexState::NotWanted => false,
        };
        let lies_there = objects.get(&row.object).is_some_and(|path| raw.holds(path, row.offset, row.id));
        if !lies_there {
            batch.misplaced.insert(position);
        }
    }
    let doubles = raw.doubles();
    for (batch, positions) in raw.into_positions() {
        held.entry(batch).or_default().raw = positions;
    }
    for letter in app.rows.letter_marks(tenant, from, to).await? {
        let Ok(batch) = BatchId::try_from(letter.batch) else { continue };
        let of_batch = held.entry(batch).or_default();
        of_batch.dead += i64::from(letter.records);
        match shared::ids::LogId::try_from(letter.id).ok().filter(|id| !letter.is_entry && id.batch() == batch) {
            Some(id) => drop(of_batch.letters.insert(id.position())),
            None => of_batch.buried_whole = true,
        }
    }
    let mut after = None;
    loop {
        let page = app.index.count_by_batch(tenant, from, to, after).await?;
        let Some((last, _)) = page.last() else { return Ok((held, doubles)) };
        after = Some(*last);
        for (batch, documents) in page {
            held.entry(batch).or_default().documents = documents;
        }
    }
}
