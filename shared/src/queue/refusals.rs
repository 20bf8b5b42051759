//! How much was refused, and why: counted in Redis by tenant and hour, until maintenance keeps it in Postgres.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Queue, millis};
use crate::error::{Error, Result};
use crate::ids::TenantId;
use crate::redis_link::failed;

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;
/// How long counts live that nobody keeps.
const LIVE_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most fields of an hour's counts, three for each kind: past that, kinds are counted without their service.
const MOST_FIELDS: usize = 6_000;

/// A kind of refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// The key that sent it.
    pub key_id: Uuid,
    /// The service that it belongs to; empty where the body was not read.
    pub service: String,
    /// A stable word: the code of the answer, or of the record.
    pub reason: String,
}

/// How much was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedCount {
    /// Requests that were refused whole. One that holds several services is counted with each of them.
    pub requests: u64,
    /// Records, where the body was read.
    pub logs: u64,
    /// Their bytes, a line each; of a body that was not read, those on the wire.
    pub bytes: u64,
}

impl std::ops::AddAssign for RefusedCount {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.logs += other.logs;
        self.bytes += other.bytes;
    }
}

/// What was refused of a tenant in an hour.
#[derive(Debug, Clone)]
pub struct HourOfRefusals {
    /// Whose it was.
    pub tenant: TenantId,
    /// The hour, since 1970.
    pub hour: u64,
    /// Names these counts: where Redis lost some, those that begin anew have another.
    pub epoch: Uuid,
    /// The counts. They only rise.
    pub counts: BTreeMap<Refusal, RefusedCount>,
}

impl Queue {
    /// Adds to the counts of the hour that Redis' clock shows.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: they may have been added.
    pub async fn count_refused(&self, tenant: &TenantId, counts: &[(Refusal, RefusedCount)]) -> Result<()> {
        let (keys, hour) = (self.partition_of(tenant), self.now_ms() / HOUR_MS);
        let mut call = self.scripts.refuse.key(keys.refused_in(tenant, hour));
        call.key(keys.refused()).arg(format!("{tenant}:{hour}")).arg(Uuid::new_v4().to_string()).arg(MOST_FIELDS).arg(millis(LIVE_FOR));
        for (kind, count) in counts {
            let without_service = Refusal { service: String::new(), ..kind.clone() };
            call.arg(field(kind)?).arg(field(&without_service)?).arg(count.requests).arg(count.logs).arg(count.bytes);
        }
        call.invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// All counts that are not yet kept elsewhere for good.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn refused(&self) -> Result<Vec<HourOfRefusals>> {
        let mut hours = Vec::new();
        for partition in self.partitions() {
            let members: Vec<String> = redis::cmd("SMEMBERS").arg(partition.refused()).query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
            for (tenant, hour) in members.iter().filter_map(|member| read_member(member)) {
                let fields: HashMap<String, String> =
                    redis::cmd("HGETALL").arg(partition.refused_in(&tenant, hour)).query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
                hours.extend(read_hour(tenant, hour, &fields));
            }
        }
        Ok(hours)
    }

    /// Lets go of counts that are kept elsewhere, where their hour has been over for so long that nobody adds to them.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_refused(&self, kept: &[HourOfRefusals]) -> Result<()> {
        let over_before = (self.now_ms() / HOUR_MS).saturating_sub(1);
        for hour in kept.iter().filter(|hour| hour.hour < over_before) {
            let keys = self.partition_of(&hour.tenant);
            let mut pipe = redis::pipe();
            pipe.atomic().del(keys.refused_in(&hour.tenant, hour.hour)).ignore().srem(keys.refused(), format!("{}:{}", hour.tenant, hour.hour)).ignore();
            pipe.query_async::<()>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        }
        Ok(())
    }
}

fn field(kind: &Refusal) -> Result<String> {
    serde_json::to_string(kind).map_err(|e| Error::internal("writing a kind of refusal", e))
}

fn read_member(member: &str) -> Option<(TenantId, u64)> {
    let (tenant, hour) = member.rsplit_once(':')?;
    Some((TenantId::parse(tenant).ok()?, hour.parse().ok()?))
}

/// `None` where the counts have lapsed.
fn read_hour(tenant: TenantId, hour: u64, fields: &HashMap<String, String>) -> Option<HourOfRefusals> {
    let epoch = Uuid::parse_str(fields.get("epoch")?).ok()?;
    let mut counts: BTreeMap<Refusal, RefusedCount> = BTreeMap::new();
    for (name, count) in fields {
        let Some((unit, kind)) = name.split_once(' ') else { continue };
        let (Ok(kind), Ok(count)) = (serde_json::from_str(kind), count.parse()) else { continue };
        let counted = counts.entry(kind).or_default();
        match unit {
            "requests" => counted.requests = count,
            "logs" => counted.logs = count,
            _ => counted.bytes = count,
        }
    }
    Some(HourOfRefusals { tenant, hour, epoch, counts })
}
