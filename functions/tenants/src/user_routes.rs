//! The operator's routes of users: one who must not log in any more is kept out of all tenants at once.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde_json::Value;
use shared::auth::Operator;
use shared::error::{Error, Result};
use shared::http::{Origin, Params, SmallJson};
use shared::problem::Problem;
use shared::tenants::User;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::access::id_in_path;
use crate::fields::Fields;
use crate::members::{self, UserPage, UserParams};
use crate::people_routes::BodyRefusals;

/// List users
#[utoipa::path(
    get, path = "/v1/users", tag = "people", security(("operator" = [])), params(UserParams),
    responses(
        (status = 200, description = "A page, in the order of their ids", body = UserPage),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_users(State(app): State<App>, _: Operator, Params(params): Params<UserParams>) -> Result<Json<UserPage>> {
    members::users(&app.registry, params).await.map(Json)
}

/// What is to be changed of a user.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct UserChange {
    /// Whether the user is kept from logging in.
    disabled: bool,
}

/// Keep a user out, or let them in again
///
/// All sessions of one who is kept out end, everywhere within 5 s of the answer.
#[utoipa::path(
    patch, path = "/v1/users/{user_id}", tag = "people", security(("operator" = [])), params(("user_id" = Uuid, Path, description = "The user's id")), request_body = UserChange,
    responses(
        (status = 200, description = "The user as it is now", body = User),
        (status = 401, description = "Not the operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such user", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
    )
)]
async fn patch_user(State(app): State<App>, operator: Operator, origin: Origin, UserInPath(id): UserInPath, SmallJson(mut fields): SmallJson<Fields>) -> Result<Json<User>> {
    let disabled = fields.required("disabled", |value: &Value| value.as_bool().ok_or("must be true or false"));
    let user = app.registry.disable_user(id, fields.done(disabled)?, &operator.by(origin)).await?;
    app.auth.forget(id).await;
    if user.disabled_at.is_some() {
        app.people.sessions.tidy_up(id).await;
    }
    Ok(Json(user))
}

struct UserInPath(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for UserInPath {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "user_id", "user").await.map(Self)
    }
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_users)).routes(routes!(patch_user))
}
