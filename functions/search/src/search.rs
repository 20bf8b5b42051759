//! Full-text search: the index gives ids, Postgres the rows.
//!
//! A hit without a row is left out, since it was deleted or is not stored yet; the cursor goes on from the last hit all the
//! same. Where OpenSearch does not answer, the beginnings of messages in the rows are searched instead, and the answer says
//! so. Both go by one order and one form of cursor, so the engine may come and go between two pages.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use shared::error::{Engine, Error, Result, chain};
use shared::ids::{LogId, TenantId};
use shared::index::{Found, Hit, Index, TextSearch};
use shared::rows::{Row, Rows};

use crate::highlight::bounded;
use crate::list::{candidate, rows_wanted};
use crate::page::{Log, Page, Source, cut};
use crate::params::Asked;

/// One log that was found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FoundLog {
    #[serde(flatten)]
    log: Log,
    /// Fragments around the matches, by field: HTML-escaped, the matches in `<em>`.
    highlights: BTreeMap<String, Vec<String>>,
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
/// [`Error::Unavailable`] where Postgres does not answer.
pub(crate) async fn search(rows: &Rows, index: &Index, tenant: &TenantId, asked: &Asked) -> Result<SearchPage> {
    match index.search(tenant, &text_wanted(asked)).await {
        Ok(found) => with_rows(rows, tenant, asked, found).await,
        Err(error @ Error::Unavailable { engine: Engine::OpenSearch, .. }) => {
            tracing::warn!(cause = chain(&error), "the index does not answer: searching messages in the rows");
            in_messages(rows, tenant, asked).await
        }
        Err(error) => Err(error),
    }
}

/// What to ask the index for: one hit more than the page holds, to know whether there is a next one.
fn text_wanted(asked: &Asked) -> TextSearch {
    let texts = asked.filters.query.clone();
    let (containing, lacking) = texts.map(|query| (query.containing, query.lacking)).unwrap_or_default();
    TextSearch {
        containing,
        lacking,
        from: asked.range.from,
        to: asked.range.to,
        services: asked.filters.services.clone(),
        levels: asked.filters.levels.clone(),
        received_up_to: asked.received_up_to,
        after: asked.after,
        limit: asked.limit + 1,
    }
}

async fn with_rows(rows: &Rows, tenant: &TenantId, asked: &Asked, found: Found) -> Result<SearchPage> {
    let ids: Vec<_> = found.hits.iter().take(asked.limit).map(|hit| hit.id.uuid()).collect();
    let (read, has_pending) = tokio::try_join!(rows.by_ids(tenant, &ids), rows.has_pending(tenant))?;
    let mut by_id: HashMap<LogId, Row> = read.into_iter().map(|row| (row.id, row)).collect();
    let join = |hit: Hit| ((hit.timestamp, hit.id), by_id.remove(&hit.id).map(|row| FoundLog { log: row.into(), highlights: bounded(hit.highlights) }));
    let page = cut(found.hits.into_iter().map(join), asked.limit)?;
    let total = Total { value: found.total, relation: if found.exact { Relation::Eq } else { Relation::Gte } };
    Ok(SearchPage { page: Page::new(asked, page, Source::OpenSearch, found.complete && !has_pending), total })
}

async fn in_messages(rows: &Rows, tenant: &TenantId, asked: &Asked) -> Result<SearchPage> {
    let found = rows.list(tenant, &rows_wanted(asked)).await?;
    let show = |row: Row| FoundLog { log: row.into(), highlights: BTreeMap::new() };
    let page = cut(found.into_iter().map(|row| candidate(row, show)), asked.limit)?;
    let total = Total { value: page.logs.len() as u64, relation: Relation::Gte };
    Ok(SearchPage { page: Page::new(asked, page, Source::Postgres, false), total })
}
