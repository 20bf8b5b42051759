//! One tenant's receipts against what the stores hold.

use std::collections::BTreeMap;

use shared::error::Result;
use shared::ids::{BatchId, LogId, TenantId};
use shared::retention::Horizon;
use shared::rows::Receipt;

use super::Held;
use super::report::{Audit, Finding, Kind, Store, TenantAudit};
use crate::App;
use crate::positions::Positions;

/// Compares, and adds what it finds.
pub(super) async fn tenant(
    app: &App,
    tenant: &TenantId,
    receipts: BTreeMap<BatchId, Receipt>,
    (mut held, raw_doubles): (BTreeMap<BatchId, Held>, u64),
    horizon: Horizon,
    audit: &mut Audit,
) -> Result<()> {
    let mut counts = counts_of(tenant, &receipts, &held, raw_doubles);
    let mut findings = Vec::new();
    for (batch, receipt) in &receipts {
        let mut found = Findings::new(tenant, *batch);
        let of_batch = held.remove(batch).unwrap_or_default();
        found.receipt(receipt, &of_batch);
        found.rows_and_raw(receipt, &of_batch);
        if batch.unix_ms() >= horizon.index {
            counts.documents_of_letters += found.documents(app, &of_batch).await?;
        }
        if !found.all.is_empty() && !has_changed(app, tenant, receipt).await? {
            findings.append(&mut found.all);
        }
    }
    // What has no receipt: still in the queue, stored meanwhile, or nobody's.
    for (batch, of_batch) in held {
        if app.queue.is_under_way(tenant, batch).await? {
            counts.under_way += 1;
        } else if app.rows.receipt(tenant, batch).await?.is_none() {
            findings.append(&mut Findings::without_receipt(tenant, batch, &of_batch));
        }
    }
    audit.tenants.push(counts);
    audit.findings.append(&mut findings);
    Ok(())
}

/// Whether a receipt is not any more what it was when the audit began: a redrive, a rebuild, or the index made up for.
async fn has_changed(app: &App, tenant: &TenantId, was: &Receipt) -> Result<bool> {
    let is = app.rows.receipt(tenant, was.batch).await?;
    let counts = |receipt: &Receipt| [receipt.stored, receipt.dead, receipt.indexed, receipt.pending, receipt.refused, receipt.not_wanted];
    Ok(is.is_none_or(|is| counts(&is) != counts(was)))
}

fn counts_of(tenant: &TenantId, receipts: &BTreeMap<BatchId, Receipt>, held: &BTreeMap<BatchId, Held>, raw_doubles: u64) -> TenantAudit {
    let of_state = |state: usize| held.values().map(|held| held.states[state] as u64).sum();
    TenantAudit {
        tenant: tenant.clone(),
        batches: receipts.len() as u64,
        accepted: receipts.values().map(|receipt| u64::try_from(receipt.accepted).unwrap_or_default()).sum(),
        rows: held.values().map(|held| held.rows.len() as u64).sum(),
        documents: held.values().map(|held| held.documents).sum(),
        documents_of_letters: 0,
        raw_ids: held.values().map(|held| held.raw.len() as u64).sum(),
        raw_doubles,
        dead: held.values().map(|held| u64::try_from(held.dead).unwrap_or_default()).sum(),
        pending: of_state(0),
        refused: of_state(2),
        not_wanted: of_state(3),
        under_way: 0,
    }
}

