//! Webhooks of a tenant: where it wants to be told what becomes of it.
//!
//! A webhook that is disabled has nothing pending: what waited is dead, and so is at once what comes about meanwhile.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use sqlx::prelude::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::changes::{self, By, Change};
use super::{Registry, deliveries};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::webhooks::{Sealer, SigningSecret, Target};

/// Most webhooks of a tenant: they are listed at once.
pub const MOST_WEBHOOKS: i64 = 20;
/// How long a secret that was replaced signs, too.
const OVERLAP_HOURS: i32 = 24;
/// Most secrets that sign at once: each is a signature in the header of every request.
const MOST_SECRETS: i64 = 5;

/// Why a webhook is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DisabledReason {
    /// Somebody disabled it.
    ByHand,
    /// Its receiver answered 410 Gone.
    Gone,
    /// Nothing could be delivered to it for days.
    Failing,
}

/// A webhook, without its secrets.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// Where it leads.
    pub url: String,
    /// Events of these types are for it; null for all.
    pub event_types: Option<Vec<String>>,
    /// What it is for, for people.
    pub description: String,
    /// Whether it is told what comes about.
    pub enabled: bool,
    /// Since when it is told nothing.
    #[serde(with = "time::serde::rfc3339::option")]
    pub disabled_at: Option<OffsetDateTime>,
    /// Why.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when nothing could be delivered to it; null where the last attempt succeeded.
    #[serde(with = "time::serde::rfc3339::option")]
    pub failing_since: Option<OffsetDateTime>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A webhook to be made.
#[derive(Debug)]
pub struct NewWebhook {
    /// Where it leads.
    pub target: Target,
    /// Events of these types are for it; `None` for all.
    pub event_types: Option<Vec<String>>,
    /// What it is for, for people.
    pub description: String,
    /// Events from then on are for it, as far as the outbox still has them; `None` for now.
    pub from: Option<OffsetDateTime>,
}

/// What to change of a webhook; what is `None` stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WebhookChange {
    /// Where it leads.
    pub target: Option<Target>,
    /// Events of these types are for it; `Some(None)` for all.
    pub event_types: Option<Option<Vec<String>>>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// Whether it is told what comes about.
    pub enabled: Option<bool>,
}

const WEBHOOK: &str = "w.id, w.url, w.event_types, w.description, w.disabled_at is null as enabled, w.disabled_at, w.disabled_reason, w.failing_since, w.created_at, w.updated_at";
/// Whose webhooks are there: those of a tenant that is deleted are seen by nobody, while they are told of its end.
const OF_A_LIVING_TENANT: &str = "from webhooks w join tenants t on t.id = w.tenant_id and t.status not in ('deleting', 'deleted') where w.tenant_id = $1";

