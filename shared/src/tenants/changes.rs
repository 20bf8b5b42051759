//! What is changed, and who changes it: each change leaves a line in the audit trail, and what concerns others an event in the outbox, both
//! in the transaction that makes the change. What is asked for in another database (dead letters) is noted before it is done.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiKeyRow, QuotaMark, Registry};
use crate::billing::money::Currency;
use crate::billing::month::Month;
use crate::error::{Engine, Result};
use crate::grant::Scope;
use crate::http::Origin;
use crate::ids::TenantId;
use crate::limits::TenantLimits;
use crate::people::Role;
use crate::postgres::failed;
use crate::retention::RetentionPeriods;
use crate::timestamp;

/// Who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the operator's token.
    Operator,
    /// A key of the tenant's.
    Key(Uuid),
    /// A person.
    User(Uuid),
    /// Somebody who has not shown who they are.
    Nobody,
    /// The hub itself, finishing what was begun.
    System,
}

impl Actor {
    fn kind(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Key(_) => "key",
            Self::User(_) => "user",
            Self::Nobody => "nobody",
            Self::System => "system",
        }
    }

    fn key(self) -> Option<Uuid> {
        if let Self::Key(id) = self { Some(id) } else { None }
    }

    fn user(self) -> Option<Uuid> {
        if let Self::User(id) = self { Some(id) } else { None }
    }
}

/// Who asks for a change, and from where.
#[derive(Debug, Clone)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The address that the request came from.
    pub address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

impl By {
    /// The hub itself.
    pub const SYSTEM: Self = Self { actor: Actor::System, address: None, request_id: None };

    /// Who asks, and from where.
    #[must_use]
    pub fn new(actor: Actor, origin: Origin) -> Self {
        Self { actor, address: origin.address, request_id: origin.request_id }
    }
}

