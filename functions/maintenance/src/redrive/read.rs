//! What a letter holds: one record of a batch that has a receipt, or an entry with a header of its own.

use shared::ids::LogId;
use shared::queue::{Header, Taken};
use shared::record::Fault;
use shared::rows::{Buried, Receipt, Rows, SchemaState, WholeLetter};
use time::OffsetDateTime;

use super::Stays;

/// Records of one batch that are to be stored under their old ids.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The batch's receipt, its counts still to be set.
    pub(super) receipt: Receipt,
    /// Whether they are wanted in the index.
    pub(super) wanted: bool,
    /// Their ids, in the order of the lines.
    pub(super) ids: Vec<LogId>,
    /// A line each.
    pub(super) lines: Vec<u8>,
}

/// # Errors
/// Weather of Postgres, or why the letter cannot be read, or belongs nowhere any more.
pub(super) async fn read(rows: &Rows, due: &WholeLetter) -> Result<Recovered, Stays> {
    let recovered = if due.letter.is_entry() { read_entry(due)? } else { read_record(rows, due).await? };
    match rows.schema_state(&recovered.receipt.tenant).await? {
        SchemaState::Present => Ok(recovered),
        SchemaState::Dropped => Err(Fault::new("tenant_gone", "its tenant was deleted").into()),
        SchemaState::Unknown => Err(Fault::new("tenant_gone", "there is no tenant of the name that it gives").into()),
    }
}

/// Why a record cannot be stored without its receipt.
pub(super) fn no_receipt() -> Fault {
    Fault::new("receipt_gone", "the receipt of its batch is not there any more: nothing says what it belongs to")
}

async fn read_record(rows: &Rows, due: &WholeLetter) -> Result<Recovered, Stays> {
    let (Some(tenant), Some(log)) = (&due.letter.tenant, due.letter.log()) else {
        return Err(Fault::new("not_a_log", "it is not filed under a tenant, a batch and a log's id").into());
    };
    let receipt = rows.receipt(tenant, log.batch()).await?.ok_or_else(no_receipt)?;
    // No receipt says whether a batch was wanted in the index; that logs of it were kept out does.
    let wanted = receipt.not_wanted == 0;
    Ok(Recovered { receipt: uncounted(receipt), wanted, ids: vec![log], lines: in_one_line(&due.bytes) })
}

/// A line break in JSON stands between tokens, where a space says the same: raw keeps a record as a line. Inside of a string it is
/// no JSON, before and after.
fn in_one_line(record: &[u8]) -> Vec<u8> {
    record.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect()
}

fn read_entry(due: &WholeLetter) -> Result<Recovered, Fault> {
    let unreadable = |reason: String| Fault::new("unreadable_entry", reason);
    let entry = Taken::from_bytes(&due.bytes);
    let header = entry.header().map_err(unreadable)?;
    agree(&due.letter, &header)?;
    let lines = entry.lines(&header).map_err(unreadable)?;
    let count = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
    let ids: Vec<LogId> = header.positions().map(|position| header.batch.log(position)).collect();
    if count != header.accepted as usize || ids.len() != count {
        return Err(unreadable(format!("it says that it holds {} records, and holds {count}", header.accepted)));
    }
    Ok(Recovered { receipt: receipt_of(&header), wanted: header.index, ids, lines })
}

/// What a letter is filed under is what its receipt counts: a header that was mended by hand must not say otherwise.
fn agree(letter: &Buried, header: &Header) -> Result<(), Fault> {
    let same_tenant = letter.tenant.as_ref().is_none_or(|tenant| *tenant == header.tenant);
    let same_batch = letter.batch.is_none_or(|batch| batch == header.batch);
    let same_records = letter.batch.is_none() || u32::try_from(letter.records) == Ok(header.accepted);
    if same_tenant && same_batch && same_records {
        return Ok(());
    }
    Err(Fault::new("unreadable_entry", "its header names another tenant, batch or number of records than it was buried with"))
}

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

fn uncounted(receipt: Receipt) -> Receipt {
    Receipt { stored: 0, dead: 0, indexed: 0, pending: 0, refused: 0, not_wanted: 0, ..receipt }
}
