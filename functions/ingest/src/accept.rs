//! One request: its records checked and stamped, put into the queue with one call, the processor woken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use sha2::{Digest, Sha256};
use shared::auth;
use shared::error::{Engine, Error, Fault, Result};
use shared::fault;
use shared::grant::Grant;
use shared::ids::BatchId;
use shared::queue::{self, Amount, Header, Idempotency, Kept, NewBatch, Payload, Pushed, RefusedCount, Standing};
use shared::record::{self, Claims};

use crate::body::{self, Received};
use crate::gate::Over;
use crate::refusals::{Counts, Refused};
use crate::routes::Accepted;
use crate::{App, REDIS_TIMEOUT, split};

/// By when Redis must have seen a batch to take it in: what is left of its time is for writing it to disk and for the answer, so that hardly
/// any batch is taken whose client is told that there was no answer.
const TAKEN_WITHIN: Duration = Duration::from_millis(1000);
/// How long ringing may take: SQS answers in some milliseconds, or is in trouble.
const RING_WITHIN: Duration = Duration::from_millis(500);
/// Longest `Idempotency-Key`.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// An `Idempotency-Key` as it was sent.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// # Errors
    /// [`Error::Invalid`] for one that is empty, too long, or holds more than visible ASCII.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut sent = headers.get_all("idempotency-key").iter();
        let Some(value) = sent.next() else { return Ok(None) };
        if sent.next().is_some() {
            return Err(Error::invalid("Idempotency-Key", "one is taken, and more were sent"));
        }
        let sensible = |text: &&str| (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        let text = value.to_str().ok().filter(sensible);
        text.map(|text| Some(Self(text.to_owned()))).ok_or_else(|| Error::invalid("Idempotency-Key", "1 to 255 visible ASCII characters are taken"))
    }
}

/// A request whose records were checked.
pub(crate) struct Checked {
    lines: usize,
    pub(crate) payload: Payload,
    pub(crate) accepted: u32,
    pub(crate) rejected: Vec<Fault>,
    /// How much was rejected.
    refused: Counts,
    /// What it holds of services that have limits of their own.
    services: BTreeMap<String, Amount>,
    wire_bytes: usize,
    /// SHA-256 of the unpacked body, where the request has an `Idempotency-Key`.
    body_hash: Option<String>,
    /// Keeps the bytes counted until the request is answered.
    _lease: crate::budget::Lease,
}

/// A request that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) accepted: Accepted,
    /// What it left of its limits.
    pub(crate) standings: Vec<Standing>,
}

/// Takes a request in, or counts what was refused.
///
/// # Errors
/// What the client is told.
pub(crate) async fn accept(app: &App, grant: &Arc<Grant>, headers: &HeaderMap, sent: Body) -> Result<Taken> {
    let taken = try_accept(app, grant, headers, sent).await.map_err(|refused| {
        app.refusals.add(grant, &refused.counts);
        refused.error
    });
    app.refusals.after_request(&app.queue).await;
    taken
}

async fn try_accept(app: &App, grant: &Arc<Grant>, headers: &HeaderMap, sent: Body) -> Result<Taken, Refused> {
    let key = IdempotencyKey::read(headers)?;
    let received = body::receive(&app.budget, headers, sent).await?;
    if grant.suspended {
        return Err(Refused::unread(auth::suspended(), received.wire_bytes()));
    }
    if let Some(over) = app.gate.closed_to(grant) {
        return Err(Refused::unread(over.to_error(), received.wire_bytes()));
    }
    let hashed = key.is_some();
    let checked = if received.is_heavy() {
        let grant = Arc::clone(grant);
        let work = tokio::task::spawn_blocking(move || check(received, &grant, hashed));
        work.await.map_err(|e| Error::internal("checking a body", e))??
    } else {
        check(received, grant, hashed)?
    };
    let (batch, standings) = push(app, grant, &checked, key).await.map_err(|error| Refused::read(error, &checked.payload))?;
    let rejected = u32::try_from(checked.rejected.len()).unwrap_or(u32::MAX);
    metrics::counter!("loggerhub_logs_accepted_total").increment(u64::from(checked.accepted));
    metrics::counter!("loggerhub_logs_rejected_total").increment(u64::from(rejected));
    let accepted = Accepted { batch_id: batch, accepted: checked.accepted, rejected, errors: checked.rejected, durability: Kept::of(app.queue.is_relaxed()) };
    Ok(Taken { accepted, standings })
}

