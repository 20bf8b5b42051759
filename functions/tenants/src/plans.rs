//! Plans as they are sent: read field by field, and checked before anything is written.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::billing::money::Currency;
use shared::billing::month::Month;
use shared::billing::terms::{MeterTerms, SentDecimal, Terms, Tier};
use shared::billing::usage::Meter;
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::limits::{TenantLimits, read_object};
use shared::tenants::{By, NewPlan, Plan, Registry, TenantPlan};

use crate::fields::{self, Fields, text};
use crate::paging;
use crate::publish::publish_tenant;

/// Longest decimal, in characters.
const MAX_DECIMAL: usize = 40;

/// A plan to be made.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct PlanRequest {
    /// Its id, of the form of a tenant's.
    #[schema(pattern = "^[a-z][a-z0-9_]{1,46}$")]
    id: String,
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The currency of its prices, such as `EUR`. It never changes.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    /// What a month costs whatever is used; `0` where this is not given. Decimals are texts, or whole numbers.
    base_price: Option<SentDecimal>,
    /// What is charged for; all else costs nothing.
    meters: Option<Vec<MeterTerms>>,
    /// How much a tenant of this plan may send that has no limits of its own; as much as comes where this is not given.
    limits: Option<TenantLimits>,
    /// The first month that it prices: this one where it is not given, and none that has ended.
    #[schema(example = "2026-12")]
    from: Option<String>,
}

/// What to change of a plan: at least one of `name`, `base_price`, `meters` and `limits`. All but the name make a new version, with the rest as it was.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct PlanChange {
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What a month costs whatever is used.
    base_price: Option<SentDecimal>,
    /// What is charged for, all of it.
    meters: Option<Vec<MeterTerms>>,
    /// How much a tenant of this plan may send that has no limits of its own, all of it.
    limits: Option<TenantLimits>,
    /// The first month that the new version prices: the next one where it is not given, and none that has ended.
    #[schema(example = "2026-12")]
    from: Option<String>,
}

/// The plan that a tenant is to have.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct TenantPlanRequest {
    /// The plan.
    plan: String,
    /// The first month: this one where it is not given, and none that has ended, or has its invoice.
    #[schema(example = "2026-12")]
    from: Option<String>,
}

/// The plans of a tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TenantPlans {
    /// The first one first: each counts until the next begins.
    plans: Vec<TenantPlan>,
}

/// Which plans to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlanQuery {
    /// Plans wanted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of plans, in the order of their ids.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PlanPage {
    plans: Vec<Plan>,
    /// Brings the next page; `null` where there is none.
    next_cursor: Option<String>,
}

/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn new(mut fields: Fields, now: Month) -> Result<NewPlan> {
    let id = fields.required("id", text(|id| TenantId::parse(id).map_err(|e| e.to_string())));
    let name = fields.required("name", text(fields::name));
    let currency = fields.required("currency", text(currency));
    let base_price = fields.optional("base_price", decimal).unwrap_or_default();
    let meters = fields.optional("meters", meters).unwrap_or_default();
    let limits = fields.optional("limits", limits).unwrap_or_default();
    let from = fields.optional("from", text(|from| month(from, now))).unwrap_or(now);
    let read = id.zip(name).zip(currency).map(|((id, name), currency)| NewPlan { id, name, currency, from, terms: Terms { base_price, meters, limits } });
    let new = fields.done(read)?;
    checked(new.terms.clone(), new.currency).map(|_| new)
}

