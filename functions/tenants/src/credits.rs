//! Credits as they are sent, and listed.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::billing::terms::SentDecimal;
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::rows::Reach;
use shared::tenants::{Credit, NewCredit, Registry};
use uuid::Uuid;

use crate::fields::{self, Fields, text};
use crate::{paging, plans};

/// Highest credit.
const MOST: i64 = 1_000_000_000;

/// A credit to be granted.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct CreditRequest {
    /// Whose it is to be.
    tenant: String,
    /// The currency of its amount; invoices in another leave it alone.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    /// What is granted: a decimal in a text, or a whole number.
    #[schema(example = "20.00")]
    amount: SentDecimal,
    /// Why, for people.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// Its id, so that a request can be sent again; made here where it is not given.
    id: Option<Uuid>,
}

/// Which credits to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreditQuery {
    /// Only this tenant's. For operators.
    pub(crate) tenant: Option<String>,
    /// Credits wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of credits, the latest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CreditPage {
    credits: Vec<Credit>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn new(mut fields: Fields) -> Result<NewCredit> {
    let tenant = fields.required("tenant", text(|tenant| TenantId::parse(tenant).map_err(|e| e.to_string())));
    let currency = fields.required("currency", text(plans::currency));
    let amount = fields.required("amount", |value| {
        let amount = plans::decimal(value)?;
        let is_within = amount > Decimal::ZERO && amount <= Decimal::from(MOST);
        if is_within { Ok(amount) } else { Err(format!("must be more than 0, and at most {MOST}")) }
    });
    let reason = fields.required("reason", text(fields::name));
    let id = fields.optional("id", text(|id| Uuid::parse_str(id).map_err(|_| "must be a UUID"))).unwrap_or_else(Uuid::now_v7);
    let read = tenant.zip(currency).zip(amount.zip(reason)).map(|((tenant, currency), (amount, reason))| NewCredit { id, tenant, currency, amount, reason });
    let new = fields.done(read)?;
    if new.currency.is_payable(new.amount) {
        Ok(NewCredit { amount: new.currency.written(new.amount), ..new })
    } else {
        Err(Error::invalid("amount", format!("must have at most {} digits after the point in {}", new.currency.decimals(), new.currency)))
    }
}

/// # Errors
/// [`Error::Invalid`] for a limit out of range or a damaged cursor, or weather.
pub(crate) async fn list(registry: &Registry, of: &Reach, query: &CreditQuery) -> Result<CreditPage> {
    let limit = paging::limit(query.limit.as_deref())?;
    let before = query.cursor.as_deref().map(paging::read_id).transpose()?;
    let mut credits = registry.credits(of, before, paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut credits, limit, |last| last.id);
    Ok(CreditPage { credits, next_cursor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    #[test]
    fn a_credit_is_of_whole_coins() {
        let read = |amount: &str| new(fields(&format!(r#"{{"tenant":"acme","currency":"EUR","amount":{amount},"reason":"sorry"}}"#)));
        assert_eq!(read("20").map(|credit| credit.amount.to_string()).ok().as_deref(), Some("20.00"));
        assert_eq!(read(r#""0.01""#).map(|credit| credit.amount.to_string()).ok().as_deref(), Some("0.01"));
        for bad in ["0", "-1", r#""0.001""#, "0.5", r#""ten""#, "1000000001", "null"] {
            assert!(matches!(read(bad), Err(Error::Invalid { faults, .. }) if faults[0].field.as_deref() == Some("amount")), "{bad}");
        }
    }
}
