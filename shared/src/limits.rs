//! How much may be sent, by whom: the same words in the API, in Postgres (where limits are kept), in the key ring (where ingest finds
//! them) and in the queue's `push.lua` (where they are kept to).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest rate or quota: beyond what any machine takes, and below what a number of Lua (a double) counts exactly.
const MOST: u64 = 1_000_000_000_000_000;
/// Longest burst: an hour's worth at once.
const MAX_BURST_SECONDS: u32 = 3600;
/// Most services of a tenant that have limits of their own: each request carries those that it concerns.
const MAX_SERVICES: usize = 100;
/// Most steps of a quota.
const MAX_STEPS: usize = 8;
/// Highest mark of a quota, in percent of it.
const MAX_PERCENT: u32 = 1000;

/// A rate, with room for bursts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Logs a second; not given: as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub logs_per_second: Option<u64>,
    /// Bytes a second, of the records as they were sent, unpacked; not given: as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub bytes_per_second: Option<u64>,
    /// How many seconds' worth may come at once after silence; not given: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub burst_seconds: Option<u32>,
}

/// What a month may hold, and what happens past that. Months are UTC, by the time of receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Logs a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub logs: Option<u64>,
    /// Bytes a month, of the records as they were sent, unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub bytes: Option<u64>,
    /// At how many percent the event `quota.reached` is told.
    #[serde(default = "notices")]
    #[schema(max_items = 8, default = json!([50, 80, 100]))]
    pub notify_at: Vec<u32>,
    /// What happens from how many percent on, the mildest first. None: nothing but notices.
    #[serde(default)]
    #[schema(max_items = 8)]
    pub steps: Vec<Step>,
}

fn notices() -> Vec<u32> {
    vec![50, 80, 100]
}

/// From so many percent of a quota on, this happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Percent of the quota.
    #[schema(minimum = 1, maximum = 1000)]
    pub percent: u32,
    /// What happens.
    pub action: Action,
    /// The rate of `throttle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    pub logs_per_second: Option<u64>,
}

/// What a step of a quota does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Takes no more than so many logs a second.
    Throttle,
    /// Keeps and lists what comes, and does not index it.
    RawOnly,
    /// Takes nothing more until the month is over.
    Refuse,
}

/// The limits of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantLimits {
    /// What all its keys may send together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: Rate,
    /// What services may send, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Rate>,
    /// What a month may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// All that a key's requests are held to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The key's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Rate,
    /// Its tenant's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tenant: TenantLimits,
}

/// Reads what was sent as an object, and nothing else: serde would read a list as the fields in their order, and what it misses as not sent.
///
/// # Errors
/// What cannot be read, for people.
pub fn read_object<T: DeserializeOwned>(sent: &Value) -> Result<T, String> {
    if holds_lists_of_fields(sent) {
        return Err("must be an object, as what stands in it".to_owned());
    }
    T::deserialize(sent).map_err(|e| e.to_string())
}

/// Whether it is no object, or one of its members is a list that is none of `notify_at` and `steps`, at any depth.
fn holds_lists_of_fields(sent: &Value) -> bool {
    let Value::Object(members) = sent else { return true };
    members.iter().any(|(name, value)| match value {
        Value::Object(_) => holds_lists_of_fields(value),
        Value::Array(steps) if name == "steps" => steps.iter().any(holds_lists_of_fields),
        Value::Array(_) => name != "notify_at",
        _ => false,
    })
}

impl Limits {
    /// Whether a quota may let batches in without the index.
    #[must_use]
    pub fn may_be_raw_only(&self) -> bool {
        self.tenant.quota.iter().flat_map(|quota| &quota.steps).any(|step| step.action == Action::RawOnly)
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Rate {
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        in_bounds("logs_per_second", self.logs_per_second)?;
        in_bounds("bytes_per_second", self.bytes_per_second)?;
        match self.burst_seconds {
            Some(seconds) if !(1..=MAX_BURST_SECONDS).contains(&seconds) => Err(format!("`burst_seconds` must be 1 to {MAX_BURST_SECONDS}")),
            Some(_) if self.logs_per_second.is_none() && self.bytes_per_second.is_none() => Err("`burst_seconds` needs a rate beside it".to_owned()),
            _ => Ok(()),
        }
    }

    /// Seconds' worth that may come at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst_seconds.unwrap_or(1)
    }
}

