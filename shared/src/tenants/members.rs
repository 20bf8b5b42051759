//! Who belongs to a tenant, and as what.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::prelude::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::changes::{self, By, Change};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::people::Role;
use crate::postgres::failed;

/// Somebody who belongs to a tenant.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct Member {
    /// The user's id.
    pub user_id: Uuid,
    /// The e-mail address.
    pub email: String,
    /// The name, for people.
    pub name: String,
    /// The role here.
    pub role: Role,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub joined_at: OffsetDateTime,
    /// When the user logged in last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_login_at: Option<OffsetDateTime>,
    /// Whether the user can log in.
    pub disabled: bool,
}

const MEMBER: &str = "select u.id as user_id, u.email, u.name, m.role, m.created_at as joined_at, u.last_login_at, u.disabled_at is not null as disabled \
     from memberships m join users u on u.id = m.user_id";

impl Registry {
    /// A tenant's members in the order of their ids, which is that of their accounts' age.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn members(&self, tenant: &TenantId, after: Option<Uuid>, limit: i64) -> Result<Vec<Member>> {
        let statement = format!("{MEMBER} where m.tenant_id = $1 and ($2::uuid is null or m.user_id > $2) order by m.user_id limit $3");
        sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(tenant.as_str()).bind(after).bind(limit).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "listing members"))
    }

    /// Gives a member another role. `rank` is the highest role that the caller can give or take.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] `role_not_held`; [`Error::Conflict`] `last_owner`; [`Error::Unavailable`].
    pub async fn change_role(&self, tenant: &TenantId, user: Uuid, role: Role, rank: Role, by: &By) -> Result<Member> {
        let fail = failed(Engine::Control, "changing a role");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let before = hold(&mut tx, tenant, user, rank, role != Role::Owner).await?;
        if role > rank {
            return Err(not_held(role));
        }
        if role != before {
            let change = "update memberships set role = $3, updated_at = now() where tenant_id = $1 and user_id = $2";
            sqlx::query(change).bind(tenant.as_str()).bind(user).bind(role).execute(&mut *tx).await.map_err(&fail)?;
            changes::record(&mut tx, tenant, by, &Change::MemberRoleChanged { user, before, role }).await.map_err(&fail)?;
        }
        let statement = format!("{MEMBER} where m.tenant_id = $1 and m.user_id = $2");
        let member = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(tenant.as_str()).bind(user).fetch_one(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(member)
    }

    /// Removes a member. `rank` as for [`Registry::change_role`].
    ///
    /// # Errors
    /// As [`Registry::change_role`].
    pub async fn remove_member(&self, tenant: &TenantId, user: Uuid, rank: Role, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "removing a member");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        hold(&mut tx, tenant, user, rank, true).await?;
        sqlx::query("delete from memberships where tenant_id = $1 and user_id = $2").bind(tenant.as_str()).bind(user).execute(&mut *tx).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::MemberRemoved { user }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }
}

/// Locks a membership, and answers its role, if the caller may touch it. The owners are locked first, in one order: of two owners who make
/// each other go at once, one comes second and is the last.
async fn hold(tx: &mut PgConnection, tenant: &TenantId, user: Uuid, rank: Role, goes: bool) -> Result<Role> {
    let fail = failed(Engine::Control, "locking a membership");
    let owners = "select user_id from memberships where tenant_id = $1 and role = 'owner' order by user_id for update";
    let owners: Vec<Uuid> = sqlx::query_scalar(owners).bind(tenant.as_str()).fetch_all(&mut *tx).await.map_err(&fail)?;
    let role = "select role from memberships where tenant_id = $1 and user_id = $2 for update";
    let role: Option<Role> = sqlx::query_scalar(role).bind(tenant.as_str()).bind(user).fetch_optional(&mut *tx).await.map_err(&fail)?;
    let role = role.ok_or(Error::NotFound("member"))?;
    if role > rank {
        return Err(not_held(role));
    }
    if goes && owners == [user] {
        return Err(Error::Conflict { code: "last_owner", detail: "this is the tenant's last owner: make somebody else an owner first".to_owned() });
    }
    Ok(role)
}

fn not_held(role: Role) -> Error {
    Error::Forbidden { code: "role_not_held", detail: format!("only who is {0} can make or unmake {0}", with_article(role)) }
}

fn with_article(role: Role) -> &'static str {
    match role {
        Role::Viewer => "a viewer",
        Role::Member => "a member",
        Role::Admin => "an admin",
        Role::Owner => "an owner",
    }
}