/// One change of a tenant or of what it has.
#[derive(Debug)]
pub enum Change<'a> {
    /// A tenant was registered.
    TenantCreated {
        /// Its name.
        name: &'a str,
    },
    /// Its schema is there: it works.
    TenantProvisioned,
    /// It has another name.
    TenantRenamed {
        /// Its name now.
        name: &'a str,
    },
    /// It can read, but not send.
    TenantSuspended,
    /// It can send again.
    TenantResumed,
    /// Its deletion was begun: it is not seen any more.
    TenantDeleting {
        /// Until then it can be restored.
        delete_at: OffsetDateTime,
    },
    /// Its deletion was taken back.
    TenantRestored,
    /// Nothing is left of it but its id, and this.
    TenantDeleted,
    /// A key was made.
    KeyCreated {
        /// Its id.
        id: Uuid,
        /// Its name.
        name: &'a str,
        /// What it begins with.
        prefix: &'a str,
        /// What it may do.
        scopes: &'a [Scope],
    },
    /// A key has another name, end, limit or use.
    KeyChanged {
        /// The key as it is now.
        key: &'a ApiKeyRow,
    },
    /// A key was made in the place of another, which ends.
    KeyRotated {
        /// The old one.
        id: Uuid,
        /// The new one.
        replaced_by: Uuid,
        /// When the old one ends.
        ends_at: OffsetDateTime,
    },
    /// A key was revoked.
    KeyRevoked {
        /// Its id.
        id: Uuid,
    },
    /// It may send more, or less.
    LimitsSet {
        /// What it may send now.
        limits: &'a TenantLimits,
    },
    /// Its logs are kept longer, or less long.
    RetentionSet {
        /// How long, now.
        periods: RetentionPeriods,
    },
    /// It has passed a mark of its quota.
    QuotaReached(QuotaMark),
    /// A search was saved.
    SearchSaved {
        /// Its id.
        id: Uuid,
        /// Its name.
        name: &'a str,
    },
    /// A saved search was changed.
    SearchChanged {
        /// Its id.
        id: Uuid,
        /// Its name now.
        name: &'a str,
    },
    /// A saved search was deleted.
    SearchDeleted {
        /// Its id.
        id: Uuid,
    },
    /// Another try was asked for dead letters.
    LettersRedriven {
        /// The letter; `None` for all that a filter names.
        id: Option<Uuid>,
        /// The filter, as it was sent.
        filter: Value,
    },
    /// A dead letter was given up.
    LetterDiscarded {
        /// The letter.
        id: Uuid,
    },
    /// Somebody was invited. The token is told apart, to the operator's consumers alone.
    InvitationCreated {
        /// Its id.
        id: Uuid,
        /// Who is invited.
        email: &'a str,
        /// The role that it gives.
        role: Role,
    },
    /// An invitation was taken back.
    InvitationRevoked {
        /// Its id.
        id: Uuid,
    },
    /// Somebody accepted an invitation, and belongs to the tenant now.
    MemberAdded {
        /// Who.
        user: Uuid,
        /// The role there.
        role: Role,
        /// The invitation.
        invitation: Uuid,
    },
    /// Somebody has another role.
    MemberRoleChanged {
        /// Who.
        user: Uuid,
        /// The role before.
        before: Role,
        /// The role now.
        role: Role,
    },
    /// Somebody does not belong to the tenant any more.
    MemberRemoved {
        /// Who.
        user: Uuid,
    },
    /// Somebody logged in.
    LoggedIn {
        /// Who.
        user: Uuid,
    },
    /// Somebody could not log in: whether there is such a user is not told.
    LoginFailed {
        /// The address that was typed.
        email: &'a str,
    },
    /// Somebody logged out.
    LoggedOut {
        /// Who.
        user: Uuid,
    },
    /// All sessions of somebody were ended.
    SessionsEnded {
        /// Whose.
        user: Uuid,
    },
    /// Somebody has another name.
    UserRenamed {
        /// Who.
        user: Uuid,
        /// The name now.
        name: &'a str,
    },
    /// Somebody changed their password.
    PasswordChanged {
        /// Who.
        user: Uuid,
    },
    /// Somebody said that a password is forgotten: whether there is such a user is not told.
    PasswordResetRequested {
        /// The address that was typed.
        email: &'a str,
    },
    /// A forgotten password was set anew.
    PasswordReset {
        /// Whose.
        user: Uuid,
    },
    /// Somebody cannot log in any more.
    UserDisabled {
        /// Who.
        user: Uuid,
    },
    /// Somebody can log in again.
    UserEnabled {
        /// Who.
        user: Uuid,
    },
    /// A webhook was made.
    WebhookCreated {
        /// Its id.
        id: Uuid,
        /// Where it leads: the host alone, for a path may be a secret.
        host: &'a str,
        /// What it wants to know; `None` for all.
        event_types: Option<&'a [String]>,
    },
    /// A webhook leads elsewhere, wants to know other things, or is described otherwise.
    WebhookChanged {
        /// Its id.
        id: Uuid,
        /// Where it leads now: the host alone.
        host: &'a str,
        /// The fields that were changed.
        fields: &'a [&'static str],
    },
    /// A webhook is told nothing any more.
    WebhookDisabled {
        /// Its id.
        id: Uuid,
        /// Where it leads: the host alone.
        host: &'a str,
        /// Why.
        reason: super::DisabledReason,
    },
    /// A webhook is told again what comes about.
    WebhookEnabled {
        /// Its id.
        id: Uuid,
    },
    /// A webhook was deleted.
    WebhookDeleted {
        /// Its id.
        id: Uuid,
    },
    /// A webhook has another secret.
    WebhookRotated {
        /// Its id.
        id: Uuid,
        /// Until then the old one signs, too.
        old_until: OffsetDateTime,
    },
    /// An event was sent to a webhook for a test.
    WebhookTested {
        /// Its id.
        id: Uuid,
    },
    /// Another try was asked for deliveries of a webhook.
    DeliveriesRedriven {
        /// The webhook's id.
        id: Uuid,
        /// The delivery; `None` for all that are dead.
        delivery: Option<Uuid>,
    },
    /// A plan was made.
    PlanCreated {
        /// Its id.
        id: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A plan has another name, or another version.
    PlanChanged {
        /// Its id.
        id: &'a str,
        /// Its name, where that was given.
        name: Option<&'a str>,
        /// The version that was added, and the first month that it prices.
        version: Option<(i32, Month)>,
    },
    /// A tenant has a plan from a month on.
    TenantPlanSet {
        /// The plan.
        plan: &'a str,
        /// The first month.
        from: Month,
    },
    /// A credit was granted.
    CreditGranted {
        /// Its id.
        id: Uuid,
        /// What was granted.
        amount: Decimal,
        /// In which currency.
        currency: Currency,
        /// Why.
        reason: &'a str,
    },
    /// A month has its invoice, a draft.
    InvoiceDrawnUp {
        /// Its id.
        id: Uuid,
        /// The month.
        month: Month,
    },
    /// An invoice has its number, and is to be paid.
    InvoiceFinalized {
        /// Its id.
        id: Uuid,
        /// Its number.
        number: i64,
        /// The month.
        month: Month,
        /// The currency of its amounts.
        currency: Currency,
        /// What is to be paid.
        total: Decimal,
    },
    /// An invoice was paid.
    InvoicePaid {
        /// Its id.
        id: Uuid,
        /// Its number.
        number: Option<i64>,
        /// What whoever took the payment calls it.
        payment: Option<&'a str>,
    },
    /// Nobody has to pay an invoice.
    InvoiceVoided {
        /// Its id.
        id: Uuid,
        /// Its number.
        number: Option<i64>,
    },
}

