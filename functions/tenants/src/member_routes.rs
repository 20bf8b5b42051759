//! The routes of a tenant's people: for the operator, and for whoever administers the tenant.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::request::Parts;
use shared::auth::MaybeSignedIn;
use shared::error::{Error, Result};
use shared::http::{Origin, Params, SmallJson};
use shared::people::Role;
use shared::problem::Problem;
use shared::tenants::Member;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::access::{PeopleAdmin, TenantInPath, id_in_path};
use crate::fields::Fields;
use crate::members::{self, CreatedInvitation, InvitationPage, InvitationRequest, MemberChange, MemberPage, PageParams};
use crate::people_routes::BodyRefusals;

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Neither the operator nor a valid key or session
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope`, or `role_not_held`: nobody gives, changes or takes away a role above their own
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing, or it is another tenant's
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`, `redis_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Invite somebody
///
/// The event `io.loggerhub.invitation.created.v1` holds a token to be mailed. An invitation of the same address that waits is taken back.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/invitations", tag = "people", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant")), request_body = InvitationRequest,
    responses(
        (status = 201, description = "The invitation; `token` is told to the operator only", body = CreatedInvitation),
        (status = 409, description = "`already_member`, or `too_many_invitations` wait", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_invitations`: come again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn post_invitation(
    State(app): State<App>,
    admin: PeopleAdmin,
    origin: Origin,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<CreatedInvitation>)> {
    let made = members::invite(&app.registry, &app.people, &admin, fields, &admin.by(origin)).await?;
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(made)))
}

/// List invitations that wait
#[utoipa::path(
    get, path = "/v1/tenants/{id}/invitations", tag = "people", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), PageParams),
    responses(
        (status = 200, description = "A page, the latest first", body = InvitationPage),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_invitations(State(app): State<App>, admin: PeopleAdmin, Params(params): Params<PageParams>) -> Result<Json<InvitationPage>> {
    members::invitations(&app.registry, &admin.tenant, params).await.map(Json)
}

/// Take an invitation back
#[utoipa::path(
    delete, path = "/v1/tenants/{id}/invitations/{invitation_id}", tag = "people", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("invitation_id" = Uuid, Path, description = "The invitation's id")),
    responses((status = 204, description = "It accepts nobody any more"), Refusals)
)]
async fn delete_invitation(State(app): State<App>, admin: PeopleAdmin, origin: Origin, InvitationInPath(id): InvitationInPath) -> Result<StatusCode> {
    app.registry.revoke_invitation(&admin.tenant, id, &admin.by(origin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List members
#[utoipa::path(
    get, path = "/v1/tenants/{id}/members", tag = "people", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), PageParams),
    responses(
        (status = 200, description = "A page, in the order of their ids", body = MemberPage),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_members(State(app): State<App>, admin: PeopleAdmin, Params(params): Params<PageParams>) -> Result<Json<MemberPage>> {
    members::list(&app.registry, &admin.tenant, params).await.map(Json)
}

/// Change a member's role
///
/// It counts everywhere within 5 s of the answer.
#[utoipa::path(
    patch, path = "/v1/tenants/{id}/members/{user_id}", tag = "people", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("user_id" = Uuid, Path, description = "The user's id")), request_body = MemberChange,
    responses(
        (status = 200, description = "The member as it is now", body = Member),
        (status = 409, description = "`last_owner`: make somebody else an owner first", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn patch_member(State(app): State<App>, admin: PeopleAdmin, origin: Origin, MemberInPath(user): MemberInPath, SmallJson(fields): SmallJson<Fields>) -> Result<Json<Member>> {
    let role = members::read_change(fields)?;
    admin.may_give(role)?;
    let member = app.registry.change_role(&admin.tenant, user, role, admin.rank(), &admin.by(origin)).await?;
    app.auth.forget(user).await;
    Ok(Json(member))
}

/// Remove a member, or leave
///
/// Everybody may leave, but the last owner. It counts everywhere within 5 s of the answer.
#[utoipa::path(
    delete, path = "/v1/tenants/{id}/members/{user_id}", tag = "people", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("user_id" = Uuid, Path, description = "The user's id")),
    responses(
        (status = 204, description = "They do not belong to the tenant any more"),
        (status = 409, description = "`last_owner`: make somebody else an owner first", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn delete_member(State(app): State<App>, remover: Remover, origin: Origin) -> Result<StatusCode> {
    let Remover { tenant, user, rank, by } = remover;
    app.registry.remove_member(&tenant, user, rank, &by(origin)).await?;
    app.auth.forget(user).await;
    Ok(StatusCode::NO_CONTENT)
}

struct InvitationInPath(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for InvitationInPath {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "invitation_id", "invitation").await.map(Self)
    }
}

struct MemberInPath(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for MemberInPath {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "user_id", "member").await.map(Self)
    }
}

/// Whoever may remove the member in the path: who administers the tenant, or that member.
struct Remover {
    tenant: shared::ids::TenantId,
    user: Uuid,
    rank: Role,
    by: Box<dyn FnOnce(Origin) -> shared::tenants::By + Send>,
}

impl FromRequestParts<App> for Remover {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let named = (TenantInPath::from_request_parts(parts, app).await, MemberInPath::from_request_parts(parts, app).await);
        if let (Ok(TenantInPath(tenant)), Ok(MemberInPath(user))) = named {
            let MaybeSignedIn(signed_in) = MaybeSignedIn::from_request_parts(parts, app).await?;
            let leaves = signed_in.filter(|signed_in| signed_in.person.id == user && signed_in.person.in_tenant(&tenant).is_some());
            if let Some(signed_in) = leaves {
                return Ok(Self { tenant, user, rank: Role::Owner, by: Box::new(move |origin| signed_in.by(origin)) });
            }
        }
        let admin = PeopleAdmin::from_request_parts(parts, app).await?;
        let MemberInPath(user) = MemberInPath::from_request_parts(parts, app).await?;
        let (tenant, rank) = (admin.tenant.clone(), admin.rank());
        Ok(Self { tenant, user, rank, by: Box::new(move |origin| admin.by(origin)) })
    }
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(post_invitation, get_invitations))
        .routes(routes!(delete_invitation))
        .routes(routes!(get_members))
        .routes(routes!(patch_member, delete_member))
}
