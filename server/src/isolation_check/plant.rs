//! The throw-away tenants, with things of every kind that there is, each with a word in it that stands nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};
use rand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use shared::billing::month::Month;
use shared::grant::DEFAULT_CLASS;
use shared::ids::{BatchId, TenantId, Token, TokenKind};
use shared::limits::Limits;
use shared::people::Role;
use shared::queue::{Header, NewBatch, Payload, Pushed};
use shared::tenants::{By, Registry};
use shared::timestamp;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::callers::{Side, all_scopes};
use super::client::{Client, Request};
use super::document::{Field, Operation, Place};
use super::people::{self, Account};
use super::values::{self, CURRENCY, Filling, Thing};
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
/// How long a token lives that sets a password anew.
const RESET_WITHIN: Duration = Duration::from_secs(600);
/// How many months ahead the plans begin of which nothing is billed: a tenant that is deleted before is never sent a bill.
const MONTHS_AHEAD: usize = 4;
/// How long the key lives that is to expire.
const EXPIRES_IN: time::Duration = time::Duration::seconds(2);
/// After this, what was suspended, deleted or has expired counts in every process: one believes what it looked up for 5 s.
const COUNTS_WITHIN: Duration = Duration::from_secs(6);

/// What somebody of a throw-away tenant is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// To call, by this role.
    Caller(Role),
    /// To be looked at: their session is what nobody else may see or end.
    Keeper,
    /// To log in, and to forget their password.
    Forgetful,
    /// To be removed, and to join again.
    Commuter,
}

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
    /// Its people, by what they are here for: each role is that of a caller.
    people: BTreeMap<Part, Account>,
    /// A session that was ended.
    pub(super) ended: Vec<(&'static str, String)>,
    /// When its logs were sent.
    sent_at: String,
    /// What was mailed last: an invitation to it, and what sets a password of its anew.
    invitation_token: String,
    reset_token: String,
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

    /// Somebody who calls.
    pub(super) fn person(&self, role: Role) -> &Account {
        &self.people[&Part::Caller(role)]
    }

    /// Somebody whose session nobody touches.
    pub(super) fn keeper(&self) -> Option<&Account> {
        self.people.get(&Part::Keeper)
    }

    fn new(side: Side) -> Self {
        let (id, word) = (new_id(&format!("{side:?}").to_lowercase()), format!("isolationword{}", random()));
        Self {
            service: format!("service-{word}"),
            told: vec![id.clone(), word.clone()],
            things: BTreeMap::from([(Thing::Tenant, id.clone())]),
            id,
            word,
            key: String::new(),
            single: Vec::new(),
            revoked: String::new(),
            expired: String::new(),
            people: BTreeMap::new(),
            ended: Vec::new(),
            sent_at: String::new(),
            invitation_token: String::new(),
            reset_token: String::new(),
            letters: Vec::new(),
        }
    }
}

/// All that was planted.
#[derive(Debug)]
pub(super) struct Planted {
    tenants: BTreeMap<Side, Tenant>,
    /// Why there is nothing that no request makes, where there is none.
    pub(super) no_doors: Option<String>,
    registry: Option<Registry>,
    /// Somebody who owns B, and may read what A has.
    pub(super) guest: Option<Account>,
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
    let mut planted = Planted { tenants: BTreeMap::new(), no_doors: doors.as_ref().err().cloned(), registry: doors.as_ref().ok().map(|doors| doors.registry.clone()), guest: None };
    let sides = [Side::A, Side::B, Side::Suspended, Side::Deleted];
    let made = futures::future::try_join_all(sides.map(|side| make(client, operations, side, doors.as_ref().ok().copied()))).await?;
    planted.tenants = sides.into_iter().zip(made).collect();
    let suspend = format!("/v1/tenants/{}", planted.of(Side::Suspended).id);
    client.ask(&client.as_operator(), Method::PATCH, &suspend, Some(json!({ "status": "suspended" }))).await?;
    client.delete_tenant(&planted.of(Side::Deleted).id).await?;
    let changed_at = Instant::now();
    let deleted = planted.of(Side::Deleted).id.clone();
    for tenant in planted.tenants.values_mut() {
        tenant.things.insert(Thing::DeletedTenant, deleted.clone());
    }
    planted.guest = Some(guest(client, &planted).await?);
    learn_ids(client, operations, &mut planted).await?;
    tokio::time::sleep_until(changed_at + COUNTS_WITHIN).await;
    Ok(planted)
}

