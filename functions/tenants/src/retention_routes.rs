//! The routes of retention.

use axum::Json;
use axum::extract::State;
use shared::error::Result;
use shared::http::{Origin, Params, SmallJson};
use shared::problem::Problem;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::PeopleAdmin as Administrator;
use crate::retention::{self, Preview, PreviewParams, RetentionRequest, RetentionView};

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Neither the operator nor a valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope`, or `operator_ends_hold`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such tenant, or it is another
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// A field is wrong, `errors` says which
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`; or `redis_unavailable`: recorded, but keys may not know yet
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Read a tenant's retention
///
/// For how many days its logs are kept in each store. What is not there is kept as long as the tenant.
#[utoipa::path(
    get, path = "/v1/tenants/{id}/retention", tag = "retention", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant")),
    responses((status = 200, description = "How long its logs are kept, and from when on they are there", body = RetentionView), Refusals)
)]
async fn get_retention(State(app): State<App>, who: Administrator) -> Result<Json<RetentionView>> {
    retention::get(&app.registry, &who.tenant).await.map(Json)
}

/// Set a tenant's retention
///
/// Days in place of those it had; without any, all is kept from now on. A log that is kept for seven days is there on the day on which it was received (UTC)
/// and for seven more. What is over is in no answer from 5 s after this one, and is removed soon after; what has gone does not come back when days are
/// added. Under a legal hold nothing goes; it lasts until an operator sends `"legal_hold": false`. `GET /v1/tenants/{id}/retention/preview` says beforehand what would.
#[utoipa::path(
    put, path = "/v1/tenants/{id}/retention", tag = "retention", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant")), request_body = RetentionRequest,
    responses(
        (status = 200, description = "How long its logs are kept now", body = RetentionView),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn put_retention(State(app): State<App>, who: Administrator, origin: Origin, SmallJson(sent): SmallJson<serde_json::Value>) -> Result<Json<RetentionView>> {
    let request = retention::read(&sent)?;
    retention::set(&app.registry, &app.ring, &who.tenant, request, &who.by(origin)).await.map(Json)
}

/// Preview a retention
///
/// What would go if it were set now. Nothing is changed.
#[utoipa::path(
    get, path = "/v1/tenants/{id}/retention/preview", tag = "retention", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), PreviewParams),
    responses((status = 200, description = "What is there now, and would not be", body = Preview), Refusals)
)]
async fn preview_retention(State(app): State<App>, who: Administrator, Params(params): Params<PreviewParams>) -> Result<Json<Preview>> {
    retention::preview(&app.registry, &app.rows, &who.tenant, params.read()?).await.map(Json)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_retention, put_retention)).routes(routes!(preview_retention))
}
