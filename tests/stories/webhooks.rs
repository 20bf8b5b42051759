//! Webhooks: what becomes of a tenant, told to a receiver of its own, whatever that receiver does.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use maintenance::Patience;
use reqwest::Method;
use serde_json::{Value, json};
use shared::billing::month::Month;
use sqlx::Row as _;
use time::OffsetDateTime;

use crate::harness::{Caller, Manner, Received, Receiver, SOON, Sending, World, eventually, plain, story, story_with};

/// Receivers of this machine, and retries after a second.
const QUICK: [(&str, &str); 3] = [("LOGGERHUB_WEBHOOKS_ALLOW_PRIVATE", "true"), ("LOGGERHUB_WEBHOOKS_RETRY_SECONDS", "1,1,1"), ("LOGGERHUB_WEBHOOKS_TIMEOUT_MS", "2000")];
/// The claim of a process that was killed ends ten seconds after the receiver's time.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);

/// A webhook, and what its secret is.
struct Hook {
    admin: Caller,
    path: String,
    id: String,
    secret: String,
}

impl Hook {
    async fn made_by(admin: &Caller, tenant: &str, body: &Value) -> Self {
        let path = format!("/v1/tenants/{tenant}/webhooks");
        let made = admin.post(&path, body).await.ok(201);
        let text = |field: &str| made[field].as_str().expect("a text").to_owned();
        Self { admin: admin.clone(), path: format!("{path}/{}", text("id")), id: text("id"), secret: text("secret") }
    }

    async fn to(admin: &Caller, tenant: &str, receiver: &Receiver) -> Self {
        Self::made_by(admin, tenant, &json!({ "url": receiver.url() })).await
    }

    async fn now(&self) -> Value {
        self.admin.get(&self.path, &[]).await.ok(200)
    }

    async fn deliveries(&self, parameters: &[(&str, &str)]) -> Vec<Value> {
        let page = self.admin.get(&format!("{}/deliveries", self.path), parameters).await.ok(200);
        page["deliveries"].as_array().expect("deliveries").clone()
    }

    async fn ask(&self, what: &str) -> crate::harness::Answer {
        self.admin.post(&format!("{}/{what}", self.path), &json!({})).await
    }
}

/// Renames a tenant: an event each time.
async fn renamed(operator: &Caller, tenant: &str, names: &[&str]) {
    for name in names {
        operator.patch(&format!("/v1/tenants/{tenant}"), &json!({ "name": name })).await.ok(200);
    }
}

/// Names that a receiver was told, and took, in the order in which they came first.
fn names_taken(receiver: &Receiver) -> Vec<String> {
    let mut seen = HashSet::new();
    let taken = receiver.received().into_iter().filter(|request| request.answered.is_some_and(|status| status < 300));
    let fresh = taken.filter(|request| seen.insert(request.id()));
    fresh.filter_map(|request| request.event()["data"]["name"].as_str().map(str::to_owned)).collect()
}

async fn until_names(receiver: &Receiver, names: &[&str], within: Duration) {
    let look = async || {
        let taken = names_taken(receiver);
        if taken == names { Ok(()) } else { Err(format!("{taken:?}")) }
    };
    eventually(within, &format!("{names:?} are taken"), look).await;
}

/// Between the first request for an event and the last one, none for another came.
fn expect_one_after_another(received: &[Received]) {
    let mut ids: Vec<String> = received.iter().map(Received::id).collect();
    ids.dedup();
    assert_eq!(ids.len(), ids.iter().collect::<HashSet<_>>().len(), "an event overtook another: {ids:?}");
}

