//! Deliveries: one for each event and webhook that is to know of it.
//!
//! Events are handed out from the outbox in their order. Of a webhook only the first pending delivery is tried, so that none overtakes another;
//! `due_at` of the webhook says when. Who tries holds a claim that ends by itself, and no transaction while a receiver answers: of a process
//! that dies another takes over.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::prelude::FromRow;
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::changes::{self, By, Change};
use super::outbox::event_of;
use super::webhooks::{self, DisabledReason};
use super::{Registry, Webhook};
use crate::error::{Engine, Error, Result};
use crate::events::Event;
use crate::ids::TenantId;
use crate::postgres::failed;

/// How long a delivery is kept that was made, and one that is dead.
const DELIVERED_KEPT_DAYS: i32 = 7;
const DEAD_KEPT_DAYS: i32 = 30;
/// Most tests of a webhook that wait.
const MOST_TESTS: i64 = 10;
/// The place of a test in the order: before all events.
const FIRST: i64 = 0;
/// Why a delivery is dead that was never tried, or not again.
const DISABLED: &str = "the webhook is disabled";

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried when its turn comes.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was given up; a redrive tries it again.
    Dead,
}

impl DeliveryState {
    /// The one of this name, as it is sent.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "pending" => Some(Self::Pending),
            "delivered" => Some(Self::Delivered),
            "dead" => Some(Self::Dead),
            _ => None,
        }
    }
}

/// A delivery, as it is shown.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// The event's id, which is also the `webhook-id` that the receiver sees.
    pub event_id: Uuid,
    /// The event's type.
    #[sqlx(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried since it was handed out, or redriven.
    pub attempts: i32,
    /// When it is tried next, unless another is before it; null where it is not pending.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_attempt_at: Option<OffsetDateTime>,
    /// When it was tried last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_attempt_at: Option<OffsetDateTime>,
    /// What the receiver answered then; null where it did not.
    pub last_status: Option<i32>,
    /// What was wrong then; null where it succeeded.
    pub last_error: Option<String>,
    /// When it was handed out.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was delivered, or died; null while it is pending.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
}

const DELIVERY: &str = "id, event_id, type, state, attempts, next_attempt_at, last_attempt_at, last_status, last_error, created_at, settled_at";

/// A webhook that nobody else delivers to, for a while.
#[derive(Debug, Clone)]
pub struct Claim {
    webhook: Uuid,
    token: Uuid,
    /// Whose it is.
    pub tenant: String,
}

/// A delivery that is to be tried.
#[derive(Debug)]
pub struct Due {
    /// Its id.
    pub id: Uuid,
    /// Tells doubles.
    pub event_id: Uuid,
    /// What is sent.
    pub body: String,
    /// How often it was tried before.
    pub attempts: usize,
    /// Whether it is a test, which is tried once.
    pub is_test: bool,
    /// Where to.
    pub url: String,
    /// Whose secrets sign it.
    pub webhook: Uuid,
    /// Those secrets as they are written down, the latest first.
    pub secrets: Vec<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryAttempt {
    /// The receiver took it.
    Taken {
        /// What it answered.
        status: u16,
    },
    /// It did not.
    Failed {
        /// What it answered, if it did.
        status: Option<u16>,
        /// What was wrong, for the tenant's people.
        error: String,
        /// When to try again; `None` for never.
        again_in: Option<Duration>,
    },
    /// It wants to be told nothing any more.
    Gone {
        /// What it answered.
        status: u16,
    },
}

/// How long to wait for others.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long a claim lasts that is not renewed.
    pub lease: Duration,
    /// How long nothing may have been delivered to a webhook until it is disabled.
    pub disable_after: Duration,
}

/// What comes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The next may be tried, under the same claim.
    GoesOn,
    /// The claim has ended.
    Ended,
}

/// Deliveries to be handed out, a list for each column.
#[derive(Default)]
struct Handed {
    ids: Vec<Uuid>,
    webhooks: Vec<Uuid>,
    events: Vec<Uuid>,
    positions: Vec<i64>,
    kinds: Vec<String>,
    bodies: Vec<String>,
    are_dead: Vec<bool>,
}

