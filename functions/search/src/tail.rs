//! What comes in, as it comes in: a tenant's logs in the order of receipt, each once.
//!
//! A place in that order is an id: all up to it was looked at. A reader is shown what was received two seconds ago or earlier, and
//! nothing that came later than a batch still under way, because rows are committed out of order and a place could else be passed
//! before its log is there. So whoever goes on from a place misses nothing and sees nothing twice, whatever was in between: another
//! process, another hub, an engine that was away. Who is too far behind is told how many logs were left out.
//!
//! Queries are held to whole records, out of raw where rows do not tell; the index is not asked.

mod events;

pub(crate) use events::{events, wants_events};

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::error::{Error, Result};
use shared::ids::{BatchId, TenantId};
use shared::query::Scope;
use shared::queue::Queue;
use shared::retention::Horizon;
use shared::rows::Rows;
use shared::timestamp::UnixMs;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::App;
use crate::honesty::Honesty;
use crate::page::{Log, Source, cut, received_at};
use crate::params::{levels, number, optional_query, services};
use crate::records::{Records, Whole, meant};
use crate::select::Selection;

/// How long after receipt a batch is sure to be seen in the queue, or stored: ingest pushes it within 1.5 s of making its id, or not at
/// all (`ingest::REDIS_TIMEOUT`, held to by the push itself), and clocks are told apart to some hundred milliseconds.
pub(crate) const SETTLES_IN_MS: u64 = 2_000;
/// How far a place may lie ahead of our clock, in milliseconds.
const AHEAD_MS: u64 = 60_000;
/// Rows that are looked at in one step.
const ROWS_OF_A_STEP: usize = 1_000;
/// A reader who is no further behind than this has no gap, in milliseconds.
const BEHIND_MS: u64 = 10_000;
/// A reader with more logs before it gets the latest [`KEPT`] of them, and is told how many were left out.
const MOST_BEHIND: u32 = 100_000;
const KEPT: u32 = 10_000;
/// Pause between two looks where there is nothing new.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for something new, in seconds: the gateway gives up after 29.
const MAX_WAIT_S: usize = 25;
const DEFAULT_WAIT_S: usize = 20;
/// Logs of an answer that is no stream.
const DEFAULT_LIMIT: usize = 500;

/// Parameters of a tail.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TailParams {
    /// What to show, in the language of `GET /v1/search`; without it all logs.
    #[param(value_type = Option<String>, example = "level>=warn")]
    q: Option<String>,
    /// Only this service. Can be repeated: any of them.
    service: Vec<String>,
    /// Only this level. Can be repeated: any of them.
    level: Vec<String>,
    /// Goes on from there: `cursor` of the answer before, or the `id` of an event. Without it, from two seconds ago on. `Last-Event-ID` goes before it.
    #[param(example = "0199cd9c-4d20-7000-8000-000000000003")]
    cursor: Option<String>,
    /// Names of the fields that each log is answered with, with commas between them; none for all.
    #[param(value_type = Option<String>, example = "id,timestamp,message")]
    fields: Option<String>,
    /// Seconds to wait for something new; of an answer that is no stream.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 25, default = 20)]
    #[serde(deserialize_with = "shared::http::valued")]
    wait: Option<String>,
    /// Most logs of an answer that is no stream.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 500)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
}

/// Logs that were left out, because the reader was too far behind.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Gap {
    /// How many: all logs of the tenant, whether they are meant or not. Null where there are so many that counting takes too long.
    skipped: Option<u64>,
    /// Received after this moment.
    #[schema(format = DateTime)]
    from: String,
    /// And up to this one.
    #[schema(format = DateTime)]
    to: String,
    /// The place behind the last of them.
    #[serde(skip)]
    place: Uuid,
}

/// What came in since a place.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Tailed {
    /// The logs, in the order of receipt.
    #[schema(value_type = Vec<Log>)]
    logs: Vec<Value>,
    /// Logs that were left out before these; null where there are none.
    gap: Option<Gap>,
    /// Send it as `cursor` to go on.
    #[schema(value_type = uuid::Uuid)]
    cursor: Uuid,
    /// All that was received before it was looked at.
    #[schema(format = DateTime)]
    up_to: String,
    /// What the answer is worth.
    #[serde(flatten)]
    honesty: Honesty,
}

/// What is followed.
#[derive(Debug)]
pub(crate) struct Asked {
    scope: Scope,
    fields: Selection,
    position: Option<Uuid>,
    wait: Duration,
    limit: usize,
}

impl Asked {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn read(params: TailParams, last_event: Option<&str>, now_ms: u64, horizon: Horizon) -> Result<Self> {
        let now = UnixMs::try_from(now_ms).unwrap_or(UnixMs::MAX);
        let position = |(name, text): (&str, &str)| {
            let id = text.parse::<uuid::fmt::Hyphenated>().map_err(|_| Error::invalid(name, "not the place that an answer or an event told"))?;
            // Nobody was told a place that lies ahead, clocks aside; who goes on from one would miss all until then.
            if ms_of(id.into_uuid()) > now_ms + AHEAD_MS {
                return Err(Error::invalid(name, "this place lies in the future"));
            }
            Ok::<_, Error>(id.into_uuid())
        };
        let sent = last_event.map(|text| ("Last-Event-ID", text)).or_else(|| params.cursor.as_deref().map(|text| ("cursor", text)));
        let wait = number("wait", params.wait.as_deref(), DEFAULT_WAIT_S, 0..=MAX_WAIT_S)?;
        let query = optional_query(params.q.as_deref(), now)?;
        let scope = Scope { services: services(params.service), levels: levels(&params.level)?, query, horizon, ..Scope::default() };
        Ok(Self {
            scope,
            fields: Selection::parse(params.fields.as_deref(), Selection::OF_A_LOG)?,
            // What has gone is nothing that a reader misses.
            position: sent.map(position).transpose()?.map(|place| place.max(BatchId::floor(horizon.rows))),
            wait: Duration::from_secs(wait as u64),
            limit: number("limit", params.limit.as_deref(), DEFAULT_LIMIT, 1..=ROWS_OF_A_STEP)?,
        })
    }
}

