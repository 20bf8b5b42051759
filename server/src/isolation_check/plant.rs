//! The throw-away tenants, with things of every kind that there is, each with a word in it that stands nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};
use rand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use shared::grant::DEFAULT_CLASS;
use shared::ids::{BatchId, TenantId};
use shared::limits::Limits;
use shared::queue::{Header, NewBatch, Payload, Pushed};
use shared::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use super::callers::{Side, all_scopes};
use super::client::{Client, Request};
use super::document::{Field, Operation, Place};
use super::values::{self, Filling, Thing};
use crate::Doors;

/// Logs of each tenant.
const LOGS: u16 = 5;
/// Dead letters of each: one to be looked at, the others to be given up.
const LETTERS: u16 = 12;
/// How long planted logs and letters may take to be there.
const THERE_WITHIN: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a push may take.
const PUSHED_WITHIN_MS: u64 = 2_000;
/// How long the key lives that is to expire.
const EXPIRES_IN: time::Duration = time::Duration::seconds(2);

/// A throw-away tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: String,
    /// Stands in all that it has.
    word: String,
    service: String,
    /// A key that may all.
    pub(super) key: String,
    /// A key for each scope.
    pub(super) single: Vec<(String, String)>,
    pub(super) revoked: String,
    pub(super) expired: String,
    /// What it has, one of each.
    things: BTreeMap<Thing, String>,
    /// More letters.
    letters: Vec<String>,
    /// Its words and ids: what nobody else may be told.
    pub(super) told: Vec<String>,
}

impl Tenant {
    pub(super) fn as_itself(&self) -> Vec<(&'static str, String)> {
        vec![("authorization", format!("Bearer {}", self.key))]
    }

    pub(super) fn thing(&self, thing: Thing) -> Option<&String> {
        self.things.get(&thing)
    }
}

/// All that was planted.
#[derive(Debug)]
pub(super) struct Planted {
    tenants: BTreeMap<Side, Tenant>,
    /// Why there are no dead letters, where there are none.
    pub(super) no_letters: Option<String>,
}

impl Planted {
    pub(super) fn of(&self, side: Side) -> &Tenant {
        &self.tenants[&side]
    }

    /// What nobody of this side may be told: all words and ids of the others. `None` for somebody who is of no side.
    pub(super) fn not_for(&self, side: Option<Side>) -> Vec<String> {
        self.tenants.iter().filter(|(of, _)| Some(**of) != side).flat_map(|(_, tenant)| tenant.told.iter().cloned()).collect()
    }
}

/// Plants all tenants.
///
/// # Errors
/// What could not be made.
pub(super) async fn plant(client: &Client, operations: &[Operation], doors: Result<&Doors, String>) -> anyhow::Result<Planted> {
    let mut planted = Planted { tenants: BTreeMap::new(), no_letters: doors.as_ref().err().cloned() };
    let sides = [Side::A, Side::B, Side::Suspended, Side::Deleted];
    let made = futures::future::try_join_all(sides.map(|side| make(client, operations, side, doors.as_ref().ok().copied()))).await?;
    planted.tenants = sides.into_iter().zip(made).collect();
    let suspend = format!("/v1/tenants/{}", planted.of(Side::Suspended).id);
    client.ask(&client.as_operator(), Method::PATCH, &suspend, Some(json!({ "status": "suspended" }))).await?;
    client.delete_tenant(&planted.of(Side::Deleted).id).await?;
    let deleted = planted.of(Side::Deleted).id.clone();
    for tenant in planted.tenants.values_mut() {
        tenant.things.insert(Thing::DeletedTenant, deleted.clone());
    }
    learn_ids(client, operations, &mut planted).await?;
    // A process believes what it looked up for some seconds; nobody has looked these keys up before.
    tokio::time::sleep(EXPIRES_IN.unsigned_abs()).await;
    Ok(planted)
}

