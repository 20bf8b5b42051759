//! Who somebody is, as they are told themselves: their account, their tenants, their sessions.

use serde::Serialize;
use shared::auth::{Authenticator, SignedIn};
use shared::error::{Error, Result};
use shared::grant::Scope;
use shared::http::Origin;
use shared::people::Role;
use shared::sessions::Sessions;
use shared::tenants::{Change, Registry, TenantStatus, User};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::fields::{self, Fields, text};
use crate::passwords::Verdict;
use crate::people::People;
use crate::person_fields;

/// Somebody who is logged in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Me {
    user: User,
    /// The tenants that they belong to, by id.
    memberships: Vec<MyMembership>,
    /// What a page sends in `X-CSRF-Token` with every request that changes something: as long as this session goes on.
    csrf_token: String,
}

/// What somebody is in a tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct MyMembership {
    /// The tenant's id: what `X-Tenant` names.
    tenant: String,
    /// The tenant's name.
    tenant_name: String,
    /// Where the tenant is in its life.
    status: TenantStatus,
    role: Role,
    /// What the role may.
    scopes: &'static [Scope],
}

/// # Errors
/// Weather.
pub(crate) async fn me(registry: &Registry, signed_in: SignedIn) -> Result<Me> {
    let user = registry.user(signed_in.person.id).await?;
    let memberships = registry.memberships_of(user.id).await?.into_iter().map(|of| MyMembership {
        tenant: of.tenant,
        tenant_name: of.tenant_name,
        status: of.status,
        role: of.role,
        scopes: of.role.scopes(),
    });
    Ok(Me { user, memberships: memberships.collect(), csrf_token: signed_in.csrf_token })
}

/// What somebody changes of themselves.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct MyChange {
    /// The name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// # Errors
/// [`Error::Invalid`], each fault named; weather.
pub(crate) async fn rename(registry: &Registry, signed_in: SignedIn, mut fields: Fields, origin: Origin) -> Result<Me> {
    let name = fields.required("name", text(fields::name));
    let name = fields.done(name)?;
    registry.rename_user(signed_in.person.id, &name, &signed_in.by(origin)).await?;
    me(registry, signed_in).await
}

/// A password to be changed.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct PasswordChange {
    /// The one that there is.
    #[schema(min_length = 1, max_length = 1024)]
    current_password: String,
    /// The one that there is to be.
    #[schema(min_length = 12, max_length = 1024)]
    new_password: String,
}

/// Changes a password. Every session has ended with it, this one too: here is another, with its cookie.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::WrongLogin`]; [`Error::OverLimit`]; weather.
pub(crate) async fn change_password(
    (registry, auth, people): (&Registry, &Authenticator, &People),
    signed_in: SignedIn,
    mut fields: Fields,
    headers: &axum::http::HeaderMap,
    origin: Origin,
) -> Result<(Me, String)> {
    let current = fields.required("current_password", text(person_fields::password));
    let new = fields.required("new_password", text(person_fields::new_password));
    let (current, new) = fields.done(current.zip(new))?;
    let credentials = registry.credentials_of(signed_in.person.id).await?;
    let tried = people.take_login(&credentials.email, &origin).await?;
    if people.passwords.check(current, Some(credentials.password_hash.clone())).await? == Verdict::Wrong {
        return Err(Error::WrongLogin);
    }
    people.was_right(&tried).await?;
    let hash = people.passwords.hash(new).await?;
    let epoch = registry.change_password(&credentials, &hash, &signed_in.by(origin.clone())).await?;
    people.sessions.tidy_up(credentials.id).await;
    auth.forget(credentials.id).await;
    let (signed_in, cookie) = auth.begin_session(credentials.id, epoch, headers, &origin).await?;
    Ok((me(registry, signed_in).await?, cookie))
}

/// Somebody's sessions, the latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SessionList {
    sessions: Vec<ListedSession>,
}

/// A session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ListedSession {
    id: Uuid,
    /// It is the one that asks.
    current: bool,
    /// The address from which it began.
    address: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    began_at: OffsetDateTime,
    /// When it was used last, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    seen_at: OffsetDateTime,
    /// When it ends, however much it is used.
    #[serde(with = "time::serde::rfc3339")]
    ends_at: OffsetDateTime,
}

/// # Errors
/// Weather.
pub(crate) async fn sessions(sessions: &Sessions, signed_in: &SignedIn) -> Result<SessionList> {
    let all = sessions.of(signed_in.person.id).await?;
    // Those of an earlier epoch open nothing.
    let live = all.into_iter().filter(|one| one.session.epoch == signed_in.session.epoch).map(|one| ListedSession {
        id: one.session.id,
        current: one.session.id == signed_in.session.id,
        address: one.session.address,
        began_at: timestamp::to_datetime(one.session.began_at),
        seen_at: timestamp::to_datetime(one.seen_at),
        ends_at: timestamp::to_datetime(one.ends_at),
    });
    Ok(SessionList { sessions: live.collect() })
}

/// Ends the session that asks.
///
/// # Errors
/// Weather: it may go on.
pub(crate) async fn log_out(registry: &Registry, sessions: &Sessions, signed_in: &SignedIn, origin: Origin) -> Result<()> {
    let user = signed_in.person.id;
    registry.note_of_person(user, &signed_in.by(origin), &Change::LoggedOut { user }).await?;
    sessions.end(user, &signed_in.hash).await
}

/// Ends one session of whoever asks.
///
/// # Errors
/// [`Error::NotFound`] for one that is not there, or another's; weather: it may go on.
pub(crate) async fn end_session(registry: &Registry, sessions: &Sessions, signed_in: &SignedIn, id: Uuid, origin: Origin) -> Result<()> {
    let user = signed_in.person.id;
    if !sessions.end_of_id(user, id).await? {
        return Err(Error::NotFound("session"));
    }
    registry.note_of_person(user, &signed_in.by(origin), &Change::LoggedOut { user }).await
}

/// Ends all sessions of whoever asks, this one too.
///
/// # Errors
/// Weather: they may go on.
pub(crate) async fn end_sessions((registry, auth): (&Registry, &Authenticator), sessions: &Sessions, signed_in: &SignedIn, origin: Origin) -> Result<()> {
    let user = signed_in.person.id;
    registry.end_sessions(user, &signed_in.by(origin)).await?;
    auth.forget(user).await;
    sessions.tidy_up(user).await;
    Ok(())
}
