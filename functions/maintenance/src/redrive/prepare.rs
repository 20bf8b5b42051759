//! From records to what the stores take: a raw object of the tenant's own, documents and rows. Pure work on bytes, no engine.

use std::sync::Arc;

use bytes::Bytes;
use shared::archive::Archive;
use shared::document::Document;
use shared::error::{Error, Result};
use shared::ids::LogId;
use shared::index::{Bulk, Index};
use shared::raw::RawObject;
use shared::record::{Fault, Record};
use shared::rows::{DeadLetter, IndexState, NewRow, Receipt, StoreBatch};
use shared::timestamp;

use super::read::Recovered;

/// What one letter writes.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Path and bytes of the raw object; `None` where no record is good.
    pub(super) object: Option<(Arc<str>, Bytes)>,
    /// Documents of what is wanted in the index.
    pub(super) bulk: Bulk,
    /// Rows, letters of records that are bad themselves, and the receipt with the count of those.
    pub(super) batch: StoreBatch,
    /// What is wrong with the first bad record.
    pub(super) fault: Option<Fault>,
}

/// # Errors
/// [`Error::Internal`]: our own mistake, or no memory.
pub(super) fn prepare(archive: &Archive, index: &Index, recovered: &Recovered) -> Result<Prepared> {
    let Recovered { receipt, wanted, ids, lines } = recovered;
    let compressing = |e| Error::internal("compressing raw", e);
    let received_at = timestamp::to_datetime(i64::try_from(receipt.batch.unix_ms()).unwrap_or(timestamp::MAX));
    let path: Arc<str> = archive.fresh_path(&receipt.class, received_at, Some(&receipt.tenant)).into();
    let index_name = index.name(&receipt.class, receipt.batch.unix_ms());
    let state = if *wanted { IndexState::Pending } else { IndexState::NotWanted };
    let (mut object, mut bulk, mut fault) = (RawObject::default(), Bulk::default(), None);
    let (mut rows, mut dead) = (Vec::with_capacity(ids.len()), Vec::new());
    object.begin(&receipt.tenant);
    for (id, line) in ids.iter().zip(lines.split(|b| *b == b'\n').filter(|line| !line.is_empty())) {
        match Record::parse(line) {
            Ok(record) => {
                object.line(*id, &receipt.class, *wanted, line).map_err(compressing)?;
                if *wanted {
                    bulk.add(&index_name, *id, &receipt.tenant, &Document::new(*id, &receipt.tenant, &record, line))?;
                }
                rows.push(NewRow::new(*id, &record, line, Arc::clone(&path), state));
            }
            Err(bad) => {
                dead.push(dead_record(receipt, *id, &bad, line));
                fault.get_or_insert(bad);
            }
        }
    }
    if rows.len() + dead.len() != ids.len() {
        return Err(Error::internal("reading a dead letter", "it holds fewer records than it stands for"));
    }
    object.end().map_err(compressing)?;
    let finished = object.finish()?;
    for (row, (offset, length)) in rows.iter_mut().zip(finished.places) {
        (row.raw_offset, row.raw_length) = (offset, length);
    }
    let object = (!rows.is_empty()).then(|| (path, finished.bytes.into()));
    let receipt = Receipt { dead: i32::try_from(dead.len()).unwrap_or(i32::MAX), ..receipt.clone() };
    Ok(Prepared { object, bulk, batch: StoreBatch { receipt, rows, dead }, fault })
}

fn dead_record(receipt: &Receipt, id: LogId, fault: &Fault, line: &[u8]) -> DeadLetter {
    DeadLetter {
        id: id.uuid(),
        tenant: Some(receipt.tenant.clone()),
        batch: Some(receipt.batch),
        records: 1,
        stage: "parse",
        code: fault.code.to_owned(),
        reason: fault.detail.clone(),
        bytes: line.to_vec(),
    }
}
