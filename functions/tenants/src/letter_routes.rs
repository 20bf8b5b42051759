//! The routes of dead letters.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use shared::auth::{Administer, Read, Write};
use shared::error::Result;
use shared::http::{Origin, Params, SmallJson};
use shared::problem::Problem;
use shared::rows::{Buried, LetterFilter, Reach};
use shared::tenants::Change;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::letters::{self, LetterDetail, LetterInPath, LetterPage, LetterQuery, Letters, RedriveRequest, Requested};
use crate::retention::{of_what_is_kept, refuse_under_hold};

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Neither the operator nor a valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope`, or `tenant_suspended` for a redrive
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// List dead letters
///
/// What could not be stored, newest first: of the key's tenant, or for the operator of all tenants and of none.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "dead letters", security(("operator" = []), ("api_key" = ["logs:read"])), params(LetterQuery),
    responses(
        (status = 200, description = "A page", body = LetterPage),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_letters(State(app): State<App>, letters: Letters<Read>, Params(query): Params<LetterQuery>) -> Result<Json<LetterPage>> {
    letters::list(&app.registry, &app.rows, letters, query).await.map(Json)
}

/// Read a dead letter
///
/// With what it holds: as `text` where that is text, else as `bytes` in base64.
#[utoipa::path(
    get, path = "/v1/dead-letters/{id}", tag = "dead letters", security(("operator" = []), ("api_key" = ["logs:read"])),
    params(("id" = uuid::Uuid, Path, description = "The letter")),
    responses(
        (status = 200, description = "The letter", body = LetterDetail),
        (status = 404, description = "There is no such letter, it was stored or discarded, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_letter(State(app): State<App>, letters: Letters<Read>, LetterInPath(id): LetterInPath) -> Result<Json<LetterDetail>> {
    let kept = of_what_is_kept(&app.registry, &letters.reach, LetterFilter::default()).await?;
    letters::read(&app.rows, &letters.reach, &kept, id).await.map(Json)
}

/// Redrive a dead letter
///
/// Asks for another try, which is made within seconds by a server, and within a minute by the functions. A letter that was stored
/// is gone; its logs have the ids that they were promised. One that still cannot be stays, with the new `reason`, one more in
/// `attempts`, and no `redrive_at`.
#[utoipa::path(
    post, path = "/v1/dead-letters/{id}/redrive", tag = "dead letters", security(("operator" = []), ("api_key" = ["logs:write"])),
    params(("id" = uuid::Uuid, Path, description = "The letter")),
    responses(
        (status = 202, description = "Asked for; `redrive_at` says since when, or when it is tried again", body = Buried),
        (status = 404, description = "There is no such letter, it was stored or discarded, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn redrive_letter(State(app): State<App>, letters: Letters<Write>, origin: Origin, LetterInPath(id): LetterInPath) -> Result<(StatusCode, Json<Buried>)> {
    let kept = of_what_is_kept(&app.registry, &letters.reach, LetterFilter::default()).await?;
    let tenant = letters::tenant_of(&app.rows, &letters.reach, &kept, id).await?;
    app.registry.note(tenant.as_ref(), &letters.by(origin), &Change::LettersRedriven { id: Some(id), filter: json!({}) }).await?;
    let asked = app.rows.ask_redrive(&letters.reach, &kept, id).await?;
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// Redrive dead letters
///
/// All that agree with the filter, as for one.
#[utoipa::path(
    post, path = "/v1/dead-letters/redrive", tag = "dead letters", security(("operator" = []), ("api_key" = ["logs:write"])), request_body = RedriveRequest,
    responses(
        (status = 202, description = "Asked for", body = Requested),
        (status = 400, description = "`invalid_json`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn redrive_letters(State(app): State<App>, letters: Letters<Write>, origin: Origin, SmallJson(request): SmallJson<RedriveRequest>) -> Result<(StatusCode, Json<Requested>)> {
    let (by, sent) = (letters.by(origin), json!(request));
    let (tenant, filter) = request.read()?;
    let reach = letters.of_tenant(tenant)?;
    let tenant = if let Reach::Tenant(tenant) = &reach { Some(tenant) } else { None };
    app.registry.note(tenant, &by, &Change::LettersRedriven { id: None, filter: sent }).await?;
    let filter = of_what_is_kept(&app.registry, &reach, filter).await?;
    let requested = app.rows.ask_redrives(&reach, &filter).await?;
    Ok((StatusCode::ACCEPTED, Json(Requested { requested })))
}

/// Discard a dead letter
///
/// Its bytes are gone, and nothing brings it back; what an attempt to store it left in raw is shown by no list, search or detail. Its
/// batch goes on counting it as dead.
#[utoipa::path(
    delete, path = "/v1/dead-letters/{id}", tag = "dead letters", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = uuid::Uuid, Path, description = "The letter")),
    responses(
        (status = 204, description = "It is discarded"),
        (status = 404, description = "There is no such letter, it was stored or discarded, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`legal_hold`: nothing of the tenant may go", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn delete_letter(State(app): State<App>, letters: Letters<Administer>, origin: Origin, LetterInPath(id): LetterInPath) -> Result<StatusCode> {
    let kept = of_what_is_kept(&app.registry, &letters.reach, LetterFilter::default()).await?;
    let tenant = letters::tenant_of(&app.rows, &letters.reach, &kept, id).await?;
    refuse_under_hold(&app.registry, tenant.as_ref()).await?;
    app.registry.note(tenant.as_ref(), &letters.by(origin), &Change::LetterDiscarded { id }).await?;
    app.rows.discard(&letters.reach, &kept, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_letters)).routes(routes!(get_letter, delete_letter)).routes(routes!(redrive_letter)).routes(routes!(redrive_letters))
}
