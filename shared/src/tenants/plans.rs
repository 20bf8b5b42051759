//! Plans, their versions, and which tenant has which from when on.
//!
//! A version is added, never changed, and none begins in a month that has ended: what a past month costs is settled.

use serde::Serialize;
use sqlx::prelude::FromRow;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::Registry;
use super::changes::{self, By, Change};
use crate::billing::money::Currency;
use crate::billing::month::Month;
use crate::billing::terms::Terms;
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;

/// What a plan asks for, from a month on.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct PlanVersion {
    /// Its number, from 1: of those that have begun by a month, the highest counts.
    pub version: i32,
    /// The first month that it prices, such as `2026-12`.
    #[sqlx(rename = "from_month", try_from = "time::Date")]
    #[schema(value_type = String, example = "2026-12")]
    pub from: Month,
    /// What it asks for.
    #[sqlx(json)]
    #[serde(flatten)]
    pub terms: Terms,
    /// When it was added.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A plan.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Plan {
    /// Its id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The currency of its prices.
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// All its versions, the first one first.
    pub versions: Vec<PlanVersion>,
}

/// A plan to be made.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Its id: of the form of a tenant's.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// The first month that it prices.
    pub from: Month,
    /// What it asks for.
    pub terms: Terms,
}

/// The plan that a tenant has, from a month on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct TenantPlan {
    /// The plan.
    #[sqlx(rename = "plan_id")]
    pub plan: String,
    /// The first month, such as `2026-12`.
    #[sqlx(rename = "from_month", try_from = "time::Date")]
    #[schema(value_type = String, example = "2026-12")]
    pub from: Month,
}

/// What prices a month of a tenant.
#[derive(Debug, Clone, FromRow)]
pub struct Priced {
    /// The plan.
    pub plan_id: String,
    /// Its version.
    pub version: i32,
    /// The currency of its prices.
    #[sqlx(try_from = "String")]
    pub currency: Currency,
    /// What it asks for.
    #[sqlx(json)]
    pub terms: Terms,
}