impl Registry {
    /// Makes a webhook, with its first secret.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a tenant that is not there; [`Error::Conflict`] `too_many_webhooks`; [`Error::Unavailable`].
    pub async fn create_webhook(&self, tenant: &TenantId, new: &NewWebhook, secret: &SigningSecret, sealer: &Sealer, by: &By) -> Result<Webhook> {
        let fail = failed(Engine::Control, "making a webhook");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        // So that each event is handed out to it either here or by who hands out the rest.
        deliveries::wait_to_hand_out(&mut tx).await.map_err(&fail)?;
        let living: Option<bool> = sqlx::query_scalar("select true from tenants where id = $1 and status not in ('deleting', 'deleted') for share")
            .bind(tenant.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        living.ok_or(Error::NotFound("tenant"))?;
        let insert = format!(
            "insert into webhooks as w (id, tenant_id, url, event_types, description, listens_from) select $2, $1, $3, $4, $5, coalesce($6, now()) \
             where (select count(*) from webhooks where tenant_id = $1) < $7 returning {WEBHOOK}"
        );
        let made: Option<Webhook> = sqlx::query_as(AssertSqlSafe(insert))
            .bind(tenant.as_str())
            .bind(Uuid::now_v7())
            .bind(new.target.to_string())
            .bind(&new.event_types)
            .bind(&new.description)
            .bind(new.from)
            .bind(MOST_WEBHOOKS)
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let too_many = || Error::Conflict { code: "too_many_webhooks", detail: format!("there are {MOST_WEBHOOKS} webhooks already; delete one first") };
        let webhook = made.ok_or_else(too_many)?;
        add_secret(&mut tx, webhook.id, &sealer.seal(webhook.id, secret)).await.map_err(&fail)?;
        deliveries::hand_out_to(&mut tx, tenant, webhook.id).await.map_err(&fail)?;
        let change = Change::WebhookCreated { id: webhook.id, host: new.target.host(), event_types: new.event_types.as_deref() };
        changes::record(&mut tx, tenant, by, &change).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(webhook)
    }

    /// A tenant's webhooks, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn webhooks(&self, tenant: &TenantId) -> Result<Vec<Webhook>> {
        let statement = format!("select {WEBHOOK} {OF_A_LIVING_TENANT} order by w.id");
        sqlx::query_as(AssertSqlSafe(statement)).bind(tenant.as_str()).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "listing webhooks"))
    }

    /// A tenant's webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn webhook(&self, tenant: &TenantId, id: Uuid) -> Result<Webhook> {
        let statement = format!("select {WEBHOOK} {OF_A_LIVING_TENANT} and w.id = $2");
        let found = sqlx::query_as(AssertSqlSafe(statement)).bind(tenant.as_str()).bind(id).fetch_optional(&self.pool).await;
        found.map_err(failed(Engine::Control, "reading a webhook"))?.ok_or(Error::NotFound("webhook"))
    }

    /// Changes a webhook. What waits is tried at once where it leads elsewhere now.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn change_webhook(&self, tenant: &TenantId, id: Uuid, change: &WebhookChange, by: &By) -> Result<Webhook> {
        let fail = failed(Engine::Control, "changing a webhook");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let old = lock(&mut tx, tenant, id).await.map_err(&fail)?.ok_or(Error::NotFound("webhook"))?;
        let url = change.target.as_ref().map(Target::to_string).filter(|url| *url != old.url);
        let event_types = change.event_types.clone().filter(|types| *types != old.event_types);
        let description = change.description.clone().filter(|description| *description != old.description);
        let fields: Vec<&'static str> =
            [url.as_ref().map(|_| "url"), event_types.as_ref().map(|_| "event_types"), description.as_ref().map(|_| "description")].into_iter().flatten().collect();
        let host = change.target.as_ref().map_or_else(|| host_of(&old.url), |target| target.host().to_owned());
        if !fields.is_empty() {
            let update = "update webhooks set url = coalesce($2, url), event_types = case when $3 then $4 else event_types end, \
                 description = coalesce($5, description), failing_since = case when $2 is null then failing_since end, updated_at = now() where id = $1";
            let is_set = event_types.is_some();
            sqlx::query(update).bind(id).bind(&url).bind(is_set).bind(event_types.flatten()).bind(&description).execute(&mut *tx).await.map_err(&fail)?;
            changes::record(&mut tx, tenant, by, &Change::WebhookChanged { id, host: &host, fields: &fields }).await.map_err(&fail)?;
        }
        if url.is_some() {
            deliveries::hasten(&mut tx, id).await.map_err(&fail)?;
        }
        match change.enabled {
            Some(false) if old.enabled => disable(&mut tx, tenant, by, id, &host, DisabledReason::ByHand).await.map_err(&fail)?,
            Some(true) if !old.enabled => enable(&mut tx, tenant, by, id).await.map_err(&fail)?,
            _ => {}
        }
        let statement = format!("select {WEBHOOK} from webhooks w where w.id = $1");
        let webhook = sqlx::query_as(AssertSqlSafe(statement)).bind(id).fetch_one(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(webhook)
    }

    /// Deletes a webhook, with its secrets and what is known of its deliveries.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn delete_webhook(&self, tenant: &TenantId, id: Uuid, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "deleting a webhook");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        lock(&mut tx, tenant, id).await.map_err(&fail)?.ok_or(Error::NotFound("webhook"))?;
        sqlx::query("delete from webhooks where id = $1").bind(id).execute(&mut *tx).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::WebhookDeleted { id }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Gives a webhook another secret, and answers until when the old one signs, too.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `too_many_secrets`; [`Error::Unavailable`].
    pub async fn rotate_webhook(&self, tenant: &TenantId, id: Uuid, secret: &SigningSecret, sealer: &Sealer, by: &By) -> Result<OffsetDateTime> {
        let fail = failed(Engine::Control, "rotating the secret of a webhook");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        lock(&mut tx, tenant, id).await.map_err(&fail)?.ok_or(Error::NotFound("webhook"))?;
        sqlx::query("delete from webhook_secrets where webhook_id = $1 and ends_at <= now()").bind(id).execute(&mut *tx).await.map_err(&fail)?;
        let count: i64 = sqlx::query_scalar("select count(*) from webhook_secrets where webhook_id = $1").bind(id).fetch_one(&mut *tx).await.map_err(&fail)?;
        if count >= MOST_SECRETS {
            let detail = format!("{MOST_SECRETS} secrets of this webhook sign already; wait until the first of them ends");
            return Err(Error::Conflict { code: "too_many_secrets", detail });
        }
        let end = "update webhook_secrets set ends_at = now() + make_interval(hours => $2) where webhook_id = $1 and ends_at is null returning ends_at";
        let old_until: OffsetDateTime = sqlx::query_scalar(end).bind(id).bind(OVERLAP_HOURS).fetch_one(&mut *tx).await.map_err(&fail)?;
        add_secret(&mut tx, id, &sealer.seal(id, secret)).await.map_err(&fail)?;
        sqlx::query("update webhooks set updated_at = now() where id = $1").bind(id).execute(&mut *tx).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::WebhookRotated { id, old_until }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(old_until)
    }
}

