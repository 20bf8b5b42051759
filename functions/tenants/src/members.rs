//! A tenant's people, page by page, and who is to be one of them.

use serde::{Deserialize, Serialize};
use shared::error::Result;
use shared::ids::{TenantId, Token, TokenKind};
use shared::people::Role;
use shared::tenants::{By, Invitation, Member, NewInvitation, Registry, User};

use crate::access::PeopleAdmin;
use crate::fields::{Fields, text};
use crate::people::People;
use crate::{paging, person_fields};

/// Which page of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// How many are wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of members, in the order of their ids.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct MemberPage {
    members: Vec<Member>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`shared::error::Error::Invalid`] naming a parameter; [`shared::error::Error::NotFound`] for a tenant that is not there; weather.
pub(crate) async fn list(registry: &Registry, tenant: &TenantId, params: PageParams) -> Result<MemberPage> {
    let (limit, after) = params.read()?;
    registry.tenant(tenant).await?;
    let mut members = registry.members(tenant, after, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut members, limit, |last| last.user_id);
    Ok(MemberPage { members, next_cursor })
}

impl PageParams {
    fn read(&self) -> Result<(usize, Option<uuid::Uuid>)> {
        Ok((paging::limit(self.limit.as_deref())?, self.cursor.as_deref().map(paging::read_id).transpose()?))
    }
}

/// What is to be changed of a membership.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct MemberChange {
    /// The role that there is to be.
    role: Role,
}

/// # Errors
/// [`shared::error::Error::Invalid`], each fault named.
pub(crate) fn read_change(mut fields: Fields) -> Result<Role> {
    let role = fields.required("role", text(person_fields::role));
    fields.done(role)
}

/// Somebody to be invited.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct InvitationRequest {
    /// The e-mail address.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    /// The role that there is to be: not above one's own.
    role: Role,
}

/// An invitation that was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CreatedInvitation {
    #[serde(flatten)]
    invitation: Invitation,
    /// What accepts it: for the operator only. Whoever is invited is mailed it, by whoever consumes the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Invites somebody.
///
/// # Errors
/// [`shared::error::Error::Invalid`]; [`shared::error::Error::Forbidden`] `role_not_held`; [`shared::error::Error::OverLimit`] or
/// [`shared::error::Error::Conflict`] for too many; `already_member`; [`shared::error::Error::NotFound`]; weather.
pub(crate) async fn invite(registry: &Registry, people: &People, admin: &PeopleAdmin, mut fields: Fields, by: &By) -> Result<CreatedInvitation> {
    let (email, role) = (fields.required("email", text(person_fields::email)), fields.required("role", text(person_fields::role)));
    let (email, role) = fields.done(email.zip(role))?;
    admin.may_give(role)?;
    if !admin.is_operator() {
        people.take_invitation(admin.tenant.as_str()).await?;
    }
    let token = Token::generate(TokenKind::Invitation);
    let invitation = registry.invite(&admin.tenant, &NewInvitation { email, role }, &token, people.settings.invitation, by).await?;
    Ok(CreatedInvitation { invitation, token: admin.is_operator().then(|| token.reveal().to_owned()) })
}

/// A page of invitations that wait, the latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct InvitationPage {
    invitations: Vec<Invitation>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// As [`list`].
pub(crate) async fn invitations(registry: &Registry, tenant: &TenantId, params: PageParams) -> Result<InvitationPage> {
    let (limit, before) = params.read()?;
    registry.tenant(tenant).await?;
    let mut invitations = registry.invitations(tenant, before, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut invitations, limit, |last| last.id);
    Ok(InvitationPage { invitations, next_cursor })
}

/// Which users to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserParams {
    /// Only the one with this e-mail address.
    email: Option<String>,
    /// Users wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of users, in the order of their ids.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UserPage {
    users: Vec<User>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`shared::error::Error::Invalid`] naming a parameter; weather.
pub(crate) async fn users(registry: &Registry, params: UserParams) -> Result<UserPage> {
    let email = params.email.as_deref().map(person_fields::email).transpose().map_err(|detail| shared::error::Error::invalid("email", detail))?;
    let (limit, after) = PageParams { limit: params.limit, cursor: params.cursor }.read()?;
    let mut users = registry.users(email.as_deref(), after, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut users, limit, |last| last.id);
    Ok(UserPage { users, next_cursor })
}