/// All that is told of keys, limits and bills: a key is changed and rotated, a quota reached, one invoice paid and another voided.
async fn billed(world: &World, operator: &Caller, acme: &Caller) {
    let path = format!("/v1/tenants/acme/keys/{}", world.key_of("acme", &["logs:read"]).await.key_id);
    operator.patch(&path, &json!({ "name": "another" })).await.ok(200);
    operator.post(&format!("{path}/rotate"), &json!({})).await.ok(201);
    acme.stored(&[plain("one log")]).await;
    operator.call(Method::PUT, "/v1/tenants/acme/retention", &[], Sending::json(&json!({ "raw_days": 400 }))).await.ok(200);
    operator.call(Method::PUT, "/v1/tenants/acme/limits", &[], Sending::json(&json!({ "quota": { "logs": 1 } }))).await.ok(200);
    assert!(maintenance::watch_quotas(&world.doors.maintenance()).await.expect("the engines answer") > 0);
    operator.post("/v1/plans", &json!({ "id": "team", "name": "Team", "currency": "EUR", "base_price": "10.00", "meters": [] })).await.ok(201);
    // From a month on that has ended, as no route does.
    let month = Month::of(OffsetDateTime::now_utc());
    let day = month.previous().first_day();
    let past = format!("insert into plan_versions (plan_id, version, from_month, terms) select plan_id, 2, '{day}', terms from plan_versions where plan_id = 'team'");
    world.control_sql(&past).await;
    world.control_sql(&format!("insert into tenant_plans (tenant_id, from_month, plan_id) values ('acme', '{day}', 'team')")).await;
    let invoices = async || -> Result<Vec<Value>, String> {
        maintenance::close_months(&world.doors.maintenance(), month.end() + time::Duration::hours(6)).await.expect("both databases answer");
        let page = operator.get("/v1/invoices", &[("tenant", "acme"), ("status", "finalized")]).await.ok(200);
        let invoices = page["invoices"].as_array().expect("a list");
        if invoices.len() == 2 { Ok(invoices.clone()) } else { Err(page.to_string()) }
    };
    let invoices = eventually(SOON, "both months are closed", invoices).await;
    for (invoice, what) in invoices.iter().zip(["pay", "void"]) {
        operator.post(&format!("/v1/invoices/{}/{what}", invoice["id"].as_str().expect("an id")), &json!({})).await.ok(200);
    }
}