async fn make(client: &Client, operations: &[Operation], side: Side, doors: Option<&Doors>) -> anyhow::Result<Tenant> {
    let (id, word) = (new_id(&format!("{side:?}").to_lowercase()), format!("isolationword{}", random()));
    client.make_tenant(&id, &format!("Tenant of {word}")).await?;
    let mut tenant = Tenant {
        service: format!("service-{word}"),
        told: vec![id.clone(), word.clone()],
        things: BTreeMap::from([(Thing::Tenant, id.clone())]),
        id,
        word,
        key: String::new(),
        single: Vec::new(),
        revoked: String::new(),
        expired: String::new(),
        letters: Vec::new(),
    };
    let (key_id, key) = make_key(client, &tenant, &all_scopes(), None).await?;
    tenant.key = key;
    if matches!(side, Side::A | Side::B) {
        for scope in all_scopes() {
            let (_, key) = make_key(client, &tenant, std::slice::from_ref(&scope), None).await?;
            tenant.single.push((scope, key));
        }
        let (revoked_id, revoked) = make_key(client, &tenant, &all_scopes(), None).await?;
        client.ask(&client.as_operator(), Method::DELETE, &format!("/v1/tenants/{}/keys/{revoked_id}", tenant.id), None).await?;
        tenant.revoked = revoked;
        tenant.expired = make_key(client, &tenant, &all_scopes(), Some(OffsetDateTime::now_utc() + EXPIRES_IN)).await?.1;
    }
    if side == Side::Deleted {
        return Ok(tenant);
    }
    // Before the logs, which wake the processor for both.
    let letters = match doors {
        Some(doors) => push_letters(doors, &tenant, Uuid::parse_str(&key_id)?).await?,
        None => Vec::new(),
    };
    send_logs(client, &mut tenant).await?;
    for thing in Thing::MADE {
        let id = make_thing(client, operations, &tenant, *thing).await?;
        tenant.things.insert(*thing, id);
    }
    if let Some(first) = letters.first() {
        until_there(client, &tenant, &format!("/v1/dead-letters/{first}"), "dead letters").await?;
        tenant.things.insert(Thing::DeadLetter, first.clone());
        tenant.letters = letters[1..].to_vec();
    }
    Ok(tenant)
}

fn random() -> String {
    (0..12).map(|_| char::from(rand::rng().random_range(b'a'..=b'z'))).collect()
}

/// An id that no tenant has.
fn new_id(what: &str) -> String {
    format!("isolation_{what}_{}", random())
}

async fn make_key(client: &Client, tenant: &Tenant, scopes: &[String], expires_at: Option<OffsetDateTime>) -> anyhow::Result<(String, String)> {
    let mut body = json!({ "name": format!("key of {}", tenant.word), "scopes": scopes });
    if let Some(at) = expires_at {
        body["expires_at"] = timestamp::format(timestamp::from_datetime(at)).into();
    }
    let made = client.ask(&client.as_operator(), Method::POST, &format!("/v1/tenants/{}/keys", tenant.id), Some(body)).await?;
    let text = |field: &str| made[field].as_str().map(str::to_owned).with_context(|| format!("a key was made without `{field}`: {made}"));
    Ok((text("id")?, text("key")?))
}

/// Puts an entry into the queue of which no record can be read, as if the queue had damaged it: each record becomes a dead letter. No request could.
async fn push_letters(doors: &Doors, tenant: &Tenant, key_id: Uuid) -> anyhow::Result<Vec<String>> {
    doors.queue.ask_clock().await?;
    let now = doors.queue.now_ms();
    let lines: String = (0..LETTERS).map(|n| format!("{{\"message\":damaged {} {n}}}\n", tenant.word)).collect();
    let (bytes, batch) = (lines.len() as u64, BatchId::new(now));
    let payload = Payload::pack(lines.into_bytes())?;
    let header = Header {
        v: Header::VERSION,
        tenant: TenantId::parse(&tenant.id)?,
        key_id,
        batch,
        class: DEFAULT_CLASS.to_owned(),
        index: true,
        wire_bytes: bytes,
        unpacked_bytes: bytes,
        accepted: LETTERS.into(),
        rejected: Vec::new(),
        zstd: payload.is_compressed(),
        relaxed: false,
    };
    let (limits, services) = (Limits::default(), BTreeMap::new());
    let batch_to_push = NewBatch { header: &header, payload: &payload, idempotency: None, limits: &limits, services: &services, deadline_ms: now + PUSHED_WITHIN_MS };
    match doors.queue.push(&batch_to_push).await? {
        Pushed::Accepted { .. } => Ok((0..LETTERS).map(|position| batch.log(position).to_string()).collect()),
        other => bail!("the queue did not take an entry: {other:?}"),
    }
}