/// Events are of these types, in reverse-DNS form as CloudEvents 1.0 advises, with a version at the end.
const TYPE_PREFIX: &str = "io.loggerhub.";
const TYPE_VERSION: &str = ".v1";

/// Changes that others are told. What is not here concerns the tenant's own people alone; what is told of people holds a secret, and goes another
/// way: [`tell_operator`].
const TOLD: &[&str] = &[
    "tenant.created",
    "tenant.provisioned",
    "tenant.renamed",
    "tenant.suspended",
    "tenant.resumed",
    "tenant.deleting",
    "tenant.restored",
    "tenant.deleted",
    "tenant.limits_set",
    "tenant.retention_set",
    "apikey.created",
    "apikey.changed",
    "apikey.rotated",
    "apikey.revoked",
    "quota.reached",
    "invoice.finalized",
    "invoice.paid",
    "invoice.voided",
    "webhook.disabled",
];

fn type_of(action: &str) -> String {
    format!("{TYPE_PREFIX}{action}{TYPE_VERSION}")
}

/// The types of all events that are told.
#[must_use]
pub fn event_types() -> Vec<String> {
    TOLD.iter().map(|action| type_of(action)).collect()
}

impl Change<'_> {
    /// What the audit trail calls it.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::TenantCreated { .. } => "tenant.created",
            Self::TenantProvisioned => "tenant.provisioned",
            Self::TenantRenamed { .. } => "tenant.renamed",
            Self::TenantSuspended => "tenant.suspended",
            Self::TenantResumed => "tenant.resumed",
            Self::TenantDeleting { .. } => "tenant.deleting",
            Self::TenantRestored => "tenant.restored",
            Self::TenantDeleted => "tenant.deleted",
            Self::KeyCreated { .. } => "apikey.created",
            Self::KeyChanged { .. } => "apikey.changed",
            Self::KeyRotated { .. } => "apikey.rotated",
            Self::KeyRevoked { .. } => "apikey.revoked",
            Self::LimitsSet { .. } => "tenant.limits_set",
            Self::RetentionSet { .. } => "tenant.retention_set",
            Self::QuotaReached(_) => "quota.reached",
            Self::SearchSaved { .. } => "saved_search.created",
            Self::SearchChanged { .. } => "saved_search.changed",
            Self::SearchDeleted { .. } => "saved_search.deleted",
            Self::LettersRedriven { .. } => "dead_letter.redrive_requested",
            Self::LetterDiscarded { .. } => "dead_letter.discard_requested",
            Self::InvitationCreated { .. } => "invitation.created",
            Self::InvitationRevoked { .. } => "invitation.revoked",
            Self::MemberAdded { .. } => "member.added",
            Self::MemberRoleChanged { .. } => "member.role_changed",
            Self::MemberRemoved { .. } => "member.removed",
            Self::LoggedIn { .. } => "user.logged_in",
            Self::LoginFailed { .. } => "user.login_failed",
            Self::LoggedOut { .. } => "user.logged_out",
            Self::SessionsEnded { .. } => "user.sessions_ended",
            Self::UserRenamed { .. } => "user.renamed",
            Self::PasswordChanged { .. } => "user.password_changed",
            Self::PasswordResetRequested { .. } => "password_reset.requested",
            Self::PasswordReset { .. } => "user.password_reset",
            Self::UserDisabled { .. } => "user.disabled",
            Self::UserEnabled { .. } => "user.enabled",
            Self::WebhookCreated { .. } => "webhook.created",
            Self::WebhookChanged { .. } => "webhook.changed",
            Self::WebhookDisabled { .. } => "webhook.disabled",
            Self::WebhookEnabled { .. } => "webhook.enabled",
            Self::WebhookDeleted { .. } => "webhook.deleted",
            Self::WebhookRotated { .. } => "webhook.secret_rotated",
            Self::WebhookTested { .. } => "webhook.tested",
            Self::DeliveriesRedriven { .. } => "webhook.redrive_requested",
            Self::PlanCreated { .. } => "plan.created",
            Self::PlanChanged { .. } => "plan.changed",
            Self::TenantPlanSet { .. } => "tenant.plan_set",
            Self::CreditGranted { .. } => "credit.granted",
            Self::InvoiceDrawnUp { .. } => "invoice.drawn_up",
            Self::InvoiceFinalized { .. } => "invoice.finalized",
            Self::InvoicePaid { .. } => "invoice.paid",
            Self::InvoiceVoided { .. } => "invoice.voided",
        }
    }

    /// The type of the event that tells others; `None` for what concerns the tenant's own people alone.
    #[must_use]
    pub fn event_type(&self) -> Option<String> {
        let action = self.action();
        TOLD.contains(&action).then(|| type_of(action))
    }

    fn subject(&self) -> Option<Uuid> {
        match self {
            Self::KeyCreated { id, .. }
            | Self::KeyRotated { id, .. }
            | Self::KeyRevoked { id }
            | Self::SearchSaved { id, .. }
            | Self::SearchChanged { id, .. }
            | Self::SearchDeleted { id }
            | Self::LetterDiscarded { id }
            | Self::InvitationCreated { id, .. }
            | Self::InvitationRevoked { id }
            | Self::WebhookCreated { id, .. }
            | Self::WebhookChanged { id, .. }
            | Self::WebhookDisabled { id, .. }
            | Self::WebhookEnabled { id }
            | Self::WebhookDeleted { id }
            | Self::WebhookRotated { id, .. }
            | Self::WebhookTested { id }
            | Self::DeliveriesRedriven { id, .. }
            | Self::CreditGranted { id, .. }
            | Self::InvoiceDrawnUp { id, .. }
            | Self::InvoiceFinalized { id, .. }
            | Self::InvoicePaid { id, .. }
            | Self::InvoiceVoided { id, .. } => Some(*id),
            Self::MemberAdded { user, .. }
            | Self::MemberRoleChanged { user, .. }
            | Self::MemberRemoved { user }
            | Self::LoggedIn { user }
            | Self::LoggedOut { user }
            | Self::SessionsEnded { user }
            | Self::UserRenamed { user, .. }
            | Self::PasswordChanged { user }
            | Self::PasswordReset { user }
            | Self::UserDisabled { user }
            | Self::UserEnabled { user } => Some(*user),
            Self::KeyChanged { key } => Some(key.id),
            Self::LettersRedriven { id, .. } => *id,
            _ => None,
        }
    }

    /// What is said of it. Never a secret, nor a hash.
    fn data(&self) -> Value {
        match self {
            Self::TenantCreated { name } | Self::TenantRenamed { name } | Self::SearchSaved { name, .. } | Self::SearchChanged { name, .. } | Self::UserRenamed { name, .. } => {
                json!({ "name": name })
            }
            Self::KeyCreated { id, name, prefix, scopes } => {
                json!({ "key_id": id, "name": name, "prefix": prefix, "scopes": scopes })
            }
            Self::KeyChanged { key } => json!({
                "key_id": key.id, "name": key.name, "expires_at": key.expires_at.map(told), "limits": key.limits,
                "services": key.services, "networks": key.networks, "origins": key.origins,
            }),
            Self::KeyRotated { id, replaced_by, ends_at } => json!({ "key_id": id, "replaced_by": replaced_by, "ends_at": told(*ends_at) }),
            Self::KeyRevoked { id } => json!({ "key_id": id }),
            Self::LettersRedriven { filter, .. } => json!({ "filter": filter }),
            Self::TenantDeleting { delete_at } => json!({ "delete_at": told(*delete_at) }),
            Self::TenantProvisioned | Self::TenantSuspended | Self::TenantResumed | Self::TenantRestored | Self::TenantDeleted => json!({}),
            Self::LimitsSet { limits } => json!({ "limits": limits }),
            Self::RetentionSet { periods } => json!({ "retention": periods }),
            Self::QuotaReached(mark) => json!({ "month": mark.month, "meter": mark.meter, "percent": mark.percent, "used": mark.used, "quota": mark.quota }),
            Self::InvitationCreated { email, role, .. } => json!({ "email": email, "role": role }),
            Self::MemberAdded { role, invitation, .. } => json!({ "role": role, "invitation": invitation }),
            Self::MemberRoleChanged { before, role, .. } => json!({ "before": before, "role": role }),
            Self::LoginFailed { email } | Self::PasswordResetRequested { email } => json!({ "email": email }),
            Self::SearchDeleted { .. } | Self::LetterDiscarded { .. } | Self::InvitationRevoked { .. } | Self::MemberRemoved { .. } => json!({}),
            Self::LoggedIn { .. } | Self::LoggedOut { .. } | Self::SessionsEnded { .. } | Self::PasswordChanged { .. } | Self::PasswordReset { .. } => json!({}),
            Self::UserDisabled { .. } | Self::UserEnabled { .. } => json!({}),
            Self::WebhookEnabled { .. } | Self::WebhookDeleted { .. } | Self::WebhookTested { .. } => json!({}),
            Self::WebhookCreated { host, event_types, .. } => json!({ "host": host, "event_types": event_types }),
            Self::WebhookChanged { host, fields, .. } => json!({ "host": host, "fields": fields }),
            Self::WebhookDisabled { id, host, reason } => json!({ "webhook_id": id, "host": host, "reason": reason }),
            Self::WebhookRotated { old_until, .. } => json!({ "old_until": told(*old_until) }),
            Self::DeliveriesRedriven { delivery, .. } => json!({ "delivery_id": delivery }),
            Self::PlanCreated { id, name } => json!({ "plan": id, "name": name }),
            Self::PlanChanged { id, name, version } => {
                json!({ "plan": id, "name": name, "version": version.map(|(version, _)| version), "from": version.map(|(_, from)| from) })
            }
            Self::TenantPlanSet { plan, from } => json!({ "plan": plan, "from": from }),
            Self::CreditGranted { id, amount, currency, reason } => json!({ "credit_id": id, "amount": amount, "currency": currency, "reason": reason }),
            Self::InvoiceDrawnUp { id, month } => json!({ "invoice_id": id, "month": month }),
            Self::InvoiceFinalized { id, number, month, currency, total } => {
                json!({ "invoice_id": id, "number": number, "month": month, "currency": currency, "total": total })
            }
            Self::InvoicePaid { id, number, payment } => json!({ "invoice_id": id, "number": number, "payment": payment }),
            Self::InvoiceVoided { id, number } => json!({ "invoice_id": id, "number": number }),
        }
    }
}

