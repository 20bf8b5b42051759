//! Records to send: small made ones, and the real ones of `samples/`.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use shared::ids::BatchId;

/// A record that says nothing but its message.
pub(crate) fn plain(message: &str) -> Value {
    json!({ "service": "billing", "level": "INFO", "timestamp": "2026-02-03T04:05:06.789Z", "message": message })
}

/// So many records whose messages are `{word} 0`, `{word} 1` and so on, a second apart, the last one newest.
pub(crate) fn numbered(word: &str, count: usize) -> Vec<Value> {
    let at = |n: usize| format!("2026-02-03T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60);
    (0..count).map(|n| json!({ "service": "billing", "level": "WARN", "timestamp": at(n), "message": format!("{word} {n}") })).collect()
}

/// The id of the record at this position of a batch.
pub(crate) fn log_id(batch: &str, position: u16) -> String {
    BatchId::parse(batch).expect("a batch id").log(position).to_string()
}

/// The real events of one file of `samples/`, such as `kafka`.
pub(crate) fn sample(name: &str) -> &'static [Value] {
    let found = sample_files().iter().find(|(file, _)| file == name);
    found.map_or_else(|| panic!("samples/ holds no {name}.ndjson.gz"), |(_, events)| events)
}

/// All of `samples/`, by file.
pub(crate) fn sample_files() -> &'static [(String, Vec<Value>)] {
    static FILES: OnceLock<Vec<(String, Vec<Value>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../samples"));
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("samples/ is there").map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ndjson.gz").map(str::to_owned));
        files.iter().filter_map(|path| Some((name(path)?, events(path)))).collect()
    })
}

/// So many real events, or all, evenly taken from the shared sample beside the project; `None` where that is not at hand.
pub(crate) fn shared_data(count: usize) -> Option<Vec<Value>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.to_string_lossy().ends_with(".ndjson.gz")).collect();
    files.sort();
    let all: Vec<Value> = files.iter().flat_map(events).collect();
    let count = count.min(all.len());
    Some((0..count).map(|n| all[n * all.len() / count].clone()).collect())
}

fn events(path: &PathBuf) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).expect("it was listed")).read_to_string(&mut text).expect("gzip of UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
}