pub(crate) fn check(received: Received, grant: &Grant, hashed: bool) -> Result<Checked, Refused> {
    let (wire_bytes, ndjson) = (received.wire_bytes(), received.ndjson);
    let unread = |error| Refused::unread(error, wire_bytes);
    let (body, lease) = received.unpack().map_err(unread)?;
    let split = split::split(&body, ndjson).map_err(unread)?;
    let (mut lines, mut rejected, mut accepted) = (Vec::with_capacity(body.len()), Vec::new(), 0);
    let (mut refused, mut services) = (Counts::new(), BTreeMap::new());
    for (position, json) in split.records.iter().enumerate() {
        match check_record(json, grant, &mut services) {
            Ok(()) => {
                accepted += 1;
                split::write_line(json, &mut lines);
            }
            Err(fault) if split.single && matches!(fault.code, "invalid_json" | "invalid_utf8") => {
                return Err(unread(Error::Malformed { code: fault.code, detail: fault.detail }));
            }
            Err(fault) => {
                *refused.entry((String::new(), fault.code)).or_default() += RefusedCount { requests: 0, logs: 1, bytes: json.len() as u64 + 1 };
                rejected.push(Fault { index: u32::try_from(position).ok(), field: None, code: fault.code.to_owned(), detail: fault.detail, place: None });
            }
        }
    }
    if accepted == 0 {
        metrics::counter!("loggerhub_logs_rejected_total").increment(rejected.len() as u64);
        let detail = if rejected.is_empty() { "the body holds no logs" } else { "none of the logs can be taken" };
        let error = Error::Invalid { code: "no_valid_logs", detail: detail.to_owned(), faults: rejected };
        refused.entry((String::new(), error.code())).or_default().requests = 1;
        return Err(Refused { error, counts: refused });
    }
    let body_hash = hashed.then(|| hex(&body));
    let unpacked = lines.len();
    let payload = Payload::pack(lines).map_err(|e| Error::internal("packing a batch", e))?;
    Ok(Checked { lines: unpacked, payload, accepted, rejected, refused, services, wire_bytes, body_hash, _lease: lease })
}

fn check_record(json: &[u8], grant: &Grant, services: &mut BTreeMap<String, Amount>) -> Result<(), record::Fault> {
    let record = Claims::read(json)?;
    if record.tenant_id.as_ref().is_some_and(|named| **named != *grant.tenant.as_str()) {
        return Err(record::Fault::new("tenant_mismatch", "`tenant_id` is not the tenant of this key"));
    }
    if !grant.allowed.service(record.service()) {
        return Err(record::Fault::new("service_not_allowed", "this key may not send logs of that `service`"));
    }
    if !grant.limits.tenant.services.is_empty() && grant.limits.tenant.services.contains_key(record.service()) {
        let amount = services.entry(record.service().to_owned()).or_default();
        amount.logs += 1;
        amount.bytes += json.len() as u64 + 1;
    }
    Ok(())
}

async fn push(app: &App, grant: &Grant, checked: &Checked, key: Option<IdempotencyKey>) -> Result<(BatchId, Vec<Standing>)> {
    let now = app.queue.now_ms();
    let header = Header {
        v: Header::VERSION,
        tenant: grant.tenant.clone(),
        key_id: grant.key_id,
        batch: BatchId::new(now),
        class: grant.class.clone(),
        index: true,
        wire_bytes: checked.wire_bytes as u64,
        unpacked_bytes: checked.lines as u64,
        accepted: checked.accepted,
        rejected: checked.rejected.clone(),
        zstd: checked.payload.is_compressed(),
        relaxed: app.queue.is_relaxed(),
    };
    let idempotency = key.zip(checked.body_hash.clone()).map(|(key, body)| Idempotency { key: hex(key.0.as_bytes()), body });
    let deadline_ms = now + u64::try_from(TAKEN_WITHIN.as_millis()).unwrap_or(u64::MAX);
    let batch = NewBatch { header: &header, payload: &checked.payload, idempotency: idempotency.as_ref(), limits: &grant.limits, services: &checked.services, deadline_ms };
    fault::point("ingest.before_push");
    // Past its deadline the script takes nothing in.
    let pushed = tokio::time::timeout(REDIS_TIMEOUT, app.queue.push(&batch)).await;
    let pushed = pushed.unwrap_or_else(|_| Err(Error::unavailable(Engine::Redis, "no answer in time")))?;
    fault::point("ingest.after_push");
    let over = match pushed {
        Pushed::Accepted { ring, standings } => {
            if ring {
                ring_bell(app).await;
            }
            app.refusals.add(grant, &checked.refused);
            return Ok((header.batch, standings));
        }
        Pushed::Replayed(batch) => return Ok((batch, Vec::new())),
        Pushed::Conflict => return Err(Error::Conflict { code: "idempotency_conflict", detail: "this Idempotency-Key came before with another body".to_owned() }),
        Pushed::Full => return Err(queue::full()),
        Pushed::TenantFull => return Err(queue::tenant_full()),
        Pushed::Forgetful { retry_after } => return Err(queue::forgetful(retry_after)),
        Pushed::Late => return Err(queue::late()),
        Pushed::Limited { limiter, retry_after } => Over::Rate { limiter, retry_after },
        Pushed::OverQuota => Over::Quota,
    };
    app.gate.close(grant, &over);
    Err(over.to_error())
}

/// The batch is safe by now: a bell that cannot be rung delays it by a minute at most, and must not cost the client its answer.
async fn ring_bell(app: &App) {
    let rung = tokio::time::timeout(RING_WITHIN, app.bell.ring(app.linger)).await;
    if let Err(error) = rung.unwrap_or_else(|_| Err(Error::unavailable(Engine::Sqs, "no answer in time"))) {
        tracing::warn!(cause = shared::error::chain(&error), "the bell could not be rung");
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