/// Changes a plan as it was asked to.
///
/// # Errors
/// [`Error::Invalid`], each fault named; [`Error::NotFound`]; weather.
pub(crate) async fn change(registry: &Registry, id: &str, mut fields: Fields, now: Month, by: &By) -> Result<Plan> {
    let name = fields.optional("name", text(fields::name));
    let base_price = fields.optional("base_price", decimal);
    let meters = fields.optional("meters", meters);
    let limits = fields.optional("limits", limits);
    let from = fields.optional("from", text(|from| month(from, now)));
    let (name, base_price, meters, limits, from) = fields.done(Some((name, base_price, meters, limits, from)))?;
    let is_other = base_price.is_some() || meters.is_some() || limits.is_some();
    if name.is_none() && !is_other {
        return Err(Error::Invalid { code: "nothing_to_change", detail: "give `name`, `base_price`, `meters` or `limits`".to_owned(), faults: Vec::new() });
    }
    let over = |old: Terms, currency| {
        checked(Terms { base_price: base_price.unwrap_or(old.base_price), meters: meters.unwrap_or(old.meters), limits: limits.unwrap_or(old.limits) }, currency)
    };
    let version = is_other.then(|| (from.unwrap_or_else(|| now.next()), over));
    registry.change_plan(id, name.as_deref(), version, by).await
}

/// # Errors
/// [`Error::Invalid`] for a limit out of range or a damaged cursor, or weather.
pub(crate) async fn list(registry: &Registry, query: &PlanQuery) -> Result<PlanPage> {
    let limit = paging::limit(query.limit.as_deref())?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let mut plans = registry.plans(after.as_deref(), paging::one_more(limit)).await?;
    let next_cursor = paging::cut(&mut plans, limit, |last| last.id.clone());
    Ok(PlanPage { plans, next_cursor })
}

/// Gives a tenant a plan. What it lets the tenant send counts at once; where it cannot be published, maintenance does it.
///
/// # Errors
/// [`Error::Invalid`], each fault named; [`Error::NotFound`]; [`Error::Conflict`] `month_closed`; weather.
pub(crate) async fn give(registry: &Registry, ring: &KeyRing, tenant: &TenantId, mut fields: Fields, now: Month, by: &By) -> Result<TenantPlans> {
    let plan = fields.required("plan", text(|plan| TenantId::parse(plan).map_err(|_| "is no plan's id".to_owned())));
    let from = fields.optional("from", text(|from| month(from, now))).unwrap_or(now);
    let plan = fields.done(plan)?;
    registry.set_plan(tenant, plan.as_str(), from, by).await?;
    if registry.take_plan_limits(tenant, now).await? {
        publish_tenant(registry, ring, tenant).await?;
    }
    of(registry, tenant).await
}

/// The plans of a tenant.
///
/// # Errors
/// [`Error::NotFound`], or weather.
pub(crate) async fn of(registry: &Registry, tenant: &TenantId) -> Result<TenantPlans> {
    registry.tenant(tenant).await?;
    Ok(TenantPlans { plans: registry.plans_of(tenant).await? })
}

fn read_cursor(cursor: &str) -> Result<String> {
    let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| TenantId::parse(std::str::from_utf8(&bytes).ok()?).ok());
    id.map(String::from).ok_or_else(paging::invalid_cursor)
}

fn checked(terms: Terms, currency: Currency) -> Result<Terms> {
    match terms.check(currency) {
        Ok(()) => Ok(terms),
        Err((field, detail)) => Err(Error::invalid(field, detail)),
    }
}

pub(crate) fn currency(sent: &str) -> Result<Currency, String> {
    Currency::parse(sent).ok_or_else(|| "must be three capital letters, such as `EUR`".to_owned())
}

/// A month that has not ended.
fn month(sent: &str, now: Month) -> Result<Month, String> {
    let month = Month::parse(sent).ok_or("must be a month, such as `2026-12`")?;
    if month >= now { Ok(month) } else { Err(format!("must not be a month that has ended: it is {now}")) }
}

