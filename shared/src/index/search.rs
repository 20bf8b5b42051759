//! Questions to the index: full text, one document, how much of a batch can be found.

use std::collections::BTreeMap;

use opensearch::http::Method;
use serde_json::{Value, json};

use super::{Index, QUERY_TIMEOUT, SMALL_TIMEOUT, index_of_batch, index_of_day};
use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, LogId, TenantId};
use crate::record::Level;
use crate::timestamp::UnixMs;

/// Matches are counted up to here; past it the count is a lower bound.
const COUNT_UP_TO: u64 = 10_000;
/// Most text of a hit that is looked at for highlights, in characters: OpenSearch fails the whole search past a million.
const HIGHLIGHT_TEXT: usize = 500_000;
/// Most text of a page that is looked at: 80 ms for 600,000 characters were seen, and a page must not take seconds for its marks.
const HIGHLIGHT_TEXT_OF_PAGE: usize = 10_000_000;
/// Characters of one highlight.
const FRAGMENT: u32 = 160;

/// Where a page of a search ended: timestamp and id of its last hit.
pub type Sort = (UnixMs, LogId);

/// What to search for, newest first.
#[derive(Debug, Clone)]
pub struct TextSearch {
    /// Each of these, as a phrase, is in `message` or `full_log`.
    pub containing: Vec<String>,
    /// None of these is.
    pub lacking: Vec<String>,
    /// First moment, included.
    pub from: Option<UnixMs>,
    /// Last moment, not included.
    pub to: Option<UnixMs>,
    /// Any of these services; none stands for all.
    pub services: Vec<String>,
    /// Any of these levels; none stands for all.
    pub levels: Vec<Level>,
    /// Logs that were received later came after the first page, and stay out of the later ones too.
    pub received_up_to: u64,
    /// The page before this one ended there.
    pub after: Option<Sort>,
    /// Hits wanted.
    pub limit: usize,
}

/// One hit.
#[derive(Debug)]
pub struct Hit {
    /// The log's id.
    pub id: LogId,
    /// Its time, as the index has it.
    pub timestamp: UnixMs,
    /// Fragments by field, HTML-escaped, matches in `<em>`.
    pub highlights: BTreeMap<String, Vec<String>>,
}

/// A page of hits.
#[derive(Debug)]
pub struct Found {
    /// The hits, newest first.
    pub hits: Vec<Hit>,
    /// Matches counted.
    pub total: u64,
    /// Whether `total` is exact, not a lower bound.
    pub exact: bool,
    /// Whether every shard answered in time.
    pub complete: bool,
}

impl Index {
    /// Searches a tenant's logs.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn search(&self, tenant: &TenantId, search: &TextSearch) -> Result<Found> {
        let path = format!("{}-*/_search", self.settings.prefix);
        let parameters = [("routing", tenant.as_str()), ("ignore_unavailable", "true"), ("allow_no_indices", "true")];
        let answer = self.call(Method::Post, &path, &parameters, Some(&search.body(tenant)), QUERY_TIMEOUT).await?;
        let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Found {
            hits: hits.iter().filter_map(hit).collect(),
            total: answer["hits"]["total"]["value"].as_u64().unwrap_or_default(),
            exact: answer["hits"]["total"]["relation"] == "eq",
            complete: answer["timed_out"] == false && answer["_shards"]["failed"] == 0,
        })
    }

    /// The document of a tenant's log, if it can be found.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn document(&self, tenant: &TenantId, id: LogId) -> Result<Option<Value>> {
        let path = format!("{}/_search", index_of_day(&self.settings.prefix, id));
        let parameters = [("routing", tenant.as_str()), ("ignore_unavailable", "true"), ("allow_no_indices", "true")];
        let query = json!({ "size": 1, "query": { "bool": { "filter": [{ "term": { "tenant": tenant } }, { "ids": { "values": [id] } }] } } });
        let mut answer = self.call(Method::Post, &path, &parameters, Some(&query), SMALL_TIMEOUT).await?;
        Ok(answer.pointer_mut("/hits/hits/0/_source").map(Value::take))
    }

    /// How many logs of a batch a search can find by now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_batch(&self, tenant: &TenantId, batch: BatchId) -> Result<u64> {
        let path = format!("{}/_count", index_of_batch(&self.settings.prefix, batch));
        let parameters = [("routing", tenant.as_str()), ("ignore_unavailable", "true"), ("allow_no_indices", "true")];
        let query = json!({ "query": { "bool": { "filter": [{ "term": { "tenant": tenant } }, { "term": { "batch_id": batch } }] } } });
        let answer = self.call(Method::Post, &path, &parameters, Some(&query), SMALL_TIMEOUT).await?;
        answer["count"].as_u64().ok_or_else(|| Error::unavailable(Engine::OpenSearch, "a count without a number"))
    }
}

impl TextSearch {
    fn body(&self, tenant: &TenantId) -> Value {
        let phrase = |text: &String| json!({ "multi_match": { "query": text, "type": "phrase", "fields": ["message", "full_log"] } });
        let mut filter = vec![json!({ "term": { "tenant": tenant } }), json!({ "range": { "received_at": { "lte": self.received_up_to } } })];
        if self.from.is_some() || self.to.is_some() {
            let bounds: serde_json::Map<_, _> = [("gte", self.from), ("lt", self.to)].into_iter().filter_map(|(name, at)| Some((name.to_owned(), json!(at?)))).collect();
            filter.push(json!({ "range": { "timestamp": bounds } }));
        }
        if !self.services.is_empty() {
            filter.push(json!({ "terms": { "service": self.services } }));
        }
        if !self.levels.is_empty() {
            filter.push(json!({ "terms": { "level": self.levels } }));
        }
        let must: Vec<Value> = self.containing.iter().map(phrase).collect();
        let must_not: Vec<Value> = self.lacking.iter().map(phrase).collect();
        let mut body = json!({
            "size": self.limit,
            "_source": false,
            "track_total_hits": COUNT_UP_TO,
            "query": { "bool": { "filter": filter, "must": must, "must_not": must_not } },
            "sort": [{ "timestamp": "desc" }, { "id": "desc" }],
            "highlight": {
                "encoder": "html", "pre_tags": ["<em>"], "post_tags": ["</em>"], "max_analyzer_offset": HIGHLIGHT_TEXT.min(HIGHLIGHT_TEXT_OF_PAGE / self.limit.max(1)),
                "fragment_size": FRAGMENT, "number_of_fragments": 2, "fields": { "message": {}, "full_log": {} },
            },
        });
        if let Some((timestamp, id)) = self.after {
            body["search_after"] = json!([timestamp, id]);
        }
        body
    }
}

fn hit(hit: &Value) -> Option<Hit> {
    let fragments = |values: &Value| values.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    let highlights = hit["highlight"].as_object().into_iter().flatten().map(|(field, values)| (field.clone(), fragments(values))).collect();
    Some(Hit { id: LogId::parse(hit["_id"].as_str()?).ok()?, timestamp: hit["sort"][0].as_i64()?, highlights })
}