/// Somebody who follows a tenant's logs.
#[derive(Debug)]
pub(crate) struct Follower {
    rows: Rows,
    queue: Queue,
    records: Records,
    tenant: TenantId,
    scope: Scope,
    fields: Selection,
    /// All up to here was looked at; `None` before the first look.
    position: Option<Uuid>,
}

/// What one look gave.
#[derive(Debug)]
struct Step {
    gap: Option<Gap>,
    /// Each with the place behind it.
    logs: Vec<(Uuid, Log)>,
    /// Whether there is nothing more to look at now.
    caught_up: bool,
}

impl Follower {
    pub(crate) fn new(app: &App, tenant: TenantId, asked: Asked) -> Self {
        let records = Records::new(app.archive.clone());
        Self { rows: app.rows.clone(), queue: app.queue.clone(), records, tenant, scope: asked.scope, fields: asked.fields, position: asked.position }
    }

    /// Looks once, and goes on behind what was looked at.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then the place is the same as before.
    async fn step(&mut self) -> Result<Step> {
        let (now_ms, first_under_way) = self.queue.first_under_way(&self.tenant).await?;
        let up_to_ms = before(now_ms.saturating_sub(SETTLES_IN_MS), first_under_way);
        let up_to = BatchId::last_log(up_to_ms);
        let mut position = *self.position.get_or_insert(up_to);
        if position >= up_to {
            return Ok(Step { gap: None, logs: Vec::new(), caught_up: true });
        }
        let gap = if up_to_ms.saturating_sub(ms_of(position)) > BEHIND_MS { self.gap(position, up_to).await? } else { None };
        position = gap.as_ref().map_or(position, |gap| gap.place);
        self.scope.received_up_to = up_to_ms;
        let reads_records = self.scope.query.as_ref().is_some_and(|query| !query.is_told_by_rows());
        let limit = if reads_records { self.records.rows_at_once() } else { ROWS_OF_A_STEP };
        let rows = self.rows.received(&self.tenant, &self.scope, position, limit).await?;
        let found = rows.len();
        let mut logs = if reads_records { self.records.of(&self.tenant, rows).await? } else { rows.into_iter().map(Whole::of_row).collect() };
        // Fewer than were found: the others are too much at once.
        let caught_up = found < limit && logs.len() == found;
        let looked_at = logs.last().map_or(position, |log| log.row.id.uuid());
        if let Some(query) = &self.scope.query {
            logs = meant(logs, query, &self.tenant).await?;
        }
        self.position = Some(if caught_up { up_to } else { looked_at });
        Ok(Step { gap, logs: logs.into_iter().map(|log| (log.row.id.uuid(), Log::from(log.row))).collect(), caught_up })
    }

    /// What a reader at this place leaves out to go on near the end.
    async fn gap(&self, position: Uuid, up_to: Uuid) -> Result<Option<Gap>> {
        let skipped = self.rows.skipped(&self.tenant, position, up_to, MOST_BEHIND, KEPT).await?;
        Ok(skipped.map(|skipped| Gap { skipped: skipped.logs, from: received_at(ms_of(position)), to: received_at(ms_of(skipped.up_to)), place: skipped.up_to }))
    }
}

/// The moment up to which all that was received is stored: none after the first batch that is still under way.
pub(crate) fn before(settled_ms: u64, first_under_way: Option<u64>) -> u64 {
    first_under_way.map_or(settled_ms, |first| settled_ms.min(first.saturating_sub(1)))
}

/// When the id at a place was made, in milliseconds since 1970.
fn ms_of(position: Uuid) -> u64 {
    u64::try_from(position.as_u128() >> 80).unwrap_or_default()
}

/// What came in since a place: as soon as there is something, or when the wait is over.
///
/// # Errors
/// [`Error::Unavailable`].
pub(crate) async fn tail(app: &App, tenant: &TenantId, asked: Asked) -> Result<Tailed> {
    let began = Instant::now();
    let (limit, wait) = (asked.limit, asked.wait);
    let mut follower = Follower::new(app, tenant.clone(), asked);
    let mut step = follower.step().await?;
    while step.logs.is_empty() && step.gap.is_none() && began.elapsed() < wait {
        if step.caught_up {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        step = follower.step().await?;
    }
    let candidates = step.logs.into_iter().map(|(id, log)| (id, Some(log)));
    let page = cut(candidates, limit, &follower.fields)?;
    let cursor = page.next.or(follower.position).unwrap_or_default();
    let source = if follower.scope.query.as_ref().is_some_and(|query| !query.is_told_by_rows()) { Source::Raw } else { Source::Postgres };
    let honesty = Honesty::new(source, step.gap.is_none(), None, began).since(follower.scope.horizon.rows);
    Ok(Tailed { logs: page.logs, gap: step.gap, cursor, up_to: received_at(ms_of(cursor)), honesty })
}
