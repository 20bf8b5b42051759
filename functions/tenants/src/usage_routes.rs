//! The routes of usage: for keys with `billing:read`, and for operators who name a tenant.

use axum::Json;
use axum::extract::State;
use shared::auth::ReadUsage;
use shared::error::Result;
use shared::http::Params;
use shared::problem::Problem;
use time::OffsetDateTime;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::named_tenant;
use crate::letters::Letters as OfTenants;
use crate::usage::{self, BatchPage, BatchParams, Forecast, ForecastParams, UsagePage, UsageParams};

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Neither the operator nor a valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// `invalid_parameter` or `invalid_cursor`
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Read usage
///
/// What was stored, received, indexed, searched and kept, by the hour of receipt: as of now. What lies in the stores is sampled once a day.
#[utoipa::path(
    get, path = "/v1/usage", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])), params(UsageParams),
    responses((status = 200, description = "A page", body = UsagePage), Refusals)
)]
async fn get_usage(State(app): State<App>, theirs: OfTenants<ReadUsage>, Params(params): Params<UsageParams>) -> Result<Json<UsagePage>> {
    let tenant = usage::one(theirs.of_tenant(named_tenant(params.tenant.as_deref())?)?)?;
    usage::read(&app.rows, &tenant, params, OffsetDateTime::now_utc()).await.map(Json)
}

/// Forecast this month
///
/// What it comes to so far, and what it is going to.
#[utoipa::path(
    get, path = "/v1/usage/forecast", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])), params(ForecastParams),
    responses((status = 200, description = "The month", body = Forecast), Refusals)
)]
async fn get_forecast(State(app): State<App>, theirs: OfTenants<ReadUsage>, Params(params): Params<ForecastParams>) -> Result<Json<Forecast>> {
    let tenant = usage::one(theirs.of_tenant(named_tenant(params.tenant.as_deref())?)?)?;
    usage::forecast(&app.registry, &app.rows, &tenant, OffsetDateTime::now_utc()).await.map(Json)
}

/// List the batches of an hour
///
/// Those that were received in it, in their order: what an hour of usage is made of.
#[utoipa::path(
    get, path = "/v1/usage/batches", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])), params(BatchParams),
    responses((status = 200, description = "A page", body = BatchPage), Refusals)
)]
async fn get_batches(State(app): State<App>, theirs: OfTenants<ReadUsage>, Params(params): Params<BatchParams>) -> Result<Json<BatchPage>> {
    let tenant = usage::one(theirs.of_tenant(named_tenant(params.tenant.as_deref())?)?)?;
    usage::batches(&app.rows, &tenant, params).await.map(Json)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_usage)).routes(routes!(get_forecast)).routes(routes!(get_batches))
}