/// A webhook that events may be for.
#[derive(FromRow)]
struct Listener {
    id: Uuid,
    tenant_id: String,
    event_types: Option<Vec<String>>,
    listens_from: OffsetDateTime,
    is_disabled: bool,
}

impl Listener {
    fn wants(&self, event: &Event) -> bool {
        event.at >= self.listens_from && self.event_types.as_ref().is_none_or(|types| types.contains(&event.kind))
    }
}

const LISTENER: &str = "select id, tenant_id, event_types, listens_from, disabled_at is not null as is_disabled from webhooks";
/// Who holds it hands out events: one at a time. It ends with the transaction.
const HAND_OUT: &str = "loggerhub outbox hooked_at";

impl Registry {
    /// Hands out the first events of the outbox that were not, at most so many, and answers how many those were; none where another process is
    /// at it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn hand_out(&self, at_most: i64) -> Result<u64> {
        let fail = failed(Engine::Control, "handing out events to webhooks");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        if !may_hand_out(&mut tx).await.map_err(&fail)? {
            return Ok(0);
        }
        let handed = hand_out(&mut tx, at_most).await.map_err(&fail)?;
        crate::fault::point("webhooks.after_fan_out");
        tx.commit().await.map_err(fail)?;
        Ok(handed)
    }

    /// Claims webhooks to which something is due: the longest due first, at most one of each tenant, and none of `busy` tenants. Those that
    /// fail are asked for by themselves, so that they cannot take the place of the others.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim_webhooks(&self, failing: bool, at_most: usize, busy: &[String], lease: Duration) -> Result<Vec<Claim>> {
        let statement = "with firsts as ( \
                 select distinct on (tenant_id) id from webhooks \
                 where due_at <= now() and (claimed_until is null or claimed_until <= now()) and (failing_since is not null) = $1 and tenant_id <> all($3) \
                 order by tenant_id, due_at), \
             due as ( \
                 select w.id from webhooks w where w.id in (select id from firsts) and w.due_at <= now() and (w.claimed_until is null or w.claimed_until <= now()) \
                 order by w.due_at limit $2 for no key update skip locked) \
             update webhooks w set claim = gen_random_uuid(), claimed_until = now() + make_interval(secs => $4) from due where w.id = due.id \
             returning w.id, w.claim, w.tenant_id";
        let rows = sqlx::query(statement).bind(failing).bind(i64::try_from(at_most).unwrap_or(i64::MAX)).bind(busy).bind(lease.as_secs_f64()).fetch_all(&self.pool).await;
        let claim_of = |row: &PgRow| Ok(Claim { webhook: row.try_get("id")?, token: row.try_get("claim")?, tenant: row.try_get("tenant_id")? });
        rows.and_then(|rows| rows.iter().map(claim_of).collect()).map_err(failed(Engine::Control, "claiming webhooks"))
    }

    /// The first pending delivery of a claimed webhook; `None` where none is due, or the claim has ended.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn next_delivery(&self, claim: &Claim) -> Result<Option<Due>> {
        let statement = "select d.id, d.event_id, d.body, d.attempts, d.position = $3 as is_test, w.id as webhook_id, w.url, \
                 array(select s.secret from webhook_secrets s where s.webhook_id = w.id and (s.ends_at is null or s.ends_at > now()) order by s.id desc) as secrets \
             from webhooks w join lateral ( \
                 select id, event_id, body, attempts, position, next_attempt_at from webhook_deliveries where webhook_id = w.id and state = 'pending' \
                 order by position, id limit 1) d on d.next_attempt_at <= now() \
             where w.id = $1 and w.claim = $2";
        let row = sqlx::query(statement).bind(claim.webhook).bind(claim.token).bind(FIRST).fetch_optional(&self.pool).await;
        row.and_then(|row| row.map(|row| due_of(&row)).transpose()).map_err(failed(Engine::Control, "reading a delivery"))
    }

    /// Gives a claim back.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it ends by itself.
    pub async fn release_webhook(&self, claim: &Claim) -> Result<()> {
        let fail = failed(Engine::Control, "giving back a webhook");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        if hold(&mut tx, claim).await.map_err(&fail)?.is_some() {
            release(&mut tx, claim.webhook).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Writes down what became of an attempt. Nothing is written where the claim has ended meanwhile: then another has tried it, too.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it will be tried again.
    pub async fn settle_delivery(&self, claim: &Claim, due: &Due, attempt: &DeliveryAttempt, patience: Patience) -> Result<Settled> {
        let fail = failed(Engine::Control, "writing down a delivery");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let Some(tenant) = hold(&mut tx, claim).await.map_err(&fail)? else { return Ok(Settled::Ended) };
        let settled = settle(&mut tx, &tenant, claim, due, attempt, patience).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(settled)
    }

    /// Deliveries of a tenant's webhook, the latest first, before `before`.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn deliveries(&self, tenant: &TenantId, webhook: Uuid, state: Option<DeliveryState>, before: Option<Uuid>, limit: i64) -> Result<Vec<Delivery>> {
        self.webhook(tenant, webhook).await?;
        let statement = format!(
            "select {DELIVERY} from webhook_deliveries where webhook_id = $1 and ($2::text is null or state = $2) and ($3::uuid is null or id < $3) order by id desc limit $4"
        );
        let found = sqlx::query_as(AssertSqlSafe(statement)).bind(webhook).bind(state).bind(before).bind(limit).fetch_all(&self.pool).await;
        found.map_err(failed(Engine::Control, "listing deliveries"))
    }

    /// Has a dead delivery tried again, in its place in the order.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `webhook_disabled` or `delivery_not_dead`; [`Error::Unavailable`].
    pub async fn redrive_delivery(&self, tenant: &TenantId, webhook: Uuid, delivery: Uuid, by: &By) -> Result<Delivery> {
        let fail = failed(Engine::Control, "redriving a delivery");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let is_enabled = webhooks::lock(&mut tx, tenant, webhook).await.map_err(&fail)?.ok_or(Error::NotFound("webhook"))?.enabled;
        let state: Option<DeliveryState> = sqlx::query_scalar("select state from webhook_deliveries where webhook_id = $1 and id = $2")
            .bind(webhook)
            .bind(delivery)
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let state = state.ok_or(Error::NotFound("delivery"))?;
        if !is_enabled {
            return Err(disabled());
        }
        if state != DeliveryState::Dead {
            return Err(Error::Conflict { code: "delivery_not_dead", detail: "only a delivery that is dead can be redriven".to_owned() });
        }
        let statement = format!("{REDRIVE} and id = $2 returning {DELIVERY}");
        let redriven = sqlx::query_as(AssertSqlSafe(statement)).bind(webhook).bind(delivery).fetch_one(&mut *tx).await.map_err(&fail)?;
        set_due(&mut tx, &[webhook]).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::DeliveriesRedriven { id: webhook, delivery: Some(delivery) }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(redriven)
    }

    /// Has all dead deliveries of a webhook tried again, in their order, and answers how many those are.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `webhook_disabled`; [`Error::Unavailable`].
    pub async fn redrive_deliveries(&self, tenant: &TenantId, webhook: Uuid, by: &By) -> Result<u64> {
        let fail = failed(Engine::Control, "redriving deliveries");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let is_enabled = webhooks::lock(&mut tx, tenant, webhook).await.map_err(&fail)?.ok_or(Error::NotFound("webhook"))?.enabled;
        if !is_enabled {
            return Err(disabled());
        }
        let redriven = sqlx::query(REDRIVE).bind(webhook).execute(&mut *tx).await.map_err(&fail)?.rows_affected();
        set_due(&mut tx, &[webhook]).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::DeliveriesRedriven { id: webhook, delivery: None }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(redriven)
    }

    /// Sends an event to a webhook, ahead of all that waits, and once.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `webhook_disabled` or `too_many_tests`; [`Error::Unavailable`].
    pub async fn test_webhook(&self, tenant: &TenantId, id: Uuid, by: &By) -> Result<Delivery> {
        let fail = failed(Engine::Control, "testing a webhook");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let webhook: Webhook = webhooks::lock(&mut tx, tenant, id).await.map_err(&fail)?.ok_or(Error::NotFound("webhook"))?;
        if !webhook.enabled {
            return Err(disabled());
        }
        let waiting: i64 = sqlx::query_scalar("select count(*) from webhook_deliveries where webhook_id = $1 and state = 'pending' and position = $2")
            .bind(id)
            .bind(FIRST)
            .fetch_one(&mut *tx)
            .await
            .map_err(&fail)?;
        if waiting >= MOST_TESTS {
            return Err(Error::Conflict { code: "too_many_tests", detail: format!("{MOST_TESTS} tests of this webhook wait already") });
        }
        let event = Event::of_test(tenant, id);
        let mut handed = Handed::default();
        handed.add(id, false, &event);
        let delivery = handed.ids[0];
        insert(&mut tx, &handed).await.map_err(&fail)?;
        set_due(&mut tx, &[id]).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::WebhookTested { id }).await.map_err(&fail)?;
        let statement = format!("select {DELIVERY} from webhook_deliveries where id = $1");
        let made = sqlx::query_as(AssertSqlSafe(statement)).bind(delivery).fetch_one(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(made)
    }

    /// Forgets deliveries that were settled long ago, and the webhooks of tenants that are deleted and were told of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_deliveries(&self) -> Result<u64> {
        let fail = failed(Engine::Control, "tidying up deliveries");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        // Who hands out holds webhooks of many tenants, as this does.
        if !may_hand_out(&mut tx).await.map_err(&fail)? {
            return Ok(0);
        }
        let old = "delete from webhook_deliveries where settled_at < now() - make_interval(days => case state when 'dead' then $1 else $2 end)";
        let forgotten = sqlx::query(old).bind(DEAD_KEPT_DAYS).bind(DELIVERED_KEPT_DAYS).execute(&mut *tx).await.map_err(&fail)?.rows_affected();
        let without_tenant = "delete from webhooks w using tenants t where t.id = w.tenant_id and t.status = 'deleted' and w.due_at is null \
             and not exists (select 1 from outbox o where o.tenant_id = w.tenant_id and o.hooked_at is null and o.audience = 'tenant')";
        sqlx::query(without_tenant).execute(&mut *tx).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(forgotten)
    }
}