#[test]
fn every_event_is_received_by_stream_bus_and_a_receiver_that_fails_at_first() {
    let settings = [QUICK.as_slice(), &[("LOGGERHUB_DELETION_GRACE_SECONDS", "604800")]].concat();
    story_with(&settings, async |world| {
        let operator = world.operator();
        let acme = world.tenant("acme").await;
        let bus = world.event_bus().await;
        let telling = world.process(&[settings.as_slice(), &bus.settings()].concat()).await;
        let receiver = Receiver::start().await;
        receiver.first(&[Manner::Answers(500), Manner::AnswersWith(503, "retry-after", "2".to_owned()), Manner::Answers(429)]);
        let hook = Hook::made_by(&operator, "acme", &json!({ "url": receiver.url(), "from": "now-1h", "description": "all of it" })).await;
        let other = Hook::made_by(&operator, "acme", &json!({ "url": "http://127.0.0.1:1/", "event_types": ["io.loggerhub.tenant.deleted.v1"] })).await;
        operator.patch(&other.path, &json!({ "enabled": false })).await.ok(200);
        renamed(&operator, "acme", &["Acme & Sons"]).await;
        billed(world, &operator, &acme).await;
        operator.patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        operator.patch("/v1/tenants/acme", &json!({ "status": "active" })).await.ok(200);
        operator.delete(&format!("/v1/tenants/acme/keys/{}", acme.key_id)).await.empty(204);
        operator.delete("/v1/tenants/acme").await.empty(204);
        operator.post("/v1/tenants/acme/restore", &json!({})).await.ok(200);
        operator.delete("/v1/tenants/acme").await.empty(204);
        world.control_sql("update tenants set delete_at = now() where id = 'acme'").await;
        let patience = Patience { making: Duration::ZERO, writing: Duration::ZERO };
        maintenance::finish_tenants(&world.doors.maintenance(), patience).await.expect("the engines answer");

        let recorded: Vec<String> = world.control_sql("select type from outbox order by position").await.iter().map(|row| row.get(0)).collect();
        let look = async || {
            let taken = receiver.taken();
            if taken == recorded { Ok(()) } else { Err(format!("{taken:?} of {recorded:?}")) }
        };
        eventually(SOON, "all is received", look).await;
        let types: HashSet<String> = recorded.into_iter().collect();
        assert_eq!(types, shared::tenants::event_types().into_iter().collect(), "every type of event came about");
        let ids: Vec<String> = world.control_sql("select id::text from outbox order by position").await.iter().map(|row| row.get(0)).collect();
        let streamed: Vec<String> = super::changes::streamed(world).await.iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect();
        assert_eq!(streamed, ids, "the stream has them in their order");
        let mut on_bus = HashSet::new();
        let look = async || {
            on_bus.extend(bus.received().await.iter().map(|one| one["detail"]["id"].as_str().expect("an id").to_owned()));
            if ids.iter().all(|id| on_bus.contains(id)) { Ok(()) } else { Err(format!("{} of {}", on_bus.len(), ids.len())) }
        };
        eventually(SOON, "the bus has them all", look).await;
        bus.remove().await;
        drop(telling);

        let received = receiver.received();
        expect_one_after_another(&received);
        assert_eq!(received.iter().map(|request| request.answered).take(4).collect::<Vec<_>>(), [Some(500), Some(503), Some(429), Some(204)]);
        assert!(received[2].at - received[1].at >= Duration::from_secs(2), "it had asked to be left alone");
        for request in &received {
            assert!(request.is_signed_by(&hook.secret) && !request.is_signed_by(&other.secret), "{request:?}");
            let event = request.event();
            assert_eq!((&event["specversion"], &event["tenantid"], event["id"].as_str()), (&json!("1.0"), &json!("acme"), Some(request.id().as_str())), "{event}");
            assert_eq!(request.header("content-type"), "application/cloudevents+json; charset=utf-8");
            assert!(!event.to_string().contains(&acme.key), "no key is told");
        }
        // The webhooks of a tenant that is gone go when they were told.
        let look = async || {
            maintenance::forget_told(&world.doors.maintenance()).await.expect("Postgres answers");
            let left = world.control_sql("select 1 from webhooks union all select 1 from webhook_secrets union all select 1 from webhook_deliveries").await.len();
            if left == 0 { Ok(()) } else { Err(left) }
        };
        eventually(SOON, "no secret is left", look).await;
    });
}

