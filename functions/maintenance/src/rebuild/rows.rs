//! Rows made again of raw.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::archive::SHARED;
use shared::error::{Error, Result, chain};
use shared::fault;
use shared::ids::{BatchId, TenantId};
use shared::raw::{RawLine, frames};
use shared::record::Record;
use shared::rows::{IndexState, NewRow, ShortBatch};

use super::Rebuilt;
use crate::{App, Period};

/// Objects that are fetched at the same time: one is at most some megabytes.
const OBJECTS_AT_ONCE: usize = 2;

/// Batches that lack rows, and whether all of each were in the index.
type Wanted = HashMap<BatchId, bool>;

/// Makes what rows are lacking, and counts. What was received before `index_from`, in milliseconds since 1970, is not to be indexed.
pub(super) async fn rebuild(app: &App, tenant: &TenantId, period: Period, index_from: u64, rebuilt: &mut Rebuilt, progress: &impl Fn(&str)) -> Result<()> {
    progress(&format!("{tenant}: looking for lost rows"));
    let (from, to) = period.ids();
    let short = app.rows.short_batches(tenant, from, to).await?;
    let (Some(first), Some(last)) = (short.first(), short.last()) else { return Ok(()) };
    rebuilt.short_batches = short.len() as u64;
    let days = Period { from_ms: first.batch.unix_ms(), to_ms: last.batch.unix_ms() + 1 };
    // What raw says was not wanted in the index may have been indexed later: then no receipt counts any as kept out.
    let in_index = |short: &ShortBatch| short.batch.unix_ms() >= index_from && !short.has_not_wanted;
    let wanted: Arc<Wanted> = Arc::new(short.iter().map(|short| (short.batch, in_index(short))).collect());
    let paths: Vec<String> = app.archive.list("raw/").await?.into_iter().filter(|path| days.may_be_in(path) && may_hold(path, tenant)).collect();
    let all = paths.len();
    let reading = stream::iter(paths).map(|path| read(app, tenant, path, Arc::clone(&wanted), index_from));
    let mut reading = std::pin::pin!(reading.buffer_unordered(OBJECTS_AT_ONCE));
    let mut read = 0;
    while let Some(rows) = reading.try_next().await? {
        rebuilt.rows_made += app.rows.remake(tenant, &rows).await?;
        fault::point("rebuild.after_rows");
        read += 1;
        progress(&format!("{tenant}: {read} of {all} raw objects, {} rows made", rebuilt.rows_made));
    }
    let lacking = app.rows.short_batches(tenant, from, to).await?;
    rebuilt.rows_lacking = lacking.iter().map(|short| u64::try_from(short.lacking).unwrap_or_default()).sum();
    Ok(())
}

/// Whether a raw object may hold a tenant's logs: it is the tenant's own, or shared.
fn may_hold(path: &str, tenant: &TenantId) -> bool {
    path.rsplit('/').nth(1).is_some_and(|owner| owner == tenant.as_str() || owner == SHARED)
}

/// Rows of the wanted batches that an object holds.
async fn read(app: &App, tenant: &TenantId, path: String, wanted: Arc<Wanted>, index_from: u64) -> Result<Vec<NewRow>> {
    let object = match app.archive.whole(&path).await {
        Ok(object) => object,
        // Removed since it was listed.
        Err(Error::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let tenant = tenant.clone();
    let work = tokio::task::spawn_blocking(move || rows_in(&object, &path.into(), &tenant, &wanted, index_from));
    work.await.map_err(|panic| Error::internal("reading a raw object", panic))
}

/// What cannot be read of an object stays lacking, which the report says.
fn rows_in(object: &[u8], path: &Arc<str>, tenant: &TenantId, wanted: &Wanted, index_from: u64) -> Vec<NewRow> {
    let mut rows = Vec::new();
    for frame in frames(object) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%path, cause = chain(&error), "a raw object cannot be read to its end");
                break;
            }
        };
        let place = (i32::try_from(frame.offset).unwrap_or(i32::MAX), i32::try_from(frame.length).unwrap_or(i32::MAX));
        let lines = frame.text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<RawLine<'_>>(line).ok());
        for line in lines.filter(|line| line.tenant == *tenant && wanted.contains_key(&line.id.batch())) {
            match Record::parse(line.log.get().as_bytes()) {
                Ok(record) => {
                    let batch = line.id.batch();
                    let is_wanted = batch.unix_ms() >= index_from && (line.index || wanted.get(&batch).copied().unwrap_or_default());
                    let state = if is_wanted { IndexState::Pending } else { IndexState::NotWanted };
                    let row = NewRow::new(line.id, &record, line.log.get().as_bytes(), Arc::clone(path), state);
                    rows.push(NewRow { raw_offset: place.0, raw_length: place.1, ..row });
                }
                Err(fault) => tracing::error!(%path, log_id = %line.id, code = fault.code, "a record that was stored cannot be read any more"),
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::raw::RawObject;

    #[test]
    fn only_what_is_wanted_and_ones_own_is_made_and_lies_where_its_row_says() {
        let (a, b) = (TenantId::parse("tenant_a").expect("an id"), TenantId::parse("tenant_b").expect("an id"));
        let (first, second) = (BatchId::new(1_760_099_196_000), BatchId::new(1_760_099_196_001));
        let mut object = RawObject::default();
        for tenant in [&a, &b] {
            object.begin(tenant);
            for id in [first.log(0), second.log(0), second.log(1)] {
                object.line(id, "standard", id != second.log(1), br#"{"message":"m","service":"s"}"#).expect("zstd works");
            }
            object.end().expect("zstd works");
        }
        let object = object.finish().expect("small");
        let rows = rows_in(&object.bytes, &"raw/x".into(), &a, &Wanted::from([(second, false)]), 0);
        let made: Vec<_> = rows.iter().map(|row| (row.id, row.index_state, (row.raw_offset, row.raw_length), row.message.as_str())).collect();
        let place = object.places[0];
        assert_eq!(made, [(second.log(0), IndexState::Pending, place, "m"), (second.log(1), IndexState::NotWanted, place, "m")]);
        let state =
            |wanted, index_from| rows_in(&object.bytes, &"raw/x".into(), &a, &Wanted::from([(second, wanted)]), index_from).iter().map(|row| row.index_state).collect::<Vec<_>>();
        assert_eq!(state(true, 0), [IndexState::Pending; 2], "it was indexed later");
        assert_eq!(state(true, second.unix_ms() + 1), [IndexState::NotWanted; 2], "it is over for the index");
        assert!(may_hold("raw/standard/2025/10/10/tenant_a/x.ndjson.zst", &a) && may_hold("raw/standard/2025/10/10/_shared/x.ndjson.zst", &a));
        assert!(!may_hold("raw/standard/2025/10/10/tenant_b/x.ndjson.zst", &a));
    }
}
