//! How long a tenant's logs are kept: read, set, and what another retention would take.

use serde::{Deserialize, Serialize};
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::keys::KeyRing;
use shared::limits::read_object;
use shared::retention::{Horizon, Retention, RetentionPeriods};
use shared::rows::{LetterFilter, Reach, Rows};
use shared::tenants::{Actor, By, Registry, legal_hold};
use shared::timestamp;
use time::OffsetDateTime;

use crate::publish::publish_tenant;

/// How long a tenant's logs are kept, and from when on they are there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RetentionView {
    #[serde(flatten)]
    periods: RetentionPeriods,
    /// What was received before these moments is in no answer any more.
    kept_from: KeptFrom,
}

/// The first moment of each store; null where all is kept.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct KeptFrom {
    /// Of what can be searched.
    #[schema(format = DateTime)]
    index: Option<String>,
    /// Of what can be listed and read.
    #[schema(format = DateTime)]
    rows: Option<String>,
    /// Of raw, and of dead letters.
    #[schema(format = DateTime)]
    raw: Option<String>,
}

/// How long logs are to be kept, as it is sent: the days in place of those that were set, and whether there is a legal hold, where that is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionRequest {
    /// Days for which they can be searched; no more than `rows_days`, and as many where this is not given.
    #[schema(minimum = 1, maximum = 36_500, example = 7)]
    index_days: Option<u32>,
    /// Days for which they can be listed and read; no more than `raw_days`, and as many where this is not given.
    #[schema(minimum = 1, maximum = 36_500, example = 90)]
    rows_days: Option<u32>,
    /// Days for which raw and dead letters are kept; for as long as the tenant where this is not given.
    #[schema(minimum = 1, maximum = 36_500, example = 365)]
    raw_days: Option<u32>,
    /// Nothing goes, and the tenant cannot be deleted. As it was where this is not given; only an operator ends one.
    legal_hold: Option<bool>,
}

impl RetentionRequest {
    /// What it makes of what is set.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    fn over(self, before: RetentionPeriods) -> Result<RetentionPeriods> {
        let Self { index_days, rows_days, raw_days, legal_hold } = self;
        let periods = RetentionPeriods { index_days, rows_days, raw_days, legal_hold: legal_hold.unwrap_or(before.legal_hold) };
        periods.check().map_err(|(field, wrong)| Error::invalid(field, wrong))?;
        Ok(periods)
    }
}

/// The retention to be looked at, each field as in `PUT`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct PreviewParams {
    /// Days for which logs could be searched.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 36_500, example = 7)]
    #[serde(deserialize_with = "shared::http::valued")]
    index_days: Option<String>,
    /// Days for which they could be listed and read.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 36_500, example = 90)]
    #[serde(deserialize_with = "shared::http::valued")]
    rows_days: Option<String>,
    /// Days for which raw would be kept.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 36_500, example = 365)]
    #[serde(deserialize_with = "shared::http::valued")]
    raw_days: Option<String>,
    /// Whether nothing would go.
    #[param(value_type = Option<bool>)]
    #[serde(deserialize_with = "shared::http::valued")]
    legal_hold: Option<String>,
}

/// What a retention would take that is there now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Preview {
    /// From when on logs would be there.
    kept_from: KeptFrom,
    /// What could not be searched any more.
    index: Going,
    /// What could not be listed and read any more.
    rows: Going,
    /// What could not be made again any more.
    raw: GoingRaw,
}

/// Logs that would go from a store.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Going {
    /// How many.
    logs: i64,
    /// Bytes of their records, as they are counted for bills; null where a store is not measured so.
    bytes: Option<i64>,
}

/// What would go from the object store.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GoingRaw {
    /// Logs.
    logs: i64,
    /// Dead letters.
    dead_letters: i64,
    /// Bytes in the object store.
    bytes: i64,
}

impl PreviewParams {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn read(&self) -> Result<RetentionRequest> {
        let days = |name: &'static str, sent: &Option<String>| {
            sent.as_deref().map(|text| text.parse().map_err(|_| Error::invalid(name, "is a number of days from 1 to 36500"))).transpose()
        };
        let legal_hold = match self.legal_hold.as_deref() {
            None => None,
            Some("false") => Some(false),
            Some("true") => Some(true),
            Some(_) => return Err(Error::invalid("legal_hold", "is true or false")),
        };
        Ok(RetentionRequest {
            index_days: days("index_days", &self.index_days)?,
            rows_days: days("rows_days", &self.rows_days)?,
            raw_days: days("raw_days", &self.raw_days)?,
            legal_hold,
        })
    }
}

/// A retention as it was sent.
///
/// # Errors
/// [`Error::Invalid`] naming what is wrong.
pub(crate) fn read(sent: &serde_json::Value) -> Result<RetentionRequest> {
    read_object(sent).map_err(|wrong| Error::invalid("retention", wrong))
}

/// # Errors
/// [`Error::NotFound`], or weather.
pub(crate) async fn get(registry: &Registry, id: &TenantId) -> Result<RetentionView> {
    registry.retention(id).await.map(RetentionView::from)
}

