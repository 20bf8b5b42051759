//! Invoices: one for each month of a tenant that has a plan. A draft is computed when it is read; finalizing writes its lines, uses up credits
//! and gives it the next number, all in one transaction, and after that it never changes: the database itself refuses it.

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::prelude::FromRow;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::changes::{self, By, Change};
use super::{Registry, credits, plans};
use crate::billing::invoice::{Drawn, Line, draw_up};
use crate::billing::money::Currency;
use crate::billing::month::Month;
use crate::billing::terms::Terms;
use crate::billing::usage::{Meter, Usage};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;
use crate::rows::Reach;

/// How far an invoice has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Its usage is taken; what it comes to is computed.
    Draft,
    /// It has its number, and is to be paid.
    Finalized,
    /// It was paid.
    Paid,
    /// Nobody has to pay it.
    Void,
}

impl InvoiceStatus {
    /// The status of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "draft" => Some(Self::Draft),
            "finalized" => Some(Self::Finalized),
            "paid" => Some(Self::Paid),
            "void" => Some(Self::Void),
            _ => None,
        }
    }
}

/// An invoice, without its lines. A draft's amounts are `None` here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Invoice {
    /// Its id, which its usage bears as a mark.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: String,
    /// The month that it is for, such as `2026-11`.
    #[schema(value_type = String, example = "2026-11")]
    pub month: Month,
    /// How far it has come.
    pub status: InvoiceStatus,
    /// Its number: 1, 2, 3 and so on over all tenants, none left out. `null` for a draft.
    pub number: Option<i64>,
    /// The plan that priced it.
    pub plan: String,
    /// The version of that plan.
    pub plan_version: i32,
    /// The currency of its amounts.
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// Usage from this month on is taken: before it the tenant had no plan.
    #[serde(skip)]
    pub usage_from: Month,
    /// What its lines add up to.
    #[schema(value_type = Option<String>, example = "61.25")]
    pub subtotal: Option<Decimal>,
    /// What of credits was used up.
    #[schema(value_type = Option<String>, example = "20.00")]
    pub credit: Option<Decimal>,
    /// What is to be paid.
    #[schema(value_type = Option<String>, example = "41.25")]
    pub total: Option<Decimal>,
    /// When it was drawn up.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it got its number.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finalized_at: Option<OffsetDateTime>,
    /// When it was paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
    /// When it was made void.
    #[serde(with = "time::serde::rfc3339::option")]
    pub voided_at: Option<OffsetDateTime>,
    /// What whoever took the payment calls it.
    pub payment: Option<String>,
}

impl FromRow<'_, PgRow> for Invoice {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let currency = Currency::try_from(row.try_get::<String, _>("currency")?).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        let month = |column: &str| row.try_get::<Date, _>(column).map(Month::of_date);
        // A zero comes back from the database without its digits after the point.
        let amount = |column: &str| row.try_get::<Option<Decimal>, _>(column).map(|amount| amount.map(|amount| currency.written(amount)));
        Ok(Self {
            id: row.try_get("id")?,
            tenant: row.try_get("tenant_id")?,
            month: month("month")?,
            status: row.try_get("status")?,
            number: row.try_get("number")?,
            plan: row.try_get("plan_id")?,
            plan_version: row.try_get("plan_version")?,
            currency,
            usage_from: month("usage_from")?,
            subtotal: amount("subtotal")?,
            credit: amount("credit")?,
            total: amount("total")?,
            created_at: row.try_get("created_at")?,
            finalized_at: row.try_get("finalized_at")?,
            paid_at: row.try_get("paid_at")?,
            voided_at: row.try_get("voided_at")?,
            payment: row.try_get("payment")?,
        })
    }
}

impl Invoice {
    /// Whose it is.
    ///
    /// # Errors
    /// [`Error::Internal`] for an id that the database should not hold.
    pub fn tenant_id(&self) -> Result<TenantId> {
        TenantId::parse(&self.tenant).map_err(|e| Error::internal("reading an invoice", e))
    }
}

/// A month that is to be closed: of which tenant, and the draft that was made already.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ToClose {
    /// Whose it is.
    #[sqlx(rename = "tenant_id")]
    pub tenant: String,
    /// Which month.
    #[sqlx(try_from = "Date")]
    pub month: Month,
}

#[derive(FromRow)]
struct LineRow {
    line: i32,
    meter: Option<String>,
    description: String,
    unit: String,
    quantity: Decimal,
    price: Decimal,
    amount: Decimal,
}

impl LineRow {
    fn line(self, currency: Currency) -> Line {
        let (meter, price, amount) = (self.meter.as_deref().and_then(Meter::parse), currency.written(self.price), currency.written(self.amount));
        Line { line: self.line, meter, description: self.description, unit: self.unit, quantity: self.quantity.normalize(), price, amount }
    }
}