const REDRIVE: &str = "update webhook_deliveries set state = 'pending', attempts = 0, next_attempt_at = now(), settled_at = null where webhook_id = $1 and state = 'dead'";

fn disabled() -> Error {
    Error::Conflict { code: "webhook_disabled", detail: "this webhook is disabled; enable it first".to_owned() }
}

fn due_of(row: &PgRow) -> sqlx::Result<Due> {
    Ok(Due {
        id: row.try_get("id")?,
        event_id: row.try_get("event_id")?,
        body: row.try_get("body")?,
        attempts: usize::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or_default(),
        is_test: row.try_get("is_test")?,
        url: row.try_get("url")?,
        webhook: row.try_get("webhook_id")?,
        secrets: row.try_get("secrets")?,
    })
}

/// Whether this transaction hands out events, and no other.
async fn may_hand_out(tx: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))").bind(HAND_OUT).fetch_one(tx).await
}

/// Waits until nobody else hands out events.
pub(super) async fn wait_to_hand_out(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))").bind(HAND_OUT).execute(tx).await.map(drop)
}

async fn hand_out(tx: &mut PgConnection, at_most: i64) -> sqlx::Result<u64> {
    let first = "select position, id, tenant_id, type, subject, at, data::text as data from outbox where hooked_at is null and audience = 'tenant' order by position limit $1";
    let events: Vec<Event> = sqlx::query(first).bind(at_most).fetch_all(&mut *tx).await?.iter().map(event_of).collect::<sqlx::Result<_>>()?;
    if events.is_empty() {
        return Ok(0);
    }
    let mut tenants: Vec<&str> = events.iter().filter_map(|event| event.tenant.as_deref()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    // Held until the end: `due_at` of each is set by one at a time.
    let statement = format!("{LISTENER} where tenant_id = any($1) order by id for no key update");
    let listeners: Vec<Listener> = sqlx::query_as(AssertSqlSafe(statement)).bind(tenants).fetch_all(&mut *tx).await?;
    let mut of_tenant: HashMap<&str, Vec<&Listener>> = HashMap::new();
    for listener in &listeners {
        of_tenant.entry(&listener.tenant_id).or_default().push(listener);
    }
    let mut handed = Handed::default();
    for event in &events {
        for listener in event.tenant.as_deref().and_then(|tenant| of_tenant.get(tenant)).into_iter().flatten().filter(|listener| listener.wants(event)) {
            handed.add(listener.id, listener.is_disabled, event);
        }
    }
    insert(tx, &handed).await?;
    set_due(tx, &handed.webhooks).await?;
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    sqlx::query("update outbox set hooked_at = now() where position = any($1)").bind(positions).execute(tx).await?;
    Ok(events.len() as u64)
}

/// Hands out to a webhook that is being made what the outbox has for it.
pub(super) async fn hand_out_to(tx: &mut PgConnection, tenant: &TenantId, webhook: Uuid) -> sqlx::Result<()> {
    let statement = format!("{LISTENER} where id = $1");
    let listener: Listener = sqlx::query_as(AssertSqlSafe(statement)).bind(webhook).fetch_one(&mut *tx).await?;
    let since = "select position, id, tenant_id, type, subject, at, data::text as data from outbox where tenant_id = $1 and audience = 'tenant' and at >= $2 order by position";
    let rows = sqlx::query(since).bind(tenant.as_str()).bind(listener.listens_from).fetch_all(&mut *tx).await?;
    let mut handed = Handed::default();
    for row in &rows {
        let event = event_of(row)?;
        if listener.wants(&event) {
            handed.add(webhook, false, &event);
        }
    }
    insert(tx, &handed).await?;
    set_due(tx, &handed.webhooks).await
}

impl Handed {
    fn add(&mut self, webhook: Uuid, is_dead: bool, event: &Event) {
        self.ids.push(Uuid::now_v7());
        self.webhooks.push(webhook);
        self.events.push(event.id);
        self.positions.push(event.position);
        self.kinds.push(event.kind.clone());
        self.bodies.push(event.to_cloud_event().to_string());
        self.are_dead.push(is_dead);
    }
}

/// What was handed out before stays as it is.
async fn insert(tx: &mut PgConnection, handed: &Handed) -> sqlx::Result<()> {
    let statement = "insert into webhook_deliveries (id, webhook_id, event_id, position, type, body, state, next_attempt_at, settled_at, last_error) \
         select n.id, n.webhook, n.event, n.position, n.type, n.body, case when n.is_dead then 'dead' else 'pending' end, \
             case when not n.is_dead then now() end, case when n.is_dead then now() end, case when n.is_dead then $8 end \
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::boolean[]) as n (id, webhook, event, position, type, body, is_dead) \
         on conflict on constraint webhook_deliveries_once do nothing";
    sqlx::query(statement)
        .bind(&handed.ids)
        .bind(&handed.webhooks)
        .bind(&handed.events)
        .bind(&handed.positions)
        .bind(&handed.kinds)
        .bind(&handed.bodies)
        .bind(&handed.are_dead)
        .bind(DISABLED)
        .execute(tx)
        .await
        .map(drop)
}

/// Sets when webhooks are due that the transaction holds.
async fn set_due(tx: &mut PgConnection, webhooks: &[Uuid]) -> sqlx::Result<()> {
    let statement = "update webhooks w set due_at = ( \
             select d.next_attempt_at from webhook_deliveries d where d.webhook_id = w.id and d.state = 'pending' order by d.position, d.id limit 1) where w.id = any($1)";
    sqlx::query(statement).bind(webhooks).execute(tx).await.map(drop)
}

/// Has the first that waits tried at once, of a webhook that the transaction holds.
pub(super) async fn hasten(tx: &mut PgConnection, webhook: Uuid) -> sqlx::Result<()> {
    let statement = "update webhook_deliveries set next_attempt_at = now() where next_attempt_at > now() and id = ( \
             select id from webhook_deliveries where webhook_id = $1 and state = 'pending' order by position, id limit 1)";
    sqlx::query(statement).bind(webhook).execute(&mut *tx).await?;
    set_due(tx, &[webhook]).await
}

/// Gives up what waits, of a webhook that the transaction holds.
pub(super) async fn give_up_pending(tx: &mut PgConnection, webhook: Uuid) -> sqlx::Result<()> {
    let statement = "update webhook_deliveries set state = 'dead', next_attempt_at = null, settled_at = now(), last_error = coalesce(last_error, $2) \
         where webhook_id = $1 and state = 'pending'";
    sqlx::query(statement).bind(webhook).bind(DISABLED).execute(tx).await.map(drop)
}

/// Holds a claimed webhook until the transaction ends, and answers whose it is; `None` where the claim has ended.
async fn hold(tx: &mut PgConnection, claim: &Claim) -> sqlx::Result<Option<TenantId>> {
    let tenant: Option<String> =
        sqlx::query_scalar("select tenant_id from webhooks where id = $1 and claim = $2 for no key update").bind(claim.webhook).bind(claim.token).fetch_optional(tx).await?;
    tenant.map(|tenant| TenantId::parse(&tenant).map_err(|e| sqlx::Error::Decode(Box::new(e)))).transpose()
}

async fn release(tx: &mut PgConnection, webhook: Uuid) -> sqlx::Result<()> {
    set_due(tx, &[webhook]).await?;
    sqlx::query("update webhooks set claim = null, claimed_until = null where id = $1").bind(webhook).execute(tx).await.map(drop)
}

async fn settle(tx: &mut PgConnection, tenant: &TenantId, claim: &Claim, due: &Due, attempt: &DeliveryAttempt, patience: Patience) -> sqlx::Result<Settled> {
    let webhook = claim.webhook;
    let (state, status, error, again_in) = match attempt {
        DeliveryAttempt::Taken { status } => (DeliveryState::Delivered, Some(*status), None, None),
        DeliveryAttempt::Failed { status, error, again_in: None } => (DeliveryState::Dead, *status, Some(error.as_str()), None),
        DeliveryAttempt::Failed { status, error, again_in } => (DeliveryState::Pending, *status, Some(error.as_str()), *again_in),
        DeliveryAttempt::Gone { status } => (DeliveryState::Dead, Some(*status), Some("the receiver is gone"), None),
    };
    // Given up meanwhile, because somebody disabled the webhook: what was delivered was delivered.
    let update = "update webhook_deliveries set state = $2, attempts = attempts + 1, last_attempt_at = now(), last_status = $3, last_error = $4, \
             next_attempt_at = case when $2 = 'pending' then now() + make_interval(secs => $5) end, settled_at = case when $2 <> 'pending' then now() end \
         where id = $1 and (state = 'pending' or $2 = 'delivered')";
    let wait = again_in.unwrap_or_default().as_secs_f64();
    sqlx::query(update).bind(due.id).bind(state).bind(status.map(i32::from)).bind(error).bind(wait).execute(&mut *tx).await?;
    if state == DeliveryState::Delivered {
        sqlx::query("update webhooks set failing_since = null where id = $1").bind(webhook).execute(&mut *tx).await?;
        // After a test, or a redrive, one may be the first again that failed before it.
        hasten(tx, webhook).await?;
    } else {
        let failing = "update webhooks set failing_since = coalesce(failing_since, now()) where id = $1 \
             returning url, disabled_at is null as enabled, failing_since <= now() - make_interval(secs => $2) as is_over";
        let row = sqlx::query(failing).bind(webhook).bind(patience.disable_after.as_secs_f64()).fetch_one(&mut *tx).await?;
        let (url, enabled, is_over): (String, bool, bool) = (row.try_get("url")?, row.try_get("enabled")?, row.try_get("is_over")?);
        let reason = match attempt {
            DeliveryAttempt::Gone { .. } => Some(DisabledReason::Gone),
            _ => is_over.then_some(DisabledReason::Failing),
        };
        if let Some(reason) = reason.filter(|_| enabled) {
            webhooks::disable(tx, tenant, &By::SYSTEM, webhook, &webhooks::host_of(&url), reason).await?;
        }
    }
    if state != DeliveryState::Delivered {
        release(tx, webhook).await?;
        return Ok(Settled::Ended);
    }
    sqlx::query("update webhooks set claimed_until = now() + make_interval(secs => $2) where id = $1").bind(webhook).bind(patience.lease.as_secs_f64()).execute(tx).await?;
    Ok(Settled::GoesOn)
}
