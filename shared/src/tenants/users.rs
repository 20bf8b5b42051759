//! People who can log in. Of their passwords only hashes are here.

use serde::Serialize;
use sqlx::Row as _;
use sqlx::prelude::FromRow;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::changes::{self, By, Change};
use super::{Registry, TenantStatus};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::people::{Membership, Person, Role};
use crate::postgres::failed;
use crate::retention::Retention;

/// A user, without what lets them in.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// The e-mail address, as it was typed first.
    pub email: String,
    /// The name, for people.
    pub name: String,
    /// When the account was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the password was set last.
    #[serde(with = "time::serde::rfc3339")]
    pub password_changed_at: OffsetDateTime,
    /// When the user logged in last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_login_at: Option<OffsetDateTime>,
    /// Since when the user cannot log in.
    #[serde(with = "time::serde::rfc3339::option")]
    pub disabled_at: Option<OffsetDateTime>,
}

/// What a user is in a tenant that works.
#[derive(Debug, Clone, FromRow)]
pub struct UserMembership {
    /// The tenant's id.
    pub tenant: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// Where the tenant is in its life.
    pub status: TenantStatus,
    /// The user's role there.
    pub role: Role,
}

/// What a login is checked against.
#[derive(Clone, FromRow)]
pub struct Credentials {
    /// The user's id.
    pub id: Uuid,
    /// The e-mail address.
    pub email: String,
    /// The password's hash, in the PHC string format.
    pub password_hash: String,
    /// The epoch under which a session would begin.
    pub session_epoch: i64,
    /// The user must not log in.
    pub disabled: bool,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Registry {
    /// What a person may do; `None` for one who is not there, or disabled.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn person(&self, id: Uuid) -> Result<Option<Person>> {
        let statement = "select u.session_epoch, m.tenant_id, m.role, t.status, t.retention from users u \
             left join (memberships m join tenants t on t.id = m.tenant_id and t.status in ('active', 'suspended')) on m.user_id = u.id \
             where u.id = $1 and u.disabled_at is null order by m.tenant_id";
        let fail = failed(Engine::Control, "looking up a person");
        let rows = sqlx::query(statement).bind(id).fetch_all(&self.pool).await.map_err(&fail)?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut person = Person { id, epoch: first.try_get("session_epoch").map_err(&fail)?, memberships: Vec::new() };
        for row in &rows {
            let Some(tenant) = row.try_get::<Option<String>, _>("tenant_id").map_err(&fail)? else { continue };
            let tenant = TenantId::parse(&tenant).map_err(|e| Error::internal("looking up a person", e))?;
            let status: TenantStatus = row.try_get("status").map_err(&fail)?;
            let retention = row.try_get::<Option<Json<Retention>>, _>("retention").map_err(&fail)?.unwrap_or_default().0;
            person.memberships.push(Membership { tenant, role: row.try_get("role").map_err(&fail)?, suspended: status == TenantStatus::Suspended, retention });
        }
        Ok(Some(person))
    }

