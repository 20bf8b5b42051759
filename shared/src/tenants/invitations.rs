//! Invitations: who may join a tenant, and as what. The token that accepts one is told to the operator's consumers, which mail it; its hash is here.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::prelude::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::changes::{self, By, Change};
use super::{Actor, Registry};
use crate::error::{Engine, Error, Result};
use crate::http::Origin;
use crate::ids::{TenantId, Token, TokenHash};
use crate::people::Role;
use crate::postgres::failed;
use crate::timestamp;

/// Most invitations of a tenant that wait.
pub const MOST_OPEN_INVITATIONS: i64 = 1000;

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Who is invited.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
}

/// An invitation, without its token.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct Invitation {
    /// Its id.
    pub id: Uuid,
    /// Who is invited.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Until when it can be accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// An invitation that can be accepted, as whoever has its token may see it.
#[derive(Debug, Clone, FromRow)]
pub struct OpenInvitation {
    /// Its id.
    pub id: Uuid,
    /// The tenant.
    pub tenant_id: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// Who is invited.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
    /// Whether there is an account of that address.
    pub has_account: bool,
}

/// Who is to be made a user of.
#[derive(Clone)]
pub struct NewAccount {
    /// The name, for people.
    pub name: String,
    /// The password's hash, in the PHC string format.
    pub password_hash: String,
}

const OPEN: &str = "select i.id, i.tenant_id, t.name as tenant_name, i.email, i.role, exists (select from users u where lower(u.email) = lower(i.email)) as has_account \
     from invitations i join tenants t on t.id = i.tenant_id and t.status in ('provisioning', 'active', 'suspended') \
     where i.token_hash = $1 and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()";

impl Registry {
    /// Invites somebody. An invitation of the same address that still waits is taken back.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a tenant that is not there (any more); [`Error::Conflict`] `already_member` or `too_many_invitations`;
    /// [`Error::Unavailable`].
    pub async fn invite(&self, tenant: &TenantId, new: &NewInvitation, token: &Token, lifetime: Duration, by: &By) -> Result<Invitation> {
        let fail = failed(Engine::Control, "inviting somebody");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        // Held, so that two who invite the same person come one after the other, and nobody is invited into what is being deleted.
        let name: Option<String> = sqlx::query_scalar("select name from tenants where id = $1 and status in ('provisioning', 'active', 'suspended') for no key update")
            .bind(tenant.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let name = name.ok_or(Error::NotFound("tenant"))?;
        let member = "select count(*) from memberships m join users u on u.id = m.user_id where m.tenant_id = $1 and lower(u.email) = lower($2)";
        let member: i64 = sqlx::query_scalar(member).bind(tenant.as_str()).bind(&new.email).fetch_one(&mut *tx).await.map_err(&fail)?;
        if member > 0 {
            return Err(already_member());
        }
        // One that has expired makes room, too.
        let replace = "update invitations set revoked_at = now() where tenant_id = $1 and accepted_at is null and revoked_at is null \
             and (lower(email) = lower($2) or expires_at <= now())";
        sqlx::query(replace).bind(tenant.as_str()).bind(&new.email).execute(&mut *tx).await.map_err(&fail)?;
        let open = "select count(*) from invitations where tenant_id = $1 and accepted_at is null and revoked_at is null";
        let open: i64 = sqlx::query_scalar(open).bind(tenant.as_str()).fetch_one(&mut *tx).await.map_err(&fail)?;
        if open >= MOST_OPEN_INVITATIONS {
            return Err(Error::Conflict { code: "too_many_invitations", detail: format!("{MOST_OPEN_INVITATIONS} invitations wait already; take one back first") });
        }
        let insert = "insert into invitations (id, tenant_id, email, role, token_hash, expires_at) values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) \
             returning id, email, role, created_at, expires_at";
        let made: Invitation = sqlx::query_as(insert)
            .bind(Uuid::now_v7())
            .bind(tenant.as_str())
            .bind(&new.email)
            .bind(new.role)
            .bind(token.hash().as_bytes().as_slice())
            .bind(lifetime.as_secs_f64())
            .fetch_one(&mut *tx)
            .await
            .map_err(&fail)?;
        let change = Change::InvitationCreated { id: made.id, email: &made.email, role: made.role };
        changes::record(&mut tx, tenant, by, &change).await.map_err(&fail)?;
        let expires_at = timestamp::format(timestamp::from_datetime(made.expires_at));
        let told = json!({ "invitation": made.id, "email": made.email, "role": made.role, "tenant_name": name, "token": token.reveal(), "expires_at": expires_at });
        changes::tell_operator(&mut tx, Some(tenant), &change, made.id, &told).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(made)
    }

    /// A tenant's invitations that wait, the latest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn invitations(&self, tenant: &TenantId, before: Option<Uuid>, limit: i64) -> Result<Vec<Invitation>> {
        let statement = "select id, email, role, created_at, expires_at from invitations \
             where tenant_id = $1 and accepted_at is null and revoked_at is null and expires_at > now() and ($2::uuid is null or id < $2) order by id desc limit $3";
        sqlx::query_as(statement).bind(tenant.as_str()).bind(before).bind(limit).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "listing invitations"))
    }

    /// Takes an invitation back that waits.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn revoke_invitation(&self, tenant: &TenantId, id: Uuid, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "taking an invitation back");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let revoke = "update invitations set revoked_at = now() where tenant_id = $1 and id = $2 and accepted_at is null and revoked_at is null";
        let done = sqlx::query(revoke).bind(tenant.as_str()).bind(id).execute(&mut *tx).await.map_err(&fail)?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("invitation"));
        }
        changes::record(&mut tx, tenant, by, &Change::InvitationRevoked { id }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// The invitation that a token accepts.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that is not there, or cannot be accepted any more; [`Error::Unavailable`].
    pub async fn open_invitation(&self, token: &TokenHash) -> Result<OpenInvitation> {
        let found = sqlx::query_as(OPEN).bind(token.as_bytes().as_slice()).fetch_optional(&self.pool).await;
        found.map_err(failed(Engine::Control, "looking for an invitation"))?.ok_or(Error::NotFound("invitation"))
    }

    /// Makes a user of whoever has the token, and a member of the tenant. Answers the user's id.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an invitation that cannot be accepted any more; [`Error::Conflict`] `account_exists`; [`Error::Unavailable`].
    pub async fn accept_as_new(&self, token: &TokenHash, account: &NewAccount, origin: Origin) -> Result<Uuid> {
        let fail = failed(Engine::Control, "accepting an invitation");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let invitation = hold(&mut tx, token).await?;
        let insert = "insert into users (id, email, name, password_hash) values ($1, $2, $3, $4) on conflict (lower(email)) do nothing returning id";
        let insert = sqlx::query_scalar(insert).bind(Uuid::now_v7()).bind(&invitation.email).bind(&account.name).bind(&account.password_hash);
        let user: Option<Uuid> = insert.fetch_optional(&mut *tx).await.map_err(&fail)?;
        let user = user.ok_or_else(account_exists)?;
        join(&mut tx, &invitation, user, &By::new(Actor::User(user), origin)).await?;
        tx.commit().await.map_err(fail)?;
        Ok(user)
    }

    /// Makes a user who is logged in, and has the token, a member of the tenant.
    ///
    /// # Errors
    /// As [`Registry::accept_as_new`]; [`Error::Forbidden`] `invitation_for_another`; [`Error::Conflict`] `already_member`.
    pub async fn accept_as(&self, token: &TokenHash, user: Uuid, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "accepting an invitation");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let invitation = hold(&mut tx, token).await?;
        let own: i64 = sqlx::query_scalar("select count(*) from users where id = $1 and lower(email) = lower($2) and disabled_at is null")
            .bind(user)
            .bind(&invitation.email)
            .fetch_one(&mut *tx)
            .await
            .map_err(&fail)?;
        if own == 0 {
            return Err(Error::Forbidden { code: "invitation_for_another", detail: "this invitation is for another e-mail address than yours".to_owned() });
        }
        join(&mut tx, &invitation, user, by).await?;
        tx.commit().await.map_err(fail)
    }
}

