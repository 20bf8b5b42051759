//! Lists: a tenant's rows, newest first. Postgres alone, and always complete.

use shared::error::Result;
use shared::ids::{BatchId, TenantId};
use shared::index::Sort;
use shared::rows::{ListQuery, Position, Row, Rows};
use uuid::Uuid;

use crate::page::{Log, Page, Source, cut};
use crate::params::Asked;

/// A page of a list.
///
/// # Errors
/// [`shared::error::Error::Unavailable`].
pub(crate) async fn list(rows: &Rows, tenant: &TenantId, asked: &Asked) -> Result<Page<Log>> {
    let found = rows.list(tenant, &rows_wanted(asked)).await?;
    let page = cut(found.into_iter().map(|row| candidate(row, Log::from)), asked.limit)?;
    Ok(Page::new(asked, page, Source::Postgres, true))
}

/// A row with its place in the order.
pub(crate) fn candidate<T>(row: Row, show: impl FnOnce(Row) -> T) -> (Sort, Option<T>) {
    ((row.timestamp, row.id), Some(show(row)))
}

/// What to ask the rows for: one more than the page holds, to know whether there is a next one.
pub(crate) fn rows_wanted(asked: &Asked) -> ListQuery {
    let texts = asked.filters.query.clone();
    let (containing, lacking) = texts.map(|query| (query.containing, query.lacking)).unwrap_or_default();
    ListQuery {
        from: asked.range.from,
        to: asked.range.to,
        services: asked.filters.services.clone(),
        levels: asked.filters.levels.clone(),
        containing,
        lacking,
        up_to: last_id(asked.received_up_to),
        after: asked.after.map(|(timestamp, id)| Position { timestamp, id: id.uuid() }),
        limit: i64::try_from(asked.limit + 1).unwrap_or(i64::MAX),
    }
}

/// The highest id of what was received up to this millisecond.
fn last_id(unix_ms: u64) -> Uuid {
    Uuid::from_u128(BatchId::floor(unix_ms).as_u128() | ((1 << 80) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_id_of_a_millisecond_lies_between_its_own_and_those_of_the_next() {
        let ms = 1_760_099_196_000;
        assert!(BatchId::new(ms).log(u16::MAX).uuid() <= last_id(ms));
        assert!(BatchId::new(ms + 1).uuid() > last_id(ms));
        assert_eq!(last_id((1 << 48) - 1), Uuid::max());
    }
}
