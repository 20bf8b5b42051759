//! The control database: every statement on tenants, their API keys and their people.

mod audit_trail;
mod changes;
mod credits;
mod deletion;
mod deliveries;
mod invitations;
mod invoices;
mod keys;
mod ledger;
mod limits;
mod members;
mod outbox;
mod password_resets;
mod plans;
mod retention;
mod saved_searches;
mod users;
mod webhooks;

pub use audit_trail::{AuditEntry, AuditQuery};
pub use changes::{Actor, By, Change, event_types};
pub use credits::{Credit, NewCredit};
pub use deletion::{FORGOTTEN, KEPT, legal_hold};
pub use deliveries::{Claim, Delivery, DeliveryAttempt, DeliveryState, Due, Patience, Settled};
pub use invitations::{Invitation, MOST_OPEN_INVITATIONS, NewAccount, NewInvitation, OpenInvitation};
pub use invoices::{Invoice, InvoiceStatus, ToClose};
pub use keys::{ApiKeyRow, KeyChange, NewKey};
pub use ledger::{Attempt, Ledger, Removed, Step, TenantStep, TenantSteps};
pub use limits::QuotaMark;
pub use members::Member;
pub use outbox::{Telling, Told};
pub use plans::{NewPlan, Plan, PlanVersion, Priced, TenantPlan};
pub use retention::{RemovedDays, Retained};
pub use saved_searches::{MOST_OF_A_TENANT, SavedSearch, SearchFields};
pub use users::{Credentials, User, UserMembership};
pub use webhooks::{DisabledReason, MOST_WEBHOOKS, NewWebhook, Webhook, WebhookChange};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::prelude::FromRow;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::{self, failed};
use crate::settings::PostgresSettings;

static CONTROL_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/control");

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum TenantStatus {
    /// Its schema is being made.
    Provisioning,
    /// It works.
    Active,
    /// It can read, but not send.
    Suspended,
    /// What it has is being removed.
    Deleting,
    /// It is gone; its id is never used again.
    Deleted,
}

/// What an operator can set of a tenant's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Standing {
    /// It works.
    Active,
    /// It can read, but not send.
    Suspended,
}

impl Standing {
    /// The one of this name, as it is sent.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "active" => Some(Self::Active),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }
}

impl From<Standing> for TenantStatus {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Active => Self::Active,
            Standing::Suspended => Self::Suspended,
        }
    }
}

/// A tenant.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct Tenant {
    /// Its id, also the name of its schema.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The control database.
#[derive(Debug, Clone)]
pub struct Registry {
    pool: PgPool,
}

impl Registry {
    /// Prepares the pool; nothing is sent before the first statement.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URL that is none.
    pub fn open(settings: &PostgresSettings) -> Result<Self> {
        Ok(Self { pool: postgres::pool(settings)? })
    }

