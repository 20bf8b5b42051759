//! The records that are sent: the shared ones where they lie beside the checkout, else the bundled sample.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::read::GzDecoder;

/// Records that are no good: each costs itself and nothing else.
pub(crate) const BAD: &str = r#"{"service":"chaos","message":5}"#;

/// Every record, a line of JSON each.
pub(crate) fn load() -> anyhow::Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = root.join("../shared/data");
    let folder = if shared.is_dir() { shared } else { root.join("samples") };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".ndjson.gz"));
    files.sort();
    let mut records = Vec::new();
    for path in files {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(&path)?).read_to_string(&mut text)?;
        records.extend(text.lines().map(str::to_owned));
    }
    anyhow::ensure!(!records.is_empty(), "{} holds no records", folder.display());
    Ok(records)
}
