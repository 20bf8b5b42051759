//! Full-text search: the index gives ids, Postgres the rows.
//!
//! A hit without a row is left out, since it was deleted or is not stored yet; the cursor goes on from the last hit all the
//! same. Where OpenSearch does not answer, the beginnings of messages in the rows are searched instead, and the answer says
//! so. Both go by one order and one form of cursor, so the engine may come and go between two pages. Only relevance is the index'
//! alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::Serialize;
use shared::error::{Engine, Error, Result, chain};
use shared::ids::{LogId, TenantId};
use shared::index::{Found, Hit, Index, TextSearch};
use shared::query::{Order, Scope};
use shared::retention::Horizon;
use shared::rows::{ListQuery, Row, Rows};

use crate::highlight::{bounded, offsets};
use crate::honesty::Honesty;
use crate::list::{candidate, rows_wanted};
use crate::page::{Log, Page, Source, cut};
use crate::params::Asked;

/// One log that was found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FoundLog {
    #[serde(flatten)]
    log: Log,
    /// Fragments around the matches, by field: HTML-escaped, the matches in `<em>`.
    #[schema(required = false)]
    highlights: BTreeMap<String, Vec<String>>,
    /// Where the matches lie in each fragment: pairs of the first character and the one after the last, in characters of the fragment
    /// without marks and escapes.
    #[schema(required = false)]
    highlight_offsets: BTreeMap<String, Vec<Vec<[usize; 2]>>>,
}

/// Whether a total is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Relation {
    /// As many.
    Eq,
    /// As many, or more.
    Gte,
}

/// How many logs match, over all pages.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Total {
    /// Logs counted.
    value: u64,
    /// Whether that is all of them.
    relation: Relation,
}

/// A page of a search.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SearchPage {
    #[serde(flatten)]
    page: Page<FoundLog>,
    /// How many match.
    total: Total,
}

/// A page of a search.
///
/// # Errors
/// [`Error::Unavailable`] where neither store answers, or the index does not and the rows lack a field that is asked for.
pub(crate) async fn search(rows: &Rows, index: &Index, tenant: &TenantId, asked: &Asked, now_ms: u64) -> Result<SearchPage> {
    let began = Instant::now();
    let highlights = asked.fields.has("highlights") || asked.fields.has("highlight_offsets");
    let wanted = TextSearch { scope: &asked.scope, order: asked.order, after: asked.after, limit: asked.limit + 1, highlights };
    // What the index misses is asked for first: what is made up for meanwhile may not show yet.
    let pending = rows.oldest_pending(tenant).await;
    match index.search(tenant, &wanted).await {
        Ok(found) => with_rows(rows, index, tenant, asked, found, pending, Clock { began, now_ms }).await,
        Err(error @ Error::Unavailable { engine: Engine::OpenSearch, .. }) => {
            let is_beyond_rows = asked.scope.query.as_ref().is_some_and(|query| query.field_beyond_rows().is_some());
            // Rows have no scores: a page of theirs would not go on where one of the index ended.
            if is_beyond_rows || asked.order == Order::Relevance {
                return Err(error);
            }
            tracing::warn!(cause = chain(&error), "the index does not answer: searching messages in the rows");
            in_messages(rows, tenant, asked, began).await
        }
        Err(error) => Err(error),
    }
}

async fn with_rows(rows: &Rows, index: &Index, tenant: &TenantId, asked: &Asked, found: Found, pending: Result<Option<u64>>, clock: Clock) -> Result<SearchPage> {
    let ids: Vec<LogId> = found.hits.iter().take(asked.limit).map(|hit| hit.id).collect();
    let uuids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    // Where Postgres did not answer just now, it is not waited for again.
    let (read, pending) = match pending {
        Ok(pending) => (rows.by_ids(tenant, &uuids).await, Some(pending)),
        Err(error) => (Err(error), None),
    };
    let logs = match read {
        Ok(read) => read.into_iter().map(Log::from).collect::<Vec<_>>(),
        Err(error @ Error::Unavailable { engine: Engine::Rows, .. }) => {
            tracing::warn!(cause = chain(&error), "the rows do not answer: showing what the index holds");
            index.summaries(tenant, &ids).await?.into_iter().map(Log::from).collect()
        }
        Err(error) => return Err(error),
    };
    let mut by_id: HashMap<LogId, Log> = logs.into_iter().map(|log| (log.id, log)).collect();
    let join = |hit: Hit| {
        let place = ((hit.timestamp, hit.id), hit.score);
        (place, by_id.remove(&hit.id).map(|log| FoundLog::new(log, bounded(hit.highlights))))
    };
    let page = cut(found.hits.into_iter().map(join), asked.limit, &asked.fields)?;
    let total = Total { value: found.total, relation: if found.exact { Relation::Eq } else { Relation::Gte } };
    let honesty = Honesty::of_index(pending, found.complete, clock.now_ms, clock.began).since(asked.scope.horizon.index);
    Ok(SearchPage { page: Page::new(asked, page, honesty), total })
}

/// When a search began, and what time it was by the clock that logs are received by.
#[derive(Debug, Clone, Copy)]
struct Clock {
    began: Instant,
    now_ms: u64,
}

async fn in_messages(rows: &Rows, tenant: &TenantId, asked: &Asked, began: Instant) -> Result<SearchPage> {
    // What is out of the index stays out where rows answer in its place.
    let scope = Scope { horizon: Horizon { rows: asked.scope.horizon.index, ..asked.scope.horizon }, ..asked.scope.clone() };
    let found = rows.list(tenant, &ListQuery { scope: &scope, ..rows_wanted(asked) }).await?;
    let show = |row: Row| FoundLog::new(row.into(), BTreeMap::new());
    let mut page = cut(found.rows.into_iter().map(|row| candidate(row, show)), asked.limit, &asked.fields)?;
    // Where looking ended for want of time, the next page looks on from there.
    let on_from = found.unfinished.and_then(|at| Some(((at.timestamp, LogId::try_from(at.id).ok()?), 0.0)));
    page.next = page.next.or(on_from);
    let total = Total { value: page.logs.len() as u64, relation: Relation::Gte };
    Ok(SearchPage { page: Page::new(asked, page, Honesty::new(Source::Postgres, false, None, began).since(asked.scope.horizon.index)), total })
}

impl FoundLog {
    fn new(log: Log, highlights: BTreeMap<String, Vec<String>>) -> Self {
        let highlight_offsets = highlights.iter().map(|(field, fragments)| (field.clone(), fragments.iter().map(|fragment| offsets(fragment)).collect())).collect();
        Self { log, highlights, highlight_offsets }
    }
}
