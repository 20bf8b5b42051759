//! Lists: a tenant's rows. Postgres alone, and always complete.

use std::time::Instant;

use shared::error::Result;
use shared::ids::TenantId;
use shared::index::Sort;
use shared::rows::{ListQuery, Position, Row, Rows};

use crate::honesty::Honesty;
use crate::page::{Log, Page, Source, cut};
use crate::params::Asked;

/// A page of a list.
///
/// # Errors
/// [`shared::error::Error::Unavailable`].
pub(crate) async fn list(rows: &Rows, tenant: &TenantId, asked: &Asked) -> Result<Page<Log>> {
    let began = Instant::now();
    let found = rows.list(tenant, &rows_wanted(asked)).await?.rows;
    let page = cut(found.into_iter().map(|row| candidate(row, Log::from)), asked.limit, &asked.fields)?;
    Ok(Page::new(asked, page, Honesty::new(Source::Postgres, true, None, began).since(asked.scope.horizon.rows)))
}

/// A row with its place in the order.
pub(crate) fn candidate<T>(row: Row, show: impl FnOnce(Row) -> T) -> ((Sort, f32), Option<T>) {
    (((row.timestamp, row.id), 0.0), Some(show(row)))
}

/// What to ask the rows for: one more than the page holds, to know whether there is a next one.
pub(crate) fn rows_wanted(asked: &Asked) -> ListQuery<'_> {
    ListQuery {
        scope: &asked.scope,
        ascending: asked.order.is_ascending(),
        after: asked.after.map(|((timestamp, id), _)| Position { timestamp, id: id.uuid() }),
        limit: asked.limit + 1,
    }
}
