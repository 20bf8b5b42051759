//! The routes of plans: for operators.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, LOCATION};
use shared::auth::Operator;
use shared::billing::month::Month;
use shared::error::{Error, Result};
use shared::http::{Origin, Params, SmallJson};
use shared::ids::TenantId;
use shared::problem::Problem;
use shared::tenants::Plan;
use time::OffsetDateTime;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::TenantInPath;
use crate::fields::Fields;
use crate::plans::{self, PlanChange, PlanPage, PlanQuery, PlanRequest, TenantPlanRequest, TenantPlans};

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Not the operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route with a body may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum BodyRefusals {
    /// `invalid_json`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// `body_too_large`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `invalid_parameter`, `errors` names each field; or `nothing_to_change`
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

fn this_month() -> Month {
    Month::of(OffsetDateTime::now_utc())
}

/// What is no id is a 404, as what is not there.
fn id_of(text: &str) -> Result<TenantId> {
    TenantId::parse(text).map_err(|_| Error::NotFound("plan"))
}

/// Make a plan
#[utoipa::path(
    post, path = "/v1/plans", tag = "billing", security(("operator" = [])), request_body = PlanRequest,
    responses(
        (status = 201, description = "It is made; `Location` names it", body = Plan),
        (status = 409, description = "`plan_exists`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn post_plan(
    State(app): State<App>,
    operator: Operator,
    origin: Origin,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Plan>)> {
    let plan = app.registry.create_plan(&plans::new(fields, this_month())?, &operator.by(origin)).await?;
    Ok((StatusCode::CREATED, [(LOCATION, format!("/v1/plans/{}", plan.id))], Json(plan)))
}

/// List plans
#[utoipa::path(
    get, path = "/v1/plans", tag = "billing", security(("operator" = [])), params(PlanQuery),
    responses(
        (status = 200, description = "A page, in the order of ids", body = PlanPage),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_plans(State(app): State<App>, _: Operator, Params(query): Params<PlanQuery>) -> Result<Json<PlanPage>> {
    plans::list(&app.registry, &query).await.map(Json)
}

/// Read a plan
#[utoipa::path(
    get, path = "/v1/plans/{id}", tag = "billing", security(("operator" = [])), params(("id" = String, Path, description = "The plan")),
    responses(
        (status = 200, description = "The plan, with all its versions", body = Plan),
        (status = 404, description = "There is no such plan", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_plan(State(app): State<App>, _: Operator, Path(id): Path<String>) -> Result<Json<Plan>> {
    app.registry.plan(id_of(&id)?.as_str()).await.map(Json)
}

/// Change a plan
///
/// Another price makes a new version, from a month on that has not ended: what past months cost is settled.
#[utoipa::path(
    patch, path = "/v1/plans/{id}", tag = "billing", security(("operator" = [])), params(("id" = String, Path, description = "The plan")), request_body = PlanChange,
    responses(
        (status = 200, description = "The plan as it is now", body = Plan),
        (status = 404, description = "There is no such plan", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn patch_plan(State(app): State<App>, operator: Operator, origin: Origin, Path(id): Path<String>, SmallJson(fields): SmallJson<Fields>) -> Result<Json<Plan>> {
    plans::change(&app.registry, id_of(&id)?.as_str(), fields, this_month(), &operator.by(origin)).await.map(Json)
}

/// Give a tenant a plan
///
/// From a month on that has not ended. What the tenant used before its first plan is never billed.
#[utoipa::path(
    put, path = "/v1/tenants/{id}/plan", tag = "billing", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    request_body = TenantPlanRequest,
    responses(
        (status = 200, description = "The plans of the tenant", body = TenantPlans),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`month_closed`: the month has its invoice", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn put_plan(State(app): State<App>, operator: Operator, origin: Origin, TenantInPath(id): TenantInPath, SmallJson(fields): SmallJson<Fields>) -> Result<Json<TenantPlans>> {
    plans::give(&app.registry, &app.ring, &id, fields, this_month(), &operator.by(origin)).await.map(Json)
}

/// Read the plans of a tenant
#[utoipa::path(
    get, path = "/v1/tenants/{id}/plan", tag = "billing", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The plans, the first one first", body = TenantPlans),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_tenant_plan(State(app): State<App>, _: Operator, TenantInPath(id): TenantInPath) -> Result<Json<TenantPlans>> {
    plans::of(&app.registry, &id).await.map(Json)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(post_plan, get_plans)).routes(routes!(get_plan, patch_plan)).routes(routes!(put_plan, get_tenant_plan))
}
