//! The routes of ingest: one, under two names.

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use shared::auth::{KeyCaller, SendLogs};
use shared::error::{Fault, Result};
use shared::ids::BatchId;
use shared::problem::Problem;
use shared::queue::Kept;
use utoipa::IntoResponses;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{App, accept, rate_limit};

/// What became of a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Accepted {
    /// Id of the batch; a log's id is this plus its position.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) batch_id: BatchId,
    /// Records taken.
    pub(crate) accepted: u32,
    /// Records refused.
    pub(crate) rejected: u32,
    /// Why, one by one, with positions.
    pub(crate) errors: Vec<Fault>,
    /// How the queue keeps them until they are stored.
    pub(crate) durability: Kept,
}

/// What may be answered instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// The body cannot be read: `invalid_json`, `invalid_utf8`, `invalid_encoding`, `empty_body`, `broken_off`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// `quota_exceeded`: what the month may hold is used up, and nothing more is taken before the next
    #[response(status = 402, content_type = "application/problem+json")]
    OverQuota(Problem),
    /// No valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope` or `tenant_suspended`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// The body did not arrive in time
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// `idempotency_conflict`: the same key came with another body
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// `body_too_large` or `too_many_logs`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `unsupported_encoding`
    #[response(status = 415, content_type = "application/problem+json")]
    Unsupported(Problem),
    /// No record of it can be taken; `errors` says why
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Come again after `Retry-After`: `tenant_rate_limited`, `key_rate_limited`, `service_rate_limited`, `quota_throttled`
    #[response(status = 429, content_type = "application/problem+json")]
    OverLimit(Problem),
    /// Come again after `Retry-After`: `queue_full`, `tenant_queue_full`, `idempotency_full`, `queue_not_durable`, `overloaded`, `redis_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Send logs
///
/// The body is one record, an array of records, `{"logs": [...]}`, or NDJSON; plain or with `Content-Encoding` gzip, zstd or
/// deflate. At most 5,000 records, 1 MiB a record, 4 MiB on the wire, 20 MiB unpacked. With an `Idempotency-Key` the same
/// request can be sent again for 24 hours: it has the same answer, and is stored once.
///
/// Where limits are set, `RateLimit-Policy` and `RateLimit` say what there is of each, and what is left. A request passes whole or not at
/// all: one that holds logs of a service over its rate is refused with all it holds.
#[utoipa::path(
    post, path = "/v1/logs", tag = "logs", security(("api_key" = ["logs:write"])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        ("Content-Encoding" = Option<String>, Header, description = "How the body is packed", pattern = "^(gzip|zstd|deflate|identity)$"),
    ),
    request_body(content = Object, description = "One record: `service`, `level`, `timestamp`, `message`, `full_log`, `language`, `trace_id`, `span_id`, `attributes`; anything else is kept. Or many of them."),
    responses((status = 202, description = "Taken, and on disk", body = Accepted), Refusals)
)]
async fn post_logs(State(app): State<App>, caller: KeyCaller<SendLogs>, headers: HeaderMap, sent: Body) -> Result<(StatusCode, HeaderMap, Json<Accepted>)> {
    let taken = accept::accept(&app, &caller.grant, &headers, sent).await?;
    Ok((StatusCode::ACCEPTED, rate_limit::headers(&taken.standings), Json(taken.accepted)))
}

/// Send logs, by the short name
#[utoipa::path(
    post, path = "/logs", tag = "logs", security(("api_key" = ["logs:write"])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
        ("Content-Encoding" = Option<String>, Header, description = "How the body is packed", pattern = "^(gzip|zstd|deflate|identity)$"),
    ),
    request_body(content = Object, description = "As for `POST /v1/logs`"),
    responses((status = 202, description = "Taken, and on disk", body = Accepted), Refusals)
)]
async fn post_logs_alias(state: State<App>, caller: KeyCaller<SendLogs>, headers: HeaderMap, sent: Body) -> Result<(StatusCode, HeaderMap, Json<Accepted>)> {
    post_logs(state, caller, headers, sent).await
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(post_logs)).routes(routes!(post_logs_alias))
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
