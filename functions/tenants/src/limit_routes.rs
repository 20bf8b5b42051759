//! The routes of limits, and of what they refused.

use axum::Json;
use axum::extract::State;
use shared::auth::{Operator, ReadUsage};
use shared::error::Result;
use shared::http::{Origin, Params, SmallJson};
use shared::limits::TenantLimits;
use shared::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{TenantInPath, named_tenant};
use crate::letters::Letters as OfTenants;
use crate::list_refused::{self, RefusedPage, RefusedParams};
use crate::{App, limits};

/// Read a tenant's limits
#[utoipa::path(
    get, path = "/v1/tenants/{id}/limits", tag = "limits", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "What it may send; what is not there is not limited", body = TenantLimits),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_limits(State(app): State<App>, _: Operator, TenantInPath(id): TenantInPath) -> Result<Json<TenantLimits>> {
    app.registry.limits(&id).await.map(Json)
}

/// Set a tenant's limits
///
/// In place of those it had; `{}` takes all of its own away, and then those of its plan count, if that has any. They count everywhere within 5 s of the answer.
#[utoipa::path(
    put, path = "/v1/tenants/{id}/limits", tag = "limits", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")), request_body = TenantLimits,
    responses(
        (status = 200, description = "What it may send now", body = TenantLimits),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: recorded, but its keys may not know yet. Send it again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_limits(
    State(app): State<App>,
    operator: Operator,
    origin: Origin,
    TenantInPath(id): TenantInPath,
    SmallJson(sent): SmallJson<serde_json::Value>,
) -> Result<Json<TenantLimits>> {
    let set = limits::read(&sent)?;
    limits::set(&app.registry, &app.ring, &id, &set, &operator.by(origin)).await.map(Json)
}

/// Read what was refused
///
/// How much of what was sent was not taken, by the hour, key, service and reason, the latest hour first. It shows within some seconds. Requests that
/// were refused before their body was read are told in requests and bytes on the wire, without logs and service.
#[utoipa::path(
    get, path = "/v1/usage/refused", tag = "limits", security(("operator" = []), ("api_key" = ["billing:read"])), params(RefusedParams),
    responses(
        (status = 200, description = "A page", body = RefusedPage),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_refused(State(app): State<App>, theirs: OfTenants<ReadUsage>, Params(params): Params<RefusedParams>) -> Result<Json<RefusedPage>> {
    let named = named_tenant(params.tenant.as_deref())?;
    list_refused::list(&app.rows, theirs.of_tenant(named)?, params).await.map(Json)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_limits, put_limits)).routes(routes!(get_refused))
}