/// What is found of one batch.
struct Findings<'a> {
    tenant: &'a TenantId,
    batch: BatchId,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    fn new(tenant: &'a TenantId, batch: BatchId) -> Self {
        Self { tenant, batch, all: Vec::new() }
    }

    fn add(&mut self, log_id: Option<LogId>, store: Store, kind: Kind, detail: impl Into<String>) {
        self.all.push(Finding { tenant: self.tenant.clone(), batch_id: self.batch, log_id, store, kind, detail: detail.into() });
    }

    fn add_each(&mut self, positions: impl Iterator<Item = u16>, store: Store, kind: Kind, detail: &str) {
        for position in positions {
            self.add(Some(self.batch.log(position)), store, kind, detail);
        }
    }

    /// The receipt against itself, and against rows and letters by number.
    fn receipt(&mut self, receipt: &Receipt, held: &Held) {
        let by_state = [receipt.pending, receipt.indexed, receipt.refused, receipt.not_wanted];
        if receipt.accepted != receipt.stored + receipt.dead || receipt.stored != by_state.iter().sum::<i32>() {
            let detail =
                format!("accepted {}, stored {}, dead {}, of the stored {by_state:?} pending, indexed, refused, not wanted", receipt.accepted, receipt.stored, receipt.dead);
            self.add(None, Store::Receipts, Kind::Miscounted, detail);
        }
        let rows = held.rows.len();
        if usize::try_from(receipt.stored) != Ok(rows) {
            let kind = if usize::try_from(receipt.stored).is_ok_and(|stored| stored > rows) { Kind::Missing } else { Kind::Extra };
            self.add(None, Store::Rows, kind, format!("its receipt says {} are stored, and there are {rows} rows", receipt.stored));
        } else if by_state.map(|count| usize::try_from(count).unwrap_or_default()) != held.states {
            self.add(None, Store::Receipts, Kind::Miscounted, format!("it says {by_state:?} are pending, indexed, refused, not wanted, and its rows say {:?}", held.states));
        }
        if i64::from(receipt.dead) != held.dead {
            let kind = if i64::from(receipt.dead) > held.dead { Kind::Missing } else { Kind::Extra };
            self.add(None, Store::DeadLetters, kind, format!("its receipt says {} are dead, and there are letters of {}", receipt.dead, held.dead));
        }
    }

    /// Rows against raw, id by id.
    fn rows_and_raw(&mut self, receipt: &Receipt, held: &Held) {
        self.add_each(held.rows.without(&held.raw), Store::Raw, Kind::Missing, "its row is there, and no raw object holds it");
        let elsewhere: Vec<u16> = held.misplaced.iter().filter(|position| held.raw.contains(*position)).collect();
        self.add_each(elsewhere.into_iter(), Store::Raw, Kind::Misplaced, "it does not lie in the object and frame that its row names");
        self.add_each(held.rows.iter().filter(|position| held.letters.contains(*position)), Store::DeadLetters, Kind::Extra, "it is a row as well");
        if usize::try_from(receipt.stored).is_ok_and(|stored| stored > held.rows.len()) {
            let lost: Vec<u16> = held.raw.without(&held.rows).filter(|position| !held.is_dead(*position)).collect();
            self.add_each(lost.into_iter(), Store::Rows, Kind::Missing, "raw holds it, and there is no row");
        }
        if usize::try_from(receipt.stored) == Ok(held.rows.len()) {
            self.add_each(held.raw.without(&held.rows).filter(|position| !held.is_dead(*position)), Store::Raw, Kind::Extra, "no row names it");
        }
    }

    /// Documents against rows: by number, and id by id where that differs or does not tell: a document of a pending row, or of a dead
    /// letter, may hide that another is lost. Answers how many are of dead letters.
    async fn documents(&mut self, app: &App, held: &Held) -> Result<u64> {
        if held.documents == held.indexed.len() as u64 && held.pending.len() == 0 && held.dead == 0 {
            return Ok(0);
        }
        let (mut documents, mut of_letters) = (Positions::default(), 0);
        for id in app.index.ids_of_batch(self.tenant, self.batch).await? {
            let position = id.position();
            if !documents.insert(position) {
                self.add(Some(id), Store::Documents, Kind::Doubled, "there is more than one document of it");
            } else if held.is_dead(position) && !held.rows.contains(position) {
                of_letters += 1;
            } else if !held.indexed.contains(position) && !held.pending.contains(position) {
                let detail = if held.rows.contains(position) { "its row says that it is not in the index" } else { "it has no row" };
                self.add(Some(id), Store::Documents, Kind::Extra, detail);
            }
        }
        self.add_each(held.indexed.without(&documents), Store::Documents, Kind::Missing, "its row says that it is in the index");
        Ok(of_letters)
    }

    /// What belongs to a batch that nobody accepted.
    fn without_receipt(tenant: &'a TenantId, batch: BatchId, held: &Held) -> Vec<Finding> {
        let mut found = Self::new(tenant, batch);
        let parts = [
            (held.rows.len() as u64, Store::Rows),
            (held.raw.len() as u64, Store::Raw),
            (held.documents, Store::Documents),
            (u64::try_from(held.dead).unwrap_or_default(), Store::DeadLetters),
        ];
        for (count, store) in parts.into_iter().filter(|(count, _)| *count > 0) {
            found.add(None, store, Kind::Extra, format!("there are {count}, and no receipt; nor is it in the queue"));
        }
        found.all
    }
}
