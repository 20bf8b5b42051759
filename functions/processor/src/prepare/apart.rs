//! One entry that cannot be prepared is buried alone; the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shared::archive::Archive;
use shared::error::{Error, Result, chain};
use shared::index::Index;

use super::{Lost, Opened, Prepared, bury, prepare};

/// The code of an entry on which our own code fails.
const NOT_PREPARED: &str = "not_prepared";

/// Prepares entries together; where that fails, each by itself, to find those that it fails on. Those become dead letters: they would
/// fail every time, and whatever shares a drain with them.
///
/// # Errors
/// [`Error::Internal`] where they fail together, and none does alone: for lack of memory, say. That may pass.
pub fn prepare_apart(archive: &Archive, index: &Index, opened: Vec<Opened>) -> Result<(Vec<Opened>, Vec<Lost>, Prepared)> {
    apart(opened, |entries| prepare(archive, index, entries))
}

fn apart<T>(opened: Vec<Opened>, work: impl Fn(&[Opened]) -> Result<T>) -> Result<(Vec<Opened>, Vec<Lost>, T)> {
    // Nothing that a panic interrupts is used again.
    let attempt = |entries: &[Opened]| catch_unwind(AssertUnwindSafe(|| work(entries))).unwrap_or_else(|_| Err(Error::internal("preparing entries", "it panicked")));
    let error = match attempt(&opened) {
        Ok(done) => return Ok((opened, Vec::new(), done)),
        Err(error) => error,
    };
    tracing::error!(cause = chain(&error), entries = opened.len(), "entries cannot be prepared together; each is tried by itself");
    let (mut good, mut lost) = (Vec::new(), Vec::new());
    for one in opened {
        match attempt(std::slice::from_ref(&one)) {
            Ok(_) => good.push(one),
            Err(error) => lost.push(bury(one.entry, NOT_PREPARED, format!("our own code fails on it: {}", chain(&error)))),
        }
    }
    if lost.is_empty() {
        return Err(error);
    }
    attempt(&good).map(|done| (good, lost, done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::{BatchId, TenantId};
    use shared::queue::{Header, Taken};
    use uuid::Uuid;

    fn entry(tenant: &str) -> Opened {
        let header = Header {
            v: Header::VERSION,
            tenant: TenantId::parse(tenant).expect("a tenant id"),
            key_id: Uuid::nil(),
            batch: BatchId::new(1_700_000_000_000),
            class: "standard".to_owned(),
            index: true,
            wire_bytes: 15,
            unpacked_bytes: 15,
            accepted: 1,
            rejected: Vec::new(),
            zstd: false,
            relaxed: false,
        };
        let bytes = [serde_json::to_vec(&header).expect("a header is JSON"), b"{\"message\":\"m\"}".to_vec()].join(&b'\n');
        Opened { entry: Taken::from_bytes(&bytes), header, lines: Vec::new() }
    }

    fn names(entries: &[Opened]) -> Vec<String> {
        entries.iter().map(|entry| entry.header.tenant.to_string()).collect()
    }

    #[test]
    fn an_entry_on_which_our_code_panics_is_buried_alone_with_its_bytes() {
        let work = |entries: &[Opened]| {
            assert!(!names(entries).contains(&"poison".to_owned()), "poison");
            Ok(names(entries))
        };
        let (good, lost, done) = apart(vec![entry("one"), entry("poison"), entry("two")], work).expect("the others go on");
        assert_eq!((names(&good), done), (vec!["one".to_owned(), "two".to_owned()], vec!["one".to_owned(), "two".to_owned()]));
        let [one] = lost.as_slice() else { panic!("one is lost, not {}", lost.len()) };
        assert_eq!((one.letter.code.as_str(), one.letter.records), (NOT_PREPARED, 1));
        assert!(one.letter.bytes.ends_with(b"{\"message\":\"m\"}"));
        assert_eq!(one.receipt().map(|receipt| receipt.dead), Some(1));
    }

    #[test]
    fn what_fails_only_together_is_nobodys_fault_and_buries_nothing() {
        let work = |entries: &[Opened]| if entries.len() > 1 { Err(Error::internal("preparing", "no memory")) } else { Ok(()) };
        assert!(apart(vec![entry("one"), entry("two")], work).is_err());
    }
}