impl Registry {
    /// Makes a plan.
    ///
    /// # Errors
    /// [`Error::Conflict`] `plan_exists`; [`Error::Unavailable`].
    pub async fn create_plan(&self, new: &NewPlan, by: &By) -> Result<Plan> {
        let fail = failed(Engine::Control, "making a plan");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let insert = "insert into plans (id, name, currency) values ($1, $2, $3) on conflict do nothing";
        let made = sqlx::query(insert).bind(new.id.as_str()).bind(&new.name).bind(new.currency.as_str()).execute(&mut *tx).await.map_err(&fail)?;
        if made.rows_affected() == 0 {
            return Err(Error::Conflict { code: "plan_exists", detail: "there is a plan of this id".to_owned() });
        }
        add_version(&mut tx, new.id.as_str(), 1, new.from, &new.terms).await.map_err(&fail)?;
        changes::note(&mut tx, None, by, &Change::PlanCreated { id: new.id.as_str(), name: &new.name }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        self.plan(new.id.as_str()).await
    }

    /// Changes the name of a plan, or adds a version that `change` makes of the latest terms. Of two who change it at once, the second sees what
    /// the first made of it.
    ///
    /// # Errors
    /// What `change` says; [`Error::NotFound`]; [`Error::Unavailable`].
    pub async fn change_plan(&self, id: &str, name: Option<&str>, version: Option<(Month, impl FnOnce(Terms, Currency) -> Result<Terms>)>, by: &By) -> Result<Plan> {
        let fail = failed(Engine::Control, "changing a plan");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let update = "update plans set name = coalesce($2, name), updated_at = now() where id = $1 returning currency";
        let currency: Option<String> = sqlx::query_scalar(update).bind(id).bind(name).fetch_optional(&mut *tx).await.map_err(&fail)?;
        let currency = currency.ok_or(Error::NotFound("plan"))?;
        let mut number = None;
        if let Some((from, change)) = version {
            let latest: PlanVersion = sqlx::query_as("select version, from_month, terms, created_at from plan_versions where plan_id = $1 order by version desc limit 1")
                .bind(id)
                .fetch_one(&mut *tx)
                .await
                .map_err(&fail)?;
            let terms = change(latest.terms, Currency::try_from(currency).map_err(|e| Error::internal("reading a plan", e))?)?;
            add_version(&mut tx, id, latest.version + 1, from, &terms).await.map_err(&fail)?;
            number = Some((latest.version + 1, from));
        }
        changes::note(&mut tx, None, by, &Change::PlanChanged { id, name, version: number }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        self.plan(id).await
    }

    /// A plan.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Unavailable`].
    pub async fn plan(&self, id: &str) -> Result<Plan> {
        self.plans_where(Some(id), None, 1).await?.pop().ok_or(Error::NotFound("plan"))
    }

    /// Plans in the order of their ids, after `after`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn plans(&self, after: Option<&str>, limit: i64) -> Result<Vec<Plan>> {
        self.plans_where(None, after, limit).await
    }

    async fn plans_where(&self, id: Option<&str>, after: Option<&str>, limit: i64) -> Result<Vec<Plan>> {
        let fail = failed(Engine::Control, "reading plans");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let heads: Vec<(String, String, String)> =
            sqlx::query_as("select id, name, currency from plans where ($1::text is null or id = $1) and ($2::text is null or id > $2) order by id limit $3")
                .bind(id)
                .bind(after)
                .bind(limit)
                .fetch_all(&mut *tx)
                .await
                .map_err(&fail)?;
        let mut plans = Vec::with_capacity(heads.len());
        for (id, name, currency) in heads {
            let versions = sqlx::query_as("select version, from_month, terms, created_at from plan_versions where plan_id = $1 order by version");
            let versions: Vec<PlanVersion> = versions.bind(&id).fetch_all(&mut *tx).await.map_err(&fail)?;
            plans.push(Plan { id, name, currency: Currency::try_from(currency).map_err(|e| Error::internal("reading a plan", e))?, versions });
        }
        tx.commit().await.map_err(fail)?;
        Ok(plans)
    }

    /// Gives a tenant a plan from a month on, in the place of one that was to begin then.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::Invalid`] for a plan that is none, or that begins later; [`Error::Conflict`] `month_closed`
    /// where the month has its invoice; [`Error::Unavailable`].
    pub async fn set_plan(&self, tenant: &TenantId, plan: &str, from: Month, by: &By) -> Result<()> {
        let fail = failed(Engine::Control, "giving a tenant a plan");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        let there: Option<bool> = sqlx::query_scalar("select true from tenants where id = $1 and status not in ('deleting', 'deleted') for no key update")
            .bind(tenant.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        there.ok_or(Error::NotFound("tenant"))?;
        let begins: Option<time::Date> = sqlx::query_scalar("select min(from_month) from plan_versions where plan_id = $1").bind(plan).fetch_one(&mut *tx).await.map_err(&fail)?;
        match begins.map(Month::of_date) {
            None => return Err(Error::invalid("plan", "there is no such plan")),
            Some(begins) if begins > from => return Err(Error::invalid("plan", format!("it begins in {begins}"))),
            Some(_) => {}
        }
        let closed: bool = sqlx::query_scalar("select exists (select 1 from invoices where tenant_id = $1 and month >= $2)")
            .bind(tenant.as_str())
            .bind(from.first_day())
            .fetch_one(&mut *tx)
            .await
            .map_err(&fail)?;
        if closed {
            return Err(Error::Conflict { code: "month_closed", detail: format!("{from} has its invoice already") });
        }
        let set = "insert into tenant_plans (tenant_id, from_month, plan_id) values ($1, $2, $3) on conflict (tenant_id, from_month) do update set plan_id = excluded.plan_id";
        sqlx::query(set).bind(tenant.as_str()).bind(from.first_day()).bind(plan).execute(&mut *tx).await.map_err(&fail)?;
        changes::record(&mut tx, tenant, by, &Change::TenantPlanSet { plan, from }).await.map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// The plans of a tenant, the first one first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn plans_of(&self, tenant: &TenantId) -> Result<Vec<TenantPlan>> {
        sqlx::query_as("select plan_id, from_month from tenant_plans where tenant_id = $1 order by from_month")
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Control, "reading the plans of a tenant"))
    }

    /// What prices a month of a tenant; `None` where it has no plan then.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn priced(&self, tenant: &TenantId, month: Month) -> Result<Option<Priced>> {
        let fail = failed(Engine::Control, "looking for a tenant's plan");
        let mut connection = self.pool.acquire().await.map_err(&fail)?;
        priced(&mut connection, tenant.as_str(), month).await.map_err(fail)
    }
}

pub(super) async fn priced(connection: &mut sqlx::PgConnection, tenant: &str, month: Month) -> sqlx::Result<Option<Priced>> {
    sqlx::query_as(
        "select v.plan_id, v.version, p.currency, v.terms from plan_versions v join plans p on p.id = v.plan_id \
         where v.plan_id = (select plan_id from tenant_plans where tenant_id = $1 and from_month <= $2 order by from_month desc limit 1) and v.from_month <= $2 \
         order by v.version desc limit 1",
    )
    .bind(tenant)
    .bind(month.first_day())
    .fetch_optional(connection)
    .await
}

async fn add_version(tx: &mut sqlx::PgConnection, plan: &str, version: i32, from: Month, terms: &Terms) -> sqlx::Result<()> {
    sqlx::query("insert into plan_versions (plan_id, version, from_month, terms) values ($1, $2, $3, $4)")
        .bind(plan)
        .bind(version)
        .bind(from.first_day())
        .bind(Json(terms))
        .execute(tx)
        .await
        .map(drop)
}
