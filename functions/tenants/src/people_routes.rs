//! The routes of people themselves: logging in and out, who they are, their sessions, and what they were mailed.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use shared::auth::{MaybeSignedIn, OwnPages, SignedIn};
use shared::error::{Error, Result};
use shared::http::{Origin, SmallJson};
use shared::problem::Problem;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::accept_invitation::{self, Acceptance, Accepted};
use crate::access::id_in_path;
use crate::fields::Fields;
use crate::log_in::{self, Login};
use crate::me::{self, Me, MyChange, PasswordChange, SessionList};
use crate::reset_password::{self, ForgottenPassword, PasswordReset};

/// What is said of secrets: nobody on the way keeps them (RFC 9111, section 5.2.2.5).
const NOT_KEPT: (HeaderName, &str) = (CACHE_CONTROL, "no-store");

/// What every route of somebody who is logged in may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) enum Refusals {
    /// No session that goes on
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `csrf_token_missing` or `origin_not_allowed`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`, `too_many_logins`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route for everybody may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum OpenRefusals {
    /// `origin_not_allowed`: a page of another made the request
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`, `too_many_logins`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route with a body may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) enum BodyRefusals {
    /// `invalid_json`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// `body_too_large`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `invalid_parameter`; `errors` names each field
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// What somebody is told, with the line that sets a cookie.
type WithCookie<T> = ([(HeaderName, String); 2], Json<T>);

fn with_cookie<T>((body, cookie): (T, String)) -> WithCookie<T> {
    ([(SET_COOKIE, cookie), (NOT_KEPT.0, NOT_KEPT.1.to_owned())], Json(body))
}

/// Log in
///
/// The answer sets a cookie, which opens the same routes as an API key, as far as the role in a tenant goes. A request with it that changes
/// something brings `csrf_token` in the header `X-CSRF-Token`; whoever belongs to several tenants says which is meant in `X-Tenant`.
#[utoipa::path(
    post, path = "/v1/login", tag = "people", security(()), request_body = Login,
    responses(
        (status = 200, description = "Logged in: `Set-Cookie` holds the session", body = Me, headers(("Set-Cookie" = String, description = "The session"))),
        (status = 401, description = "`wrong_login`: the password is wrong, there is no such account, or it must not log in", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_logins`: come again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        OpenRefusals,
    )
)]
async fn post_login(State(app): State<App>, _: OwnPages, headers: HeaderMap, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<WithCookie<Me>> {
    log_in::log_in((&app.registry, &app.auth, &app.people), fields, &headers, origin).await.map(with_cookie)
}

/// Log out
#[utoipa::path(
    post, path = "/v1/logout", tag = "people", security(("session" = [], "csrf_token" = [])),
    responses((status = 204, description = "The session has ended"), Refusals)
)]
async fn post_logout(State(app): State<App>, signed_in: SignedIn, origin: Origin) -> Result<(StatusCode, [(HeaderName, String); 1])> {
    me::log_out(&app.registry, &app.people.sessions, &signed_in, origin).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, app.auth.no_cookie())]))
}

/// Who am I?
#[utoipa::path(
    get, path = "/v1/me", tag = "people", security(("session" = [])),
    responses((status = 200, description = "The account, its tenants with what the role may there, and the token that changes need", body = Me), Refusals)
)]
async fn get_me(State(app): State<App>, signed_in: SignedIn) -> Result<([(HeaderName, &'static str); 1], Json<Me>)> {
    Ok(([NOT_KEPT], Json(me::me(&app.registry, signed_in).await?)))
}

/// Change one's name
#[utoipa::path(
    patch, path = "/v1/me", tag = "people", security(("session" = [], "csrf_token" = [])), request_body = MyChange,
    responses((status = 200, description = "The account as it is now", body = Me), BodyRefusals, Refusals)
)]
async fn patch_me(State(app): State<App>, signed_in: SignedIn, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<([(HeaderName, &'static str); 1], Json<Me>)> {
    Ok(([NOT_KEPT], Json(me::rename(&app.registry, signed_in, fields, origin).await?)))
}

/// Change one's password
///
/// All sessions end. The answer sets the cookie of a new one, with a new `csrf_token`.
#[utoipa::path(
    post, path = "/v1/me/password", tag = "people", security(("session" = [], "csrf_token" = [])), request_body = PasswordChange,
    responses(
        (status = 200, description = "It is changed: `Set-Cookie` holds the new session", body = Me, headers(("Set-Cookie" = String, description = "The session"))),
        (status = 401, description = "No session that goes on; or `wrong_login`: `current_password` is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`csrf_token_missing` or `origin_not_allowed`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_logins`: come again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`, `too_many_logins`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
    )
)]
async fn post_password(State(app): State<App>, signed_in: SignedIn, headers: HeaderMap, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<WithCookie<Me>> {
    me::change_password((&app.registry, &app.auth, &app.people), signed_in, fields, &headers, origin).await.map(with_cookie)
}

/// List one's sessions
#[utoipa::path(
    get, path = "/v1/me/sessions", tag = "people", security(("session" = [])),
    responses((status = 200, description = "All that go on, the latest first: at most 50", body = SessionList), Refusals)
)]
async fn get_sessions(State(app): State<App>, signed_in: SignedIn) -> Result<Json<SessionList>> {
    me::sessions(&app.people.sessions, &signed_in).await.map(Json)
}

/// End all of one's sessions
///
/// This one too. Other processes take up to 5 s to know it.
#[utoipa::path(
    delete, path = "/v1/me/sessions", tag = "people", security(("session" = [], "csrf_token" = [])),
    responses((status = 204, description = "All have ended"), Refusals)
)]
async fn delete_sessions(State(app): State<App>, signed_in: SignedIn, origin: Origin) -> Result<(StatusCode, [(HeaderName, String); 1])> {
    me::end_sessions((&app.registry, &app.auth), &app.people.sessions, &signed_in, origin).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, app.auth.no_cookie())]))
}

/// End one of one's sessions
#[utoipa::path(
    delete, path = "/v1/me/sessions/{session_id}", tag = "people", security(("session" = [], "csrf_token" = [])),
    params(("session_id" = Uuid, Path, description = "The session's id")),
    responses(
        (status = 204, description = "It has ended"),
        (status = 404, description = "There is no such session, or it is another's", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn delete_session(State(app): State<App>, signed_in: SignedIn, origin: Origin, SessionInPath(id): SessionInPath) -> Result<StatusCode> {
    me::end_session(&app.registry, &app.people.sessions, &signed_in, id, origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say that a password is forgotten
///
/// The answer is the same, and takes as long, whether there is such an account or not. Where there is, the event
/// `io.loggerhub.password_reset.requested.v1` holds a token to be mailed.
#[utoipa::path(
    post, path = "/v1/password-resets", tag = "people", security(()), request_body = ForgottenPassword,
    responses(
        (status = 202, description = "If there is such an account, a mail is on its way"),
        (status = 429, description = "`too_many_resets`: come again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        OpenRefusals,
    )
)]
async fn post_reset(State(app): State<App>, _: OwnPages, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<StatusCode> {
    reset_password::ask(&app.registry, &app.people, fields, origin).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a forgotten password anew
///
/// With the token that was mailed: once, and for an hour. All sessions of the account end.
#[utoipa::path(
    post, path = "/v1/password-resets/redeem", tag = "people", security(()), request_body = PasswordReset,
    responses(
        (status = 204, description = "It is set: log in"),
        (status = 404, description = "The token sets no password, or not any more", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        OpenRefusals,
    )
)]
async fn redeem_reset(State(app): State<App>, _: OwnPages, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<StatusCode> {
    reset_password::redeem((&app.registry, &app.auth, &app.people), fields, origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept an invitation
///
/// With the token that was mailed. Who has no account gives a name and a password, and has one then; who has one logs in first, and sends the
/// token with the session.
#[utoipa::path(
    post, path = "/v1/invitations/accept", tag = "people", security((), ("session" = [], "csrf_token" = [])), request_body = Acceptance,
    responses(
        (status = 200, description = "Who is logged in belongs to the tenant now", body = Accepted),
        (status = 201, description = "There is a new account, which belongs to the tenant: log in", body = Accepted),
        (status = 403, description = "`invitation_for_another`: it is for another e-mail address than that of the session; `csrf_token_missing` or `origin_not_allowed`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The token accepts no invitation, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`account_exists`: log in first; or `already_member`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`, `too_many_logins`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
    )
)]
async fn accept(
    State(app): State<App>,
    _: OwnPages,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    origin: Origin,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, Json<Accepted>)> {
    let (is_new, accepted) = accept_invitation::accept((&app.registry, &app.auth, &app.people), signed_in, fields, origin).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(accepted)))
}

struct SessionInPath(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for SessionInPath {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "session_id", "session").await.map(Self)
    }
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(post_login))
        .routes(routes!(post_logout))
        .routes(routes!(get_me, patch_me))
        .routes(routes!(post_password))
        .routes(routes!(get_sessions, delete_sessions))
        .routes(routes!(delete_session))
        .routes(routes!(post_reset))
        .routes(routes!(redeem_reset))
        .routes(routes!(accept))
}
