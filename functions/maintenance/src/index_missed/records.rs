//! Records out of raw: each frame is fetched and unpacked once, whatever number of logs is wanted of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use shared::archive::Archive;
use shared::error::{Error, Result, chain};
use shared::ids::{BatchId, LogId, TenantId};
use shared::raw::{self, RawLine};
use shared::rows::PendingRow;

use super::documents::Missed;

/// A frame, and the logs that are wanted of it.
#[derive(Debug)]
pub(super) struct Frame {
    tenant: Arc<TenantId>,
    path: String,
    offset: i32,
    length: i32,
    /// Each log, and the index it belongs to.
    wanted: HashMap<LogId, Arc<str>>,
}

/// Sorts a tenant's rows by the frames that hold their records. `indices`: where the documents of each batch belong.
pub(super) fn frames(tenant: &Arc<TenantId>, indices: &HashMap<BatchId, Arc<str>>, rows: Vec<PendingRow>) -> Vec<Frame> {
    let mut frames: BTreeMap<(String, i32, i32), HashMap<LogId, Arc<str>>> = BTreeMap::new();
    for row in rows {
        if let Some(index) = indices.get(&row.id.batch()) {
            frames.entry((row.raw_path, row.raw_offset, row.raw_length)).or_default().insert(row.id, Arc::clone(index));
        }
    }
    frames.into_iter().map(|((path, offset, length), wanted)| Frame { tenant: Arc::clone(tenant), path, offset, length, wanted }).collect()
}

/// The records that are wanted of a frame, and how many could not be found, which is logged.
///
/// # Errors
/// Weather of the object store.
pub(super) async fn read(archive: &Archive, frame: Frame) -> Result<(Vec<Missed>, usize)> {
    let place = format!("{} {}+{}", frame.path, frame.offset, frame.length);
    let (tenant, wanted) = (Arc::clone(&frame.tenant), frame.wanted.len());
    let found = match fetch(archive, frame).await {
        Ok(found) => found,
        // One object that cannot be had while the store is well must not hold up all that is newer: it is tried again in the next run.
        Err(error) if error.is_retryable() && archive.ping().await.is_err() => return Err(error),
        Err(error) => {
            tracing::error!(%tenant, place, logs = wanted, cause = chain(&error), "a raw frame that rows name cannot be read");
            return Ok((Vec::new(), wanted));
        }
    };
    let lost = wanted - found.len();
    if lost > 0 {
        tracing::error!(%tenant, place, logs = lost, "a raw frame lacks logs that rows say it holds");
    }
    Ok((found, lost))
}

async fn fetch(archive: &Archive, frame: Frame) -> Result<Vec<Missed>> {
    let bytes = archive.range(&frame.path, u64::try_from(frame.offset).unwrap_or_default(), u64::try_from(frame.length).unwrap_or_default()).await?;
    let unpacked = tokio::task::spawn_blocking(move || raw::read_frame(&bytes).map(|text| pick(&text, frame)));
    unpacked.await.map_err(|e| Error::internal("reading a raw frame", e))?
}

/// The wanted ones of the lines, each once. A line of another tenant is not looked at, whatever its id.
fn pick(text: &[u8], mut frame: Frame) -> Vec<Missed> {
    let lines = text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<RawLine<'_>>(line).ok());
    let mut found = Vec::with_capacity(frame.wanted.len());
    for line in lines.filter(|line| line.tenant == *frame.tenant) {
        if let Some(index) = frame.wanted.remove(&line.id) {
            found.push(Missed { id: line.id, tenant: Arc::clone(&frame.tenant), index, sent: line.log.to_owned() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::raw::RawObject;

    fn tenant(id: &str) -> Arc<TenantId> {
        Arc::new(TenantId::parse(id).expect("an id"))
    }

    fn row(id: LogId, path: &str, (raw_offset, raw_length): (i32, i32)) -> PendingRow {
        PendingRow { id, raw_path: path.to_owned(), raw_offset, raw_length }
    }

    #[test]
    fn rows_of_one_frame_are_read_together() {
        let (a, batch) = (tenant("tenant_a"), BatchId::new(1_760_099_196_000));
        let indices = HashMap::from([(batch, Arc::from("logs-standard-2025.10.10"))]);
        let rows = (0..10).map(|n| row(batch.log(n), if n < 6 { "x" } else { "y" }, (0, 9))).collect();
        let sizes: Vec<usize> = frames(&a, &indices, rows).iter().map(|frame| frame.wanted.len()).collect();
        assert_eq!(sizes, [6, 4]);
    }

    #[test]
    fn only_what_is_wanted_and_ones_own_is_picked() {
        let (a, b, batch) = (tenant("tenant_a"), tenant("tenant_b"), BatchId::new(1_760_099_196_000));
        let mut object = RawObject::default();
        object.begin(&a);
        for n in [0, 1, 1, 2_u16] {
            object.line(batch.log(n), "standard", true, format!(r#"{{"message":"{n}"}}"#).as_bytes()).expect("zstd works");
        }
        object.end().expect("zstd works");
        let object = object.finish().expect("small");
        let (offset, length) = object.places[0];
        let text = raw::read_frame(&object.bytes[usize::try_from(offset).expect("small")..]).expect("a frame");

        let frame = |tenant: &Arc<TenantId>, logs: &[u16]| {
            let wanted = logs.iter().map(|n| (batch.log(*n), Arc::from("i"))).collect();
            Frame { tenant: Arc::clone(tenant), path: "x".to_owned(), offset, length, wanted }
        };
        let found = pick(&text, frame(&a, &[1, 2, 7]));
        assert_eq!(found.iter().map(|missed| missed.sent.get()).collect::<Vec<_>>(), [r#"{"message":"1"}"#, r#"{"message":"2"}"#]);
        assert!(pick(&text, frame(&b, &[1])).is_empty(), "another tenant's line");
    }
}
