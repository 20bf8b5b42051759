//! What a tenant used, and what its month is going to come to.

mod batches;
mod forecast;
mod read;

pub(crate) use batches::{BatchPage, BatchParams, batches};
pub(crate) use forecast::{Forecast, ForecastParams, forecast};
pub(crate) use read::{UsagePage, UsageParams, read};

use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::rows::Reach;
use time::{OffsetDateTime, Time};

/// What is asked of one tenant: the key's own, or the one that the operator names.
///
/// # Errors
/// [`Error::Invalid`] where an operator names none.
pub(crate) fn one(of: Reach) -> Result<TenantId> {
    match of {
        Reach::Tenant(tenant) => Ok(tenant),
        Reach::All => Err(Error::invalid("tenant", "must be given by an operator")),
    }
}

/// The hour that a moment lies in.
pub(crate) fn hour_of(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_time(Time::from_hms(at.hour(), 0, 0).unwrap_or(Time::MIDNIGHT))
}