/// A moment as events and the audit trail tell it.
fn told(at: OffsetDateTime) -> String {
    timestamp::format(timestamp::from_datetime(at))
}

impl Registry {
    /// Notes a change of what lies in another store, before it is made; `tenant` is `None` where it concerns several.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`]: then it must not be made.
    pub async fn note(&self, tenant: Option<&TenantId>, by: &By, change: &Change<'_>) -> Result<()> {
        let fail = failed(Engine::Control, "noting a change");
        let mut connection = self.pool.acquire().await.map_err(&fail)?;
        note(&mut connection, tenant, by, change).await.map_err(fail)
    }
}

/// Records a change in the transaction that makes it.
pub(super) async fn record(tx: &mut PgConnection, tenant: &TenantId, by: &By, change: &Change<'_>) -> sqlx::Result<()> {
    note(tx, Some(tenant), by, change).await?;
    let Some(kind) = change.event_type() else { return Ok(()) };
    let subject = change.subject().map_or_else(|| tenant.to_string(), |id| id.to_string());
    sqlx::query("insert into outbox (id, tenant_id, type, subject, data) values ($1, $2, $3, $4, $5::jsonb)")
        .bind(Uuid::now_v7())
        .bind(tenant.as_str())
        .bind(kind)
        .bind(subject)
        .bind(change.data().to_string())
        .execute(tx)
        .await
        .map(drop)
}

