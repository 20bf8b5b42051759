//! Records that were sent, with what the query language says of each in memory.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::document::Document;
use shared::ids::{BatchId, LogId, TenantId};
use shared::query::{Query, Subject};
use shared::record::Record;

use super::Caller;

/// A record that was sent, under the id that it got.
pub(crate) struct Sent {
    pub(crate) id: LogId,
    pub(crate) text: &'static str,
    document: Document<'static>,
}

impl Sent {
    /// What is asked a thousand times is read once, and stays until the tests end.
    fn new(id: LogId, record: &Value) -> Self {
        let text: &'static str = record.to_string().leak();
        let record: &'static Record<'static> = Box::leak(Box::new(Record::parse(text.as_bytes()).expect("it was accepted")));
        let tenant: &'static TenantId = Box::leak(Box::new(TenantId::parse("any").expect("an id")));
        Self { id, text, document: Document::new(id, tenant, record, text.as_bytes()) }
    }

    /// What a query can ask of it.
    pub(crate) fn subject(&self) -> Subject<'_> {
        self.document.subject()
    }

    pub(crate) fn is_meant_by(&self, query: &Query) -> bool {
        query.matches(&self.subject())
    }
}

impl Caller {
    /// Sends records and waits until a search finds them.
    pub(crate) async fn sent(&self, records: &[Value]) -> Vec<Sent> {
        let mut sent = Vec::new();
        for chunk in records.chunks(2_000) {
            let batch = self.stored(chunk).await;
            let batch = BatchId::parse(&batch).expect("a batch id");
            sent.extend((0..).zip(chunk).map(|(position, record)| Sent::new(batch.log(position), record)));
        }
        sent
    }

    /// The ids of all logs that a search finds.
    pub(crate) async fn found(&self, q: &str) -> BTreeSet<String> {
        let logs = self.all_pages("/v1/search", &[("q", q), ("limit", "1000"), ("fields", "id")]).await;
        logs.iter().filter_map(|log| log["id"].as_str().map(str::to_owned)).collect()
    }
}