async fn hold(tx: &mut PgConnection, token: &TokenHash) -> Result<OpenInvitation> {
    let statement = format!("{OPEN} for update of i");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(token.as_bytes().as_slice()).fetch_optional(tx).await;
    found.map_err(failed(Engine::Control, "accepting an invitation"))?.ok_or(Error::NotFound("invitation"))
}

async fn join(tx: &mut PgConnection, invitation: &OpenInvitation, user: Uuid, by: &By) -> Result<()> {
    let fail = failed(Engine::Control, "joining a tenant");
    let tenant = TenantId::parse(&invitation.tenant_id).map_err(|e| Error::internal("joining a tenant", e))?;
    let insert = "insert into memberships (tenant_id, user_id, role) values ($1, $2, $3) on conflict do nothing";
    let done = sqlx::query(insert).bind(tenant.as_str()).bind(user).bind(invitation.role).execute(&mut *tx).await.map_err(&fail)?;
    if done.rows_affected() == 0 {
        return Err(already_member());
    }
    let accept = "update invitations set accepted_at = now(), accepted_by = $2 where id = $1";
    sqlx::query(accept).bind(invitation.id).bind(user).execute(&mut *tx).await.map_err(&fail)?;
    changes::record(tx, &tenant, by, &Change::MemberAdded { user, role: invitation.role, invitation: invitation.id }).await.map_err(fail)
}

fn already_member() -> Error {
    Error::Conflict { code: "already_member", detail: "whoever has this e-mail address belongs to the tenant already".to_owned() }
}

/// What somebody is told who has an account, and would make another.
fn account_exists() -> Error {
    Error::Conflict { code: "account_exists", detail: "there is an account of this e-mail address: log in, and accept the invitation then".to_owned() }
}

impl OpenInvitation {
    /// # Errors
    /// [`Error::Conflict`] `account_exists` where only whoever has that account can accept it.
    pub fn must_be_new(&self) -> Result<()> {
        if self.has_account { Err(account_exists()) } else { Ok(()) }
    }
}