/// Tells the operator's consumers, and nobody of a tenant, what holds a secret: a token is handed on by whoever sends mails.
pub(super) async fn tell_operator(tx: &mut PgConnection, tenant: Option<&TenantId>, change: &Change<'_>, subject: Uuid, data: &Value) -> sqlx::Result<()> {
    sqlx::query("insert into outbox (id, tenant_id, type, subject, data, audience) values ($1, $2, $3, $4, $5::jsonb, 'operator')")
        .bind(Uuid::now_v7())
        .bind(tenant.map(TenantId::as_str))
        .bind(type_of(change.action()))
        .bind(subject.to_string())
        .bind(data.to_string())
        .execute(tx)
        .await
        .map(drop)
}

/// Adds what a person did to the trails of all tenants that they belong to; to that of none where there is none.
pub(super) async fn note_in_all(tx: &mut PgConnection, user: Uuid, by: &By, change: &Change<'_>) -> sqlx::Result<()> {
    let tenants: Vec<String> = sqlx::query_scalar("select tenant_id from memberships where user_id = $1 order by tenant_id").bind(user).fetch_all(&mut *tx).await?;
    let tenants: Vec<TenantId> = tenants.iter().filter_map(|id| TenantId::parse(id).ok()).collect();
    if tenants.is_empty() {
        return note(tx, None, by, change).await;
    }
    for tenant in &tenants {
        note(tx, Some(tenant), by, change).await?;
    }
    Ok(())
}

