//! What stands around a log in time: the lines before it and after it, of the same service or of all.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::error::{Error, Result};
use shared::ids::{LogId, TenantId};
use shared::query::Order;
use shared::retention::Horizon;
use shared::rows::{ListQuery, Row, Rows};
use utoipa::IntoParams;

use crate::honesty::Honesty;
use crate::page::{Log, Source, cut};
use crate::params::{Asked, ListParams, number};
use crate::select::Selection;

/// Lines on each side where nothing is sent, and the most.
const DEFAULT_LINES: usize = 10;
const MAX_LINES: usize = 200;

/// Parameters of a context.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContextParams {
    /// Logs before it.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 200, default = 10)]
    #[serde(deserialize_with = "shared::http::valued")]
    before: Option<String>,
    /// Logs after it.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 200, default = 10)]
    #[serde(deserialize_with = "shared::http::valued")]
    after: Option<String>,
    /// `service` for logs of its service only.
    #[param(value_type = Option<String>, example = "service")]
    same: Option<String>,
}

/// A log among its neighbours.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Context {
    /// Logs before it, the one next to it last.
    #[schema(value_type = Vec<Log>)]
    before: Vec<Value>,
    /// The log.
    log: Log,
    /// Logs after it, the one next to it first.
    #[schema(value_type = Vec<Log>)]
    after: Vec<Value>,
    /// Goes on before the first of them: a `cursor` for `GET /v1/logs`, with the same `service`; null where there is none.
    before_cursor: Option<String>,
    /// Goes on after the last of them: a `cursor` for `GET /v1/logs` with `sort=oldest` and the same `service`; null where there is none.
    after_cursor: Option<String>,
    /// What the answer is worth.
    #[serde(flatten)]
    honesty: Honesty,
}

/// How much of it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    before: usize,
    after: usize,
    same_service: bool,
}

impl ContextParams {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn wanted(&self) -> Result<Wanted> {
        let lines = |name: &str, sent: &Option<String>| number(name, sent.as_deref(), DEFAULT_LINES, 0..=MAX_LINES);
        let same_service = match self.same.as_deref() {
            None => false,
            Some("service") => true,
            Some(_) => return Err(Error::invalid("same", "not `service`")),
        };
        Ok(Wanted { before: lines("before", &self.before)?, after: lines("after", &self.after)?, same_service })
    }
}

/// # Errors
/// [`Error::NotFound`]; [`Error::Unavailable`].
pub(crate) async fn around(rows: &Rows, tenant: &TenantId, id: LogId, wanted: Wanted, (now_ms, horizon): (u64, Horizon)) -> Result<Context> {
    let began = Instant::now();
    let row = rows.by_id(tenant, id).await?.filter(|row| row.id.unix_ms() >= horizon.rows).ok_or(Error::NotFound("log"))?;
    let services = if wanted.same_service { vec![row.service.clone()] } else { Vec::new() };
    let (before, after) = tokio::try_join!(
        side(rows, tenant, &row, &services, Order::Newest, wanted.before, (now_ms, horizon)),
        side(rows, tenant, &row, &services, Order::Oldest, wanted.after, (now_ms, horizon))
    )?;
    let (mut earlier, before_cursor) = before;
    earlier.reverse();
    Ok(Context {
        before: earlier,
        log: row.into(),
        after: after.0,
        before_cursor,
        after_cursor: after.1,
        honesty: Honesty::new(Source::Postgres, true, None, began).since(horizon.rows),
    })
}

/// Logs on one side of a row, the nearest first, and the cursor behind them.
async fn side(
    rows: &Rows,
    tenant: &TenantId,
    row: &Row,
    services: &[String],
    order: Order,
    lines: usize,
    (now_ms, horizon): (u64, Horizon),
) -> Result<(Vec<Value>, Option<String>)> {
    // As if it had been a page of `GET /v1/logs` that ended with the log: so the cursor behind it is one of those.
    let sort = if order == Order::Oldest { "oldest" } else { "newest" };
    let asked = Asked::list(ListParams { service: services.to_vec(), sort: Some(sort.to_owned()), ..ListParams::default() }, now_ms)?.since(horizon);
    let query = ListQuery { scope: &asked.scope, ascending: order.is_ascending(), after: Some(row.position()), limit: lines + 1 };
    let found = rows.list(tenant, &query).await?.rows;
    if lines == 0 {
        let has_more = !found.is_empty();
        return Ok((Vec::new(), has_more.then(|| asked.cursor((row.timestamp, row.id), 0.0))));
    }
    let candidates = found.into_iter().map(|row| (((row.timestamp, row.id), 0.0), Some(Log::from(row))));
    let page = cut(candidates, lines, &Selection::default())?;
    Ok((page.logs, page.next.map(|(at, score)| asked.cursor(at, score))))
}