#[test]
fn what_is_dead_can_be_redriven_and_comes_in_order() {
    story_with(&QUICK, async |world| {
        let operator = world.operator();
        world.tenant("acme").await;
        let admin = world.key_of("acme", &["tenant:admin"]).await;
        let (receiver, inside) = (Receiver::start().await, Receiver::start().await);
        let hook = Hook::to(&admin, "acme", &receiver).await;
        // A redirect, to what only we could reach.
        receiver.now(Manner::AnswersWith(307, "location", inside.url().to_owned()));
        renamed(&operator, "acme", &["one", "two"]).await;
        let look = async || {
            let dead = hook.deliveries(&[("state", "dead")]).await;
            if dead.len() == 2 { Ok(dead) } else { Err(dead.len()) }
        };
        let dead = eventually(SOON, "both are dead", look).await;
        assert_eq!((&dead[0]["attempts"], &dead[0]["last_status"], &dead[0]["next_attempt_at"]), (&json!(4), &json!(307), &json!(null)), "{}", dead[0]);
        assert!(dead[0]["last_error"].as_str().is_some_and(|error| error.contains("redirects are not followed")), "{}", dead[0]);
        assert_eq!(inside.received().len(), 0, "nobody follows a redirect");
        expect_one_after_another(&receiver.received());
        assert!(hook.now().await["failing_since"].is_string());

        receiver.now(Manner::Answers(200));
        // The later first; then all that are left, with one that came meanwhile behind them.
        let later = dead[0]["id"].as_str().expect("an id");
        let asked = hook.ask(&format!("deliveries/{later}/redrive")).await.ok(202);
        assert_eq!((&asked["state"], &asked["attempts"]), (&json!("pending"), &json!(0)), "{asked}");
        until_names(&receiver, &["two"], SOON).await;
        hook.ask(&format!("deliveries/{later}/redrive")).await.problem(409, "delivery_not_dead");
        assert_eq!(hook.ask("redrive").await.ok(202), json!({ "requested": 1 }));
        renamed(&operator, "acme", &["three"]).await;
        until_names(&receiver, &["two", "one", "three"], SOON).await;
        assert_eq!(hook.now().await["failing_since"], json!(null));
        assert_eq!(hook.ask("redrive").await.ok(202), json!({ "requested": 0 }));

        // A test goes ahead of what waits, is tried once, and one that is taken brings the others.
        receiver.now(Manner::Answers(500));
        renamed(&operator, "acme", &["four"]).await;
        let look = async || {
            let pending = hook.deliveries(&[("state", "pending")]).await;
            if pending.first().is_some_and(|four| four["attempts"] == 1) { Ok(()) } else { Err(format!("{pending:?}")) }
        };
        eventually(SOON, "it waits", look).await;
        world.control_sql("update webhook_deliveries set next_attempt_at = now() + interval '1 hour' where state = 'pending'").await;
        world.control_sql("update webhooks set due_at = now() + interval '1 hour'").await;
        let failed = hook.ask("test").await.ok(202);
        assert_eq!((&failed["state"], &failed["type"]), (&json!("pending"), &json!("io.loggerhub.webhook.test.v1")));
        let state_of = async |id: &Value| hook.deliveries(&[]).await.into_iter().find(|one| one["id"] == *id).expect("it is kept")["state"].clone();
        let look = async || {
            let state = state_of(&failed["id"]).await;
            if state == "dead" { Ok(()) } else { Err(state) }
        };
        eventually(SOON, "a test is tried once", look).await;
        receiver.now(Manner::Answers(200));
        hook.ask("test").await.ok(202);
        until_names(&receiver, &["two", "one", "three", "four"], SOON).await;
        let page = admin.get("/v1/audit", &[("action", "webhook.redrive_requested")]).await.ok(200);
        assert_eq!(page["entries"].as_array().map(Vec::len), Some(3), "{page}");
    });
}

#[test]
fn a_receiver_that_hangs_keeps_nobody_else_waiting() {
    let settings = [("LOGGERHUB_WEBHOOKS_ALLOW_PRIVATE", "true"), ("LOGGERHUB_WEBHOOKS_RETRY_SECONDS", "60"), ("LOGGERHUB_WEBHOOKS_TIMEOUT_MS", "20000")];
    story_with(&settings, async |world| {
        let operator = world.operator();
        for tenant in ["acme", "globex"] {
            world.tenant(tenant).await;
        }
        let (hanging, babbling, well) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        hanging.now(Manner::Hangs);
        babbling.now(Manner::Babbles);
        // More of one tenant than it has places.
        for _ in 0..6 {
            Hook::to(&operator, "acme", &hanging).await;
        }
        let babble = Hook::to(&operator, "globex", &babbling).await;
        let hook = Hook::to(&operator, "globex", &well).await;
        renamed(&operator, "acme", &["one"]).await;
        eventually(SOON, "the receiver hangs", async || if hanging.received().len() >= 4 { Ok(()) } else { Err("not yet") }).await;
        let began = Instant::now();
        renamed(&operator, "globex", &["one", "two", "three"]).await;
        until_names(&well, &["one", "two", "three"], SOON).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        // A body without an end is not waited for.
        until_names(&babbling, &["one", "two", "three"], SOON).await;
        for told in [&hook, &babble] {
            let look = async || {
                let delivered = told.deliveries(&[("state", "delivered")]).await.len();
                if delivered == 3 { Ok(()) } else { Err(delivered) }
            };
            eventually(SOON, "what was taken is delivered", look).await;
        }
        assert_eq!(hanging.received().len(), 4, "one tenant has four places");
    });
}