async fn make(client: &Client, operations: &[Operation], side: Side, doors: Option<&Doors>) -> anyhow::Result<Tenant> {
    let mut tenant = Tenant::new(side);
    client.make_tenant(&tenant.id, &format!("Tenant of {}", tenant.word)).await?;
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
    let here: &[Part] = match side {
        Side::A | Side::B => &PARTS,
        Side::Suspended => &[Part::Caller(Role::Owner), Part::Keeper, Part::Forgetful, Part::Commuter],
        Side::Deleted => &[Part::Caller(Role::Owner)],
    };
    for part in here {
        let account = join(client, &tenant, *part).await?;
        tenant.people.insert(*part, account);
    }
    if side == Side::Deleted {
        return Ok(tenant);
    }
    tenant.ended = end_a_session(client, &tenant).await?;
    plan(client, &mut tenant, doors).await?;
    // Before the logs, which wake the processor for both.
    let letters = match doors {
        Some(doors) => push_letters(doors, &tenant, Uuid::parse_str(&key_id)?).await?,
        None => Vec::new(),
    };
    send_logs(client, &mut tenant).await?;
    tell_of_people(client, &mut tenant).await?;
    for thing in Thing::MADE {
        let id = make_thing(client, operations, &tenant, *thing).await?;
        tenant.things.insert(*thing, id);
    }
    // More of each, so that lists have a second page.
    make_thing(client, operations, &tenant, Thing::Invitation).await?;
    let dead = dead_deliveries(client, &tenant).await?;
    tenant.things.insert(Thing::Delivery, dead);
    if let Some(first) = letters.first() {
        until_there(client, &tenant, &format!("/v1/dead-letters/{first}"), "dead letters").await?;
        tenant.things.insert(Thing::DeadLetter, first.clone());
        tenant.letters = letters[1..].to_vec();
    }
    Ok(tenant)
}

const PARTS: [Part; 7] =
    [Part::Caller(Role::Viewer), Part::Caller(Role::Member), Part::Caller(Role::Admin), Part::Caller(Role::Owner), Part::Keeper, Part::Forgetful, Part::Commuter];

async fn join(client: &Client, tenant: &Tenant, part: Part) -> anyhow::Result<Account> {
    let (what, role) = match part {
        Part::Caller(role) => (role.as_str(), role),
        Part::Keeper => ("keeper", Role::Viewer),
        Part::Forgetful => ("forgetful", Role::Viewer),
        Part::Commuter => ("commuter", Role::Viewer),
    };
    let email = format!("{what}.{}@{}", tenant.word, people::DOMAIN);
    let name = format!("The {what} of {}", tenant.word);
    people::join(client, &tenant.id, (&name, &email, &format!("{} {}", random(), random())), role).await.with_context(|| format!("there is no {what}"))
}

/// Somebody of both neighbours, who bears no word of either: both list them.
async fn guest(client: &Client, planted: &Planted) -> anyhow::Result<Account> {
    let (a, b) = (planted.of(Side::A), planted.of(Side::B));
    let (email, password) = (format!("{}@{}", random(), people::DOMAIN), format!("{} {}", random(), random()));
    let guest = people::join(client, &b.id, ("A guest", &email, &password), Role::Owner).await?;
    people::come_back(client, &a.id, &guest).await?;
    Ok(guest)
}

/// A session that was ended.
async fn end_a_session(client: &Client, tenant: &Tenant) -> anyhow::Result<Vec<(&'static str, String)>> {
    let account = tenant.keeper().context("nobody is there")?;
    let session = people::log_in(client, &account.email, &account.password).await?;
    client.ask(&session, Method::POST, "/v1/logout", None).await?;
    Ok(session)
}

/// What people are known by.
async fn tell_of_people(client: &Client, tenant: &mut Tenant) -> anyhow::Result<()> {
    let keeper = tenant.keeper().context("nobody is there")?.clone();
    tenant.things.insert(Thing::Session, people::session_id(client, &keeper.session).await?);
    tenant.things.insert(Thing::Member, keeper.user);
    Ok(())
}

fn months_ahead(months: usize) -> Month {
    (0..months).fold(Month::of(OffsetDateTime::now_utc()), |month, _| month.next())
}

