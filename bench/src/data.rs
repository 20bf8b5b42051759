//! The events that are sent: real ones, in an order fixed by the seed.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use shared::record::Record;
use shared::timestamp;
use time::OffsetDateTime;

/// One record as sent: a line of JSON.
pub(crate) type Event = String;

/// What live senders send was written a little before: the times of a file, whatever they span, become these last minutes, their order and proportions kept.
const SPAN_MS: i64 = 600_000;

/// The events of one file, as if they were of now.
fn recent<'a>(lines: impl Iterator<Item = &'a str>, now: i64) -> impl Iterator<Item = Event> {
    let events: Vec<(&str, Option<i64>)> = lines.map(|line| (line, Record::parse(line.as_bytes()).ok().and_then(|record| record.timestamp))).collect();
    let times = events.iter().filter_map(|(_, at)| *at);
    let (first, last) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    events.into_iter().map(move |(line, at)| match (at, line.split_once(r#""timestamp":""#)) {
        (Some(at), Some((before, rest))) => {
            let moved = now - SPAN_MS + i64::try_from(i128::from(at - first) * i128::from(SPAN_MS) / i128::from((last - first).max(1))).unwrap_or_default();
            let end = rest.find('"').unwrap_or(rest.len());
            // As long as it was: microseconds.
            format!(r#"{before}"timestamp":"{}000Z{}"#, timestamp::format(moved).trim_end_matches('Z'), &rest[end..])
        }
        _ => line.to_owned(),
    })
}

/// Reads all events of a folder, moved to now, and shuffles them.
pub(crate) fn load(folder: Option<&Path>, seed: u64) -> anyhow::Result<Vec<Event>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = root.join("../shared/data");
    let folder: PathBuf = folder.map_or_else(|| if shared.is_dir() { shared } else { root.join("samples") }, Path::to_path_buf);
    let mut files: Vec<_> = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".ndjson.gz"));
    files.sort();
    let (mut events, now) = (Vec::new(), timestamp::from_datetime(OffsetDateTime::now_utc()));
    for path in files {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(&path)?).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        events.extend(recent(text.lines(), now));
    }
    if events.is_empty() {
        bail!("{} holds no events", folder.display());
    }
    events.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_those_of_now() {
        let lines =
            [r#"{"level":"INFO","timestamp":"2015-05-17T10:05:00.000000Z","message":"a"}"#, r#"{"timestamp":"2016-05-17T10:05:00.000000Z","message":"b"}"#, r#"{"message":"c"}"#];
        let moved: Vec<Event> = recent(lines.into_iter(), 1_800_000_000_000).collect();
        let times: Vec<_> = moved.iter().map(|line| Record::parse(line.as_bytes()).expect("a record").timestamp).collect();
        assert_eq!(times, [Some(1_799_999_400_000), Some(1_800_000_000_000), None]);
        assert_eq!(moved[0].len(), lines[0].len());
        assert_eq!(moved[2], lines[2]);
    }
}