    /// What a login with this e-mail address is checked against.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn credentials(&self, email: &str) -> Result<Option<Credentials>> {
        sqlx::query_as("select id, email, password_hash, session_epoch, disabled_at is not null as disabled from users where lower(email) = lower($1)")
            .bind(email)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Control, "looking up who logs in"))
    }

    /// The same of a user who is known.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn credentials_of(&self, id: Uuid) -> Result<Credentials> {
        let found = sqlx::query_as("select id, email, password_hash, session_epoch, disabled_at is not null as disabled from users where id = $1").bind(id);
        let found = found.fetch_optional(&self.pool).await.map_err(failed(Engine::Control, "looking up a user"))?;
        found.ok_or(Error::NotFound("user"))
    }

    /// A user.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn user(&self, id: Uuid) -> Result<User> {
        let found = sqlx::query_as("select id, email, name, created_at, password_changed_at, last_login_at, disabled_at from users where id = $1").bind(id);
        let found = found.fetch_optional(&self.pool).await.map_err(failed(Engine::Control, "reading a user"))?;
        found.ok_or(Error::NotFound("user"))
    }

    /// What a user is in which tenants, by their ids.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn memberships_of(&self, id: Uuid) -> Result<Vec<UserMembership>> {
        let statement = "select m.tenant_id as tenant, t.name as tenant_name, t.status, m.role from memberships m join tenants t on t.id = m.tenant_id \
             where m.user_id = $1 and t.status in ('active', 'suspended') order by m.tenant_id";
        sqlx::query_as(statement).bind(id).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "reading memberships"))
    }

    /// Users in the order of their ids, or the one with this e-mail address.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn users(&self, email: Option<&str>, after: Option<Uuid>, limit: i64) -> Result<Vec<User>> {
        let statement = "select id, email, name, created_at, password_changed_at, last_login_at, disabled_at from users \
             where ($1::text is null or lower(email) = lower($1)) and ($2::uuid is null or id > $2) order by id limit $3";
        sqlx::query_as(statement).bind(email).bind(after).bind(limit).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "listing users"))
    }

    /// Notes that a user logged in; `rehashed` is the password's hash where it was made anew.
    ///
    /// # Errors
    /// [`Error::WrongLogin`] where the password was changed meanwhile, or [`Error::Unavailable`].
    pub async fn note_login(&self, who: &Credentials, rehashed: Option<&str>, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "noting a login");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "update users set last_login_at = now(), password_hash = coalesce($3, password_hash) \
             where id = $1 and session_epoch = $2 and disabled_at is null";
        let done = sqlx::query(statement).bind(who.id).bind(who.session_epoch).bind(rehashed).execute(&mut *tx).await.map_err(&fail)?;
        if done.rows_affected() == 0 {
            return Err(Error::WrongLogin);
        }
        changes::note_in_all(&mut tx, who.id, by, &Change::LoggedIn { user: who.id }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Notes what a person did that changes nothing here.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then it must not be done.
    pub async fn note_of_person(&self, user: Uuid, by: &By, change: &Change<'_>) -> Result<()> {
        let fail = failed(Engine::Control, "noting what a person did");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        changes::note_in_all(&mut tx, user, by, change).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Gives a user another name.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn rename_user(&self, id: Uuid, name: &str, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "renaming a user");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let old: Option<String> = sqlx::query_scalar("select name from users where id = $1 for no key update").bind(id).fetch_optional(&mut *tx).await.map_err(&fail)?;
        if old.ok_or(Error::NotFound("user"))? != name {
            sqlx::query("update users set name = $2, updated_at = now() where id = $1").bind(id).bind(name).execute(&mut *tx).await.map_err(&fail)?;
            changes::note_in_all(&mut tx, id, by, &Change::UserRenamed { user: id, name }).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Gives a user another password, where it is still the one that `before` says. All sessions have ended; answers the epoch under which
    /// the next begin.
    ///
    /// # Errors
    /// [`Error::WrongLogin`] where it was changed meanwhile, or [`Error::Unavailable`].
    pub async fn change_password(&self, before: &Credentials, password_hash: &str, by: &By) -> Result<i64> {
        let fail = failed(Engine::Control, "changing a password");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "update users set password_hash = $3, session_epoch = session_epoch + 1, password_changed_at = now(), updated_at = now() \
             where id = $1 and session_epoch = $2 and disabled_at is null returning session_epoch";
        let epoch = sqlx::query_scalar(statement).bind(before.id).bind(before.session_epoch).bind(password_hash).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let epoch = epoch.ok_or(Error::WrongLogin)?;
        sqlx::query("update password_resets set used_at = now() where user_id = $1 and used_at is null").bind(before.id).execute(&mut *tx).await.map_err(&fail)?;
        changes::note_in_all(&mut tx, before.id, by, &Change::PasswordChanged { user: before.id }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(epoch)
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn end_sessions(&self, id: Uuid, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "ending sessions");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let done = sqlx::query("update users set session_epoch = session_epoch + 1 where id = $1").bind(id).execute(&mut *tx).await.map_err(&fail)?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("user"));
        }
        changes::note_in_all(&mut tx, id, by, &Change::SessionsEnded { user: id }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Keeps a user from logging in, or lets them again. All sessions of one who is kept out have ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn disable_user(&self, id: Uuid, disabled: bool, by: &By) -> Result<User> {
        let fail = failed(Engine::Control, "changing a user");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let statement = "update users set disabled_at = case when $2 then now() end, session_epoch = session_epoch + 1, updated_at = now() \
             where id = $1 and (disabled_at is not null) <> $2";
        let done = sqlx::query(statement).bind(id).bind(disabled).execute(&mut *tx).await.map_err(&fail)?;
        if done.rows_affected() > 0 {
            let change = if disabled { Change::UserDisabled { user: id } } else { Change::UserEnabled { user: id } };
            changes::note_in_all(&mut tx, id, by, &change).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)?;
        self.user(id).await
    }
}
