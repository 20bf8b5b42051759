//! The routes of tenants.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, LOCATION};
use axum::{Json, Router};
use shared::auth::Operator;
use shared::error::Result;
use shared::http::{Origin, Params, SmallJson};
use shared::problem::Problem;
use shared::tenants::{Tenant, TenantSteps};
use time::OffsetDateTime;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{KeyAdmin, KeyInPath, TenantInPath};
use crate::change_key::{self, KeyChangeRequest, RotateRequest};
use crate::change_tenant::{self, TenantChange};
use crate::create_key::{self, CreatedKey, KeyRequest};
use crate::create_tenant::{self, NewTenant};
use crate::fields::Fields;
use crate::list_keys::{self, KeyList, ListedKey};
use crate::list_tenants::{self, TenantPage, TenantQuery};
use crate::{
    App, audit_routes, delete_tenant, invoice_routes, letter_routes, limit_routes, member_routes, people_routes, plan_routes, restore_tenant, retention_routes, revoke_key,
    saved_search_routes, usage_routes, user_routes, webhook_routes,
};

/// Create a tenant
///
/// Its schema is made before the answer. Where that breaks off, sending the same again goes on.
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", security(("operator" = [])), request_body = NewTenant,
    responses(
        (status = 201, description = "It works; `Location` names it", body = Tenant),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`tenant_exists`: there is, or was, a tenant of this id", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter`; `errors` names each field", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn post_tenant(
    State(app): State<App>,
    operator: Operator,
    origin: Origin,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Tenant>)> {
    let tenant = create_tenant::create(&app.registry, &app.rows, &NewTenant::read(fields)?, &operator.by(origin)).await?;
    Ok((StatusCode::CREATED, [(LOCATION, format!("/v1/tenants/{}", tenant.id))], Json(tenant)))
}

/// List tenants
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", security(("operator" = [])), params(TenantQuery),
    responses(
        (status = 200, description = "A page, in the order of ids", body = TenantPage),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_tenants(State(app): State<App>, _: Operator, Params(query): Params<TenantQuery>) -> Result<Json<TenantPage>> {
    list_tenants::list(&app.registry, &query).await.map(Json)
}

/// Read a tenant
#[utoipa::path(
    get, path = "/v1/tenants/{id}", tag = "tenants", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The tenant", body = Tenant),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_tenant(State(app): State<App>, _: Operator, TenantInPath(id): TenantInPath) -> Result<Json<Tenant>> {
    app.registry.tenant(&id).await.map(Json)
}

/// Rename, suspend or resume a tenant
///
/// A suspended tenant can read, but not send. A new status counts everywhere within 5 s of the answer.
#[utoipa::path(
    patch, path = "/v1/tenants/{id}", tag = "tenants", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")), request_body = TenantChange,
    responses(
        (status = 200, description = "The tenant as it is now", body = Tenant),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`tenant_provisioning`: it is still being made, and has no status to change", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter` or `nothing_to_change`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: recorded, but its keys may not know yet. Send it again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn patch_tenant(State(app): State<App>, operator: Operator, origin: Origin, TenantInPath(id): TenantInPath, SmallJson(fields): SmallJson<Fields>) -> Result<Json<Tenant>> {
    change_tenant::change(&app.registry, &app.ring, &id, &TenantChange::read(fields)?, &operator.by(origin)).await.map(Json)
}

/// Delete a tenant
///
/// It is gone at once, with its keys; what it has is erased once its grace is over (`LOGGERHUB_DELETION_GRACE_SECONDS`), and until then it can be
/// restored. Its id is never used again.
#[utoipa::path(
    delete, path = "/v1/tenants/{id}", tag = "tenants", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`legal_hold`: its logs are under one", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: it is gone, and its keys follow within a minute", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_tenant(State(app): State<App>, operator: Operator, origin: Origin, TenantInPath(id): TenantInPath) -> Result<StatusCode> {
    delete_tenant::delete(&app.registry, &app.ring, &id, app.grace, &operator.by(origin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a tenant
///
/// Takes its deletion back: it is as it was, with its logs and its keys. It can be until its grace is over.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/restore", tag = "tenants", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The tenant as it is now", body = Tenant),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant, or it is not being deleted", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`tenant_erased`: its grace is over", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: restored, and its keys follow within a minute", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn restore_tenant(State(app): State<App>, operator: Operator, origin: Origin, TenantInPath(id): TenantInPath) -> Result<Json<Tenant>> {
    restore_tenant::restore(&app.registry, &app.ring, &id, &operator.by(origin)).await.map(Json)
}

/// Read the steps of a tenant's making and removal
///
/// How far each has come: attempts, the last error, and what was removed. Also of a tenant that is gone: then they are the receipts of its removal.
#[utoipa::path(
    get, path = "/v1/tenants/{id}/steps", tag = "tenants", security(("operator" = [])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "Its steps, those of its making first", body = TenantSteps),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There never was such a tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_steps(State(app): State<App>, _: Operator, TenantInPath(id): TenantInPath) -> Result<Json<TenantSteps>> {
    app.registry.steps(&id).await.map(Json)
}

/// Create an API key
///
/// The key is in the answer, and never shown again. A tenant's key gives `tenant:admin` and `billing:read` only if it holds them.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/keys", tag = "keys", security(("operator" = []), ("api_key" = ["keys:manage"])),
    params(("id" = String, Path, description = "The tenant")), request_body = KeyRequest,
    responses(
        (status = 201, description = "The key, this once", body = CreatedKey),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope` or `scope_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant, or it is not the key's", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`tenant_provisioning`: it is still being made", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter`; `errors` names each field", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No key was made; come again after `Retry-After`: `redis_unavailable`, `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn post_key(State(app): State<App>, admin: KeyAdmin, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<(StatusCode, Json<CreatedKey>)> {
    let new = create_key::read(fields, OffsetDateTime::now_utc())?;
    let created = create_key::create(&app.registry, &app.ring, &admin, new, &admin.by(origin)).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// List API keys
#[utoipa::path(
    get, path = "/v1/tenants/{id}/keys", tag = "keys", security(("operator" = []), ("api_key" = ["keys:manage"])), params(("id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "All keys, revoked ones included, oldest first", body = KeyList),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such tenant, or it is not the key's", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_keys(State(app): State<App>, admin: KeyAdmin) -> Result<Json<KeyList>> {
    list_keys::list(&app.registry, &admin.tenant).await.map(Json)
}

/// Change an API key
///
/// Its name, end, limits, and what it may be used for; what is not given stays. It counts everywhere within 5 s of the answer.
#[utoipa::path(
    patch, path = "/v1/tenants/{id}/keys/{key_id}", tag = "keys", security(("operator" = []), ("api_key" = ["keys:manage"])),
    params(("id" = String, Path, description = "The tenant"), ("key_id" = uuid::Uuid, Path, description = "The key's id")), request_body = KeyChangeRequest,
    responses(
        (status = 200, description = "The key as it is now", body = ListedKey),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope` or `scope_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such key, it is revoked, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter` or `nothing_to_change`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: recorded, but it may not count yet. Send it again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn patch_key(State(app): State<App>, admin: KeyAdmin, origin: Origin, KeyInPath(key_id): KeyInPath, SmallJson(fields): SmallJson<Fields>) -> Result<Json<ListedKey>> {
    let change = change_key::read(fields, OffsetDateTime::now_utc())?;
    change_key::change(&app.registry, &app.ring, &admin, key_id, &change, &admin.by(origin)).await.map(Json)
}

/// Rotate an API key
///
/// Makes a key with the same name, scopes, end, limits and uses, and lets the old one end after an overlap (24 hours unless said otherwise). The new key
/// is in the answer, and never shown again.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/keys/{key_id}/rotate", tag = "keys", security(("operator" = []), ("api_key" = ["keys:manage"])),
    params(("id" = String, Path, description = "The tenant"), ("key_id" = uuid::Uuid, Path, description = "The key's id")), request_body = RotateRequest,
    responses(
        (status = 201, description = "The new key, this once", body = CreatedKey),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope` or `scope_not_held`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such key, it is revoked, has ended or was rotated before, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: no new key is in force", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn rotate_key(
    State(app): State<App>,
    admin: KeyAdmin,
    origin: Origin,
    KeyInPath(key_id): KeyInPath,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, Json<CreatedKey>)> {
    let overlap = change_key::read_overlap(fields)?;
    let made = change_key::rotate(&app.registry, &app.ring, &admin, key_id, overlap, &admin.by(origin)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revoke an API key
///
/// It stops everywhere within 5 s of the answer.
#[utoipa::path(
    delete, path = "/v1/tenants/{id}/keys/{key_id}", tag = "keys", security(("operator" = []), ("api_key" = ["keys:manage"])),
    params(("id" = String, Path, description = "The tenant"), ("key_id" = uuid::Uuid, Path, description = "The key's id")),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 401, description = "Neither the operator nor a valid key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`missing_scope`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such key, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`postgres_unavailable`; or `redis_unavailable`: recorded, but it may still open doors. Send it again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_key(State(app): State<App>, admin: KeyAdmin, origin: Origin, KeyInPath(key_id): KeyInPath) -> Result<StatusCode> {
    revoke_key::revoke(&app.registry, &app.ring, &admin.tenant, key_id, &admin.by(origin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(post_tenant, get_tenants))
        .routes(routes!(get_tenant, patch_tenant, delete_tenant))
        .routes(routes!(restore_tenant))
        .routes(routes!(get_steps))
        .routes(routes!(post_key, get_keys))
        .routes(routes!(patch_key, delete_key))
        .routes(routes!(rotate_key))
        .merge(audit_routes::routes())
        .merge(invoice_routes::routes())
        .merge(letter_routes::routes())
        .merge(limit_routes::routes())
        .merge(retention_routes::routes())
        .merge(saved_search_routes::routes())
        .merge(people_routes::routes())
        .merge(member_routes::routes())
        .merge(user_routes::routes())
        .merge(webhook_routes::routes())
        .merge(plan_routes::routes())
        .merge(usage_routes::routes())
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
