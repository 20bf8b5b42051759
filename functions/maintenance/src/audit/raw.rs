//! Every raw object of the days in question, read once for all tenants.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Error, Result, chain};
use shared::ids::{BatchId, LogId, TenantId};
use shared::raw::{RawLine, frames};

use crate::positions::Positions;
use crate::{App, Period};

/// Objects that are fetched at the same time: one is at most some megabytes.
const OBJECTS_AT_ONCE: usize = 4;

/// What the objects hold of one tenant.
#[derive(Debug, Default)]
pub(super) struct RawObjects {
    /// By path, frame and batch.
    places: HashMap<String, HashMap<(i32, BatchId), Positions>>,
    lines: u64,
}

/// What they hold of all.
#[derive(Debug, Default)]
pub(super) struct AllRaw(HashMap<TenantId, RawObjects>);

impl AllRaw {
    pub(super) fn take(&mut self, tenant: &TenantId) -> RawObjects {
        self.0.remove(tenant).unwrap_or_default()
    }

    fn add(&mut self, path: &str, found: Found) {
        for ((tenant, place), (positions, lines)) in found {
            let of_tenant = self.0.entry(tenant).or_default();
            of_tenant.lines += lines;
            of_tenant.places.entry(path.to_owned()).or_default().insert(place, positions);
        }
    }
}

impl RawObjects {
    /// Whether the frame at `offset` of an object holds a log.
    pub(super) fn holds(&self, path: &str, offset: i32, id: LogId) -> bool {
        self.places.get(path).and_then(|frames| frames.get(&(offset, id.batch()))).is_some_and(|positions| positions.contains(id.position()))
    }

    /// Forgets what was received before a moment.
    pub(super) fn forget_before(&mut self, unix_ms: u64) {
        let mut lines = 0;
        for frames in self.places.values_mut() {
            frames.retain(|(_, batch), _| batch.unix_ms() >= unix_ms);
            lines += frames.values().map(|positions| positions.len() as u64).sum::<u64>();
        }
        if unix_ms > 0 {
            self.lines = lines;
        }
    }

    /// Lines beyond the first of each log: crashed attempts left them, and readers drop them.
    pub(super) fn doubles(&self) -> u64 {
        self.lines - self.positions().values().map(|positions| positions.len() as u64).sum::<u64>()
    }

    pub(super) fn into_positions(self) -> BTreeMap<BatchId, Positions> {
        self.positions()
    }

    fn positions(&self) -> BTreeMap<BatchId, Positions> {
        let mut all: BTreeMap<BatchId, Positions> = BTreeMap::new();
        for ((_, batch), positions) in self.places.values().flatten() {
            let known = all.entry(*batch).or_default();
            for position in positions.iter() {
                known.insert(position);
            }
        }
        all
    }
}

/// Reads the objects of the days that a period touches.
pub(super) async fn read(app: &App, period: Period, tenants: &HashSet<&TenantId>, progress: &impl Fn(&str)) -> Result<AllRaw> {
    let paths: Vec<String> = app.archive.list("raw/").await?.into_iter().filter(|path| period.may_be_in(path)).collect();
    let all = paths.len();
    let reading = stream::iter(paths).map(|path| async move {
        let object = match app.archive.whole(&path).await {
            Ok(object) => object,
            // Removed since it was listed: rows that name it will tell.
            Err(Error::NotFound(_)) => return Ok((path, Found::default())),
            Err(error) => return Err(error),
        };
        let work = tokio::task::spawn_blocking(move || find(&path, &object, period).map(|found| (path, found)));
        work.await.map_err(|e| Error::internal("reading a raw object", e))?
    });
    let mut reading = std::pin::pin!(reading.buffer_unordered(OBJECTS_AT_ONCE));
    let (mut raw, mut read) = (AllRaw::default(), 0);
    while let Some((path, mut found)) = reading.try_next().await? {
        found.retain(|(tenant, _), _| tenants.contains(tenant));
        raw.add(&path, found);
        read += 1;
        if read % 50 == 0 {
            progress(&format!("raw: {read} of {all} objects"));
        }
    }
    Ok(raw)
}

/// Positions by tenant, frame and batch, and how many lines that were.
type Found = HashMap<(TenantId, (i32, BatchId)), (Positions, u64)>;

/// An object that cannot be read holds nothing for whom its rows name: it is logged, and they are findings.
fn find(path: &str, object: &[u8], period: Period) -> Result<Found> {
    let mut found = Found::default();
    for frame in frames(object) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(path, cause = chain(&error), "a raw object cannot be read to its end");
                break;
            }
        };
        let offset = i32::try_from(frame.offset).map_err(|e| Error::internal("reading a raw object", e))?;
        let lines = frame.text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<RawLine<'_>>(line).ok());
        for line in lines.filter(|line| period.contains(line.id.unix_ms())) {
            let (positions, count) = found.entry((line.tenant, (offset, line.id.batch()))).or_default();
            positions.insert(line.id.position());
            *count += 1;
        }
    }
    Ok(found)
}
