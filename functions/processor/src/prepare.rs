//! From entries of the queue to what the stores take: pure work on bytes, no engine.

mod apart;

pub use apart::prepare_apart;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use shared::archive::Archive;
use shared::document::Document;
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::index::{Bulk, Index};
use shared::queue::{Header, Held, Taken};
use shared::raw::RawObject;
use shared::record::Record;
use shared::rows::{DeadLetter, ENTRY_STAGE, IndexState, KILLED_ITS_PROCESSORS, NewRow, Receipt, StoreBatch};
use shared::timestamp;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A tenant with so many unpacked bytes in a drain gets a raw object of its own; smaller ones share one, as PUTs are what the
/// object store costs (design, section 3).
const OWN_OBJECT_FROM: usize = 256 * 1024;
/// An entry that was handed out so often before, each time to a consumer that died, is buried whole.
const BURY_AFTER: u64 = 5;

/// An entry, unpacked.
#[derive(Debug)]
pub struct Opened {
    /// As it was taken, so that it can be buried still.
    pub entry: Taken,
    /// What is known of it.
    pub header: Header,
    lines: Vec<u8>,
}

/// An entry that cannot be stored: its dead letter, and the hold to be ended once that is written.
#[derive(Debug)]
pub struct Lost {
    /// The hold on it.
    pub held: Held,
    /// What is known of it, where that could be read.
    pub header: Option<Header>,
    /// What it leaves behind.
    pub letter: DeadLetter,
}

/// Unpacks entries; those that cannot be, or that killed too many consumers, become dead letters.
#[must_use]
pub fn open(taken: Vec<Taken>) -> (Vec<Opened>, Vec<Lost>) {
    let (mut opened, mut lost) = (Vec::with_capacity(taken.len()), Vec::new());
    for entry in taken {
        match unpack(&entry) {
            Ok((header, lines)) => opened.push(Opened { entry, header, lines }),
            Err((code, reason)) => lost.push(bury(entry, code, reason)),
        }
    }
    (opened, lost)
}

fn unpack(entry: &Taken) -> Result<(Header, Vec<u8>), (&'static str, String)> {
    if entry.held.deliveries >= BURY_AFTER {
        return Err((KILLED_ITS_PROCESSORS, format!("{} processors died with it", entry.held.deliveries)));
    }
    let header = entry.header().map_err(|reason| ("unreadable_entry", reason))?;
    let lines = entry.lines(&header).map_err(|reason| ("unreadable_entry", reason))?;
    let count = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
    if count != header.accepted as usize {
        return Err(("unreadable_entry", format!("it says that it holds {} records, and holds {count}", header.accepted)));
    }
    Ok((header, lines))
}

fn bury(entry: Taken, code: &'static str, reason: String) -> Lost {
    // Also where another version wrote it: what it counts is what its receipt will say.
    let header = entry.header_of_any_version().ok();
    let (tenant, batch) = header.as_ref().map(|header| (header.tenant.clone(), header.batch)).unzip();
    let records = header.as_ref().map_or(1, |header| i32::try_from(header.accepted).unwrap_or(i32::MAX));
    let letter = DeadLetter { id: entry.held.uuid(), tenant, batch, records, stage: ENTRY_STAGE, code: code.to_owned(), reason, bytes: entry.bytes() };
    Lost { held: entry.held, header, letter }
}

impl Lost {
    /// The receipt of a batch that is dead as a whole, where its header could be read.
    #[must_use]
    pub fn receipt(&self) -> Option<Receipt> {
        let header = self.header.as_ref()?;
        let dead = i32::try_from(header.accepted).unwrap_or(i32::MAX);
        Some(Receipt { dead, stored: 0, ..receipt_of(header) })
    }
}

/// What one drain writes.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Raw objects: path and bytes.
    pub objects: Vec<(Arc<str>, Bytes)>,
    /// Documents.
    pub bulk: Bulk,
    /// Receipts and rows; the rows of what is wanted in the index are `Pending` until the index has answered.
    pub batches: Vec<StoreBatch>,
}

/// Makes raw objects, documents and rows of entries.
///
/// # Errors
/// [`Error::Internal`]: our own mistake, or no memory.
pub fn prepare(archive: &Archive, index: &Index, opened: &[Opened]) -> Result<Prepared> {
    let mut prepared = Prepared::default();
    prepared.bulk.reserve(opened.iter().map(document_bytes).sum());
    let mut groups: BTreeMap<(&str, Date), BTreeMap<&TenantId, Vec<&Opened>>> = BTreeMap::new();
    for entry in opened {
        let day = received_at(&entry.header).date();
        groups.entry((&entry.header.class, day)).or_default().entry(&entry.header.tenant).or_default().push(entry);
    }
    for ((class, _), tenants) in groups {
        let (large, small): (Vec<_>, Vec<_>) = tenants.into_iter().partition(|(_, entries)| entries.iter().map(|entry| entry.lines.len()).sum::<usize>() >= OWN_OBJECT_FROM);
        for (tenant, entries) in large {
            prepared.add_object(archive, index, class, Some(tenant), &[(tenant, entries)])?;
        }
        if !small.is_empty() {
            prepared.add_object(archive, index, class, None, &small)?;
        }
    }
    Ok(prepared)
}

