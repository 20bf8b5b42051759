//! What the index alone can take: `_bulk` of the same documents, into an index with the same mapping, and nothing else.

use std::time::{Duration, Instant};

use anyhow::bail;
use futures::StreamExt;
use shared::document::Document;
use shared::ids::{BatchId, TenantId};
use shared::index::{Bulk, Index, Outcome};
use shared::record::Record;

use crate::data::Event;

/// How long one request may take.
const BULK_TIMEOUT: Duration = Duration::from_secs(60);
/// Documents of one `_bulk`, and requests side by side: some 7 MB each, as many as there are cores.
const DOCUMENTS: usize = 5000;
const SIDE_BY_SIDE: usize = 2;

/// Writes all events into a fresh index; answers the time from the first request to the last answer. Building the requests is not
/// counted.
pub(crate) async fn bulk(index: &Index, events: &[Event], round: usize) -> anyhow::Result<Duration> {
    let tenant = TenantId::parse(&format!("baseline_{round}"))?;
    let now = u64::try_from(time_ms())?;
    let name = index.name("baseline", now);
    let mut bulks = Vec::new();
    for chunk in events.chunks(DOCUMENTS) {
        let batch = BatchId::new(now);
        let mut bulk = Bulk::default();
        for (position, event) in chunk.iter().enumerate() {
            let record = Record::parse(event.as_bytes())?;
            let id = batch.log(u16::try_from(position)?);
            bulk.add(&name, id, &tenant, &Document::new(id, &tenant, &record, event.as_bytes()))?;
        }
        bulks.push(bulk);
    }
    index.ensure(&name).await?;
    let began = Instant::now();
    let outcomes: Vec<_> = futures::stream::iter(bulks).map(|bulk| index.bulk(bulk, BULK_TIMEOUT)).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let took = began.elapsed();
    for outcome in outcomes {
        if outcome?.iter().any(|outcome| *outcome != Outcome::Indexed) {
            bail!("the index did not take every document of the baseline");
        }
    }
    Ok(took)
}

fn time_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis()
}
