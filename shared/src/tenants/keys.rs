//! API keys: only their hashes are here.

use std::time::Duration;

use ipnet::IpNet;
use sqlx::postgres::PgRow;
use sqlx::prelude::FromRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::changes::{self, By, Change};
use super::{Registry, TenantStatus};
use crate::error::{Engine, Error, Result};
use crate::grant::{Allowed, Grant, Scope};
use crate::ids::{ApiKey, KeyHash, TenantId};
use crate::limits::{Limits, Rate};
use crate::postgres::failed;
use crate::timestamp;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its name, for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it may send.
    pub limits: Rate,
    /// What it may be used for.
    pub allowed: Allowed,
}

/// What to change of a key: what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// Its name.
    pub name: Option<String>,
    /// When it ends; `Some(None)`: never.
    pub expires_at: Option<Option<OffsetDateTime>>,
    /// What it may send.
    pub limits: Option<Rate>,
    /// The services whose logs it may send.
    pub services: Option<Vec<String>>,
    /// The networks that it may be used from.
    pub networks: Option<Vec<IpNet>>,
    /// The origins of pages that may use it.
    pub origins: Option<Vec<String>>,
}

/// A key as it can be shown again: without the key.
#[derive(Debug, Clone, FromRow)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: Uuid,
    /// What it begins with.
    pub prefix: String,
    /// Its name, for people.
    pub name: String,
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// What it may send.
    pub limits: Json<Rate>,
    /// The services whose logs it may send; none: all.
    pub services: Vec<String>,
    /// The networks that it may be used from; none: all.
    pub networks: Vec<String>,
    /// The origins of pages that may use it; none: all.
    pub origins: Vec<String>,
    /// The key that was made in its place.
    pub replaced_by: Option<Uuid>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
}

const COLUMNS: &str = "id, prefix, name, scopes, created_at, expires_at, revoked_at, limits, services, networks, origins, replaced_by, last_used_at";

const GRANT: &str = "select k.hash, k.id, k.tenant_id, k.scopes, k.version, k.expires_at, k.revoked_at, k.services, k.networks, k.origins, k.limits as key_limits, case when t.limits <> '{}' then t.limits else t.plan_limits end as tenant_limits, t.retention, t.status, t.class from api_keys k join tenants t on t.id = k.tenant_id";

impl Registry {
    /// Keeps a key's hash. The key is not in force before its grant is published. It holds the tenant's row meanwhile, so that a
    /// change of the tenant's status is in the key's grant, or comes after it and gives it a new version.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the tenant is not there (any more), [`Error::Conflict`] `tenant_provisioning` where it is not yet,
    /// or [`Error::Unavailable`].
    pub async fn add_key(&self, tenant: &TenantId, key: &ApiKey, new: &NewKey, by: &By) -> Result<ApiKeyRow> {
        let fail = failed(Engine::Control, "keeping a key");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        let insert = format!(
            "insert into api_keys (id, tenant_id, name, hash, prefix, scopes, expires_at, limits, services, networks, origins) \
             select $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11 from tenants where id = $2 and status in ('active', 'suspended') for share returning {COLUMNS}"
        );
        let row: Option<ApiKeyRow> = sqlx::query_as(AssertSqlSafe(insert))
            .bind(Uuid::now_v7())
            .bind(tenant.as_str())
            .bind(&new.name)
            .bind(key.hash().as_bytes().as_slice())
            .bind(key.prefix())
            .bind(scopes)
            .bind(new.expires_at)
            .bind(Json(&new.limits))
            .bind(&new.allowed.services)
            .bind(texts(&new.allowed.networks))
            .bind(&new.allowed.origins)
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let Some(row) = row else {
            tx.rollback().await.map_err(fail)?;
            return Err(self.tenant(tenant).await.map_or_else(|error| error, |_| super::still_provisioning()));
        };
        let change = Change::KeyCreated { id: row.id, name: &row.name, prefix: &row.prefix, scopes: &new.scopes };
        changes::record(&mut tx, tenant, by, &change).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(row)
    }

