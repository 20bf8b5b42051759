//! Records into documents, and documents into requests.

use std::sync::Arc;

use serde_json::value::RawValue;
use shared::document::Document;
use shared::ids::{LogId, TenantId};
use shared::index::Bulk;
use shared::record::Record;

/// Bytes after which another request is begun.
const BULK_BYTES: usize = 8 * 1024 * 1024;

/// A log that the index misses, and its record as sent.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) id: LogId,
    pub(super) tenant: Arc<TenantId>,
    /// The index it belongs to.
    pub(super) index: Arc<str>,
    pub(super) sent: Box<RawValue>,
}

/// What one document of a request is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: LogId,
    pub(super) tenant: Arc<TenantId>,
    pub(super) index: Arc<str>,
}

/// A request, and what is in it.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) bulk: Bulk,
    /// In the order of the request.
    pub(super) documents: Vec<Place>,
    /// Logs whose record cannot be read any more: no retry will help, so they count as refused.
    pub(super) unreadable: Vec<(Arc<TenantId>, LogId)>,
}

/// Fills requests. All the work of the processor, and none of the waiting: not for a thread that serves others.
pub(super) fn fill(missed: &[Missed]) -> Vec<Filled> {
    let mut all = vec![Filled::default()];
    for log in missed {
        if all.last().is_some_and(|filled| filled.bulk.len() >= BULK_BYTES) {
            all.push(Filled::default());
        }
        let filled = all.last_mut().expect("one was there to begin with");
        match add(&mut filled.bulk, log) {
            Ok(()) => filled.documents.push(Place { id: log.id, tenant: Arc::clone(&log.tenant), index: Arc::clone(&log.index) }),
            Err(code) => {
                tracing::error!(tenant = %log.tenant, log_id = %log.id, code, "a record that was taken in cannot be read any more");
                filled.unreadable.push((Arc::clone(&log.tenant), log.id));
            }
        }
    }
    all
}

fn add(bulk: &mut Bulk, log: &Missed) -> Result<(), &'static str> {
    let sent = log.sent.get().as_bytes();
    let record = Record::parse(sent).map_err(|fault| fault.code)?;
    bulk.add(&log.index, log.id, &log.tenant, &Document::new(log.id, &log.tenant, &record, sent)).map_err(|_| "not_serialised")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::BatchId;

    fn missed(position: u16, json: String) -> Missed {
        let tenant = Arc::new(TenantId::parse("tenant_a").expect("an id"));
        Missed { id: BatchId::new(1_760_099_196_000).log(position), tenant, index: Arc::from("i"), sent: RawValue::from_string(json).expect("JSON") }
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let filled = fill(&[missed(0, r#"{"message":"m"}"#.to_owned()), missed(1, "[]".to_owned())]);
        assert_eq!((filled.len(), filled[0].documents.len(), filled[0].unreadable.len()), (1, 1, 1));
        assert_eq!(filled[0].bulk.ids().len(), 1);
    }

    #[test]
    fn a_request_ends_with_the_document_that_fills_it() {
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(1_000_000));
        let filled = fill(&(0..14).map(|n| missed(n, long.clone())).collect::<Vec<_>>());
        assert_eq!(filled.iter().map(|filled| filled.documents.len()).collect::<Vec<_>>(), [9, 5]);
        assert!(fill(&[])[0].bulk.is_empty());
    }
}
