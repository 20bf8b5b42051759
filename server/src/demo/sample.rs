//! The bundled sample, shifted to now and cut into requests.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use shared::timestamp::{self, UnixMs};

/// Events of one request.
const EVENTS_PER_REQUEST: usize = 500;

/// One request of the sample.
#[derive(Debug)]
pub(super) struct Request {
    /// NDJSON.
    pub(super) body: Vec<u8>,
    /// The same from run to run, as the body is.
    pub(super) idempotency_key: String,
}

/// Reads every `*.ndjson.gz` of `folder`. The events are years old: those of each file are shifted so that its last one lies near
/// `newest` (RFC 3339), and times between them stay as they were.
pub(super) fn requests(folder: &Path, newest: &str) -> anyhow::Result<Vec<Request>> {
    let newest = timestamp::parse(newest).context("the tenant's time of creation")?;
    let mut files: Vec<_> = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".ndjson.gz"));
    files.sort();
    if files.is_empty() {
        bail!("{} holds no *.ndjson.gz", folder.display());
    }
    let mut requests = Vec::new();
    for (at, path) in files.into_iter().enumerate() {
        // A second apart, so that the newest logs of a list are not one of each file at the same moment.
        let newest = newest - 1000 * i64::try_from(at).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let events = shifted(&path, newest).with_context(|| format!("cannot read {}", path.display()))?;
        for (number, events) in events.chunks(EVENTS_PER_REQUEST).enumerate() {
            let mut body = Vec::new();
            for event in events {
                serde_json::to_writer(&mut body, event)?;
                body.push(b'\n');
            }
            requests.push(Request { body, idempotency_key: format!("sample-{name}-{number}-{newest}") });
        }
    }
    Ok(requests)
}

fn shifted(path: &Path, newest: UnixMs) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let mut events: Vec<Map<String, Value>> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let time = |event: &Map<String, Value>| event.get("timestamp").and_then(Value::as_str).and_then(|text| timestamp::parse(text).ok());
    let Some(last) = events.iter().filter_map(time).max() else { return Ok(events) };
    for event in &mut events {
        if let Some(at) = time(event) {
            event.insert("timestamp".to_owned(), timestamp::format(at - last + newest).into());
        }
    }
    Ok(events)
}