/// Adds a line to the audit trail; `tenant` is `None` where it concerns several.
pub(super) async fn note(tx: &mut PgConnection, tenant: Option<&TenantId>, by: &By, change: &Change<'_>) -> sqlx::Result<()> {
    let (data, subject) = (change.data(), change.subject().map(|id| id.to_string()));
    let statement = "insert into audit_trail (id, tenant_id, actor, key_id, user_id, action, subject, address, request_id, data) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb)";
    sqlx::query(statement)
        .bind(Uuid::now_v7())
        .bind(tenant.map(TenantId::as_str))
        .bind(by.actor.kind())
        .bind(by.actor.key())
        .bind(by.actor.user())
        .bind(change.action())
        .bind(&subject)
        .bind(&by.address)
        .bind(&by.request_id)
        .bind(data.to_string())
        .execute(tx)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_named_as_cloudevents_advises() {
        assert_eq!(Change::TenantCreated { name: "n" }.event_type().as_deref(), Some("io.loggerhub.tenant.created.v1"));
        assert_eq!(Change::KeyRevoked { id: Uuid::nil() }.event_type().as_deref(), Some("io.loggerhub.apikey.revoked.v1"));
        assert_eq!(Change::SearchDeleted { id: Uuid::nil() }.event_type(), None);
        assert!(event_types().contains(&"io.loggerhub.tenant.deleted.v1".to_owned()));
    }
}
