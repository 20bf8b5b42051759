//! Rows in Postgres' binary COPY format (manual, "COPY", "Binary Format"): a signature, then for each row the number of fields
//! and each field with its length, -1 for null; -1 ends.

use super::store::NewRow;

/// `timestamptz` counts microseconds from 2000-01-01.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;
const FIELDS: i16 = 10;
/// The columns, in the order in which [`encode`] writes them.
pub(super) const COLUMNS: &str = r#"id, "timestamp", object_id, raw_offset, raw_length, level, index_state, service, language, message"#;

/// Rows, each with the number of its raw object.
#[must_use]
pub fn encode<'a>(rows: impl Iterator<Item = (&'a NewRow, i64)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * 1024);
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    out.extend_from_slice(&[0; 8]); // no flags, no extension
    for (row, object_id) in rows {
        out.extend_from_slice(&FIELDS.to_be_bytes());
        field(&mut out, row.id.uuid().as_bytes());
        field(&mut out, &((row.timestamp - POSTGRES_EPOCH_MS) * 1000).to_be_bytes());
        field(&mut out, &object_id.to_be_bytes());
        field(&mut out, &row.raw_offset.to_be_bytes());
        field(&mut out, &row.raw_length.to_be_bytes());
        field(&mut out, &(row.level as i16).to_be_bytes());
        field(&mut out, &(row.index_state as i16).to_be_bytes());
        field(&mut out, row.service.as_bytes());
        match &row.language {
            Some(language) => field(&mut out, language.as_bytes()),
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        field(&mut out, row.message.as_bytes());
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = i32::try_from(bytes.len()).expect("a field of a row is far below 2 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}