    /// A tenant's keys, oldest first, revoked ones included.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn keys(&self, tenant: &TenantId) -> Result<Vec<ApiKeyRow>> {
        sqlx::query_as(AssertSqlSafe(format!("select {COLUMNS} from api_keys where tenant_id = $1 order by created_at, id")))
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Control, "listing keys"))
    }

    /// Changes a tenant's key that is not revoked. It is as it was until its grant is published.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn change_key(&self, tenant: &TenantId, key_id: Uuid, change: &KeyChange, by: &By) -> Result<(ApiKeyRow, (KeyHash, Grant))> {
        let fail = failed(Engine::Control, "changing a key");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let update = format!(
            "update api_keys set version = nextval('grant_version'), name = coalesce($3, name), expires_at = case when $4 then $5 else expires_at end, \
                 limits = coalesce($6, limits), services = coalesce($7, services), networks = coalesce($8, networks), origins = coalesce($9, origins) \
             where id = $1 and tenant_id = $2 and revoked_at is null returning {COLUMNS}"
        );
        let row: Option<ApiKeyRow> = sqlx::query_as(AssertSqlSafe(update))
            .bind(key_id)
            .bind(tenant.as_str())
            .bind(&change.name)
            .bind(change.expires_at.is_some())
            .bind(change.expires_at.flatten())
            .bind(change.limits.as_ref().map(Json))
            .bind(&change.services)
            .bind(change.networks.as_deref().map(texts))
            .bind(&change.origins)
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let row = row.ok_or(Error::NotFound("key"))?;
        changes::record(&mut tx, tenant, by, &Change::KeyChanged { key: &row }).await.map_err(&fail)?;
        let grant = grant_in(&mut tx, key_id).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok((row, grant))
    }

    /// Makes a key in the place of one that opens doors: the same in everything, for the same tenant. The old one ends after `overlap`, or
    /// when it would have; it is as it was until its grant is published.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that is not there, is revoked or has ended; [`Error::Unavailable`].
    pub async fn rotate_key(&self, tenant: &TenantId, key_id: Uuid, key: &ApiKey, overlap: Duration, by: &By) -> Result<(ApiKeyRow, Vec<(KeyHash, Grant)>)> {
        let fail = failed(Engine::Control, "rotating a key");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let insert = format!(
            "insert into api_keys (id, tenant_id, name, hash, prefix, scopes, expires_at, limits, services, networks, origins) \
             select $1, tenant_id, name, $4, $5, scopes, expires_at, limits, services, networks, origins from api_keys \
             where id = $2 and tenant_id = $3 and revoked_at is null and replaced_by is null and (expires_at is null or expires_at > now()) for update returning {COLUMNS}"
        );
        let made: Option<ApiKeyRow> = sqlx::query_as(AssertSqlSafe(insert))
            .bind(Uuid::now_v7())
            .bind(key_id)
            .bind(tenant.as_str())
            .bind(key.hash().as_bytes().as_slice())
            .bind(key.prefix())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let made = made.ok_or(Error::NotFound("key"))?;
        let end = "update api_keys set version = nextval('grant_version'), replaced_by = $2, \
                       expires_at = least(expires_at, now() + make_interval(secs => $3)) where id = $1 returning expires_at";
        let ends_at: OffsetDateTime = sqlx::query_scalar(end).bind(key_id).bind(made.id).bind(overlap.as_secs_f64()).fetch_one(&mut *tx).await.map_err(&fail)?;
        let scopes: Vec<Scope> = made.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
        let created = Change::KeyCreated { id: made.id, name: &made.name, prefix: &made.prefix, scopes: &scopes };
        for change in [created, Change::KeyRotated { id: key_id, replaced_by: made.id, ends_at }] {
            changes::record(&mut tx, tenant, by, &change).await.map_err(&fail)?;
        }
        let grants = vec![grant_in(&mut tx, made.id).await.map_err(&fail)?, grant_in(&mut tx, key_id).await.map_err(&fail)?];
        tx.commit().await.map_err(fail)?;
        Ok((made, grants))
    }

    /// Notes when keys were used last.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_used(&self, used: &[(Uuid, OffsetDateTime)]) -> Result<()> {
        let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = used.iter().copied().unzip();
        // In the order of ids, as all who lock several.
        let statement = "with used as (select k.id, u.at from api_keys k join unnest($1::uuid[], $2::timestamptz[]) as u (id, at) on u.id = k.id \
                             where k.last_used_at is null or k.last_used_at < u.at order by k.id for no key update of k) \
                         update api_keys k set last_used_at = used.at from used where k.id = used.id";
        sqlx::query(statement).bind(ids).bind(times).execute(&self.pool).await.map_err(failed(Engine::Control, "noting when keys were used")).map(drop)
    }

    /// Revokes a tenant's key. It opens doors until its grant is published.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn revoke_key(&self, tenant: &TenantId, key_id: Uuid, by: &By) -> Result<(KeyHash, Grant)> {
        let fail = failed(Engine::Control, "revoking a key");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let was_live: Option<bool> = sqlx::query_scalar("select revoked_at is null from api_keys where id = $1 and tenant_id = $2 for update")
            .bind(key_id)
            .bind(tenant.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let was_live = was_live.ok_or(Error::NotFound("key"))?;
        let revoke = "update api_keys set revoked_at = coalesce(revoked_at, now()), version = nextval('grant_version') where id = $1";
        sqlx::query(revoke).bind(key_id).execute(&mut *tx).await.map_err(&fail)?;
        if was_live {
            changes::record(&mut tx, tenant, by, &Change::KeyRevoked { id: key_id }).await.map_err(&fail)?;
        }
        let grant = grant_in(&mut tx, key_id).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(grant)
    }

    /// What a key allows, for when the key ring cannot tell.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn grant(&self, hash: &KeyHash) -> Result<Option<Grant>> {
        let row = sqlx::query(AssertSqlSafe(format!("{GRANT} where k.hash = $1"))).bind(hash.as_bytes().as_slice()).fetch_optional(&self.pool).await;
        let grant = row.and_then(|row| row.map(|row| grant_of(&row)).transpose()).map_err(failed(Engine::Control, "looking up a key"))?;
        Ok(grant.map(|(_, grant)| grant))
    }

    /// All grants of a tenant, to be published.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn grants_of(&self, tenant: &TenantId) -> Result<Vec<(KeyHash, Grant)>> {
        let rows = sqlx::query(AssertSqlSafe(format!("{GRANT} where k.tenant_id = $1"))).bind(tenant.as_str()).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(grant_of).collect()).map_err(failed(Engine::Control, "reading a tenant's keys"))
    }

    /// All grants whose hash begins with these four bits: one part of the key ring, to be published again.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn grants_of_part(&self, part: u8) -> Result<Vec<(KeyHash, Grant)>> {
        let rows = sqlx::query(AssertSqlSafe(format!("{GRANT} where get_byte(k.hash, 0) >> 4 = $1"))).bind(i32::from(part)).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(grant_of).collect()).map_err(failed(Engine::Control, "reading keys"))
    }

    /// Grants that the key ring has not taken yet, as far as we know, oldest change first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn unpublished(&self, limit: i64) -> Result<Vec<(KeyHash, Grant)>> {
        let statement = format!("{GRANT} where k.published_version is distinct from k.version order by k.version limit $1");
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(limit).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(grant_of).collect()).map_err(failed(Engine::Control, "reading what is not published"))
    }

    /// Remembers that the key ring has taken these grants.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: they will be published again, which does no harm.
    pub async fn mark_published(&self, grants: &[(KeyHash, Grant)]) -> Result<()> {
        let (ids, versions): (Vec<Uuid>, Vec<i64>) = grants.iter().map(|(_, grant)| (grant.key_id, grant.version)).unzip();
        // In the order of ids, so that two who publish the same keys wait for each other instead of locking each other out.
        sqlx::query(
            "with taken as (select k.id, p.version from api_keys k join unnest($1::uuid[], $2::bigint[]) as p (id, version) on p.id = k.id \
                            where coalesce(k.published_version, 0) < p.version order by k.id for update of k) \
             update api_keys k set published_version = taken.version from taken where k.id = taken.id",
        )
        .bind(ids)
        .bind(versions)
        .execute(&self.pool)
        .await
        .map_err(failed(Engine::Control, "remembering what is published"))
        .map(drop)
    }
}