#[test]
fn a_receiver_that_is_gone_or_fails_for_days_is_told_nothing_more() {
    let settings = [QUICK.as_slice(), &[("LOGGERHUB_WEBHOOKS_DISABLE_AFTER_SECONDS", "2")]].concat();
    story_with(&settings, async |world| {
        let operator = world.operator();
        world.tenant("acme").await;
        let (gone, failing, well) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        gone.now(Manner::Answers(410));
        failing.now(Manner::Answers(404));
        let hooks = [Hook::to(&operator, "acme", &gone).await, Hook::to(&operator, "acme", &failing).await];
        let told = Hook::made_by(&operator, "acme", &json!({ "url": well.url(), "event_types": ["io.loggerhub.webhook.disabled.v1"] })).await;
        renamed(&operator, "acme", &["one", "two"]).await;
        for (hook, reason) in hooks.iter().zip(["gone", "failing"]) {
            let look = async || {
                let seen = hook.now().await;
                if seen["enabled"] == false { Ok(seen) } else { Err(seen) }
            };
            let seen = eventually(SOON, "it is disabled", look).await;
            assert!(seen["disabled_reason"] == reason && seen["disabled_at"].is_string(), "{seen}");
            let page = operator.get("/v1/audit", &[("action", "webhook.disabled")]).await.ok(200);
            let entry = page["entries"].as_array().expect("entries").iter().find(|entry| entry["subject"] == hook.id).expect("it is recorded").clone();
            assert_eq!((&entry["actor"], &entry["data"]["reason"], &entry["data"]["host"]), (&json!("system"), &json!(reason), &json!("127.0.0.1")), "{entry}");
            hook.ask("test").await.problem(409, "webhook_disabled");
            hook.ask("redrive").await.problem(409, "webhook_disabled");
        }
        assert_eq!(gone.received().len(), 1, "it is asked once");
        eventually(SOON, "others are told", async || if well.taken().len() == 2 { Ok(()) } else { Err(format!("{:?}", well.taken())) }).await;
        assert!(well.received().iter().all(|request| request.is_signed_by(&told.secret)));

        // What comes about meanwhile is dead at once, and comes by a redrive once somebody has enabled it.
        renamed(&operator, "acme", &["three"]).await;
        let [hook, _] = &hooks;
        let look = async || {
            let (dead, pending) = (hook.deliveries(&[("state", "dead")]).await, hook.deliveries(&[("state", "pending")]).await);
            if dead.iter().filter(|one| one["type"] == "io.loggerhub.tenant.renamed.v1").count() == 3 && pending.is_empty() { Ok(dead) } else { Err(format!("{dead:?}")) }
        };
        let dead = eventually(SOON, "all of it is dead", look).await;
        assert_eq!((&dead[0]["attempts"], &dead[0]["last_error"]), (&json!(0), &json!("the webhook is disabled")), "{}", dead[0]);
        gone.now(Manner::Answers(200));
        operator.patch(&hook.path, &json!({ "enabled": true })).await.ok(200);
        hook.ask("redrive").await.ok(202);
        until_names(&gone, &["one", "two", "three"], SOON).await;
    });
}

