//! Logging in: the same answer, after the same work, for a wrong password, for nobody and for somebody who must not.

use axum::http::HeaderMap;
use shared::auth::Authenticator;
use shared::error::{Error, Result};
use shared::http::Origin;
use shared::tenants::{Actor, By, Change, Registry};

use crate::fields::{Fields, text};
use crate::me::{self, Me};
use crate::passwords::Verdict;
use crate::people::People;
use crate::person_fields;

/// Somebody who would log in.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct Login {
    /// The e-mail address: upper and lower case are the same.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    #[schema(min_length = 1, max_length = 1024)]
    password: String,
}

/// Logs somebody in, and answers the line that sets the cookie of a session that began with it.
///
/// # Errors
/// [`Error::Invalid`], each fault named; [`Error::OverLimit`] `too_many_logins`; [`Error::WrongLogin`]; weather.
pub(crate) async fn log_in((registry, auth, people): (&Registry, &Authenticator, &People), mut fields: Fields, headers: &HeaderMap, origin: Origin) -> Result<(Me, String)> {
    let (email, password) = (fields.required("email", text(person_fields::email)), fields.required("password", text(person_fields::password)));
    let (email, password) = fields.done(email.zip(password))?;
    let tried = people.take_login(&email, &origin).await?;
    let known = registry.credentials(&email).await?;
    let verdict = people.passwords.check(password, known.as_ref().map(|known| known.password_hash.clone())).await?;
    let (Some(known), Verdict::Right { rehashed }) = (known.filter(|known| !known.disabled), verdict) else {
        registry.note(None, &By::new(Actor::Nobody, origin), &Change::LoginFailed { email: &email }).await?;
        return Err(Error::WrongLogin);
    };
    registry.note_login(&known, rehashed.as_deref(), &By::new(Actor::User(known.id), origin.clone())).await?;
    people.was_right(&tried).await?;
    let (signed_in, cookie) = auth.begin_session(known.id, known.session_epoch, headers, &origin).await?;
    Ok((me::me(registry, signed_in).await?, cookie))
}