/// About what an entry's documents take: the record with a quarter more for parts of words and for texts that stand there twice, and what names it.
fn document_bytes(entry: &Opened) -> usize {
    if entry.header.index { entry.lines.len() * 5 / 4 + entry.header.accepted as usize * 500 } else { 0 }
}

impl Prepared {
    fn add_object(&mut self, archive: &Archive, index: &Index, class: &str, owner: Option<&TenantId>, tenants: &[(&TenantId, Vec<&Opened>)]) -> Result<()> {
        let Some(first) = tenants.first().and_then(|(_, entries)| entries.first()) else { return Ok(()) };
        let path: Arc<str> = archive.fresh_path(class, received_at(&first.header), owner).into();
        let mut object = RawObject::default();
        let from = self.batches.len();
        for (tenant, entries) in tenants {
            object.begin(tenant);
            for entry in entries {
                self.add_entry(index, &mut object, &path, entry)?;
            }
            object.end().map_err(|e| Error::internal("compressing raw", e))?;
        }
        let finished = object.finish()?;
        let rows = self.batches[from..].iter_mut().flat_map(|batch| &mut batch.rows);
        for (row, (offset, length)) in rows.zip(finished.places) {
            (row.raw_offset, row.raw_length) = (offset, length);
        }
        self.objects.push((path, finished.bytes.into()));
        Ok(())
    }

    fn add_entry(&mut self, index: &Index, object: &mut RawObject, path: &Arc<str>, entry: &Opened) -> Result<()> {
        let header = &entry.header;
        let index_name = index.name(&header.class, header.batch.unix_ms());
        let (mut rows, mut dead) = (Vec::with_capacity(header.accepted as usize), Vec::new());
        let lines = entry.lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        for (position, line) in header.positions().zip(lines) {
            let id = header.batch.log(position);
            let record = match Record::parse(line) {
                Ok(record) => record,
                Err(fault) => {
                    dead.push(dead_record(header, id.uuid(), &fault, line));
                    continue;
                }
            };
            object.line(id, &header.class, header.index, line).map_err(|e| Error::internal("compressing raw", e))?;
            if header.index {
                self.bulk.add(&index_name, id, &header.tenant, &Document::new(id, &header.tenant, &record, line))?;
            }
            let state = if header.index { IndexState::Pending } else { IndexState::NotWanted };
            rows.push(NewRow::new(id, &record, line, Arc::clone(path), state));
        }
        let receipt = Receipt { stored: count(rows.len()), dead: count(dead.len()), ..receipt_of(header) };
        self.batches.push(StoreBatch { receipt, rows, dead });
        Ok(())
    }
}

/// A record that ingest took and that cannot be read here: another version wrote it.
fn dead_record(header: &Header, id: Uuid, fault: &shared::record::Fault, line: &[u8]) -> DeadLetter {
    DeadLetter {
        id,
        tenant: Some(header.tenant.clone()),
        batch: Some(header.batch),
        records: 1,
        stage: "parse",
        code: fault.code.to_owned(),
        reason: fault.detail.clone(),
        bytes: line.to_vec(),
    }
}

/// A receipt without counts of what was stored.
fn receipt_of(header: &Header) -> Receipt {
    Receipt {
        batch: header.batch,
        tenant: header.tenant.clone(),
        key_id: header.key_id,
        class: header.class.clone(),
        accepted: i32::try_from(header.accepted).unwrap_or(i32::MAX),
        rejected: header.rejected.clone(),
        wire_bytes: i64::try_from(header.wire_bytes).unwrap_or(i64::MAX),
        unpacked_bytes: i64::try_from(header.unpacked_bytes).unwrap_or(i64::MAX),
        stored: 0,
        dead: 0,
        indexed: 0,
        pending: 0,
        refused: 0,
        not_wanted: 0,
        relaxed: header.relaxed,
        stored_at: OffsetDateTime::now_utc(),
    }
}

fn received_at(header: &Header) -> OffsetDateTime {
    timestamp::to_datetime(i64::try_from(header.batch.unix_ms()).unwrap_or(timestamp::MAX))
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
