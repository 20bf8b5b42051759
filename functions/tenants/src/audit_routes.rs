//! The route of the audit trail.

use axum::Json;
use axum::extract::State;
use shared::auth::Administer;
use shared::error::Result;
use shared::http::Params;
use shared::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::access::named_tenant;
use crate::letters::Letters as OfTenants;
use crate::list_audit::{self, AuditPage, AuditParams};

/// Read the audit trail
///
/// Who changed what, when and from where, the latest first: of the key's tenant, or for the operator of all tenants, deleted ones too.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", security(("operator" = []), ("api_key" = ["tenant:admin"])), params(AuditParams),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_audit(State(app): State<App>, theirs: OfTenants<Administer>, Params(params): Params<AuditParams>) -> Result<Json<AuditPage>> {
    let named = named_tenant(params.tenant.as_deref())?;
    list_audit::list(&app.registry, theirs.of_tenant(named)?, params).await.map(Json)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_audit))
}