async fn grant_in(tx: &mut PgConnection, key_id: Uuid) -> sqlx::Result<(KeyHash, Grant)> {
    let row = sqlx::query(AssertSqlSafe(format!("{GRANT} where k.id = $1"))).bind(key_id).fetch_one(tx).await?;
    grant_of(&row)
}

fn texts(networks: &[IpNet]) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

fn grant_of(row: &PgRow) -> sqlx::Result<(KeyHash, Grant)> {
    let hash: [u8; 32] = row.try_get::<Vec<u8>, _>("hash")?.try_into().map_err(|_| sqlx::Error::Decode("a hash has 32 bytes".into()))?;
    let status: TenantStatus = row.try_get("status")?;
    let revoked = row.try_get::<Option<OffsetDateTime>, _>("revoked_at")?.is_some();
    let grant = Grant {
        version: row.try_get("version")?,
        key_id: row.try_get("id")?,
        tenant: TenantId::parse(row.try_get("tenant_id")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        scopes: row.try_get::<Vec<String>, _>("scopes")?.iter().filter_map(|name| Scope::parse(name)).collect(),
        class: row.try_get("class")?,
        revoked: revoked || matches!(status, TenantStatus::Deleting | TenantStatus::Deleted),
        suspended: status == TenantStatus::Suspended,
        expires_at: row.try_get::<Option<OffsetDateTime>, _>("expires_at")?.map(timestamp::from_datetime),
        allowed: Allowed {
            services: row.try_get("services")?,
            networks: row.try_get::<Vec<String>, _>("networks")?.iter().map(|network| network.parse()).collect::<Result<_, _>>().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            origins: row.try_get("origins")?,
        },
        retention: row.try_get::<Json<_>, _>("retention")?.0,
        limits: Limits { key: row.try_get::<Json<_>, _>("key_limits")?.0, tenant: row.try_get::<Json<_>, _>("tenant_limits")?.0 },
    };
    Ok((KeyHash::from_bytes(hash), grant))
}
