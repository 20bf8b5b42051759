//! Forgotten passwords: a token sets one anew, once. It is told to the operator's consumers, which mail it; its hash is here.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::changes::{self, By, Change};
use crate::error::{Engine, Error, Result};
use crate::ids::{Token, TokenHash};
use crate::postgres::failed;
use crate::timestamp;

impl Registry {
    /// Notes that a password is forgotten. Where there is such a user, who may log in, `token` sets it anew, and is told.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ask_for_reset(&self, email: &str, token: &Token, lifetime: Duration, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "noting a forgotten password");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let change = Change::PasswordResetRequested { email };
        changes::note(&mut tx, None, by, &change).await.map_err(&fail)?;
        let user = sqlx::query("select id, email, name from users where lower(email) = lower($1) and disabled_at is null").bind(email);
        if let Some(user) = user.fetch_optional(&mut *tx).await.map_err(&fail)? {
            let (id, email, name): (Uuid, String, String) = (user.get("id"), user.get("email"), user.get("name"));
            let tidy = "delete from password_resets where user_id = $1 and (used_at is not null or expires_at <= now())";
            sqlx::query(tidy).bind(id).execute(&mut *tx).await.map_err(&fail)?;
            let insert = "insert into password_resets (id, user_id, token_hash, expires_at) values ($1, $2, $3, now() + make_interval(secs => $4)) returning expires_at";
            let hash = token.hash();
            let insert = sqlx::query_scalar(insert).bind(Uuid::now_v7()).bind(id).bind(hash.as_bytes().as_slice()).bind(lifetime.as_secs_f64());
            let expires_at: OffsetDateTime = insert.fetch_one(&mut *tx).await.map_err(&fail)?;
            let expires_at = timestamp::format(timestamp::from_datetime(expires_at));
            let told = json!({ "user": id, "email": email, "name": name, "token": token.reveal(), "expires_at": expires_at });
            changes::tell_operator(&mut tx, None, &change, id, &told).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Whether a token sets a password anew.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that does not (any more); [`Error::Unavailable`].
    pub async fn open_reset(&self, token: &TokenHash) -> Result<()> {
        let statement = "select count(*) from password_resets where token_hash = $1 and used_at is null and expires_at > now()";
        let open: i64 =
            sqlx::query_scalar(statement).bind(token.as_bytes().as_slice()).fetch_one(&self.pool).await.map_err(failed(Engine::Control, "looking for a password reset"))?;
        if open > 0 { Ok(()) } else { Err(Error::NotFound("password reset")) }
    }

    /// Sets a password anew, by a token that has not been used. All sessions of the user have ended, and every other token of theirs opens
    /// nothing. Answers the user's id and e-mail address.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn reset_password(&self, token: &TokenHash, password_hash: &str, by: impl FnOnce(Uuid) -> By) -> Result<(Uuid, String)> {
        let fail = failed(Engine::Control, "setting a password anew");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let used = "update password_resets set used_at = now() where token_hash = $1 and used_at is null and expires_at > now() returning user_id";
        let used: Option<Uuid> = sqlx::query_scalar(used).bind(token.as_bytes().as_slice()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let user = used.ok_or(Error::NotFound("password reset"))?;
        let set = "update users set password_hash = $2, session_epoch = session_epoch + 1, password_changed_at = now(), updated_at = now() \
             where id = $1 and disabled_at is null returning email";
        let email: Option<String> = sqlx::query_scalar(set).bind(user).bind(password_hash).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let email = email.ok_or(Error::NotFound("password reset"))?;
        sqlx::query("update password_resets set used_at = now() where user_id = $1 and used_at is null").bind(user).execute(&mut *tx).await.map_err(&fail)?;
        changes::note_in_all(&mut tx, user, &by(user), &Change::PasswordReset { user }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok((user, email))
    }
}
