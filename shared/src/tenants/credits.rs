//! Credits: granted to a tenant, used up by its invoices in the order in which they were granted, and never below zero.

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::prelude::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::changes::{self, By, Change};
use crate::billing::invoice::Credit as Remaining;
use crate::billing::money::Currency;
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::rows::Reach;

/// A credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Credit {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: String,
    /// The currency of its amounts: invoices in another leave it alone.
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// What was granted.
    #[schema(value_type = String, example = "20.00")]
    pub amount: Decimal,
    /// What is left of it.
    #[schema(value_type = String, example = "7.50")]
    pub remaining: Decimal,
    /// Why it was granted, for people.
    pub reason: String,
    /// When it was granted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl FromRow<'_, PgRow> for Credit {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let currency = Currency::try_from(row.try_get::<String, _>("currency")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        // A zero comes back from the database without its digits after the point.
        let amount = |column: &str| row.try_get::<Decimal, _>(column).map(|amount| currency.written(amount));
        Ok(Self {
            id: row.try_get("id")?,
            tenant: row.try_get("tenant_id")?,
            currency,
            amount: amount("amount")?,
            remaining: amount("remaining")?,
            reason: row.try_get("reason")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// A credit to be granted.
#[derive(Debug, Clone)]
pub struct NewCredit {
    /// Its id: granting the same one again grants nothing more.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: TenantId,
    /// The currency of its amount.
    pub currency: Currency,
    /// What is granted.
    pub amount: Decimal,
    /// Why.
    pub reason: String,
}

impl Registry {
    /// Grants a credit. One of this id that was granted before is answered as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::Conflict`] `credit_exists` where another was granted by this id; [`Error::Unavailable`].
    pub async fn grant_credit(&self, new: &NewCredit, by: &By) -> Result<Credit> {
        let fail = failed(Engine::Control, "granting a credit");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let insert = "insert into credits (id, tenant_id, currency, amount, remaining, reason) \
             select $1, id, $3, $4, $4, $5 from tenants where id = $2 and status not in ('deleting', 'deleted') on conflict (id) do nothing returning *";
        let made: Option<Credit> = sqlx::query_as(insert)
            .bind(new.id)
            .bind(new.tenant.as_str())
            .bind(new.currency.as_str())
            .bind(new.amount)
            .bind(&new.reason)
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        if let Some(credit) = made {
            let change = Change::CreditGranted { id: credit.id, amount: credit.amount, currency: credit.currency, reason: &credit.reason };
            changes::record(&mut tx, &new.tenant, by, &change).await.map_err(&fail)?;
            tx.commit().await.map_err(fail)?;
            return Ok(credit);
        }
        let there: Option<Credit> = sqlx::query_as("select * from credits where id = $1").bind(new.id).fetch_optional(&mut *tx).await.map_err(fail)?;
        let same = |credit: &Credit| credit.tenant == new.tenant.as_str() && credit.currency == new.currency && credit.amount == new.amount;
        match there {
            None => Err(Error::NotFound("tenant")),
            Some(credit) if same(&credit) => Ok(credit),
            Some(_) => Err(Error::Conflict { code: "credit_exists", detail: "another credit was granted by this id".to_owned() }),
        }
    }

    /// Credits, the latest first, before `before`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn credits(&self, of: &Reach, before: Option<Uuid>, limit: i64) -> Result<Vec<Credit>> {
        let statement = "select * from credits where ($1::text is null or tenant_id = $1) \
             and ($2::uuid is null or position < (select position from credits where id = $2)) order by position desc limit $3";
        sqlx::query_as(statement).bind(of.tenant()).bind(before).bind(limit).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "listing credits"))
    }

    /// What is left of a tenant's credits, in the order in which they are used up.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn credits_left(&self, tenant: &TenantId, currency: Currency) -> Result<Vec<Remaining>> {
        let fail = failed(Engine::Control, "reading credits");
        let mut connection = self.pool.acquire().await.map_err(&fail)?;
        left(&mut connection, tenant.as_str(), currency, "").await.map_err(fail)
    }
}

async fn left(connection: &mut PgConnection, tenant: &str, currency: Currency, locked: &'static str) -> sqlx::Result<Vec<Remaining>> {
    let statement = format!("select id, remaining from credits where tenant_id = $1 and currency = $2 and remaining > 0 order by position{locked}");
    sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(tenant).bind(currency.as_str()).fetch_all(connection).await
}

/// What is left of a tenant's credits: nobody else uses them up before this transaction ends.
pub(super) async fn lock(tx: &mut PgConnection, tenant: &str, currency: Currency) -> sqlx::Result<Vec<Remaining>> {
    left(tx, tenant, currency, " for update").await
}

/// Uses these parts up for an invoice.
pub(super) async fn use_up(tx: &mut PgConnection, invoice: Uuid, parts: &[Remaining]) -> sqlx::Result<()> {
    let (ids, amounts): (Vec<Uuid>, Vec<Decimal>) = parts.iter().copied().unzip();
    let statement = "with parts as (select * from unnest($2::uuid[], $3::numeric[]) as p (id, amount)), \
         used as (update credits c set remaining = c.remaining - parts.amount from parts where c.id = parts.id) \
         insert into credit_uses (credit_id, invoice_id, amount) select id, $1, amount from parts";
    sqlx::query(statement).bind(invoice).bind(ids).bind(amounts).execute(tx).await.map(drop)
}

/// Gives back what an invoice used up.
pub(super) async fn give_back(tx: &mut PgConnection, invoice: Uuid) -> sqlx::Result<()> {
    let statement = "with returned as (update credit_uses set returned_at = now() where invoice_id = $1 and returned_at is null returning credit_id, amount) \
         update credits c set remaining = c.remaining + returned.amount from returned where c.id = returned.credit_id";
    sqlx::query(statement).bind(invoice).execute(tx).await.map(drop)
}
