//! Accepting an invitation: whoever reads the mails of an address becomes a user, or joins as the user that they are.

use serde::Serialize;
use shared::auth::{Authenticator, SignedIn};
use shared::error::{Error, Fault, Result};
use shared::http::Origin;
use shared::ids::TokenKind;
use shared::people::Role;
use shared::tenants::{NewAccount, Registry};
use uuid::Uuid;

use crate::fields::{self, Fields, text};
use crate::people::People;
use crate::person_fields;

/// An invitation to be accepted.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct Acceptance {
    /// What was mailed.
    token: String,
    /// The name of a new user. Not of one who is logged in.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// The password of a new user. Not of one who is logged in.
    #[schema(min_length = 12, max_length = 1024)]
    password: Option<String>,
}

/// What came of an invitation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Accepted {
    user_id: Uuid,
    /// Whose login it is.
    email: String,
    tenant: String,
    tenant_name: String,
    role: Role,
}

/// Accepts an invitation, and answers whether a user was made.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::NotFound`] for a token that accepts none any more; [`Error::Conflict`] `account_exists` or `already_member`;
/// [`Error::Forbidden`] `invitation_for_another`; weather.
pub(crate) async fn accept(
    (registry, auth, people): (&Registry, &Authenticator, &People),
    signed_in: Option<SignedIn>,
    mut fields: Fields,
    origin: Origin,
) -> Result<(bool, Accepted)> {
    let token = fields.required("token", text(person_fields::token(TokenKind::Invitation)));
    let name = fields.optional("name", text(fields::name));
    let password = fields.optional("password", text(person_fields::new_password));
    let token = fields.done(token)?;
    let invitation = registry.open_invitation(&token.hash()).await?;
    let accepted =
        |user_id| Accepted { user_id, email: invitation.email.clone(), tenant: invitation.tenant_id.clone(), tenant_name: invitation.tenant_name.clone(), role: invitation.role };
    if let Some(signed_in) = signed_in {
        let user = signed_in.person.id;
        registry.accept_as(&token.hash(), user, &signed_in.by(origin)).await?;
        auth.forget(user).await;
        return Ok((false, accepted(user)));
    }
    invitation.must_be_new()?;
    let (name, password) = name.clone().zip(password.clone()).ok_or_else(|| missing(name.is_none(), password.is_none()))?;
    let account = NewAccount { name, password_hash: people.passwords.hash(password).await? };
    let user = registry.accept_as_new(&token.hash(), &account, origin.clone()).await?;
    people.was_here(&invitation.email, &origin).await?;
    Ok((true, accepted(user)))
}

/// What a new user must give.
fn missing(name: bool, password: bool) -> Error {
    let fault = |field: &str| Fault { index: None, field: Some(field.to_owned()), code: "required".to_owned(), detail: "must be given by a new user".to_owned(), place: None };
    let faults = [("name", name), ("password", password)].into_iter().filter(|(_, missing)| *missing).map(|(field, _)| fault(field)).collect();
    Error::Invalid { code: "invalid_parameter", detail: "a new user gives a name and a password; who has an account logs in first".to_owned(), faults }
}
