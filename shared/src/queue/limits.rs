//! What one batch is held to, in the words of `push.lua`, and what that leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::Pushed;
use crate::error::{Error, Result};
use crate::limits::{Limits, Quota, Rate, Step};

/// How much of something a batch holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Records.
    pub logs: u64,
    /// Their bytes, unpacked, a line each.
    pub bytes: u64,
}

/// Whose limit it was that a batch did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limiter {
    /// The tenant's rate.
    Tenant,
    /// The key's rate.
    Key,
    /// The rate of this service.
    Service(String),
    /// The rate to which a used-up quota throttles.
    Quota,
}

/// One limit, and what a batch left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name, such as `tenant-logs`.
    pub name: String,
    /// How much there is, all in all: of a rate its burst, of a quota the month's.
    pub most: u64,
    /// What is left of it; below zero where a batch larger than the burst is being paid off.
    pub left: i64,
    /// How long it takes to fill; `None` for a quota, which is full again with the next month.
    pub fills_in: Option<Duration>,
}

/// A batch's limits.
#[derive(Debug, Default, Serialize)]
pub(super) struct Held<'a> {
    rates: Vec<Drawn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<HeldQuota<'a>>,
}

#[derive(Debug, Serialize)]
struct Drawn {
    name: String,
    rate: u64,
    burst: u64,
    cost: u64,
    #[serde(skip)]
    shown: String,
    #[serde(skip)]
    seconds: u32,
}

#[derive(Debug, Serialize)]
struct HeldQuota<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    cost: Amount,
    steps: &'a [Step],
}

impl<'a> Held<'a> {
    /// What `limits` say of a batch of this size, `services` being those parts of it that have limits of their own.
    pub(super) fn new(limits: &'a Limits, key_id: Uuid, batch: Amount, services: &BTreeMap<String, Amount>) -> Self {
        let mut held = Self { rates: Vec::new(), quota: limits.tenant.quota.as_ref().map(|quota| HeldQuota::new(quota, batch)) };
        held.draw("tenant", "tenant", &limits.tenant.rate, batch);
        held.draw(&format!("key-{key_id}"), "key", &limits.key, batch);
        for (name, amount) in services {
            if let Some(rate) = limits.tenant.services.get(name) {
                let name = format!("service-{name}");
                held.draw(&name, &name, rate, *amount);
            }
        }
        held
    }

    fn draw(&mut self, whose: &str, shown: &str, rate: &Rate, amount: Amount) {
        for (unit, per_second, cost) in [("logs", rate.logs_per_second, amount.logs), ("bytes", rate.bytes_per_second, amount.bytes)] {
            if let Some(per_second) = per_second {
                let burst = per_second.saturating_mul(rate.burst().into());
                self.rates.push(Drawn { name: format!("{whose}-{unit}"), shown: format!("{shown}-{unit}"), rate: per_second, burst, cost, seconds: rate.burst() });
            }
        }
    }

    /// For the script: nothing where there is no limit.
    pub(super) fn to_json(&self) -> Result<String> {
        if self.rates.is_empty() && self.quota.is_none() {
            return Ok(String::new());
        }
        serde_json::to_string(self).map_err(|e| Error::internal("writing the limits of a batch", e))
    }

    /// What the script says is left: of each rate in their order, then of the quota.
    pub(super) fn standings(&self, left: &[i64]) -> Vec<Standing> {
        let rates = self.rates.iter().map(|rate| (rate.shown.clone(), rate.burst, Some(Duration::from_secs(rate.seconds.into()))));
        let quota = self.quota.iter().flat_map(|quota| [("month-logs", quota.logs), ("month-bytes", quota.bytes)]);
        let quotas = quota.filter_map(|(name, most)| most.map(|most| (name.to_owned(), most, None)));
        rates.chain(quotas).zip(left).map(|((name, most, fills_in), left)| Standing { name, most, left: *left, fills_in }).collect()
    }
}

impl<'a> HeldQuota<'a> {
    fn new(quota: &'a Quota, cost: Amount) -> Self {
        Self { logs: quota.logs, bytes: quota.bytes, cost, steps: &quota.steps }
    }
}

/// What the script says of the rate that a batch did not pass: its name, and the milliseconds to wait.
pub(super) fn limited(detail: &str) -> Result<Pushed> {
    let unreadable = || Error::internal("reading which limit was reached", detail.to_owned());
    let (name, wait) = detail.rsplit_once(' ').ok_or_else(unreadable)?;
    let retry_after = Duration::from_millis(wait.parse().map_err(|_| unreadable())?);
    let whose = name.rsplit_once('-').map_or(name, |(whose, _unit)| whose);
    let limiter = match whose.split_once('-') {
        Some(("service", service)) => Limiter::Service(service.to_owned()),
        Some(_) => Limiter::Key,
        None if whose == "tenant" => Limiter::Tenant,
        None => Limiter::Quota,
    };
    Ok(Pushed::Limited { limiter, retry_after })
}
