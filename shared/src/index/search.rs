//! Questions to the index: full text, one document, how much of a batch can be found.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::clause::{between, clause};
use super::{Answered, ENGINE_TIMEOUT, Index, SMALL_TIMEOUT, index_of_batch, index_of_day};
use crate::error::{Engine, Error, Result};
use crate::ids::{BatchId, LogId, TenantId};
use crate::query::{Order, Query, Scope};
use crate::range::Range;
use crate::record::Level;
use crate::timestamp::UnixMs;

/// Matches are counted up to here; past it the count is a lower bound.
const COUNT_UP_TO: u64 = 10_000;
/// The same for phrases. Word positions are not in the index: each log that has all the words is read to see whether they stand side by
/// side, and the latest 50 of a million took 2 s where 10,000 were counted (`scripts/bench search`).
const COUNT_PHRASES_UP_TO: u64 = 1_000;
/// Most text of a hit that is looked at for highlights, in characters: OpenSearch fails the whole search past a million.
const HIGHLIGHT_TEXT: usize = 500_000;
/// Most text of a page that is looked at: 80 ms for 600,000 characters were seen, and a page must not take seconds for its marks.
const HIGHLIGHT_TEXT_OF_PAGE: usize = 10_000_000;
/// Logs whose whole messages are fetched at once.
const SUMMARIES_AT_ONCE: usize = 50;
/// Characters of one highlight.
const FRAGMENT: u32 = 160;

/// Where a page of a search ended: timestamp and id of its last hit.
pub type Sort = (UnixMs, LogId);

/// What to search for.
#[derive(Debug, Clone)]
pub struct TextSearch<'a> {
    /// Among which logs.
    pub scope: &'a Scope,
    /// In which order.
    pub order: Order,
    /// The page before this one ended there, with this score where hits are ordered by it.
    pub after: Option<(Sort, f32)>,
    /// Hits wanted.
    pub limit: usize,
    /// Whether to show the matches: it costs most of a large page's time.
    pub highlights: bool,
}

/// One hit.
#[derive(Debug)]
pub struct Hit {
    /// The log's id.
    pub id: LogId,
    /// Its time, as the index has it.
    pub timestamp: UnixMs,
    /// How much of the query it holds; zero where hits are not ordered by it.
    pub score: f32,
    /// Fragments by field, HTML-escaped, matches in `<em>`.
    pub highlights: BTreeMap<String, Vec<String>>,
}

/// What the index holds of a log that a list shows.
#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    /// The log's id.
    pub id: LogId,
    /// Its own time.
    pub timestamp: UnixMs,
    /// The service.
    pub service: String,
    /// The level.
    pub level: Level,
    /// The whole message.
    pub message: String,
    /// Language of the program.
    pub language: Option<String>,
}

/// A page of hits.
#[derive(Debug)]
pub struct Found {
    /// The hits, in the order that was asked for.
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
    pub async fn search(&self, tenant: &TenantId, search: &TextSearch<'_>) -> Result<Found> {
        let Answered { answer, complete } = self.ask_everywhere(tenant, &search.body(tenant)).await?;
        let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Found {
            hits: hits.iter().filter_map(|found| hit(found, search.order)).collect(),
            total: answer["hits"]["total"]["value"].as_u64().unwrap_or_default(),
            exact: answer["hits"]["total"]["relation"] == "eq",
            complete,
        })
    }

    /// What lists show of these logs of a tenant, in no order: for when the rows cannot be had. Those that cannot be found are left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn summaries(&self, tenant: &TenantId, ids: &[LogId]) -> Result<Vec<Summary>> {
        let mut all = Vec::with_capacity(ids.len());
        // A message may have a megabyte.
        for some in ids.chunks(SUMMARIES_AT_ONCE) {
            let query = json!({
                "size": some.len(),
                "_source": ["id", "timestamp", "service", "level", "message", "language"],
                "query": { "bool": { "filter": [{ "term": { "tenant": tenant } }, { "ids": { "values": some } }] } },
            });
            let mut answer = self.ask_everywhere(tenant, &query).await?.answer;
            let hits = answer["hits"]["hits"].as_array_mut().map(std::mem::take).unwrap_or_default();
            all.extend(hits.into_iter().filter_map(|mut hit| serde_json::from_value::<Summary>(hit["_source"].take()).ok()));
        }
        Ok(all)
    }

    /// The document of a tenant's log, if it can be found.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn document(&self, tenant: &TenantId, id: LogId) -> Result<Option<Value>> {
        let path = format!("{}/_search", index_of_day(&self.settings.prefix, id));
        let mut answer = self.ask(tenant, &path, &Self::document_body(tenant, id), SMALL_TIMEOUT).await?;
        Ok(answer.pointer_mut("/hits/hits/0/_source").map(Value::take))
    }

    /// What [`Index::document`] asks, as JSON.
    #[must_use]
    pub fn document_body(tenant: &TenantId, id: LogId) -> Value {
        json!({ "size": 1, "query": { "bool": { "filter": [{ "term": { "tenant": tenant } }, { "ids": { "values": [id] } }] } } })
    }

    /// How many logs of a batch a search can find by now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_batch(&self, tenant: &TenantId, batch: BatchId) -> Result<u64> {
        let path = format!("{}/_count", index_of_batch(&self.settings.prefix, batch));
        let query = json!({ "query": { "bool": { "filter": of_batch(tenant, batch) } } });
        let answer = self.ask(tenant, &path, &query, SMALL_TIMEOUT).await?;
        answer["count"].as_u64().ok_or_else(|| Error::unavailable(Engine::OpenSearch, "a count without a number"))
    }
}

