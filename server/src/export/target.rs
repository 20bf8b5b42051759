//! Where an export goes: a file that is whole or not there, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// How often it is written down where to go on.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What takes an export up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// What was asked for: another question is another export.
    filters: String,
    /// `x-export-cursor`, or `x-export-next`.
    pub(super) cursor: String,
    /// The last log that is there whole.
    pub(super) after: Option<String>,
    /// Bytes up to its end.
    bytes: u64,
    /// Logs up to it.
    logs: u64,
}

/// Where the logs go.
#[derive(Debug)]
pub(super) struct Target {
    out: Out,
    mark: Mark,
}

#[derive(Debug)]
enum Out {
    Print(io::Stdout),
    File { file: File, path: PathBuf, kept: Option<Instant> },
}

impl Target {
    /// Goes on with what an earlier run left, or begins.
    pub(super) fn open(path: Option<&Path>, filters: &str, format: &str) -> anyhow::Result<Self> {
        let filters = format!("{format} {filters}");
        let fresh = Mark { filters: filters.clone(), cursor: String::new(), after: None, bytes: 0, logs: 0 };
        let Some(path) = path else { return Ok(Self { out: Out::Print(io::stdout()), mark: fresh }) };
        ensure!(!path.exists(), "{} is there already", path.display());
        let part = beside(path, ".part");
        let mut mark = match std::fs::read(beside(path, ".part.cursor")) {
            Ok(kept) => serde_json::from_slice::<Mark>(&kept).with_context(|| format!("reading what {} goes on with", part.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => fresh.clone(),
            Err(error) => return Err(error).with_context(|| format!("reading what {} goes on with", part.display())),
        };
        ensure!(mark.filters == filters, "{0} is part of another export: remove it and {0}.cursor, or ask as before", part.display());
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&part).with_context(|| format!("opening {}", part.display()))?;
        if file.metadata()?.len() < mark.bytes {
            // What the mark speaks of is not there.
            mark = fresh;
        }
        file.set_len(mark.bytes)?;
        file.seek(io::SeekFrom::Start(mark.bytes))?;
        Ok(Self { out: Out::File { file, path: path.to_owned(), kept: None }, mark })
    }

    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Whether nothing is there yet, not even a header.
    pub(super) fn is_empty(&self) -> bool {
        self.mark.bytes == 0
    }

    /// Logs that are there.
    pub(super) fn logs(&self) -> u64 {
        self.mark.logs
    }

    /// What goes on from here is asked for with this cursor, and behind no log.
    pub(super) fn goes_on_with(&mut self, cursor: &str) -> anyhow::Result<()> {
        (self.mark.cursor, self.mark.after) = (cursor.to_owned(), None);
        self.keep()
    }

    /// Writes whole logs, the last of which is `after`; where that is `None`, what comes before the first.
    pub(super) fn write(&mut self, text: &[u8], logs: u64, after: Option<String>) -> anyhow::Result<()> {
        match &mut self.out {
            Out::Print(out) => out.write_all(text).and_then(|()| out.flush()),
            Out::File { file, .. } => file.write_all(text),
        }
        .context("writing")?;
        self.mark.bytes += text.len() as u64;
        self.mark.logs += logs;
        self.mark.after = after.or_else(|| self.mark.after.take());
        match &self.out {
            Out::File { kept: Some(kept), .. } if kept.elapsed() < KEEP_EVERY => Ok(()),
            _ => self.keep(),
        }
    }

    /// Writes down where to go on: what it speaks of is on disk by then.
    fn keep(&mut self) -> anyhow::Result<()> {
        if let Out::File { file, path, kept } = &mut self.out {
            *kept = Some(Instant::now());
            file.sync_data()?;
            // Written anew and renamed: what is cut off must not be read.
            let (fresh, kept) = (beside(path, ".part.cursor.new"), beside(path, ".part.cursor"));
            std::fs::write(&fresh, serde_json::to_vec(&self.mark)?).and_then(|()| std::fs::rename(&fresh, &kept)).with_context(|| format!("writing {}", kept.display()))?;
        }
        Ok(())
    }

    /// All is there.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        if let Out::File { file, path, .. } = &mut self.out {
            file.sync_all()?;
            std::fs::rename(beside(path, ".part"), &*path).with_context(|| format!("writing {}", path.display()))?;
            std::fs::remove_file(beside(path, ".part.cursor"))?;
        }
        Ok(())
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