/// A plan, credits, and drafts of invoices for months to come. A draft has no number, and there is none to be given for nothing.
async fn plan(client: &Client, tenant: &mut Tenant, doors: Option<&Doors>) -> anyhow::Result<()> {
    let (id, operator) = (new_id("plan"), client.as_operator());
    let new = json!({ "id": id, "name": format!("Plan of {}", tenant.word), "currency": CURRENCY, "base_price": "1.00" });
    client.ask(&operator, Method::POST, "/v1/plans", Some(new)).await?;
    let given = json!({ "plan": id, "from": months_ahead(1).to_string() });
    client.ask(&operator, Method::PUT, &format!("/v1/tenants/{}/plan", tenant.id), Some(given)).await?;
    tenant.things.insert(Thing::Plan, id);
    for reason in ["one", "another"] {
        let credit = json!({ "tenant": tenant.id, "currency": CURRENCY, "amount": "1.00", "reason": format!("{reason} for {}", tenant.word) });
        client.ask(&operator, Method::POST, "/v1/credits", Some(credit)).await?;
    }
    let Some(doors) = doors else { return Ok(()) };
    for ahead in [1, 2] {
        let draft = doors.registry.open_invoice(&TenantId::parse(&tenant.id)?, months_ahead(ahead), &By::SYSTEM).await?.context("no plan is there for an invoice")?;
        tenant.things.insert(Thing::Invoice, draft.id.to_string());
        tenant.things.insert(Thing::InvoiceLine, "1".to_owned());
    }
    Ok(())
}

