//! The routes of search: list, search, detail, batch.

use axum::extract::{Path, State};
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
use crate::batch::{self, BatchStatus};
use crate::detail::{self, Detail, DetailParams};
use crate::list;
use crate::page::{Log, Page};
use crate::params::{Asked, ListParams, SearchParams};
use crate::search::{self, SearchPage};

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
/// Newest first. Later pages show what was there when the first was read: logs that come in meanwhile stay out.
#[utoipa::path(
    get, path = "/v1/logs", tag = "logs", security(("api_key" = ["logs:read"])), params(ListParams),
    responses(
        (status = 200, description = "A page of logs", body = Page<Log>),
        (status = 422, description = "A parameter is wrong, `errors` says which; or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn list_logs(State(app): State<App>, caller: Caller<Read>, Params(params): Params<ListParams>) -> Result<Json<Page<Log>>> {
    let asked = Asked::list(params, app.queue.now_ms())?;
    list::list(&app.rows, &caller.tenant, &asked).await.map(Json)
}

/// Search logs
///
/// Full text over `message` and `full_log`, newest first. While the index is down, the beginnings of messages are searched
/// instead: then `source` is `postgres`, `complete` false, and there are no highlights. `complete` is also false while the index
/// misses logs that are stored, or a part of it did not answer.
#[utoipa::path(
    get, path = "/v1/search", tag = "logs", security(("api_key" = ["logs:read"])), params(SearchParams),
    responses(
        (status = 200, description = "A page of hits", body = SearchPage),
        (status = 422, description = "A parameter is wrong, `errors` says which; or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn search_logs(State(app): State<App>, caller: Caller<Read>, Params(params): Params<SearchParams>) -> Result<Json<SearchPage>> {
    let asked = Asked::search(params, app.queue.now_ms())?;
    search::search(&app.rows, &app.index, &caller.tenant, &asked).await.map(Json)
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
    let row = app.rows.by_id(&caller.tenant, id).await?.ok_or(Error::NotFound("log"))?;
    detail::read(&app.index, &app.archive, &caller.tenant, row, wanted).await.map(Json)
}

/// Read what became of a batch
#[utoipa::path(
    get, path = "/v1/batches/{batch_id}", tag = "logs", security(("api_key" = ["logs:write"]), ("api_key" = ["logs:read"])),
    params(("batch_id" = uuid::Uuid, Path, description = "Id that the answer to `POST /v1/logs` gave")),
    responses(
        (status = 200, description = "How far it has come, and what became of its records", body = BatchStatus),
        (status = 404, description = "There is no such batch", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn read_batch(State(app): State<App>, caller: Caller<ReadReceipt>, Path(id): Path<String>) -> Result<Json<BatchStatus>> {
    let batch = BatchId::parse(&id).map_err(|_| Error::NotFound("batch"))?;
    batch::status(&app.rows, &app.queue, &app.index, &caller.tenant, batch).await.map(Json)
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_logs)).routes(routes!(search_logs)).routes(routes!(read_log)).routes(routes!(read_batch))
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