/// Sets how long a tenant's logs are kept. It counts for all its keys and people within 5 s of the answer; where it cannot be published it is
/// recorded all the same, and doing it again publishes again, as maintenance does.
///
/// # Errors
/// [`Error::Invalid`] naming the field; [`Error::Forbidden`] `operator_ends_hold`; [`Error::NotFound`]; weather.
pub(crate) async fn set(registry: &Registry, ring: &KeyRing, id: &TenantId, request: RetentionRequest, by: &By) -> Result<RetentionView> {
    let over = |before: RetentionPeriods| {
        let periods = request.over(before)?;
        if before.legal_hold && !periods.legal_hold && by.actor != Actor::Operator {
            return Err(Error::Forbidden { code: "operator_ends_hold", detail: "only an operator ends a legal hold".to_owned() });
        }
        Ok(periods)
    };
    let retention = registry.set_retention(id, over, now_ms(), by).await?;
    publish_tenant(registry, ring, id).await?;
    Ok(retention.into())
}

/// What another retention would take.
///
/// # Errors
/// [`Error::NotFound`], or weather.
pub(crate) async fn preview(registry: &Registry, rows: &Rows, id: &TenantId, request: RetentionRequest) -> Result<Preview> {
    let (now_ms, retention) = (now_ms(), registry.retention(id).await?);
    let periods = request.over(retention.periods)?;
    let (is, would_be) = (retention.horizon(now_ms), retention.with(periods, now_ms).horizon(now_ms));
    let (index, listed, raw) =
        tokio::try_join!(rows.held_between(id, is.index, would_be.index), rows.held_between(id, is.rows, would_be.rows), rows.held_between(id, is.raw, would_be.raw))?;
    Ok(Preview {
        kept_from: would_be.into(),
        index: Going { logs: index.indexed, bytes: Some(index.indexed_bytes) },
        rows: Going { logs: listed.stored, bytes: None },
        raw: GoingRaw { logs: raw.stored, dead_letters: raw.dead, bytes: raw.raw_bytes },
    })
}

/// The filter, without the letters within reach that have gone.
///
/// # Errors
/// Weather.
pub(crate) async fn of_what_is_kept(registry: &Registry, reach: &Reach, filter: LetterFilter) -> Result<LetterFilter> {
    let retained = match reach {
        Reach::All => registry.retained().await?.into_iter().map(|one| (one.tenant, one.retention)).collect(),
        Reach::Tenant(tenant) => vec![(tenant.clone(), registry.retention(tenant).await?)],
    };
    let now_ms = now_ms();
    let gone = retained.into_iter().map(|(tenant, retention)| (tenant, retention.horizon(now_ms).raw)).filter(|(_, kept_from)| *kept_from > 0).collect();
    Ok(LetterFilter { gone, ..filter })
}

/// # Errors
/// [`Error::Conflict`] `legal_hold` where nothing of the tenant may go; weather.
pub(crate) async fn refuse_under_hold(registry: &Registry, tenant: Option<&TenantId>) -> Result<()> {
    let Some(tenant) = tenant else { return Ok(()) };
    match registry.retention(tenant).await {
        Ok(retention) if retention.periods.legal_hold => Err(legal_hold()),
        Ok(_) | Err(Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn now_ms() -> u64 {
    u64::try_from(timestamp::from_datetime(OffsetDateTime::now_utc())).unwrap_or_default()
}

impl From<Retention> for RetentionView {
    fn from(retention: Retention) -> Self {
        Self { periods: retention.periods, kept_from: retention.horizon(now_ms()).into() }
    }
}

impl From<Horizon> for KeptFrom {
    fn from(Horizon { index, rows, raw }: Horizon) -> Self {
        let told = |ms: u64| (ms > 0).then(|| timestamp::format(i64::try_from(ms).unwrap_or(timestamp::MAX)));
        Self { index: told(index), rows: told(rows), raw: told(raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_or_named() {
        let read = |index_days: &str, legal_hold: &str| {
            let params = PreviewParams { index_days: Some(index_days.to_owned()), legal_hold: Some(legal_hold.to_owned()), ..PreviewParams::default() };
            params.read()?.over(RetentionPeriods::default())
        };
        let held = RetentionPeriods { index_days: Some(7), legal_hold: true, ..RetentionPeriods::default() };
        assert_eq!(read("7", "true").ok(), Some(held));
        assert_eq!(RetentionRequest::default().over(held).ok(), Some(RetentionPeriods { legal_hold: true, ..RetentionPeriods::default() }), "a hold is ended by its name only");
        for (days, hold, field) in [
            ("0", "true", "index_days"),
            ("-1", "true", "index_days"),
            ("7d", "true", "index_days"),
            ("", "true", "index_days"),
            ("7", "yes", "legal_hold"),
            ("7", "", "legal_hold"),
        ] {
            assert!(matches!(read(days, hold), Err(Error::Invalid { faults, .. }) if faults[0].field.as_deref() == Some(field)), "{days} {hold}");
        }
        assert!(super::read(&serde_json::json!({ "index_day": 7 })).is_err(), "a typing error must not keep everything");
    }
}