    /// Asks whether Postgres answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("select 1").execute(&self.pool).await.map_err(failed(Engine::Control, "asking Postgres")).map(drop)
    }

    /// Brings the database to this version.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Internal`] for a migration that fails.
    pub async fn migrate(&self) -> Result<()> {
        self.ping().await?;
        CONTROL_MIGRATIONS.run(&self.pool).await.map_err(|e| Error::internal("migrating the control database", e))
    }

    /// Closes the connections, for a process that ends.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Registers a tenant that is being provisioned. One of that id that is still being provisioned is answered as it is, so
    /// that a creation which broke off can be done again.
    ///
    /// # Errors
    /// [`Error::Conflict`] `tenant_exists`: ids are never used again.
    pub async fn register(&self, id: &TenantId, name: &str, by: &By) -> Result<Tenant> {
        let fail = failed(Engine::Control, "registering a tenant");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let insert = "insert into tenants (id, name, status) values ($1, $2, 'provisioning') on conflict (id) do nothing returning id, name, status, created_at, updated_at";
        let made: Option<Tenant> = sqlx::query_as(insert).bind(id.as_str()).bind(name).fetch_optional(&mut *tx).await.map_err(&fail)?;
        if let Some(tenant) = made {
            ledger::open(&mut tx, id, Ledger::Provisioning).await.map_err(&fail)?;
            changes::record(&mut tx, id, by, &Change::TenantCreated { name }).await.map_err(&fail)?;
            tx.commit().await.map_err(fail)?;
            return Ok(tenant);
        }
        let old: Option<String> = sqlx::query_scalar("select name from tenants where id = $1 and status = 'provisioning' for no key update")
            .bind(id.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let again = "update tenants set name = $2 where id = $1 and status = 'provisioning' returning id, name, status, created_at, updated_at";
        let tenant: Option<Tenant> = sqlx::query_as(again).bind(id.as_str()).bind(name).fetch_optional(&mut *tx).await.map_err(&fail)?;
        if tenant.is_some() && old.is_some_and(|old| old != name) {
            changes::record(&mut tx, id, by, &Change::TenantRenamed { name }).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)?;
        tenant.ok_or_else(|| Error::Conflict { code: "tenant_exists", detail: "there is, or was, a tenant of this id; ids are never used again".to_owned() })
    }

    /// The tenant of this id, deleted ones left out.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn tenant(&self, id: &TenantId) -> Result<Tenant> {
        let tenant = sqlx::query_as("select id, name, status, created_at, updated_at from tenants where id = $1 and status not in ('deleting', 'deleted')")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Control, "reading a tenant"))?;
        tenant.ok_or(Error::NotFound("tenant"))
    }

    /// Tenants in the order of their ids, after `after`, deleted ones left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn tenants(&self, after: Option<&TenantId>, limit: i64) -> Result<Vec<Tenant>> {
        sqlx::query_as(
            "select id, name, status, created_at, updated_at from tenants \
             where status not in ('deleting', 'deleted') and ($1::text is null or id > $1) order by id limit $2",
        )
        .bind(after.map(TenantId::as_str))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(Engine::Control, "listing tenants"))
    }

    /// Tenants that have been in this state for so long, at most so many: for what finishes what broke off.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn in_status(&self, status: TenantStatus, for_at_least: Duration, limit: i64) -> Result<Vec<TenantId>> {
        let ids: Vec<String> = sqlx::query_scalar("select id from tenants where status = $1 and updated_at <= now() - make_interval(secs => $2) order by updated_at limit $3")
            .bind(status)
            .bind(for_at_least.as_secs_f64())
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Control, "looking for tenants"))?;
        Ok(ids.iter().filter_map(|id| TenantId::parse(id).ok()).collect())
    }

    /// Changes name or status of a tenant that works. A status, even the one it has, gives every key of the tenant a new
    /// version: publish them after.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `tenant_provisioning` for the status of one whose schema is still being made;
    /// [`Error::Unavailable`].
    pub async fn change(&self, id: &TenantId, name: Option<&str>, status: Option<Standing>, by: &By) -> Result<Tenant> {
        let fail = failed(Engine::Control, "changing a tenant");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let old: Option<(String, TenantStatus)> =
            sqlx::query_as("select name, status from tenants where id = $1 for no key update").bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let tenant: Option<Tenant> = sqlx::query_as(
            "update tenants set name = coalesce($2, name), status = coalesce($3, status), updated_at = now() \
             where id = $1 and (status in ('active', 'suspended') or (status = 'provisioning' and $3 is null)) \
             returning id, name, status, created_at, updated_at",
        )
        .bind(id.as_str())
        .bind(name)
        .bind(status.map(TenantStatus::from))
        .fetch_optional(&mut *tx)
        .await
        .map_err(&fail)?;
        if tenant.is_some() && status.is_some() {
            renew_grants(&mut tx, id).await.map_err(&fail)?;
        }
        if let Some((tenant, (old_name, old_status))) = tenant.as_ref().zip(old) {
            if tenant.name != old_name {
                changes::record(&mut tx, id, by, &Change::TenantRenamed { name: &tenant.name }).await.map_err(&fail)?;
            }
            if tenant.status != old_status {
                let change = if tenant.status == TenantStatus::Suspended { Change::TenantSuspended } else { Change::TenantResumed };
                changes::record(&mut tx, id, by, &change).await.map_err(&fail)?;
            }
        }
        tx.commit().await.map_err(&fail)?;
        match tenant {
            Some(tenant) => Ok(tenant),
            None => Err(self.tenant(id).await.map_or_else(|error| error, |_| still_provisioning())),
        }
    }

    /// Sets a tenant that was being provisioned to work. One that works already is answered as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that was deleted meanwhile, or [`Error::Unavailable`].
    pub async fn activate(&self, id: &TenantId, by: &By) -> Result<Tenant> {
        let fail = failed(Engine::Control, "activating a tenant");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let activate = "update tenants set status = 'active', updated_at = now() where id = $1 and status = 'provisioning' returning id, name, status, created_at, updated_at";
        let tenant: Option<Tenant> = sqlx::query_as(activate).bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let Some(tenant) = tenant else {
            // Another connection reads it: whoever holds one must not wait for a second.
            tx.rollback().await.map_err(fail)?;
            return self.tenant(id).await;
        };
        ledger::do_now(&mut tx, id, Step::Activate, &Removed::new()).await.map_err(&fail)?;
        changes::record(&mut tx, id, by, &Change::TenantProvisioned).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(tenant)
    }
}

/// The grant of each key says how its tenant stands, so a change of that is a change of all. Under the tenant's row lock, which
/// `add_key` waits for; in the order of ids, as `mark_published`, so that the two never lock each other out.
async fn renew_grants(tx: &mut PgConnection, id: &TenantId) -> sqlx::Result<()> {
    sqlx::query(
        "with mine as (select id from api_keys where tenant_id = $1 order by id for update) \
         update api_keys k set version = nextval('grant_version') from mine where k.id = mine.id",
    )
    .bind(id.as_str())
    .execute(tx)
    .await
    .map(drop)
}

/// What a request is told that needs a tenant which is still being made.
fn still_provisioning() -> Error {
    Error::Conflict { code: "tenant_provisioning", detail: "this tenant is still being made; try again in a moment".to_owned() }
}
