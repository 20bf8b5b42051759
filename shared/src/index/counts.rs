//! Counting in the index: bars over time, values of fields, attributes that there are.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answered, ENGINE_TIMEOUT, Index};
use crate::error::Result;
use crate::ids::TenantId;
use crate::query::{Bars, Counted, Counts, Facet, FacetField, Order, Scope, VALUES_OF_A_BAR};

/// Values that each shard answers with, so that what is frequent in all is not missed because it is not in one.
const SHARD_VALUES: usize = 1_000;
/// Logs that are looked at for the attributes that there are.
const LOOKED_AT: usize = 1_000;

impl Index {
    /// Counts a tenant's logs in bars of time.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn histogram(&self, tenant: &TenantId, scope: &Scope, bars: &Bars) -> Result<Counted> {
        let Answered { answer, complete } = self.ask_everywhere(tenant, &Self::histogram_body(tenant, scope, bars)).await?;
        let found = answer["aggregations"]["bars"]["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Counted { bars: found.iter().filter_map(|bar| Some((bar["key"].as_i64()?, counts_of(bar)?))).collect(), complete })
    }

    /// What [`Index::histogram`] asks, as JSON.
    #[must_use]
    pub fn histogram_body(tenant: &TenantId, scope: &Scope, bars: &Bars) -> Value {
        let mut over_time = json!({ "date_histogram": { "field": "timestamp", "fixed_interval": format!("{}ms", bars.interval_ms), "min_doc_count": 1 } });
        if let Some(by) = bars.by {
            over_time["aggs"] = json!({ "by": { "terms": { "field": by.name(), "size": VALUES_OF_A_BAR } } });
        }
        json!({
            "size": 0,
            "track_total_hits": false,
            "timeout": format!("{}ms", ENGINE_TIMEOUT.as_millis()),
            "query": scope.clause(tenant, Order::Newest),
            "aggs": { "bars": over_time },
        })
    }

    /// Counts the values of some fields over a tenant's logs.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn facets(&self, tenant: &TenantId, scope: &Scope, fields: &[FacetField], limit: usize) -> Result<(Vec<Facet>, u64, bool)> {
        let Answered { answer, complete } = self.ask_everywhere(tenant, &Self::facets_body(tenant, scope, fields, limit)).await?;
        let facet = |(n, field): (usize, &FacetField)| {
            let found = &answer["aggregations"][n.to_string()];
            let value = |bucket: &Value| {
                let key = bucket["key"].as_str()?;
                let value = match field {
                    FacetField::Record(_) => key,
                    FacetField::Attribute(path) => key.strip_prefix(path.as_str())?.strip_prefix('=')?,
                };
                Some((value.to_owned(), bucket["doc_count"].as_u64()?))
            };
            let values = found["buckets"].as_array().into_iter().flatten().filter_map(value).collect();
            Facet { other: found["sum_other_doc_count"].as_u64().unwrap_or_default(), ..Facet::top(values, limit) }
        };
        let total = answer["hits"]["total"]["value"].as_u64().unwrap_or_default();
        Ok((fields.iter().enumerate().map(facet).collect(), total, complete))
    }

    /// What [`Index::facets`] asks, as JSON.
    #[must_use]
    pub fn facets_body(tenant: &TenantId, scope: &Scope, fields: &[FacetField], limit: usize) -> Value {
        let terms = |field: &FacetField| match field {
            FacetField::Record(field) => json!({ "terms": { "field": field.name(), "size": limit, "shard_size": SHARD_VALUES } }),
            FacetField::Attribute(path) => json!({ "terms": { "field": "attributes", "include": format!("{}=.*", literally(path)), "size": limit, "shard_size": SHARD_VALUES } }),
        };
        let aggregations: serde_json::Map<_, _> = fields.iter().enumerate().map(|(n, field)| (n.to_string(), terms(field))).collect();
        json!({
            "size": 0,
            "track_total_hits": true,
            "timeout": format!("{}ms", ENGINE_TIMEOUT.as_millis()),
            "query": scope.clause(tenant, Order::Newest),
            "aggs": aggregations,
        })
    }

    /// The paths of attributes that a tenant's latest logs have, of those received since a moment in milliseconds since 1970: how many of those logs have each, and whether all its values are numbers;
    /// and how many logs were looked at.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn attribute_paths(&self, tenant: &TenantId, since_ms: u64) -> Result<(BTreeMap<String, SeenPath>, u64)> {
        let body = json!({
            "size": LOOKED_AT,
            "_source": ["attributes", "attribute_numbers"],
            "track_total_hits": false,
            "query": { "bool": { "filter": [{ "term": { "tenant": tenant } }, { "exists": { "field": "attributes" } }, { "range": { "received_at": { "gte": since_ms } } }] } },
            "sort": [{ "timestamp": "desc" }],
        });
        let answer = self.ask_everywhere(tenant, &body).await?.answer;
        let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut seen = BTreeMap::<String, SeenPath>::new();
        for hit in hits {
            let paths_in =
                |field: &str| hit["_source"][field].as_array().into_iter().flatten().filter_map(|entry| entry.as_str()?.split_once('=')).map(|(path, _)| path).collect::<Vec<_>>();
            let (mut texts, numbers) = (paths_in("attributes"), paths_in("attribute_numbers"));
            let count = |paths: &[&str], wanted: &str| paths.iter().filter(|path| **path == wanted).count();
            let all = texts.clone();
            texts.sort_unstable();
            texts.dedup();
            for path in texts {
                let is_number = count(&all, path) == count(&numbers, path);
                let entry = seen.entry(path.to_owned()).or_insert(SeenPath { logs: 0, is_number: true });
                entry.logs += 1;
                entry.is_number &= is_number;
            }
        }
        Ok((seen, hits.len() as u64))
    }
}

/// What is known of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenPath {
    /// Logs that have it, of those looked at.
    pub logs: u64,
    /// Whether all its values are numbers.
    pub is_number: bool,
}

fn counts_of(bar: &Value) -> Option<Counts> {
    let values = bar["by"]["buckets"].as_array().into_iter().flatten();
    let by = values.filter_map(|value| Some((value["key"].as_str()?.to_owned(), value["doc_count"].as_u64()?))).collect();
    Some(Counts { total: bar["doc_count"].as_u64()?, by })
}

/// Characters that mean something in a regular expression of Lucene.
fn literally(text: &str) -> String {
    text.chars().flat_map(|c| (!c.is_alphanumeric() && c != '_').then_some('\\').into_iter().chain([c])).collect()
}