async fn send_logs(client: &Client, tenant: &mut Tenant) -> anyhow::Result<()> {
    let now = timestamp::format(timestamp::from_datetime(OffsetDateTime::now_utc()));
    let logs: Vec<Value> = (0..LOGS).map(|n| json!({ "timestamp": now, "attributes": { "of": tenant.word }, "trace_id": tenant.word, "n": n })).collect();
    let logs: Vec<Value> = logs.into_iter().map(|log| with(log, log_of(tenant))).collect();
    let idempotency = ("idempotency-key", tenant.word.clone());
    let receipt = client.ask(&[tenant.as_itself(), vec![idempotency]].concat(), Method::POST, "/v1/logs", Some(Value::Array(logs))).await?;
    let batch = receipt["batch_id"].as_str().and_then(|id| BatchId::parse(id).ok()).context("logs were taken without a batch id")?;
    tenant.things.insert(Thing::Batch, batch.to_string());
    tenant.things.insert(Thing::Log, batch.log(0).to_string());
    tenant.told.extend((0..LOGS).map(|position| batch.log(position).to_string()));
    let until = tokio::time::Instant::now() + THERE_WITHIN;
    loop {
        let status = client.ask(&tenant.as_itself(), Method::GET, &format!("/v1/batches/{batch}?wait=indexed&timeout=10"), None).await?;
        match status["state"].as_str() {
            Some("indexed") => return Ok(()),
            _ if tokio::time::Instant::now() > until => bail!("the planted logs are not searchable after {} s: {status}", THERE_WITHIN.as_secs()),
            _ => {}
        }
    }
}

/// A log of a tenant's.
pub(super) fn log_of(tenant: &Tenant) -> Value {
    json!({ "service": tenant.service, "level": "INFO", "message": format!("a log of {}", tenant.word), "full_log": format!("the whole of {}", tenant.word) })
}

