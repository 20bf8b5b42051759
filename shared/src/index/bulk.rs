//! `_bulk`: many documents in one request, each with an outcome of its own.

use std::time::Duration;

use bytes::Bytes;
use opensearch::http::Method;
use opensearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;

use super::Index;
use crate::document::Document;
use crate::error::{Engine, Error, Result};
use crate::ids::{LogId, TenantId};

/// Errors that say what a document is, not how OpenSearch does: a retry would end the same. Only these: much else that it answers
/// with 400 or 403 is weather (a closed index, a blocked one, a reached limit of shards).
const POISON: [&str; 3] = ["mapper_parsing_exception", "document_parsing_exception", "strict_dynamic_mapping_exception"];

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, or was already.
    Indexed,
    /// It was refused for what it is, with the error's type. Its reason may quote the document, and is not kept.
    Refused(String),
    /// Not now: try again.
    Pending,
}

/// Documents on their way.
#[derive(Debug, Default)]
pub struct Bulk {
    bytes: Vec<u8>,
    ids: Vec<LogId>,
    indices: Vec<String>,
}

impl Bulk {
    /// Makes room for documents of so many bytes in all: growing by doubling would hold them twice.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds a document for the index of this name.
    ///
    /// # Errors
    /// [`Error::Internal`] for a document that is no JSON, which none is.
    pub fn add(&mut self, index: &str, id: LogId, tenant: &TenantId, document: &Document<'_>) -> Result<()> {
        if self.indices.last().is_none_or(|last| last != index) && !self.indices.iter().any(|known| known == index) {
            self.indices.push(index.to_owned());
        }
        self.bytes.extend_from_slice(format!(r#"{{"create":{{"_index":"{index}","_id":"{id}","routing":"{tenant}"}}}}"#).as_bytes());
        self.bytes.push(b'\n');
        serde_json::to_writer(&mut self.bytes, document).map_err(|e| Error::internal("writing a document", e))?;
        self.bytes.push(b'\n');
        self.ids.push(id);
        Ok(())
    }

    /// Ids of the documents, in the order added.
    #[must_use]
    pub fn ids(&self) -> &[LogId] {
        &self.ids
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Index {
    /// Writes documents, each of which is created once. Answers an outcome for each, in the order added, or gives up after `timeout`:
    /// OpenSearch may go on with it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may be there; doing it again does no harm.
    pub async fn bulk(&self, bulk: Bulk, timeout: Duration) -> Result<Vec<Outcome>> {
        if bulk.is_empty() {
            return Ok(Vec::new());
        }
        for index in &bulk.indices {
            self.ensure(index).await?;
        }
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))]);
        let wanted = [("filter_path", "items.create.status,items.create.error.type")];
        let answer: Answer = self.send(Method::Post, "_bulk", headers, &wanted, Some(Bytes::from(bulk.bytes)), timeout).await?;
        if answer.items.len() != bulk.ids.len() {
            return Err(Error::unavailable(Engine::OpenSearch, format!("{} documents were sent, {} answered", bulk.ids.len(), answer.items.len())));
        }
        let outcomes: Vec<Outcome> = answer.items.into_iter().map(|item| outcome(item.create)).collect();
        if outcomes.contains(&Outcome::Pending) {
            self.forget();
        }
        Ok(outcomes)
    }
}

/// What is asked for of an answer: thousands of items, of which hardly any has more than a status.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "type")]
    kind: String,
}

fn outcome(item: Created) -> Outcome {
    match (item.status, item.error) {
        (200 | 201 | 409, _) => Outcome::Indexed,
        (_, Some(error)) if POISON.contains(&error.kind.as_str()) => Outcome::Refused(error.kind),
        _ => Outcome::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_a_document_is_refuses_it() {
        let outcome = |item: serde_json::Value| super::outcome(serde_json::from_value(item).expect("an item"));
        assert_eq!(outcome(json!({ "status": 201 })), Outcome::Indexed);
        assert_eq!(outcome(json!({ "status": 409, "error": { "type": "version_conflict_engine_exception" } })), Outcome::Indexed);
        assert!(matches!(outcome(json!({ "status": 400, "error": { "type": "mapper_parsing_exception" } })), Outcome::Refused(_)));
        for (status, kind) in [
            (429, "rejected_execution_exception"),
            (403, "cluster_block_exception"),
            (400, "index_closed_exception"),
            (400, "validation_exception"),
            (404, "index_not_found_exception"),
            (503, "unavailable_shards_exception"),
        ] {
            assert_eq!(outcome(json!({ "status": status, "error": { "type": kind } })), Outcome::Pending, "{kind}");
        }
    }
}
