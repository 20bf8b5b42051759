//! Logs that a quota kept out of the index, indexed later: from then on they are found as any others, and counted as used.

use std::collections::{BTreeMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Error, Result, chain};
use shared::ids::{LogId, TenantId};
use shared::raw::{self, RawLine};
use shared::rows::PendingRow;

use crate::{App, Period, rebuild};

/// Logs that are looked up, and change, at once.
const AT_ONCE: i64 = 5_000;
/// Frames that are fetched at the same time: one unpacks to a megabyte or so.
const FRAMES_AT_ONCE: usize = 4;

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct IndexedLater {
    /// Logs that were not in the index, and are wanted there now.
    pub wanted: u64,
    /// Logs whose records are not where their rows say: they stay out.
    pub lost: u64,
    /// Logs of the tenant that are pending still.
    pub pending: u64,
}

/// Indexes what was received of a tenant in a period and kept out of the index. It can be broken off, and begun again. Tells `progress` what is
/// being done.
///
/// # Errors
/// [`Error::NotFound`] for a tenant that is not there; [`Error::Unavailable`]: begin again when it is over.
pub async fn index_later(app: &App, tenant: &TenantId, period: Period, progress: impl Fn(&str)) -> Result<IndexedLater> {
    let horizon = app.registry.retention(tenant).await?.horizon(app.queue.now_ms());
    let (mut from, to) = period.since(horizon.index).ids();
    let mut done = IndexedLater::default();
    loop {
        let rows = app.rows.not_wanted(tenant, from, to, AT_ONCE).await?;
        let Some(last) = rows.last() else { break };
        from = next(last.id);
        let found = measured(app, tenant, &rows).await?;
        done.lost += (rows.len() - found.len()) as u64;
        done.wanted += app.rows.want_indexed(tenant, &found).await?;
        progress(&format!("{tenant}: {} logs are to be indexed", done.wanted));
    }
    let pending = rebuild::pending(app, tenant).await?;
    done.pending = rebuild::index(app, tenant, pending, &progress).await?;
    Ok(done)
}

/// The least id after this one.
fn next(id: LogId) -> uuid::Uuid {
    uuid::Uuid::from_u128(id.uuid().as_u128() + 1)
}

/// The bytes of each log's record, as they were counted when it came: those of its line in raw, with the line's end.
async fn measured(app: &App, tenant: &TenantId, rows: &[PendingRow]) -> Result<Vec<(LogId, i64)>> {
    let mut frames: BTreeMap<(&str, i32, i32), Vec<LogId>> = BTreeMap::new();
    for row in rows {
        frames.entry((&row.raw_path, row.raw_offset, row.raw_length)).or_default().push(row.id);
    }
    let read = frames.into_iter().map(|((path, offset, length), ids)| async move {
        let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else { return Ok(Vec::new()) };
        let frame = match app.archive.range(path, offset, length).await {
            Ok(frame) => frame,
            Err(Error::NotFound(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let tenant = tenant.clone();
        let work = tokio::task::spawn_blocking(move || raw::read_frame(&frame).map(|text| bytes_of(&text, &tenant, &ids)));
        match work.await.map_err(|e| Error::internal("reading a raw frame", e))? {
            Ok(found) => Ok(found),
            // What it held is counted as lost, and keeps nothing else out.
            Err(error) => {
                tracing::error!(path, offset, cause = chain(&error), "a raw frame that rows name cannot be read");
                Ok(Vec::new())
            }
        }
    });
    stream::iter(read).buffer_unordered(FRAMES_AT_ONCE).try_concat().await
}

fn bytes_of(text: &[u8], tenant: &TenantId, ids: &[LogId]) -> Vec<(LogId, i64)> {
    let lines = text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<RawLine<'_>>(line).ok());
    let wanted: HashSet<LogId> = ids.iter().copied().collect();
    let own = lines.filter(|line| line.tenant == *tenant && wanted.contains(&line.id));
    let mut found: Vec<(LogId, i64)> = own.map(|line| (line.id, i64::try_from(line.log.get().len()).map_or(i64::MAX, |bytes| bytes.saturating_add(1)))).collect();
    found.sort_unstable();
    found.dedup_by_key(|(id, _)| *id);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::BatchId;
    use shared::raw::RawObject;

    #[test]
    fn records_are_measured_as_when_they_came() {
        let (a, b) = (TenantId::parse("tenant_a").expect("an id"), TenantId::parse("tenant_b").expect("an id"));
        let batch = BatchId::new(1_760_099_196_000);
        let mut object = RawObject::default();
        object.begin(&a);
        for (n, record) in [r#"{"message":"m"}"#, r#"{"message":"mm"}"#, r#"{"message":"mm"}"#].into_iter().enumerate() {
            object.line(batch.log(u16::try_from(n).expect("few")), "standard", false, record.as_bytes()).expect("zstd works");
        }
        object.end().expect("zstd works");
        let object = object.finish().expect("small");
        let text = raw::frames(&object.bytes).next().expect("one").expect("a frame").text;
        assert_eq!(bytes_of(&text, &a, &[batch.log(0), batch.log(1)]), [(batch.log(0), 16), (batch.log(1), 17)]);
        assert!(bytes_of(&text, &b, &[batch.log(0)]).is_empty());
        assert_eq!(next(batch.log(0)), batch.log(1).uuid());
    }
}