/// An exact number: a text, or a whole number. A number with a point in JSON would be read as a binary one, which is another.
pub(crate) fn decimal(value: &Value) -> Result<Decimal, String> {
    let wrong = || r#"must be a decimal in a text, such as "0.50", or a whole number"#.to_owned();
    let plain = |text: &str| text.len() <= MAX_DECIMAL && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    match value {
        Value::String(text) if plain(text) => Decimal::from_str_exact(text).map_err(|_| wrong()),
        Value::Number(number) => number.as_i64().map(Decimal::from).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn limits(value: &Value) -> Result<TenantLimits, String> {
    read_object(value)
}

fn meters(value: &Value) -> Result<Vec<MeterTerms>, String> {
    let all = value.as_array().filter(|all| all.len() <= Meter::ALL.len()).ok_or_else(|| format!("must be a list of at most {} meters", Meter::ALL.len()))?;
    all.iter().enumerate().map(|(nth, one)| meter(one).map_err(|detail| format!("[{nth}]: {detail}"))).collect()
}

fn meter(value: &Value) -> Result<MeterTerms, String> {
    let object = only(value, &["meter", "included", "tiers"])?;
    let known = || format!("`meter` must be one of {}", Meter::ALL.map(Meter::as_str).join(", "));
    let meter = object.get("meter").and_then(Value::as_str).and_then(Meter::parse).ok_or_else(known)?;
    let included = object.get("included").map_or(Ok(Decimal::ZERO), decimal).map_err(|detail| format!("`included` {detail}"))?;
    let tiers = object.get("tiers").and_then(Value::as_array).ok_or("`tiers` must be a list")?;
    let tiers = tiers.iter().enumerate().map(|(nth, one)| tier(one).map_err(|detail| format!("tier {nth}: {detail}"))).collect::<Result<_, _>>()?;
    Ok(MeterTerms { meter, included, tiers })
}

fn tier(value: &Value) -> Result<Tier, String> {
    let object = only(value, &["up_to", "price"])?;
    let up_to = object.get("up_to").filter(|up_to| !up_to.is_null()).map(decimal).transpose().map_err(|detail| format!("`up_to` {detail}"))?;
    let price = object.get("price").ok_or("`price` must be given")?;
    Ok(Tier { up_to, price: decimal(price).map_err(|detail| format!("`price` {detail}"))? })
}

fn only<'a>(value: &'a Value, known: &[&str]) -> Result<&'a serde_json::Map<String, Value>, String> {
    let object = value.as_object().ok_or("must be an object")?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("`{}` is not known here", name.escape_default())),
        None => Ok(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    fn november() -> Month {
        Month::parse("2026-11").expect("a month")
    }

    #[test]
    fn prices_are_exact() {
        let body = r#"{"id":"team","name":"Team","currency":"EUR","base_price":"49.00",
            "meters":[{"meter":"bytes","included":"10","tiers":[{"up_to":100,"price":"0.5"},{"price":"0.1234567891"}]}]}"#;
        let plan = new(fields(body), november()).expect("a plan");
        assert_eq!((plan.from, plan.terms.base_price.to_string()), (november(), "49.00".to_owned()));
        assert_eq!(plan.terms.meters[0].tiers[1], Tier { up_to: None, price: Decimal::new(1_234_567_891, 10) });
    }

    #[test]
    fn what_is_no_plan_is_told_by_field() {
        let with = |more: &str| format!(r#"{{"id":"team","name":"Team","currency":"EUR",{more}}}"#);
        for (more, field) in [
            (r#""base_price":0.1"#, "base_price"),
            (r#""base_price":"1e3""#, "base_price"),
            (r#""base_price":"-1""#, "base_price"),
            (r#""base_price":"0.001""#, "base_price"),
            (r#""base_price":"9999999999999999999999999999999""#, "base_price"),
            (r#""meters":{}"#, "meters"),
            (r#""meters":[{"meter":"words","tiers":[{"price":1}]}]"#, "meters"),
            (r#""meters":[{"meter":"logs","tiers":[]}]"#, "meters"),
            (r#""meters":[{"meter":"logs","tiers":[{"price":1,"more":1}]}]"#, "meters"),
            (r#""meters":[{"meter":"logs","tiers":[{"up_to":1,"price":1}]}]"#, "meters"),
            (r#""from":"2026-10""#, "from"),
            (r#""from":"soon""#, "from"),
            (r#""colour":"red""#, "colour"),
        ] {
            let Err(Error::Invalid { faults, .. }) = new(fields(&with(more)), november()) else { panic!("{more} was taken") };
            assert_eq!(faults[0].field.as_deref(), Some(field), "{more}");
        }
    }
}