/// A process that ends while it tells tells again, or its successor does, as soon as its claim has ended.
#[test]
fn who_is_killed_while_telling_webhooks_loses_nothing() {
    story(async |world| {
        let operator = world.operator();
        world.tenant("acme").await;
        let receiver = Receiver::start().await;
        let living = world.another_hub(&[("LOGGERHUB_WEBHOOKS_ALLOW_PRIVATE", "true")]).await;
        Hook::to(&operator.at(&living), "acme", &receiver).await;
        living.stop().await;
        world.stop_hub().await;
        let until_told = async || {
            let look = async || {
                let not_handed_out = world.control_sql("select 1 from outbox where hooked_at is null").await.len();
                let left = world.control_sql("select 1 from webhook_deliveries where state <> 'delivered'").await.len();
                if (not_handed_out, left) == (0, 0) { Ok(()) } else { Err(format!("{not_handed_out} events, {left} deliveries")) }
            };
            eventually(TAKEN_OVER_WITHIN, "all is told", look).await;
        };
        for point in ["webhooks.after_fan_out", "webhooks.before_send", "webhooks.after_send"] {
            let mut process = world.process(&[QUICK.as_slice(), &[("LOGGERHUB_ABORT_AT", point)]].concat()).await;
            let operator = operator.at_url(process.url());
            for n in 0..3 {
                // It may end while it answers: what was committed counts.
                let rename = Sending::json(&json!({ "name": format!("{point} {n}") }));
                let _ = operator.try_call(Method::PATCH, "/v1/tenants/acme", &[], rename).await;
            }
            process.ended_at(point).await;
            // Its successor tells what is left, so that the next has nothing to tell before it is asked.
            let _successor = world.process(&QUICK).await;
            until_told().await;
        }
        // As by `kill -9`, with a request under way.
        receiver.now(Manner::Hangs);
        let process = world.process(&QUICK).await;
        let before = receiver.received().len();
        renamed(&operator.at_url(process.url()), "acme", &["under way", "behind it"]).await;
        eventually(SOON, "a request is under way", async || if receiver.received().len() > before { Ok(()) } else { Err("not yet") }).await;
        drop(process);
        receiver.now(Manner::Answers(204));
        // Two share what is left.
        let _successors = (world.process(&QUICK).await, world.process(&QUICK).await);
        until_told().await;

        let recorded = world.control_sql("select data->>'name' from outbox where type = 'io.loggerhub.tenant.renamed.v1' order by position").await;
        let names: Vec<String> = recorded.iter().map(|row| row.get(0)).collect();
        assert!(names.len() >= 5, "somebody ended while there was something to tell: {names:?}");
        assert_eq!(names_taken(&receiver), names, "none is lost, and they came in order");
        let ids: Vec<String> = receiver.received().iter().map(Received::id).collect();
        assert!(ids.len() > ids.iter().collect::<HashSet<_>>().len(), "who ended after sending had not written it down");
    });
}