impl TenantLimits {
    /// # Errors
    /// What is wrong with them, for people.
    pub fn check(&self) -> Result<(), String> {
        self.rate.check().map_err(|wrong| format!("in `rate`, {wrong}"))?;
        if self.services.len() > MAX_SERVICES {
            return Err(format!("at most {MAX_SERVICES} services can have limits of their own"));
        }
        for (name, rate) in &self.services {
            if name.is_empty() || name.len() > crate::record::MAX_KEYWORD_BYTES {
                return Err(format!("in `services`, names have 1 to {} bytes", crate::record::MAX_KEYWORD_BYTES));
            }
            rate.check().map_err(|wrong| format!("in `services`, for {name:?}, {wrong}"))?;
        }
        self.quota.as_ref().map_or(Ok(()), Quota::check).map_err(|wrong| format!("in `quota`, {wrong}"))
    }
}

impl Quota {
    fn check(&self) -> Result<(), String> {
        in_bounds("logs", self.logs)?;
        in_bounds("bytes", self.bytes)?;
        if self.logs.is_none() && self.bytes.is_none() {
            return Err("`logs`, `bytes` or both must be given".to_owned());
        }
        if self.notify_at.len() > MAX_STEPS || self.steps.len() > MAX_STEPS {
            return Err(format!("at most {MAX_STEPS} notices and {MAX_STEPS} steps are taken"));
        }
        let marks: Vec<u32> = self.steps.iter().map(|step| step.percent).collect();
        for (name, marks) in [("notify_at", &self.notify_at), ("steps", &marks)] {
            if marks.iter().any(|percent| !(1..=MAX_PERCENT).contains(percent)) || !marks.is_sorted_by(|a, b| a < b) {
                return Err(format!("the percents of `{name}` must rise, from 1 to {MAX_PERCENT}"));
            }
        }
        for step in &self.steps {
            in_bounds("logs_per_second", step.logs_per_second)?;
            if (step.action == Action::Throttle) != step.logs_per_second.is_some() {
                return Err("`logs_per_second` belongs to `throttle`, which needs it".to_owned());
            }
        }
        Ok(())
    }
}

fn in_bounds(name: &str, value: Option<u64>) -> Result<(), String> {
    if value.is_none_or(|value| (1..=MOST).contains(&value)) { Ok(()) } else { Err(format!("`{name}` must be 1 to {MOST}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<TenantLimits, String> {
        let limits: TenantLimits = serde_json::from_str(json).map_err(|e| e.to_string())?;
        limits.check().map(|()| limits)
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            r#"{"rate":{"logs_per_second":0}}"#,
            r#"{"rate":{"burst_seconds":5}}"#,
            r#"{"rate":{"logs_per_second":1,"burst_seconds":3601}}"#,
            r#"{"rate":{"bytes_per_second":1000000000000001}}"#,
            r#"{"services":{"":{"logs_per_second":1}}}"#,
            r#"{"services":{"a":{"logs":1}}}"#,
            r#"{"quota":{}}"#,
            r#"{"quota":{"logs":1,"notify_at":[80,50]}}"#,
            r#"{"quota":{"logs":1,"steps":[{"percent":100,"action":"throttle"}]}}"#,
            r#"{"quota":{"logs":1,"steps":[{"percent":100,"action":"refuse","logs_per_second":1}]}}"#,
            r#"{"quota":{"logs":1,"steps":[{"percent":100,"action":"refuse"},{"percent":100,"action":"raw_only"}]}}"#,
            r#"{"quota":{"logs":1,"steps":[{"percent":0,"action":"refuse"}]}}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_read_as_they_are_written() {
        let quota = r#"{"quota":{"logs":1000,"steps":[{"percent":100,"action":"throttle","logs_per_second":5},{"percent":150,"action":"refuse"}]}}"#;
        let limits = read(quota).expect("it is right");
        assert_eq!(limits.quota.as_ref().map(|quota| quota.notify_at.clone()), Some(vec![50, 80, 100]));
        let all = Limits { key: Rate { logs_per_second: Some(7), ..Rate::default() }, tenant: limits };
        let json = serde_json::to_string(&all).expect("it is JSON");
        assert_eq!(serde_json::from_str::<Limits>(&json).expect("it is read"), all);
        assert_eq!(serde_json::to_string(&Limits::default()).expect("it is JSON"), "{}");
    }
}