impl Registry {
    /// Months up to `last` that have no finalized invoice, of tenants that had a plan then: the oldest first, and those of one tenant in their
    /// order. Of a deleted tenant, up to the month in which it was.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn months_to_close(&self, last: Month) -> Result<Vec<ToClose>> {
        let statement = "select p.tenant_id, m.month::date as month \
             from (select tenant_id, min(from_month) as first from tenant_plans group by 1) p join tenants t on t.id = p.tenant_id \
             cross join lateral generate_series(p.first::timestamp, $1::date::timestamp, interval '1 month') as m (month) \
             where (t.status not in ('deleting', 'deleted') or date_trunc('month', t.updated_at, 'UTC') >= m.month at time zone 'UTC') \
               and not exists (select 1 from invoices i where i.tenant_id = p.tenant_id and i.month = m.month::date and i.status <> 'draft') order by m.month, p.tenant_id";
        sqlx::query_as(statement).bind(last.first_day()).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "looking for months to be closed"))
    }

    /// The invoice of a month, drawn up where there is none; `None` where the tenant has no plan then. Of two who draw it up at once, both get
    /// the same.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn open_invoice(&self, tenant: &TenantId, month: Month, by: &By) -> Result<Option<Invoice>> {
        let fail = failed(Engine::Control, "drawing up an invoice");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let Some(priced) = plans::priced(&mut tx, tenant.as_str(), month).await.map_err(&fail)? else { return Ok(None) };
        let insert = "insert into invoices (id, tenant_id, month, plan_id, plan_version, currency, usage_from) \
             select $1, $2, $3, $4, $5, $6, min(from_month) from tenant_plans where tenant_id = $2 on conflict on constraint invoices_once do nothing returning *";
        let made: Option<Invoice> = sqlx::query_as(insert)
            .bind(Uuid::now_v7())
            .bind(tenant.as_str())
            .bind(month.first_day())
            .bind(&priced.plan_id)
            .bind(priced.version)
            .bind(priced.currency.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        if let Some(invoice) = made {
            changes::record(&mut tx, tenant, by, &Change::InvoiceDrawnUp { id: invoice.id, month }).await.map_err(&fail)?;
            tx.commit().await.map_err(fail)?;
            return Ok(Some(invoice));
        }
        let there = sqlx::query_as("select * from invoices where tenant_id = $1 and month = $2").bind(tenant.as_str()).bind(month.first_day());
        there.fetch_optional(&mut *tx).await.map_err(fail)
    }

    /// An invoice.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for another's; [`Error::Unavailable`].
    pub async fn invoice(&self, of: &Reach, id: Uuid) -> Result<Invoice> {
        let invoice = sqlx::query_as("select * from invoices where id = $1 and ($2::text is null or tenant_id = $2)")
            .bind(id)
            .bind(of.tenant())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Control, "reading an invoice"))?;
        invoice.ok_or(Error::NotFound("invoice"))
    }

    /// Invoices, the latest first, before `before`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn invoices(&self, of: &Reach, status: Option<InvoiceStatus>, before: Option<Uuid>, limit: i64) -> Result<Vec<Invoice>> {
        let statement = "select * from invoices where ($1::text is null or tenant_id = $1) and ($2::text is null or status = $2) and ($3::uuid is null or id < $3) \
             order by id desc limit $4";
        sqlx::query_as(statement).bind(of.tenant()).bind(status).bind(before).bind(limit).fetch_all(&self.pool).await.map_err(failed(Engine::Control, "listing invoices"))
    }

    /// The lines of an invoice that is finalized; none for a draft.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn invoice_lines(&self, invoice: &Invoice) -> Result<Vec<Line>> {
        let lines: Vec<LineRow> = sqlx::query_as("select line, meter, description, unit, quantity, price, amount from invoice_lines where invoice_id = $1 order by line")
            .bind(invoice.id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Control, "reading the lines of an invoice"))?;
        Ok(lines.into_iter().map(|row| row.line(invoice.currency)).collect())
    }

    /// The terms that price an invoice.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn terms_of(&self, invoice: &Invoice) -> Result<Terms> {
        let fail = failed(Engine::Control, "reading the terms of an invoice");
        let mut connection = self.pool.acquire().await.map_err(&fail)?;
        terms(&mut connection, invoice).await.map_err(fail)
    }

    /// Finalizes a draft that comes of this usage: with lines, credits and the next number. One that is finalized is answered as it is, so
    /// of two who finalize it one does.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Internal`] for amounts that cannot be written down; [`Error::Unavailable`].
    pub async fn finalize_invoice(&self, id: Uuid, used: &Usage, by: &By) -> Result<Invoice> {
        let fail = failed(Engine::Control, "finalizing an invoice");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let invoice = lock(&mut tx, id).await?;
        if invoice.status != InvoiceStatus::Draft {
            return Ok(invoice);
        }
        let terms = terms(&mut tx, &invoice).await.map_err(&fail)?;
        let left = credits::lock(&mut tx, &invoice.tenant, invoice.currency).await.map_err(&fail)?;
        let drawn = draw_up(invoice.currency, &terms, used, &left).map_err(|e| Error::internal("drawing up an invoice", e))?;
        write_lines(&mut tx, id, &drawn).await.map_err(&fail)?;
        credits::use_up(&mut tx, id, &drawn.credits).await.map_err(&fail)?;
        // From here to the end of the transaction nobody else has a number: of one that fails here the next takes it.
        let number: i64 = sqlx::query_scalar("update invoice_numbers set last = last + 1 returning last").fetch_one(&mut *tx).await.map_err(&fail)?;
        let finalize = "update invoices set status = 'finalized', number = $2, subtotal = $3, credit = $4, total = $5, finalized_at = now() where id = $1 returning *";
        let done: Invoice = sqlx::query_as(finalize).bind(id).bind(number).bind(drawn.subtotal).bind(drawn.credit).bind(drawn.total).fetch_one(&mut *tx).await.map_err(&fail)?;
        changes::record(&mut tx, &done.tenant_id()?, by, &Change::InvoiceFinalized { id, number, month: done.month, currency: done.currency, total: drawn.total })
            .await
            .map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(done)
    }

    /// Says that an invoice was paid. One that is paid, by the same payment, is answered as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `invoice_not_payable` for a draft, one that is void, or was paid otherwise; [`Error::Unavailable`].
    pub async fn pay_invoice(&self, id: Uuid, payment: Option<&str>, by: &By) -> Result<Invoice> {
        let fail = failed(Engine::Control, "noting a payment");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let invoice = lock(&mut tx, id).await?;
        match invoice.status {
            InvoiceStatus::Finalized => {}
            InvoiceStatus::Paid if invoice.payment.as_deref() == payment => return Ok(invoice),
            InvoiceStatus::Paid => return Err(Error::Conflict { code: "invoice_not_payable", detail: "it was paid already, by another payment".to_owned() }),
            InvoiceStatus::Draft | InvoiceStatus::Void => {
                return Err(Error::Conflict { code: "invoice_not_payable", detail: "only an invoice that is finalized can be paid".to_owned() });
            }
        }
        let pay = "update invoices set status = 'paid', paid_at = now(), payment = $2 where id = $1 returning *";
        let paid: Invoice = sqlx::query_as(pay).bind(id).bind(payment).fetch_one(&mut *tx).await.map_err(&fail)?;
        changes::record(&mut tx, &paid.tenant_id()?, by, &Change::InvoicePaid { id, number: paid.number, payment }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(paid)
    }

    /// Makes an invoice void: nobody has to pay it, its credits have back what it used up, and what it took of usage is not billed again.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] `invoice_not_voidable` for a draft or one that was paid; [`Error::Unavailable`].
    pub async fn void_invoice(&self, id: Uuid, by: &By) -> Result<Invoice> {
        let fail = failed(Engine::Control, "making an invoice void");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let invoice = lock(&mut tx, id).await?;
        match invoice.status {
            InvoiceStatus::Finalized => {}
            InvoiceStatus::Void => return Ok(invoice),
            InvoiceStatus::Draft | InvoiceStatus::Paid => {
                return Err(Error::Conflict { code: "invoice_not_voidable", detail: "only an invoice that is finalized, and not paid, can be made void".to_owned() });
            }
        }
        let void = "update invoices set status = 'void', voided_at = now() where id = $1 returning *";
        let void: Invoice = sqlx::query_as(void).bind(id).fetch_one(&mut *tx).await.map_err(&fail)?;
        credits::give_back(&mut tx, id).await.map_err(&fail)?;
        changes::record(&mut tx, &void.tenant_id()?, by, &Change::InvoiceVoided { id, number: void.number }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(void)
    }
}

async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<Invoice> {
    let invoice = sqlx::query_as("select * from invoices where id = $1 for update").bind(id).fetch_optional(tx).await;
    invoice.map_err(failed(Engine::Control, "reading an invoice"))?.ok_or(Error::NotFound("invoice"))
}

async fn terms(connection: &mut PgConnection, invoice: &Invoice) -> sqlx::Result<Terms> {
    let terms: sqlx::types::Json<Terms> =
        sqlx::query_scalar("select terms from plan_versions where plan_id = $1 and version = $2").bind(&invoice.plan).bind(invoice.plan_version).fetch_one(connection).await?;
    Ok(terms.0)
}

async fn write_lines(tx: &mut PgConnection, id: Uuid, drawn: &Drawn) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            drawn.lines.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "insert into invoice_lines (invoice_id, line, meter, description, unit, quantity, price, amount) \
         select $1, * from unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::numeric[])",
    )
    .bind(id)
    .bind(column!(|line| line.line))
    .bind(column!(|line| line.meter.map(Meter::as_str)))
    .bind(column!(|line| line.description.as_str()))
    .bind(column!(|line| line.unit.as_str()))
    .bind(column!(|line| line.quantity))
    .bind(column!(|line| line.price))
    .bind(column!(|line| line.amount))
    .execute(tx)
    .await
    .map(drop)
}
