//! A forgotten password: whoever reads the mails of its account sets it anew.

use std::time::Duration;

use shared::auth::Authenticator;
use shared::error::Result;
use shared::http::Origin;
use shared::ids::{Token, TokenKind};
use shared::tenants::{Actor, By, Registry};
use tokio::time::Instant;

use crate::fields::{Fields, text};
use crate::people::People;
use crate::person_fields;

/// How long an answer takes at least: longer than the statements that it waits for, of which there are more where there is such an account.
const TAKES: Duration = Duration::from_millis(250);

/// Somebody whose password is forgotten.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct ForgottenPassword {
    /// The e-mail address of the account.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
}

/// Notes a forgotten password. Where there is such an account, a token is told to the operator's consumers: the answer is the same.
///
/// # Errors
/// [`shared::error::Error::Invalid`]; [`shared::error::Error::OverLimit`] `too_many_resets`; weather.
pub(crate) async fn ask(registry: &Registry, people: &People, mut fields: Fields, origin: Origin) -> Result<()> {
    let email = fields.required("email", text(person_fields::email));
    let email = fields.done(email)?;
    let answer_at = Instant::now() + TAKES;
    // An account that was mailed some lately has them still: nobody is told so.
    if people.take_reset(&email, &origin).await? {
        let token = Token::generate(TokenKind::PasswordReset);
        registry.ask_for_reset(&email, &token, people.settings.reset, &By::new(Actor::Nobody, origin)).await?;
    }
    tokio::time::sleep_until(answer_at).await;
    Ok(())
}

/// A password to be set anew.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it says in the API's description what is taken")]
pub(crate) struct PasswordReset {
    /// What was mailed.
    token: String,
    /// The password that there is to be.
    #[schema(min_length = 12, max_length = 1024)]
    password: String,
}

/// Sets a password anew. All sessions of its user have ended.
///
/// # Errors
/// [`shared::error::Error::Invalid`]; [`shared::error::Error::NotFound`] for a token that sets none any more; weather.
pub(crate) async fn redeem((registry, auth, people): (&Registry, &Authenticator, &People), mut fields: Fields, origin: Origin) -> Result<()> {
    let token = fields.required("token", text(person_fields::token(TokenKind::PasswordReset)));
    let password = fields.required("password", text(person_fields::new_password));
    let (token, password) = fields.done(token.zip(password))?;
    // Asked before a hash is made: that is work, and whoever makes tokens up gets none of it.
    registry.open_reset(&token.hash()).await?;
    let hash = people.passwords.hash(password).await?;
    let by = |user| By::new(Actor::User(user), origin.clone());
    let (user, email) = registry.reset_password(&token.hash(), &hash, by).await?;
    auth.forget(user).await;
    people.sessions.tidy_up(user).await;
    people.was_here(&email, &origin).await
}
