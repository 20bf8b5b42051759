//! The events that are sent: real ones, in an order fixed by the seed.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;

/// One record as sent: a line of JSON.
pub(crate) type Event = String;

/// Reads all events of a folder and shuffles them.
pub(crate) fn load(folder: Option<&Path>, seed: u64) -> anyhow::Result<Vec<Event>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = root.join("../shared/data");
    let folder: PathBuf = folder.map_or_else(|| if shared.is_dir() { shared } else { root.join("samples") }, Path::to_path_buf);
    let mut files: Vec<_> = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".ndjson.gz"));
    files.sort();
    let mut events = Vec::new();
    for path in files {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(&path)?).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        events.extend(text.lines().map(str::to_owned));
    }
    if events.is_empty() {
        bail!("{} holds no events", folder.display());
    }
    events.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
    Ok(events)
}
