//! The routes of saved searches: for whoever may read the logs.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, LOCATION};
use shared::auth::{Caller, Read};
use shared::error::{Error, Result};
use shared::http::{Origin, SmallJson};
use shared::problem::Problem;
use shared::tenants::SavedSearch;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::fields::Fields;
use crate::saved_searches::{self, NewSavedSearch, SavedSearchChange, SavedSearches};

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
    /// Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`
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
    /// `saved_search_exists`: there is one of this name; or `too_many_saved_searches`
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// `body_too_large`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `invalid_parameter`, `errors` names each field; or `nothing_to_change`
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// Save a search
///
/// What `GET /v1/search` takes, by a name. It is checked as a search would check it.
#[utoipa::path(
    post, path = "/v1/saved-searches", tag = "saved searches", security(("api_key" = ["logs:read"])), request_body = NewSavedSearch,
    responses((status = 201, description = "It is saved; `Location` names it", body = SavedSearch), BodyRefusals, Refusals)
)]
async fn post_search(
    State(app): State<App>,
    caller: Caller<Read>,
    origin: Origin,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<SavedSearch>)> {
    let saved = app.registry.save_search(&caller.tenant, &saved_searches::new(fields)?, &caller.by(origin)).await?;
    Ok((StatusCode::CREATED, [(LOCATION, format!("/v1/saved-searches/{}", saved.id))], Json(saved)))
}

/// List saved searches
#[utoipa::path(
    get, path = "/v1/saved-searches", tag = "saved searches", security(("api_key" = ["logs:read"])),
    responses((status = 200, description = "All of them, by name: at most 500", body = SavedSearches), Refusals)
)]
async fn get_searches(State(app): State<App>, caller: Caller<Read>) -> Result<Json<SavedSearches>> {
    Ok(Json(SavedSearches { saved_searches: app.registry.saved_searches(&caller.tenant).await? }))
}

/// Read a saved search
#[utoipa::path(
    get, path = "/v1/saved-searches/{id}", tag = "saved searches", security(("api_key" = ["logs:read"])), params(("id" = Uuid, Path, description = "The saved search")),
    responses(
        (status = 200, description = "The saved search", body = SavedSearch),
        (status = 404, description = "There is no such saved search, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_search(State(app): State<App>, caller: Caller<Read>, Path(id): Path<String>) -> Result<Json<SavedSearch>> {
    app.registry.saved_search(&caller.tenant, id_of(&id)?).await.map(Json)
}

/// Change a saved search
#[utoipa::path(
    patch, path = "/v1/saved-searches/{id}", tag = "saved searches", security(("api_key" = ["logs:read"])), params(("id" = Uuid, Path, description = "The saved search")),
    request_body = SavedSearchChange,
    responses(
        (status = 200, description = "The saved search as it is now", body = SavedSearch),
        (status = 404, description = "There is no such saved search, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn patch_search(State(app): State<App>, caller: Caller<Read>, origin: Origin, Path(id): Path<String>, SmallJson(fields): SmallJson<Fields>) -> Result<Json<SavedSearch>> {
    let (id, sent) = (id_of(&id)?, saved_searches::change(fields)?);
    app.registry.change_saved_search(&caller.tenant, id, &caller.by(origin), |old| sent.over(old)).await.map(Json)
}

/// Delete a saved search
#[utoipa::path(
    delete, path = "/v1/saved-searches/{id}", tag = "saved searches", security(("api_key" = ["logs:read"])), params(("id" = Uuid, Path, description = "The saved search")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such saved search, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn delete_search(State(app): State<App>, caller: Caller<Read>, origin: Origin, Path(id): Path<String>) -> Result<StatusCode> {
    app.registry.delete_saved_search(&caller.tenant, id_of(&id)?, &caller.by(origin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id is a 404, as what is not there.
fn id_of(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::NotFound("saved search"))
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(post_search, get_searches)).routes(routes!(get_search, patch_search, delete_search))
}