fn with(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

async fn until_there(client: &Client, tenant: &Tenant, path: &str, what: &str) -> anyhow::Result<()> {
    let request = Request { method: Method::GET, path: path.to_owned(), query: Vec::new(), headers: Vec::new(), body: None };
    let until = tokio::time::Instant::now() + THERE_WITHIN;
    while client.call(&tenant.as_itself(), &request).await?.status != 200 {
        anyhow::ensure!(tokio::time::Instant::now() < until, "{what} are not there after {} s", THERE_WITHIN.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Every id that a tenant's own reading answers hold is one that no other may be told.
async fn learn_ids(client: &Client, operations: &[Operation], planted: &mut Planted) -> anyhow::Result<()> {
    let mut seen: BTreeMap<Side, BTreeSet<String>> = BTreeMap::new();
    for side in [Side::A, Side::B] {
        let mut ids = BTreeSet::new();
        for answer in super::state::of(client, operations, planted.of(side)).await?.values() {
            collect_ids(answer, &mut ids);
        }
        seen.insert(side, ids);
    }
    let of = |side: Side| seen[&side].clone();
    for (side, other) in [(Side::A, Side::B), (Side::B, Side::A)] {
        let own: Vec<String> = of(side).difference(&of(other)).cloned().collect();
        let tenant = planted.tenants.get_mut(&side).expect("it was planted");
        tenant.told.extend(own);
        let prefixes = [&tenant.key, &tenant.revoked, &tenant.expired].map(|key| key[..12].to_owned());
        tenant.told.extend(prefixes);
        tenant.told.sort_unstable();
        tenant.told.dedup();
    }
    Ok(())
}

fn collect_ids(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if Uuid::parse_str(text).is_ok() => drop(into.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| collect_ids(value, into)),
        Value::Object(members) => members.values().for_each(|value| collect_ids(value, into)),
        _ => {}
    }
}

/// Makes one more of a tenant's things.
///
/// # Errors
/// The document does not say how, or it could not be made.
pub(super) async fn make_thing(client: &Client, operations: &[Operation], tenant: &Tenant, thing: Thing) -> anyhow::Result<String> {
    let route = thing.made_by().with_context(|| format!("a {thing:?} is not made by a request"))?;
    let maker = operations.iter().find(|operation| operation.name() == route).with_context(|| format!("the document does not list {route}"))?;
    let request = request(client, maker, tenant, &ids_of(maker, tenant)?, false).with_context(|| format!("a {thing:?} cannot be made"))?;
    let answer = client.call(&tenant.as_itself(), &request).await?;
    let id = answer.json()["id"].as_str().map(str::to_owned);
    id.with_context(|| format!("a {thing:?} cannot be made: {route} answers {}: {}", answer.status, answer.body))
}

/// What stands in the path: a tenant's own things.
pub(super) fn ids_of(operation: &Operation, tenant: &Tenant) -> anyhow::Result<BTreeMap<String, String>> {
    let in_path = operation.parameters.iter().filter(|parameter| parameter.place == Place::Path);
    in_path
        .map(|parameter| {
            let thing = values::in_path(&operation.path, &parameter.name);
            let id = thing.and_then(|thing| tenant.thing(thing).cloned()).with_context(|| format!("{}: there is no {thing:?}", operation.name()))?;
            Ok((parameter.name.clone(), id))
        })
        .collect()
}

/// A thing that may be changed or taken away: one more, where one can be made.
///
/// # Errors
/// It could not be made.
pub(super) async fn spare(client: &Client, operations: &[Operation], planted: &mut Planted, side: Side, operation: &Operation) -> anyhow::Result<BTreeMap<String, String>> {
    let mut ids = ids_of(operation, planted.of(side))?;
    let in_path: Vec<_> = operation.parameters.iter().filter(|parameter| parameter.place == Place::Path).collect();
    let Some(last) = in_path.iter().max_by_key(|parameter| operation.path.find(&format!("{{{}}}", parameter.name))) else { return Ok(ids) };
    let is_removal = operation.method == Method::DELETE;
    let id = match values::in_path(&operation.path, &last.name) {
        Some(thing) if thing.made_by().is_some() => make_thing(client, operations, planted.of(side), thing).await?,
        Some(Thing::DeadLetter) if is_removal => planted.tenants.get_mut(&side).and_then(|tenant| tenant.letters.pop()).context("all dead letters are given up: plant more")?,
        Some(Thing::Tenant) if is_removal => spare_tenant(client).await?,
        Some(Thing::DeletedTenant) => {
            let id = spare_tenant(client).await?;
            client.delete_tenant(&id).await?;
            id
        }
        _ => return Ok(ids),
    };
    ids.insert(last.name.clone(), id);
    Ok(ids)
}

async fn spare_tenant(client: &Client) -> anyhow::Result<String> {
    let id = new_id("spare");
    client.make_tenant(&id, "One more").await?;
    Ok(id)
}

/// A request with these ids in its path and the least beside them; `for_operator` with the tenant wherever it can be named, so that nothing of
/// other tenants is touched.
///
/// # Errors
/// A value is lacking.
pub(super) fn request(client: &Client, operation: &Operation, tenant: &Tenant, ids: &BTreeMap<String, String>, for_operator: bool) -> anyhow::Result<Request> {
    let path = ids.iter().fold(operation.path.clone(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id));
    let mut request = Request { method: operation.method.clone(), path, query: Vec::new(), headers: Vec::new(), body: None };
    let names_tenant = |filling: Option<Filling>| for_operator && filling == Some(Filling::Id(Thing::Tenant));
    for parameter in operation.parameters.iter().filter(|parameter| parameter.place != Place::Path) {
        let filling = values::elsewhere(&operation.path, &parameter.name);
        if parameter.required || values::is_always_sent(&operation.path, &parameter.name) || names_tenant(filling) {
            put(&mut request, parameter.place, &parameter.name, value(client, tenant, filling)?);
        }
    }
    let Some(body) = &operation.body else { return Ok(request) };
    if body.fields.is_empty() {
        request.body = Some(log_of(tenant));
        return Ok(request);
    }
    let mut fields = json!({});
    let asks_for_none = !body.fields.iter().any(|field| field.required);
    for field in &body.fields {
        let filling = values::elsewhere(&body.schema, &field.name);
        // What asks for no field in particular may ask for one at least: a name changes nothing for anybody.
        if field.required || names_tenant(filling) || (asks_for_none && field.name == "name") {
            put_field(&mut fields, field, value(client, tenant, filling)?);
        }
    }
    request.body = Some(fields);
    Ok(request)
}

/// Puts a parameter into a request.
pub(super) fn put(request: &mut Request, place: Place, name: &str, value: String) {
    let sent = if place == Place::Header { &mut request.headers } else { &mut request.query };
    sent.retain(|(known, _)| known != name);
    sent.push((name.to_owned(), value));
}

/// Puts a field into a body.
pub(super) fn put_field(fields: &mut Value, field: &Field, value: String) {
    fields[&field.name] = if field.is_list { json!([value]) } else { json!(value) };
}

/// What a filling is for a tenant.
///
/// # Errors
/// There is none.
pub(super) fn value(client: &Client, tenant: &Tenant, filling: Option<Filling>) -> anyhow::Result<String> {
    Ok(match filling.context("no value is known")? {
        Filling::Id(thing) => tenant.thing(thing).cloned().with_context(|| format!("there is no {thing:?}"))?,
        Filling::Word | Filling::IdempotencyKey => tenant.word.clone(),
        Filling::Service => tenant.service.clone(),
        Filling::Cursor => bail!("a cursor is asked for, not made"),
        Filling::NewTenant => {
            let id = new_id("made");
            client.will_be_made(&id);
            id
        }
        Filling::NewName => format!("{} {}", tenant.word, random()),
        Filling::InAnHour => timestamp::format(timestamp::from_datetime(OffsetDateTime::now_utc() + time::Duration::HOUR)),
        Filling::Plain(text) => text.to_owned(),
    })
}
