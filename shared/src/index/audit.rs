//! What the index holds, counted: for audits.

use std::time::Duration;

use opensearch::http::Method;
use serde_json::{Value, json};

use super::search::of_batch;
use super::{DELETE_TIMEOUT, Index, saw_all};
use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, LogId, TenantId};

/// Batches of one page of counts.
const PAGE: usize = 5000;
/// Most documents that one answer may hold (`index.max_result_window`): twice what a request can bring.
const MOST_IDS: usize = 10_000;
/// How often a question is asked, and how long after the last answer.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

impl Index {
    /// Makes all that was written searchable.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn refresh(&self) -> Result<()> {
        self.call(Method::Post, &format!("{}-*/_refresh", self.settings.prefix), &[("ignore_unavailable", "true")], None, DELETE_TIMEOUT).await?;
        Ok(())
    }

    /// How many documents there are of each of a tenant's batches from `from` on and below `to`, in the order of their ids: a page of
    /// them, after the batch `after`. An empty page is the last.
    ///
    /// # Errors
    /// [`Error::Unavailable`], also where a part of the index does not answer.
    pub async fn count_by_batch(&self, tenant: &TenantId, from: uuid::Uuid, to: uuid::Uuid, after: Option<BatchId>) -> Result<Vec<(BatchId, u64)>> {
        let mut composite = json!({ "size": PAGE, "sources": [{ "batch": { "terms": { "field": "batch_id" } } }] });
        if let Some(after) = after {
            composite["after"] = json!({ "batch": after });
        }
        let filter = json!([{ "term": { "tenant": tenant } }, { "range": { "batch_id": { "gte": from, "lt": to } } }]);
        let query = json!({ "size": 0, "query": { "bool": { "filter": filter } }, "aggs": { "batches": { "composite": composite } } });
        let answer = self.whole_answer(tenant, &query).await?;
        let buckets = answer["aggregations"]["batches"]["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(buckets.iter().filter_map(|bucket| Some((BatchId::parse(bucket["key"]["batch"].as_str()?).ok()?, bucket["doc_count"].as_u64()?))).collect())
    }

    /// Ids of a batch's documents, those of doubles twice.
    ///
    /// # Errors
    /// [`Error::Unavailable`], also where a part of the index does not answer.
    pub async fn ids_of_batch(&self, tenant: &TenantId, batch: BatchId) -> Result<Vec<LogId>> {
        let query = json!({ "size": MOST_IDS, "_source": false, "query": { "bool": { "filter": of_batch(tenant, batch) } } });
        let answer = self.whole_answer(tenant, &query).await?;
        let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(hits.iter().filter_map(|hit| LogId::parse(hit["_id"].as_str()?).ok()).collect())
    }

    /// As [`Index::try_whole_answer`], in a moment's time where a part does not answer: an index that was just made has shards that are
    /// not there yet.
    async fn whole_answer(&self, tenant: &TenantId, query: &Value) -> Result<Value> {
        let mut answer = self.try_whole_answer(tenant, query).await;
        for _ in 1..TRIES {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
            answer = self.try_whole_answer(tenant, query).await;
        }
        answer
    }

    /// An answer that every shard had a part in: half of one would make the rest look lost.
    async fn try_whole_answer(&self, tenant: &TenantId, query: &Value) -> Result<Value> {
        let path = format!("{}-*/_search", self.settings.prefix);
        let parameters = [("routing", tenant.as_str()), ("allow_no_indices", "true"), ("allow_partial_search_results", "false")];
        let answer = self.call(Method::Post, &path, &parameters, Some(query), DELETE_TIMEOUT).await?;
        if saw_all(&answer) { Ok(answer) } else { Err(Error::unavailable(Engine::OpenSearch, "a part of the index does not answer")) }
    }
}