/// Deliveries that are dead: tests are sent once, and nobody is where they are sent.
async fn dead_deliveries(client: &Client, tenant: &Tenant) -> anyhow::Result<String> {
    let webhook = tenant.thing(Thing::Webhook).context("there is no webhook")?;
    let path = format!("/v1/tenants/{}/webhooks/{webhook}", tenant.id);
    for _ in 0..2 {
        client.ask(&tenant.as_itself(), Method::POST, &format!("{path}/test"), None).await?;
    }
    let until = tokio::time::Instant::now() + THERE_WITHIN;
    loop {
        let listed = client.ask(&tenant.as_itself(), Method::GET, &format!("{path}/deliveries?state=dead"), None).await?;
        match listed["deliveries"].as_array().map(Vec::as_slice) {
            Some([one, _, ..]) => return one["id"].as_str().map(str::to_owned).context("a delivery has no id"),
            _ if tokio::time::Instant::now() > until => bail!("nobody gave up a test of a webhook within {} s: is a server running that tells them?", THERE_WITHIN.as_secs()),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

impl Planted {
    /// Has somebody mailed what this operation takes, where it takes such a thing: each is good for once.
    ///
    /// # Errors
    /// It could not be made.
    pub(super) async fn mail(&mut self, client: &Client, side: Side, operation: &Operation) -> anyhow::Result<()> {
        let fields: Vec<&str> = operation.body.iter().flat_map(|body| body.fields.iter().map(|field| field.name.as_str())).collect();
        let takes = |filling| operation.body.as_ref().is_some_and(|body| fields.iter().any(|field| values::elsewhere(&body.schema, field) == Some(filling)));
        let Some(tenant) = self.tenants.get_mut(&side) else { return Ok(()) };
        if takes(Filling::InvitationToken) {
            tenant.invitation_token = people::invite(client, &tenant.id, &new_email(tenant), Role::Viewer).await?;
        }
        if takes(Filling::ResetToken)
            && let Some((registry, forgetful)) = self.registry.as_ref().zip(tenant.people.get(&Part::Forgetful))
        {
            let token = Token::generate(TokenKind::PasswordReset);
            registry.ask_for_reset(&forgetful.email, &token, RESET_WITHIN, &By::SYSTEM).await?;
            tenant.reset_token = token.reveal().to_owned();
        }
        Ok(())
    }
}

fn new_email(tenant: &Tenant) -> String {
    format!("{}.{}@{}", random(), tenant.word, people::DOMAIN)
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
    tenant.sent_at = timestamp::format(timestamp::from_datetime(OffsetDateTime::now_utc()));
    // Of another service, so that usage has a second line, and its hour a second batch.
    let other = format!("other-{}", tenant.service);
    let batches = futures::future::try_join(send_batch(client, tenant, &tenant.service, &tenant.word), send_batch(client, tenant, &other, &other)).await?;
    tenant.things.insert(Thing::Batch, batches.0.to_string());
    tenant.things.insert(Thing::Log, batches.0.log(0).to_string());
    tenant.told.extend([batches.0, batches.1].iter().flat_map(|batch| (0..LOGS).map(|position| batch.log(position).to_string())));
    Ok(())
}

async fn send_batch(client: &Client, tenant: &Tenant, service: &str, idempotency_key: &str) -> anyhow::Result<BatchId> {
    let logs: Vec<Value> = (0..LOGS).map(|n| json!({ "timestamp": tenant.sent_at, "attributes": { "of": tenant.word }, "trace_id": tenant.word, "n": n })).collect();
    let logs: Vec<Value> = logs.into_iter().map(|log| with(with(log, log_of(tenant)), json!({ "service": service }))).collect();
    let idempotency = ("idempotency-key", idempotency_key.to_owned());
    let receipt = client.ask(&[tenant.as_itself(), vec![idempotency]].concat(), Method::POST, "/v1/logs", Some(Value::Array(logs))).await?;
    let batch = receipt["batch_id"].as_str().and_then(|id| BatchId::parse(id).ok()).context("logs were taken without a batch id")?;
    let until = tokio::time::Instant::now() + THERE_WITHIN;
    loop {
        let status = client.ask(&tenant.as_itself(), Method::GET, &format!("/v1/batches/{batch}?wait=indexed&timeout=10"), None).await?;
        match status["state"].as_str() {
            Some("indexed") => return Ok(batch),
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
        Some(thing) if thing.is_made_for_changes() || (is_removal && thing.made_by().is_some()) => make_thing(client, operations, planted.of(side), thing).await?,
        Some(Thing::DeadLetter) if is_removal => planted.tenants.get_mut(&side).and_then(|tenant| tenant.letters.pop()).context("all dead letters are given up: plant more")?,
        Some(Thing::Tenant) if is_removal => spare_tenant(client).await?,
        Some(Thing::Member) if is_removal => {
            let tenant = planted.of(side);
            let commuter = tenant.people.get(&Part::Commuter).context("nobody comes and goes")?;
            people::come_back(client, &tenant.id, commuter).await?;
            commuter.user.clone()
        }
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
        if field.required || values::is_always_sent(&body.schema, &field.name) || names_tenant(filling) || (asks_for_none && field.name == "name") {
            put_field(&mut fields, field, filling, &value(client, tenant, filling)?);
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
pub(super) fn put_field(fields: &mut Value, field: &Field, filling: Option<Filling>, value: &str) {
    fields[&field.name] = match filling {
        Some(Filling::Json(json)) => serde_json::from_str(json).unwrap_or_default(),
        _ if field.is_list => json!([value]),
        _ => json!(value),
    };
}

/// Puts somebody's own password into a request, where it holds the tenant's.
pub(super) fn put_password(request: &mut Request, operation: &Operation, account: &Account) {
    let (Some(sent), Some(body)) = (request.body.as_mut().and_then(Value::as_object_mut), &operation.body) else { return };
    let is_password = |name: &str| values::elsewhere(&body.schema, name) == Some(Filling::Password);
    sent.iter_mut().filter(|(name, _)| is_password(name)).for_each(|(_, value)| *value = json!(account.password));
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
        Filling::NewPlan => new_id("plan"),
        Filling::NewId => Uuid::now_v7().to_string(),
        Filling::NewEmail => new_email(tenant),
        Filling::Email => tenant.people.get(&Part::Forgetful).context("nobody can log in")?.email.clone(),
        Filling::Password => tenant.people.get(&Part::Forgetful).context("nobody can log in")?.password.clone(),
        Filling::InvitationToken => tenant.invitation_token.clone(),
        Filling::ResetToken => tenant.reset_token.clone(),
        Filling::SentAt => tenant.sent_at.clone(),
        Filling::MonthAhead => months_ahead(MONTHS_AHEAD).to_string(),
        Filling::InAnHour => timestamp::format(timestamp::from_datetime(OffsetDateTime::now_utc() + time::Duration::HOUR)),
        Filling::Plain(text) | Filling::Json(text) => text.to_owned(),
    })
}