/// The documents of a batch. All have its time of receipt, which is looked up sooner than the batch: that has no terms of its own.
pub(super) fn of_batch(tenant: &TenantId, batch: BatchId) -> Value {
    json!([{ "term": { "tenant": tenant } }, { "term": { "received_at": batch.unix_ms() } }, { "term": { "batch_id": batch } }])
}

impl Scope {
    /// The clauses that every document of the scope matches, the query's own aside.
    fn filter(&self, tenant: &TenantId) -> Vec<Value> {
        let mut filter = vec![json!({ "term": { "tenant": tenant } }), json!({ "range": { "received_at": { "lte": self.received_up_to } } })];
        if self.horizon.index > 0 {
            filter.push(json!({ "range": { "received_at": { "gte": self.horizon.index } } }));
        }
        if self.range != Range::default() {
            filter.push(between("timestamp", self.range.from, self.range.to));
        }
        if !self.services.is_empty() {
            filter.push(json!({ "terms": { "service": self.services } }));
        }
        if !self.levels.is_empty() {
            filter.push(json!({ "terms": { "level": self.levels } }));
        }
        filter
    }

    /// The scope as a query; scored only where the order asks for it, since scores cost.
    pub(super) fn clause(&self, tenant: &TenantId, order: Order) -> Value {
        let mut filter = self.filter(tenant);
        let query = self.query.as_ref().map(|query| clause(query.root()));
        let must: Vec<Value> = if order == Order::Relevance {
            query.into_iter().collect()
        } else {
            filter.extend(query);
            Vec::new()
        };
        json!({ "bool": { "filter": filter, "must": must } })
    }
}

impl TextSearch<'_> {
    /// What the index is asked, as JSON. Seen outside for measurements, which ask the same without us.
    #[must_use]
    pub fn body(&self, tenant: &TenantId) -> Value {
        let direction = if self.order.is_ascending() { "asc" } else { "desc" };
        let mut sort = vec![json!({ "timestamp": direction }), json!({ "id": direction })];
        if self.order == Order::Relevance {
            sort.insert(0, json!({ "_score": "desc" }));
        }
        let mut body = json!({
            "size": self.limit,
            "track_total_hits": if self.scope.query.as_ref().is_some_and(Query::has_phrases) { COUNT_PHRASES_UP_TO } else { COUNT_UP_TO },
            "timeout": format!("{}ms", ENGINE_TIMEOUT.as_millis()),
            "query": self.scope.clause(tenant, self.order),
            "sort": sort,
        });
        if self.highlights {
            // What is read anyway is read once if it is asked for, and for each field again if it is not.
            body["_source"] = json!(["id"]);
            body["highlight"] = json!({
                "encoder": "html", "pre_tags": ["<em>"], "post_tags": ["</em>"], "max_analyzer_offset": HIGHLIGHT_TEXT.min(HIGHLIGHT_TEXT_OF_PAGE / self.limit.max(1)),
                "fragment_size": FRAGMENT, "number_of_fragments": 2, "fields": { "message": {}, "full_log": {} },
            });
        } else {
            // The sort values say which log it is: also `_id` lies in what is stored, and to get at it a block of documents is unpacked.
            body["stored_fields"] = json!("_none_");
        }
        if let Some(((timestamp, id), score)) = self.after {
            body["search_after"] = if self.order == Order::Relevance { json!([score, timestamp, id]) } else { json!([timestamp, id]) };
        }
        body
    }
}

fn hit(hit: &Value, order: Order) -> Option<Hit> {
    let fragments = |values: &Value| values.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    let highlights = hit["highlight"].as_object().into_iter().flatten().map(|(field, values)| (field.clone(), fragments(values))).collect();
    let sort = hit["sort"].as_array()?;
    let (score, place) = if order == Order::Relevance { (sort.first()?.as_f64()? as f32, sort.get(1..)?) } else { (0.0, sort.as_slice()) };
    let [timestamp, id] = place else { return None };
    Some(Hit { id: LogId::parse(id.as_str()?).ok()?, timestamp: timestamp.as_i64()?, score, highlights })
}