#[test]
fn many_hubs_share_the_work_and_send_nothing_twice() {
    story_with(&QUICK, async |world| {
        let operator = world.operator();
        let _others = (world.another_hub(&QUICK).await, world.another_hub(&QUICK).await);
        let tenants = ["acme", "globex", "initech"];
        let mut receivers = Vec::new();
        for tenant in tenants {
            world.tenant(tenant).await;
            for _ in 0..3 {
                let receiver = Receiver::start().await;
                Hook::to(&operator, tenant, &receiver).await;
                receivers.push(receiver);
            }
        }
        let names: Vec<String> = (0..20).map(|n| format!("name {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        futures::future::join_all(tenants.map(|tenant| renamed(&operator, tenant, &names))).await;
        for receiver in &receivers {
            until_names(receiver, &names, SOON).await;
            assert_eq!(receiver.received().len(), names.len(), "each once");
        }
    });
}

#[test]
fn a_secret_that_was_replaced_signs_for_a_day() {
    story_with(&QUICK, async |world| {
        let operator = world.operator();
        world.tenant("acme").await;
        let admin = world.key_of("acme", &["tenant:admin"]).await;
        let receiver = Receiver::start().await;
        let hook = Hook::to(&admin, "acme", &receiver).await;
        let next = async |name: &str| {
            let before = receiver.received().len();
            renamed(&operator, "acme", &[name]).await;
            let look = async || receiver.received().get(before).cloned().ok_or("not yet");
            eventually(SOON, "it is received", look).await
        };
        assert!(next("one").await.is_signed_by(&hook.secret));
        let rotated = hook.ask("rotate").await.ok(200);
        let secret = rotated["secret"].as_str().expect("a secret").to_owned();
        assert!(secret != hook.secret && rotated["old_until"].is_string());
        let request = next("two").await;
        assert!(request.is_signed_by(&secret) && request.is_signed_by(&hook.secret), "both sign: {request:?}");
        assert_eq!(request.header("webhook-signature").split(' ').count(), 2);
        let until = world.control_sql("select extract(epoch from ends_at - now())::float8 from webhook_secrets where ends_at is not null").await;
        assert!((86_000.0..=86_400.0).contains(&until[0].get::<f64, _>(0)), "a day");
        world.control_sql("update webhook_secrets set ends_at = now() where ends_at is not null").await;
        let request = next("three").await;
        assert!(request.is_signed_by(&secret) && !request.is_signed_by(&hook.secret), "its day is over: {request:?}");

        for _ in 0..4 {
            hook.ask("rotate").await.ok(200);
        }
        hook.ask("rotate").await.problem(409, "too_many_secrets");
        let shown = [hook.now().await, admin.get("/v1/tenants/acme/webhooks", &[]).await.ok(200), admin.get("/v1/audit", &[]).await.ok(200)];
        for answer in shown.map(|answer| answer.to_string()) {
            assert!(!answer.contains("whsec_") && !answer.contains(&secret), "{answer}");
        }
    });
}

#[test]
fn a_webhook_is_its_tenants_alone() {
    story_with(&QUICK, async |world| {
        let operator = world.operator();
        let acme = world.tenant("acme").await;
        world.tenant("globex").await;
        let (admin, foreign) = (world.key_of("acme", &["tenant:admin"]).await, world.key_of("globex", &["tenant:admin"]).await);
        let receiver = Receiver::start().await;
        let kind = "io.loggerhub.tenant.renamed.v1";
        let body = json!({ "url": receiver.url(), "event_types": [kind], "description": "names" });
        let hook = Hook::made_by(&admin, "acme", &body).await;
        renamed(&operator, "acme", &["one", "two", "three"]).await;
        renamed(&operator, "globex", &["of another"]).await;
        world.key_of("acme", &["logs:read"]).await;
        until_names(&receiver, &["one", "two", "three"], SOON).await;
        assert_eq!(receiver.received().len(), 3, "what it asked for, of its tenant");
        let shown = hook.now().await;
        assert_eq!((&shown["url"], &shown["event_types"], &shown["description"], &shown["enabled"]), (&body["url"], &body["event_types"], &body["description"], &json!(true)));

        // Pages, the latest first.
        let look = async || if hook.deliveries(&[("state", "delivered")]).await.len() == 3 { Ok(()) } else { Err("not yet") };
        eventually(SOON, "all is delivered", look).await;
        let all = hook.deliveries(&[]).await;
        let first = admin.get(&format!("{}/deliveries", hook.path), &[("limit", "2")]).await.ok(200);
        let second = admin.get(&format!("{}/deliveries", hook.path), &[("limit", "2"), ("cursor", first["next_cursor"].as_str().expect("more"))]).await.ok(200);
        let paged = [first["deliveries"].as_array().expect("some").clone(), second["deliveries"].as_array().expect("one").clone()].concat();
        assert_eq!((paged, &second["next_cursor"]), (all.clone(), &json!(null)));
        assert!(hook.deliveries(&[("state", "dead")]).await.is_empty());
        for (name, value) in [("state", "lost"), ("limit", "0"), ("cursor", "x")] {
            assert_eq!(admin.get(&format!("{}/deliveries", hook.path), &[(name, value)]).await.status, 422, "{name}");
        }

        // Nobody else's: of another tenant, without the scope, without a key.
        let delivery = all[0]["id"].as_str().expect("an id");
        let own = format!("/v1/tenants/globex/webhooks/{}", hook.id);
        for base in [&hook.path, &own] {
            foreign.get(base, &[]).await.problem(404, "not_found");
            foreign.patch(base, &json!({ "enabled": false })).await.problem(404, "not_found");
            foreign.delete(base).await.problem(404, "not_found");
            foreign.get(&format!("{base}/deliveries"), &[]).await.problem(404, "not_found");
            for action in ["rotate", "test", "redrive", &format!("deliveries/{delivery}/redrive")] {
                foreign.post(&format!("{base}/{action}"), &json!({})).await.problem(404, "not_found");
            }
        }
        foreign.get("/v1/tenants/acme/webhooks", &[]).await.problem(404, "not_found");
        foreign.post("/v1/tenants/acme/webhooks", &body).await.problem(404, "not_found");
        operator.get("/v1/tenants/nobody/webhooks", &[]).await.problem(404, "not_found");
        operator.post("/v1/tenants/nobody/webhooks", &body).await.problem(404, "not_found");
        operator.get(&own, &[]).await.problem(404, "not_found");
        acme.get(&hook.path, &[]).await.problem(403, "missing_scope");
        world.anyone().get(&hook.path, &[]).await.problem(401, "unauthenticated");
        admin.get("/v1/tenants/acme/webhooks/x", &[]).await.problem(404, "not_found");

        // Each change is recorded, with who made it.
        admin.patch(&hook.path, &json!({ "description": "other", "enabled": true })).await.ok(200);
        admin.patch(&hook.path, &json!({ "description": "other" })).await.ok(200);
        admin.patch(&hook.path, &json!({ "enabled": false, "event_types": null })).await.ok(200);
        admin.patch(&hook.path, &json!({})).await.problem(422, "nothing_to_change");
        admin.patch(&hook.path, &json!({ "enabled": true })).await.ok(200);
        hook.ask("rotate").await.ok(200);
        hook.ask("test").await.ok(202);
        admin.delete(&hook.path).await.empty(204);
        admin.get(&hook.path, &[]).await.problem(404, "not_found");
        let page = admin.get("/v1/audit", &[]).await.ok(200);
        let entries: Vec<&Value> = page["entries"].as_array().expect("entries").iter().filter(|entry| entry["subject"] == hook.id).collect();
        let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().expect("a text")).collect();
        let expected = ["deleted", "tested", "secret_rotated", "enabled", "disabled", "changed", "changed", "created"];
        assert_eq!(actions, expected.map(|action| format!("webhook.{action}")));
        assert!(entries.iter().all(|entry| entry["key_id"] == admin.key_id), "{entries:?}");
        assert_eq!(entries[5]["data"]["fields"], json!(["event_types"]), "{}", entries[5]);
        assert!(!page.to_string().contains("/hook"), "a path may be a secret");

        for _ in 0..20 {
            Hook::made_by(&admin, "acme", &body).await;
        }
        admin.post("/v1/tenants/acme/webhooks", &body).await.problem(409, "too_many_webhooks");
    });
}

/// By the settings that ship: nothing of the inside is taken, nor reached by what was taken before.
#[test]
fn no_address_of_the_inside_is_reached() {
    story(async |world| {
        let operator = world.operator();
        world.tenant("acme").await;
        let receiver = Receiver::start().await;
        let path = "/v1/tenants/acme/webhooks";
        let secure = receiver.url().replace("http://", "https://");
        for url in [
            receiver.url(),
            &secure,
            "https://localhost/",
            "https://2130706433/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://user:password@example.com/",
            "https://example.com:6379/#x",
            "https://example.com:22/",
        ] {
            assert_eq!(operator.post(path, &json!({ "url": url })).await.fault(422, "invalid_parameter").0, "url", "{url}");
        }
        // One that was made while it was allowed, in each form.
        let lenient = world.another_hub(&QUICK).await;
        let plain = Hook::to(&operator.at(&lenient), "acme", &receiver).await;
        let encrypted = Hook::made_by(&operator.at(&lenient), "acme", &json!({ "url": secure })).await;
        lenient.stop().await;
        renamed(&operator, "acme", &["one"]).await;
        for (hook, error) in [(&plain, "the URL must begin with https://"), (&encrypted, "the URL must lead to a public address")] {
            let look = async || {
                let seen = operator.get(&format!("{}/deliveries", hook.path), &[]).await.ok(200);
                if seen["deliveries"][0]["last_error"] == error { Ok(()) } else { Err(seen) }
            };
            eventually(SOON, "it is not sent", look).await;
        }
        assert_eq!(receiver.received().len(), 0);
    });
}
