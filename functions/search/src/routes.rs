//! The routes of search.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use shared::auth::{Caller, Read, ReadReceipt};
use shared::error::{Error, Result};
use shared::http::Params;
use shared::ids::{BatchId, LogId};
use shared::problem::Problem;
use utoipa::IntoResponses;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::batch::{self, BatchParams, BatchStatus};
use crate::concurrency::{Reader, Streamer};
use crate::context::{self, Context, ContextParams};
use crate::detail::{self, Detail, DetailParams};
use crate::export::{self, ExportParams};
use crate::facets::{self, FacetParams, Facets, FieldsSeen};
use crate::histogram::{self, Histogram, HistogramParams};
use crate::list;
use crate::page::{Log, Page};
use crate::params::{Asked, ListParams, SearchParams};
use crate::search::{self, SearchPage};
use crate::tail::{self, TailParams, Tailed};
use crate::watermark::{self, Watermark};

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// No valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Our own mistake
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`, `object_store_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// List logs
///
/// Later pages show what was there when the first was read: logs that come in meanwhile stay out.
#[utoipa::path(
    get, path = "/v1/logs", tag = "logs", security(("api_key" = ["logs:read"])), params(ListParams),
    responses(
        (status = 200, description = "A page of logs", body = Page<Log>),
        (status = 422, description = "A parameter is wrong, `errors` says which; or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_queries`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn list_logs(State(app): State<App>, reader: Reader, Params(params): Params<ListParams>) -> Result<Json<Page<Log>>> {
    let asked = Asked::list(params, app.queue.now_ms())?.since(reader.horizon);
    list::list(&app.rows, &reader.tenant, &asked).await.map(Json)
}

/// Search logs
///
/// In one line of a query language. While the index is down, the beginnings of messages are searched
/// instead: then `source` is `postgres`, `complete` false, and there are no highlights. `complete` is also false while the index
/// misses logs that are stored, or a part of it did not answer.
#[utoipa::path(
    get, path = "/v1/search", tag = "logs", security(("api_key" = ["logs:read"])), params(SearchParams),
    responses(
        (status = 200, description = "A page of hits", body = SearchPage),
        (status = 422, description = "A parameter is wrong, `errors` says which; or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_queries`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn search_logs(State(app): State<App>, reader: Reader, Params(params): Params<SearchParams>) -> Result<Json<SearchPage>> {
    let asked = Asked::search(params, app.queue.now_ms())?.since(reader.horizon);
    let page = search::search(&app.rows, &app.index, &reader.tenant, &asked, app.queue.now_ms()).await?;
    count(&app, &reader);
    Ok(Json(page))
}

/// Count logs over time
///
/// In at most 120 bars, those without logs included. Without `q` the rows are counted, exact; with it, or where they do not answer, the index.
#[utoipa::path(
    get, path = "/v1/histogram", tag = "logs", security(("api_key" = ["logs:read"])), params(HistogramParams),
    responses(
        (status = 200, description = "Bars, the oldest first", body = Histogram),
        (status = 422, description = "A parameter is wrong, `errors` says which; `invalid_query` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_queries`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn count_logs(State(app): State<App>, reader: Reader, Params(params): Params<HistogramParams>) -> Result<Json<Histogram>> {
    let now_ms = app.queue.now_ms();
    let asked = histogram::Asked::read(params, now_ms, reader.horizon)?;
    let bars = histogram::histogram(&app.rows, &app.index, &reader.tenant, &asked, now_ms).await?;
    count(&app, &reader);
    Ok(Json(bars))
}

/// Count the values of fields
///
/// The most frequent ones. Without `q` and attributes the rows are counted, exact; else, or where they do not answer, the index.
#[utoipa::path(
    get, path = "/v1/facets", tag = "logs", security(("api_key" = ["logs:read"])), params(FacetParams),
    responses(
        (status = 200, description = "Values by field, the most frequent first", body = Facets),
        (status = 422, description = "A parameter is wrong, `errors` says which; `invalid_query` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_queries`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn count_values(State(app): State<App>, reader: Reader, Params(params): Params<FacetParams>) -> Result<Json<Facets>> {
    let now_ms = app.queue.now_ms();
    let asked = facets::Asked::read(params, now_ms, reader.horizon)?;
    let facets = facets::facets(&app.rows, &app.index, &reader.tenant, &asked, now_ms).await?;
    count(&app, &reader);
    Ok(Json(facets))
}

/// List fields
///
/// Those of every record, and the attributes of the latest thousand logs that have any.
#[utoipa::path(
    get, path = "/v1/fields", tag = "logs", security(("api_key" = ["logs:read"])),
    responses(
        (status = 200, description = "Fields and how they are compared", body = FieldsSeen),
        (status = 429, description = "`too_many_queries`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn list_fields(State(app): State<App>, reader: Reader) -> Result<Json<FieldsSeen>> {
    facets::fields(&app.rows, &app.index, &reader.tenant, reader.horizon, app.queue.now_ms()).await.map(Json)
}

/// Read what stands around a log
///
/// Its neighbours in time.
#[utoipa::path(
    get, path = "/v1/logs/{id}/context", tag = "logs", security(("api_key" = ["logs:read"])),
    params(("id" = uuid::Uuid, Path, description = "Id of the log"), ContextParams),
    responses(
        (status = 200, description = "The log and its neighbours", body = Context),
        (status = 404, description = "There is no such log, or it is not stored yet", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_queries`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn read_context(State(app): State<App>, reader: Reader, Path(id): Path<String>, Params(params): Params<ContextParams>) -> Result<Json<Context>> {
    let wanted = params.wanted()?;
    let id = LogId::parse(&id).map_err(|_| Error::NotFound("log"))?;
    context::around(&app.rows, &reader.tenant, id, wanted, (app.queue.now_ms(), reader.horizon)).await.map(Json)
}

/// Read the watermark
///
/// The moment before which everything that was sent can be searched.
#[utoipa::path(
    get, path = "/v1/watermark", tag = "logs", security(("api_key" = ["logs:read"])),
    responses((status = 200, description = "The watermark", body = Watermark), Refusals)
)]
async fn read_watermark(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Watermark>> {
    watermark::watermark(&app.rows, &app.index, &app.queue, &caller.tenant).await.map(Json)
}

/// Follow logs
///
/// In the order of receipt, from now on or from where the reader was, some two seconds after they were received: nothing is left out that is
/// not told as a gap. With `Accept: text/event-stream` as server-sent events `log`, `gap`, `heartbeat` (every ten seconds of silence) and `waiting` (for an engine),
/// each with the place to go on from as its id; else the logs since `cursor`, as soon as there are some.
#[utoipa::path(
    get, path = "/v1/tail", tag = "logs", security(("api_key" = ["logs:read"])),
    params(TailParams, ("Last-Event-ID" = Option<String>, Header, description = "The place that the last event told")),
    responses(
        (status = 200, description = "What came in", content((Tailed = "application/json"), (String = "text/event-stream"))),
        (status = 422, description = "A parameter is wrong, `errors` says which; `invalid_query` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_streams`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn tail_logs(State(app): State<App>, streamer: Streamer, headers: HeaderMap, Params(params): Params<TailParams>) -> Result<Response> {
    let last_event = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("not ASCII")).filter(|id| !id.is_empty());
    let asked = tail::Asked::read(params, last_event, app.queue.now_ms(), streamer.horizon(app.queue.now_ms()))?;
    if tail::wants_events(&headers) {
        return Ok(tail::events(&app, streamer, asked));
    }
    let tailed = tail::tail(&app, streamer.tenant(), asked).await?;
    Ok(Json(tailed).into_response())
}

/// Export logs
///
/// All that are meant, whole, by their own time. An answer that breaks off is taken up with `cursor` (from `x-export-cursor`) and `after` (the id of
/// the last log that came whole); one with `x-export-next` goes on with that as `cursor`.
#[utoipa::path(
    get, path = "/v1/export", tag = "logs", security(("api_key" = ["logs:read"])), params(ExportParams),
    responses(
        (
            status = 200, description = "The logs", content((String = "application/x-ndjson"), (String = "text/csv")),
            headers(
                ("x-export-cursor" = String, description = "Fixes which logs belong to the export"),
                ("x-export-up-to" = String, description = "All that was received up to this moment belongs to it"),
                ("x-export-next" = Option<String>, description = "Cursor of the rest, where the answer ends before the export does"),
            )
        ),
        (status = 422, description = "A parameter is wrong, `errors` says which; `invalid_query` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_streams`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn export_logs(State(app): State<App>, streamer: Streamer, Params(params): Params<ExportParams>) -> Result<Response> {
    let wanted = export::Wanted::read(params, app.queue.now_ms(), streamer.horizon(app.queue.now_ms()))?;
    let (tenant, key_id) = (streamer.tenant().clone(), streamer.key_id());
    let answer = export::export(&app, streamer, wanted).await?;
    app.searches.count(&tenant, key_id, app.queue.now_ms());
    Ok(answer)
}

/// Read a log
///
/// Whole, with the record as it was sent.
#[utoipa::path(
    get, path = "/v1/logs/{id}", tag = "logs", security(("api_key" = ["logs:read"])),
    params(("id" = uuid::Uuid, Path, description = "Id of the log"), DetailParams),
    responses(
        (status = 200, description = "The log", body = Detail),
        (status = 404, description = "There is no such log, or it is not stored yet", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn read_log(State(app): State<App>, caller: Caller<Read>, Path(id): Path<String>, Params(params): Params<DetailParams>) -> Result<Json<Detail>> {
    let wanted = params.wanted()?;
    let id = LogId::parse(&id).map_err(|_| Error::NotFound("log"))?;
    let kept_from = caller.retention().horizon(app.queue.now_ms()).rows;
    let row = app.rows.by_id(&caller.tenant, id).await?.filter(|row| row.id.unix_ms() >= kept_from).ok_or(Error::NotFound("log"))?;
    detail::read(&app.index, &app.archive, &caller.tenant, row, wanted).await.map(Json)
}

/// Read what became of a batch
///
/// At once, or when it has come as far as `wait` says: so a program reads its own writes.
#[utoipa::path(
    get, path = "/v1/batches/{batch_id}", tag = "logs", security(("api_key" = ["logs:write"]), ("api_key" = ["logs:read"])),
    params(("batch_id" = uuid::Uuid, Path, description = "Id that the answer to `POST /v1/logs` gave"), BatchParams),
    responses(
        (status = 200, description = "How far it has come, and what became of its records", body = BatchStatus),
        (status = 404, description = "There is no such batch", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn read_batch(State(app): State<App>, caller: Caller<ReadReceipt>, Path(id): Path<String>, Params(params): Params<BatchParams>) -> Result<Json<BatchStatus>> {
    let wait = params.wait()?;
    let kept_from = caller.retention().horizon(app.queue.now_ms()).raw;
    let batch = BatchId::parse(&id).ok().filter(|batch| batch.unix_ms() >= kept_from).ok_or(Error::NotFound("batch"))?;
    batch::status_after(&app.rows, &app.queue, &app.index, &caller.tenant, batch, wait).await.map(Json)
}

/// Counts a question that was answered, for bills.
fn count(app: &App, reader: &Reader) {
    app.searches.count(&reader.tenant, reader.key_id, app.queue.now_ms());
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_logs))
        .routes(routes!(search_logs))
        .routes(routes!(read_log))
        .routes(routes!(read_batch))
        .routes(routes!(count_logs))
        .routes(routes!(count_values))
        .routes(routes!(list_fields))
        .routes(routes!(read_context))
        .routes(routes!(read_watermark))
        .routes(routes!(tail_logs))
        .routes(routes!(export_logs))
}

/// The routes, undressed: whoever serves them puts on `shared::http::dress`.
pub fn router(app: App) -> Router {
    Router::from(routes()).with_state(app)
}

/// What the routes say of themselves.
#[must_use]
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}