/// A tenant's webhook, which nobody else changes until the transaction ends. Not `for update`: what is handed out meanwhile refers to it.
pub(super) async fn lock(tx: &mut PgConnection, tenant: &TenantId, id: Uuid) -> sqlx::Result<Option<Webhook>> {
    let statement = format!("select {WEBHOOK} {OF_A_LIVING_TENANT} and w.id = $2 for no key update of w");
    sqlx::query_as(AssertSqlSafe(statement)).bind(tenant.as_str()).bind(id).fetch_optional(tx).await
}

async fn add_secret(tx: &mut PgConnection, webhook: Uuid, sealed: &str) -> sqlx::Result<()> {
    let insert = "insert into webhook_secrets (id, webhook_id, secret) values ($1, $2, $3)";
    sqlx::query(insert).bind(Uuid::now_v7()).bind(webhook).bind(sealed).execute(tx).await.map(drop)
}

/// Disables a webhook that the transaction holds: what waits is dead.
pub(super) async fn disable(tx: &mut PgConnection, tenant: &TenantId, by: &By, id: Uuid, host: &str, reason: DisabledReason) -> sqlx::Result<()> {
    sqlx::query("update webhooks set disabled_at = now(), disabled_reason = $2, due_at = null, updated_at = now() where id = $1").bind(id).bind(reason).execute(&mut *tx).await?;
    deliveries::give_up_pending(tx, id).await?;
    changes::record(tx, tenant, by, &Change::WebhookDisabled { id, host, reason }).await
}

async fn enable(tx: &mut PgConnection, tenant: &TenantId, by: &By, id: Uuid) -> sqlx::Result<()> {
    let update = "update webhooks set disabled_at = null, disabled_reason = null, failing_since = null, updated_at = now() where id = $1";
    sqlx::query(update).bind(id).execute(&mut *tx).await?;
    changes::record(tx, tenant, by, &Change::WebhookEnabled { id }).await
}

/// The host of a URL that was taken once, whatever is allowed now.
pub(super) fn host_of(url: &str) -> String {
    Target::parse(url, true).map(|target| target.host().to_owned()).unwrap_or_default()
}
