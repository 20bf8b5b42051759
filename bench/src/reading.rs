//! Readers while logs come in: pages that miss and repeat nothing, and tails that show each log once, with OpenSearch restarted in between.

mod pages;
mod tail;

pub(crate) use pages::{Paging, run as paging};
pub(crate) use tail::{Tailing, run as tail};

use std::collections::HashSet;

use anyhow::ensure;

/// Ids as a reader saw them.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
    last: String,
}

impl Seen {
    /// Takes an id. `in_order`: it must be higher than the one before.
    fn take(&mut self, id: &str, in_order: bool) -> anyhow::Result<()> {
        ensure!(!in_order || self.last.as_str() < id, "{id} came after {}", self.last);
        ensure!(self.ids.insert(id.to_owned()), "{id} came twice");
        id.clone_into(&mut self.last);
        Ok(())
    }
}
