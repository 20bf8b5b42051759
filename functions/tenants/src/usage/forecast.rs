//! What this month comes to so far, and what it is going to if it goes on like this.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::billing::forecast::{UnderWay, expected};
use shared::billing::invoice::{Drawn, Line, draw_up};
use shared::billing::money::Currency;
use shared::billing::month::Month;
use shared::billing::usage::Usage;
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::rows::Rows;
use shared::tenants::{Priced, Registry};
use shared::timestamp;
use time::{Duration, OffsetDateTime};

/// Whose month is meant.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ForecastParams {
    /// Whose. For operators, who must say.
    pub(crate) tenant: Option<String>,
}

/// What this month comes to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Forecast {
    /// The month.
    #[schema(value_type = String, example = "2026-11")]
    month: Month,
    /// How much of it is over, from 0 to 1.
    elapsed: f64,
    /// What was used by now, with what came too late for the month before.
    so_far: Estimate,
    /// What it is going to be: what flows goes on at this pace, and what lies in the stores stays as it is. An estimate.
    expected: Estimate,
}

/// Usage, and what it costs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Estimate {
    usage: Usage,
    /// What it costs; `null` for a tenant that has no plan.
    bill: Option<Bill>,
}

/// What usage costs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Bill {
    #[schema(value_type = String, example = "EUR")]
    currency: Currency,
    lines: Vec<Line>,
    /// What the lines add up to.
    #[schema(value_type = String, example = "61.25")]
    subtotal: Decimal,
    /// What of credits would be used up.
    #[schema(value_type = String, example = "20.00")]
    credit: Decimal,
    /// What would be to be paid.
    #[schema(value_type = String, example = "41.25")]
    total: Decimal,
}

impl Bill {
    pub(crate) fn new(currency: Currency, drawn: Drawn) -> Self {
        Self { currency, lines: drawn.lines, subtotal: drawn.subtotal, credit: drawn.credit, total: drawn.total }
    }
}

/// # Errors
/// Weather of either database.
pub(crate) async fn forecast(registry: &Registry, rows: &Rows, tenant: &TenantId, now: OffsetDateTime) -> Result<Forecast> {
    let month = Month::of(now);
    let priced = registry.priced(tenant, month).await?;
    // What came before the first month that has a plan is never billed.
    let first = registry.plans_of(tenant).await?.first().map_or(month, |plan| plan.from.min(month));
    let so_far = rows.usage_not_billed(tenant, month.begin(), month.end()).await?;
    let late = rows.usage_not_billed(tenant, first.begin(), month.begin()).await?;
    let today = now.date();
    let sampled = rows.usage_between(tenant, today.midnight().assume_utc(), today.midnight().assume_utc() + Duration::HOUR).await?;
    let elapsed_ms = timestamp::from_datetime(now) - timestamp::from_datetime(month.begin());
    let under_way = UnderWay { so_far, late, last_sample: sampled, days_left: month.days() - today.day(), elapsed_ms, length_ms: month.length_ms() };
    let credits = match &priced {
        Some(priced) => registry.credits_left(tenant, priced.currency).await?,
        None => Vec::new(),
    };
    let estimate = |usage: Usage| {
        let bill = |priced: &Priced| draw_up(priced.currency, &priced.terms, &usage, &credits).map(|drawn| Bill::new(priced.currency, drawn));
        let bill = priced.as_ref().map(bill).transpose().map_err(|e| Error::internal("drawing up a forecast", e))?;
        Ok::<_, Error>(Estimate { usage, bill })
    };
    #[expect(clippy::cast_precision_loss, reason = "a part of a month, for people")]
    let elapsed = elapsed_ms as f64 / month.length_ms() as f64;
    Ok(Forecast { month, elapsed, so_far: estimate(so_far + late)?, expected: estimate(expected(&under_way))? })
}
