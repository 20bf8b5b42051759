//! What is changed, and who changes it: each change leaves a line in the audit trail, and what concerns others an event in the outbox, both
//! in the transaction that makes the change. What is asked for in another database (dead letters) is noted before it is done.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use crate::billing::money::Currency;
use crate::billing::month::Month;
use crate::error::{Engine, Result};
use crate::grant::Scope;
use crate::http::Origin;
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::timestamp;

/// Who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the operator's token.
    Operator,
    /// A key of the tenant's.
    Key(Uuid),
    /// The hub itself, finishing what was begun.
    System,
}

impl Actor {
    fn kind(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Key(_) => "key",
            Self::System => "system",
        }
    }

    fn key(self) -> Option<Uuid> {
        if let Self::Key(id) = self { Some(id) } else { None }
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
    /// A key was revoked.
    KeyRevoked {
        /// Its id.
        id: Uuid,
    },
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
            Self::KeyRevoked { .. } => "apikey.revoked",
            Self::SearchSaved { .. } => "saved_search.created",
            Self::SearchChanged { .. } => "saved_search.changed",
            Self::SearchDeleted { .. } => "saved_search.deleted",
            Self::LettersRedriven { .. } => "dead_letter.redrive_requested",
            Self::LetterDiscarded { .. } => "dead_letter.discard_requested",
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
        let is_told = match self {
            Self::TenantCreated { .. }
            | Self::TenantProvisioned
            | Self::TenantRenamed { .. }
            | Self::TenantSuspended
            | Self::TenantResumed
            | Self::TenantDeleting { .. }
            | Self::TenantRestored
            | Self::TenantDeleted
            | Self::KeyCreated { .. }
            | Self::KeyRevoked { .. }
            | Self::InvoiceFinalized { .. }
            | Self::InvoicePaid { .. }
            | Self::InvoiceVoided { .. } => true,
            Self::SearchSaved { .. } | Self::SearchChanged { .. } | Self::SearchDeleted { .. } | Self::LettersRedriven { .. } | Self::LetterDiscarded { .. } => false,
            Self::PlanCreated { .. } | Self::PlanChanged { .. } | Self::TenantPlanSet { .. } | Self::CreditGranted { .. } | Self::InvoiceDrawnUp { .. } => false,
        };
        is_told.then(|| format!("{TYPE_PREFIX}{}{TYPE_VERSION}", self.action()))
    }

    fn subject(&self) -> Option<Uuid> {
        match self {
            Self::KeyCreated { id, .. }
            | Self::KeyRevoked { id }
            | Self::SearchSaved { id, .. }
            | Self::SearchChanged { id, .. }
            | Self::SearchDeleted { id }
            | Self::LetterDiscarded { id }
            | Self::CreditGranted { id, .. }
            | Self::InvoiceDrawnUp { id, .. }
            | Self::InvoiceFinalized { id, .. }
            | Self::InvoicePaid { id, .. }
            | Self::InvoiceVoided { id, .. } => Some(*id),
            Self::LettersRedriven { id, .. } => *id,
            _ => None,
        }
    }

    /// What is said of it. Never a secret, nor a hash.
    fn data(&self) -> Value {
        match self {
            Self::TenantCreated { name } | Self::TenantRenamed { name } | Self::SearchSaved { name, .. } | Self::SearchChanged { name, .. } => json!({ "name": name }),
            Self::KeyCreated { id, name, prefix, scopes } => {
                json!({ "key_id": id, "name": name, "prefix": prefix, "scopes": scopes })
            }
            Self::KeyRevoked { id } => json!({ "key_id": id }),
            Self::LettersRedriven { filter, .. } => json!({ "filter": filter }),
            Self::TenantDeleting { delete_at } => json!({ "delete_at": timestamp::format(timestamp::from_datetime(*delete_at)) }),
            Self::TenantProvisioned | Self::TenantSuspended | Self::TenantResumed | Self::TenantRestored | Self::TenantDeleted => json!({}),
            Self::SearchDeleted { .. } | Self::LetterDiscarded { .. } => json!({}),
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

/// Adds a line to the audit trail; `tenant` is `None` where it concerns several.
pub(super) async fn note(tx: &mut PgConnection, tenant: Option<&TenantId>, by: &By, change: &Change<'_>) -> sqlx::Result<()> {
    let (data, subject) = (change.data(), change.subject().map(|id| id.to_string()));
    sqlx::query("insert into audit_trail (id, tenant_id, actor, key_id, action, subject, address, request_id, data) values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb)")
        .bind(Uuid::now_v7())
        .bind(tenant.map(TenantId::as_str))
        .bind(by.actor.kind())
        .bind(by.actor.key())
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
    }
}
