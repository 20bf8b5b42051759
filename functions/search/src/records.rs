//! Records of rows, out of raw: each frame is fetched and unpacked once, whatever number of rows it holds, and only so much is held
//! at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::value::RawValue;
use shared::archive::Archive;
use shared::document::Document;
use shared::error::{Error, Result, chain};
use shared::ids::{LogId, TenantId};
use shared::query::Query;
use shared::raw::{self, RawLine};
use shared::record::Record;
use shared::rows::Row;

/// Most text of records that is held at once, in bytes. One record may have a megabyte.
const MOST_AT_ONCE: usize = 2 * 1024 * 1024;
/// Most rows whose records are read at once, and most frames that they may lie in: of a quiet tenant each row has one of its own, and a read
/// must not take for ever.
const MOST_ROWS: usize = 1_000;
const MOST_FRAMES: usize = 64;
/// Frames that are fetched at the same time: each is some megabytes while it is unpacked.
const FRAMES_AT_ONCE: usize = 2;

/// A row with its record.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) row: Row,
    /// As it was sent; `None` where raw does not hold it, which is logged, or where it was not asked for.
    pub(crate) record: Option<Box<RawValue>>,
}

impl Whole {
    /// A row of which the record was not asked for.
    pub(crate) fn of_row(row: Row) -> Self {
        Self { row, record: None }
    }

    /// Whether a query means it. A log whose record is lost is what its row says.
    fn is_meant_by(&self, query: &Query, tenant: &TenantId) -> bool {
        let Some(sent) = self.record.as_ref().map(|record| record.get().as_bytes()) else { return self.row.is_meant_by(query) };
        Record::parse(sent).map_or_else(|_| self.row.is_meant_by(query), |record| query.matches(&Document::new(self.row.id, tenant, &record, sent).subject()))
    }
}

/// Those of some logs that a query means.
///
/// # Errors
/// None but our own mistakes.
pub(crate) async fn meant(logs: Vec<Whole>, query: &Query, tenant: &TenantId) -> Result<Vec<Whole>> {
    let (query, tenant) = (query.clone(), tenant.clone());
    let looking = tokio::task::spawn_blocking(move || logs.into_iter().filter(|log| log.is_meant_by(&query, &tenant)).collect());
    looking.await.map_err(|e| Error::internal("looking at records", e))
}

/// Where a frame lies: its object, first byte and bytes.
type FrameAt = (String, i32, i32);
/// The frame that was read last: rows that come one after the other often lie in one.
type Last = Option<(FrameAt, Arc<Vec<u8>>)>;

/// Reads records.
#[derive(Debug)]
pub(crate) struct Records {
    archive: Archive,
    last: Last,
    rows_at_once: usize,
}

impl Records {
    pub(crate) fn new(archive: Archive) -> Self {
        Self { archive, last: None, rows_at_once: MOST_ROWS }
    }

    /// How many rows to ask for next: as many as their records were not too much at once, or some more.
    pub(crate) fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }

    /// The records of some rows, in their order: of all, or of the first ones where all were too much at once. At least of one.
    ///
    /// # Errors
    /// Weather of the object store.
    pub(crate) async fn of(&mut self, tenant: &TenantId, mut rows: Vec<Row>) -> Result<Vec<Whole>> {
        self.rows_at_once = (2 * self.rows_at_once).min(MOST_ROWS);
        let mut frames = HashSet::new();
        let fits = rows.iter().position(|row| frames.insert((&row.raw_path, row.raw_offset)) && frames.len() > MOST_FRAMES);
        drop(frames);
        rows.truncate(fits.unwrap_or(usize::MAX));
        let mut found = loop {
            match self.found(tenant, &rows).await? {
                Some(found) => break found,
                None => rows.truncate(rows.len().div_ceil(2)),
            }
            self.rows_at_once = rows.len();
        };
        Ok(rows.into_iter().map(|row| Whole { record: found.remove(&row.id), row }).collect())
    }

    /// The records of these rows by id, or nothing where they are more than one and too much at once.
    async fn found(&mut self, tenant: &TenantId, rows: &[Row]) -> Result<Option<HashMap<LogId, Box<RawValue>>>> {
        let mut frames: HashMap<FrameAt, Vec<LogId>> = HashMap::new();
        for row in rows {
            frames.entry((row.raw_path.clone(), row.raw_offset, row.raw_length)).or_default().push(row.id);
        }
        let last_wanted = rows.last().map(|row| (row.raw_path.clone(), row.raw_offset, row.raw_length));
        let (archive, known) = (&self.archive, self.last.take());
        let known = known.as_ref();
        let reading = stream::iter(frames).map(|(place, wanted)| async move {
            let known = known.filter(|(at, _)| *at == place).map(|(_, text)| Arc::clone(text));
            let Some(text) = text(archive, &place, known).await? else { return Ok::<_, Error>((place, None, Vec::new())) };
            let (tenant, kept) = (tenant.clone(), Arc::clone(&text));
            let picked = tokio::task::spawn_blocking(move || pick(&text, &tenant, wanted)).await.map_err(|e| Error::internal("reading a raw frame", e))?;
            Ok((place, Some(kept), picked))
        });
        let mut reading = std::pin::pin!(reading.buffer_unordered(FRAMES_AT_ONCE));
        let (mut found, mut bytes, mut last) = (HashMap::new(), 0, None);
        while let Some((place, text, picked)) = reading.try_next().await? {
            bytes += picked.iter().map(|(_, record)| record.get().len()).sum::<usize>();
            if bytes > MOST_AT_ONCE && rows.len() > 1 {
                return Ok(None);
            }
            found.extend(picked);
            if last_wanted.as_ref() == Some(&place) {
                last = text.map(|text| (place, text));
            }
        }
        self.last = last;
        Ok(Some(found))
    }
}

/// The text of a frame; `None` for one that raw does not hold.
async fn text(archive: &Archive, (path, offset, length): &FrameAt, known: Option<Arc<Vec<u8>>>) -> Result<Option<Arc<Vec<u8>>>> {
    if known.is_some() {
        return Ok(known);
    }
    let bytes = archive.range(path, u64::try_from(*offset).unwrap_or_default(), u64::try_from(*length).unwrap_or_default()).await;
    let unpacked = match bytes {
        Ok(bytes) => tokio::task::spawn_blocking(move || raw::read_frame(&bytes)).await.map_err(|e| Error::internal("reading a raw frame", e))?,
        Err(error) => Err(error),
    };
    match unpacked {
        Ok(text) => Ok(Some(Arc::new(text))),
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::error!(path, offset, length, cause = chain(&error), "a raw frame that rows name cannot be read");
            Ok(None)
        }
    }
}

/// The wanted ones of the lines. A line of another tenant is not looked at, whatever its id.
fn pick(text: &[u8], tenant: &TenantId, mut wanted: Vec<LogId>) -> Vec<(LogId, Box<RawValue>)> {
    wanted.sort_unstable();
    let lines = text.split(|b| *b == b'\n').filter(|line| raw::id_of_line(line).is_some_and(|id| wanted.binary_search(&id).is_ok()));
    let lines = lines.filter_map(|line| serde_json::from_slice::<RawLine<'_>>(line).ok());
    let picked: Vec<_> = lines.filter(|line| line.tenant == *tenant).map(|line| (line.id, line.log.to_owned())).collect();
    if picked.len() < wanted.len() {
        tracing::error!(%tenant, logs = wanted.len() - picked.len(), "a raw frame lacks logs that rows say it holds");
    }
    picked
}
