//! What is changed leaves a line in the audit trail, and what concerns others is told: by a stream in Redis, and by an event bus.

use std::collections::HashSet;
use std::time::Duration;

use redis::streams::StreamRangeReply;
use serde_json::{Value, json};

use crate::harness::{Caller, SOON, Sending, World, eventually, story};

/// Events of a process that is made anew take their time: it starts, is asked, and tells.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
const ADMIN: [&str; 2] = ["keys:manage", "tenant:admin"];

async fn entries(auditor: &Caller, parameters: &[(&str, &str)]) -> Vec<Value> {
    let page = auditor.get("/v1/audit", parameters).await.ok(200);
    page["entries"].as_array().expect("entries").clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().expect("a text")).collect()
}

/// What the stream holds, in its order: doubles, too.
pub(super) async fn streamed(world: &World) -> Vec<Value> {
    let reply: StreamRangeReply = redis::cmd("XRANGE").arg(world.redis_key("events")).arg("-").arg("+").query_async(&mut world.redis().await).await.expect("Redis answers");
    reply.ids.iter().map(|entry| serde_json::from_str(&entry.get::<String>("event").expect("an event")).expect("JSON")).collect()
}

/// Each event once, where it came first.
fn once(events: &[Value]) -> Vec<&Value> {
    let mut seen = HashSet::new();
    events.iter().filter(|event| seen.insert(event["id"].as_str().expect("an id").to_owned())).collect()
}

fn types_of<'a>(events: &[&'a Value], tenant: &str) -> Vec<&'a str> {
    events.iter().filter(|event| event["tenantid"] == tenant).map(|event| event["type"].as_str().expect("a type")).collect()
}

#[test]
fn each_change_is_recorded_with_who_made_it_and_from_where() {
    story(async |world| {
        let operator = world.operator();
        let acme = world.tenant("acme").await;
        let admin = world.key_of("acme", &ADMIN).await;
        let reader = world.key_of("acme", &["logs:read"]).await;
        let made = admin.key_made_by(&admin, &json!({ "name": "made by a key", "scopes": ["logs:read"] })).await;
        operator.patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        operator.patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        operator.patch("/v1/tenants/acme", &json!({ "status": "active", "name": "Acme & Sons" })).await.ok(200);
        admin.delete(&format!("/v1/tenants/acme/keys/{}", made.key_id)).await.empty(204);
        admin.delete(&format!("/v1/tenants/acme/keys/{}", made.key_id)).await.empty(204);
        let saved = reader.post("/v1/saved-searches", &json!({ "name": "n", "q": "x" })).await.ok(201);
        let path = format!("/v1/saved-searches/{}", saved["id"].as_str().expect("an id"));
        reader.patch(&path, &json!({ "q": "y" })).await.ok(200);
        reader.delete(&path).await.empty(204);

        let all = entries(&admin, &[]).await;
        let expected = [
            "saved_search.deleted",
            "saved_search.changed",
            "saved_search.created",
            "apikey.revoked",
            "tenant.resumed",
            "tenant.renamed",
            "tenant.suspended",
            "apikey.created",
            "apikey.created",
            "apikey.created",
            "apikey.created",
            "tenant.provisioned",
            "tenant.created",
        ];
        assert_eq!(actions(&all), expected, "what changes nothing is not there, and the latest is the first");
        let [revoked, made_by_key, created] = [&all[3], &all[7], &all[12]];
        assert_eq!((&revoked["actor"], &revoked["key_id"], &revoked["subject"]), (&json!("key"), &json!(admin.key_id), &json!(made.key_id)), "{revoked}");
        assert_eq!((&made_by_key["data"]["name"], &made_by_key["data"]["scopes"]), (&json!("made by a key"), &json!(["logs:read"])), "{made_by_key}");
        assert_eq!((&created["actor"], &created["key_id"], &created["data"]["name"]), (&json!("operator"), &json!(null), &json!("Tenant acme")), "{created}");
        for entry in &all {
            assert_eq!((&entry["tenant"], &entry["address"]), (&json!("acme"), &json!("127.0.0.1")), "{entry}");
            assert!(entry["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{entry}");
        }
        let told = serde_json::to_string(&all).expect("JSON");
        for key in [&acme, &admin, &reader, &made] {
            assert!(!told.contains(&key.key), "no key is told");
        }

        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut parameters = vec![("limit", "5")];
            parameters.extend((!cursor.is_empty()).then_some(("cursor", cursor.as_str())));
            let page = admin.get("/v1/audit", &parameters).await.ok(200);
            paged.extend(page["entries"].as_array().expect("entries").clone());
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(paged, all);
        assert_eq!(actions(&entries(&admin, &[("action", "apikey.revoked")]).await), ["apikey.revoked"]);
        assert!(entries(&admin, &[("to", "2020-01-01T00:00:00Z")]).await.is_empty());
        assert_eq!(entries(&admin, &[("from", "now-1h")]).await.len(), all.len());
        reader.get("/v1/audit", &[]).await.problem(403, "missing_scope");
        world.anyone().get("/v1/audit", &[]).await.problem(401, "unauthenticated");
        for (name, value) in [("limit", "0"), ("tenant", "acme"), ("from", "soon"), ("action", "a\0b")] {
            assert_eq!(admin.get("/v1/audit", &[(name, value)]).await.fault(422, "invalid_parameter").0, name);
        }
        admin.get("/v1/audit", &[("cursor", "x")]).await.problem(422, "invalid_cursor");
    });
}

#[test]
fn a_tenant_sees_its_own_trail_and_the_operator_all_of_them_also_of_the_deleted() {
    story(async |world| {
        let operator = world.operator();
        world.tenant("acme").await;
        world.tenant("globex").await;
        let admin = world.key_of("globex", &ADMIN).await;
        let own = entries(&admin, &[]).await;
        assert!(own.len() >= 3 && own.iter().all(|entry| entry["tenant"] == "globex"), "{own:?}");
        operator.delete("/v1/tenants/acme").await.empty(204);
        assert_eq!(actions(&entries(&operator, &[("tenant", "acme")]).await)[0], "tenant.deleting");
        let tenants: HashSet<String> = entries(&operator, &[]).await.iter().map(|entry| entry["tenant"].as_str().expect("a tenant").to_owned()).collect();
        assert_eq!(tenants, HashSet::from(["acme".to_owned(), "globex".to_owned()]));
    });
}

#[test]
fn what_becomes_of_tenants_and_keys_is_told_in_order() {
    story(async |world| {
        let operator = world.operator();
        let acme = world.tenant("acme").await;
        world.tenant("globex").await;
        operator.patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        operator.patch("/v1/tenants/acme", &json!({ "status": "active" })).await.ok(200);
        operator.delete(&format!("/v1/tenants/acme/keys/{}", acme.key_id)).await.empty(204);
        operator.delete("/v1/tenants/acme").await.empty(204);
        let expected = ["tenant.created", "tenant.provisioned", "apikey.created", "tenant.suspended", "tenant.resumed", "apikey.revoked", "tenant.deleting"];
        let expected: Vec<String> = expected.iter().map(|action| format!("io.loggerhub.{action}.v1")).collect();
        eventually(SOON, "all is told", async || {
            let events = streamed(world).await;
            let types = types_of(&once(&events), "acme").iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
            if types == expected { Ok(()) } else { Err(format!("{types:?}")) }
        })
        .await;
        let events = streamed(world).await;
        let made = events.iter().find(|event| event["type"] == "io.loggerhub.apikey.created.v1").expect("one");
        assert_eq!((&made["specversion"], &made["source"], &made["datacontenttype"]), (&json!("1.0"), &json!("io.loggerhub"), &json!("application/json")), "{made}");
        assert_eq!((&made["subject"], &made["data"]["scopes"]), (&json!(acme.key_id), &json!(["logs:write", "logs:read"])), "{made}");
        assert!(!serde_json::to_string(&events).expect("JSON").contains(&acme.key), "no key is told");
    });
}

/// A process that ends while it tells tells again, or its successor does: nothing is lost, and a double has the id of the first.
#[test]
fn who_is_killed_while_telling_loses_nothing() {
    story(async |world| {
        let bus = world.event_bus().await;
        world.stop_hub().await;
        for point in ["events.after_put", "events.after_append"] {
            let mut settings = bus.settings().to_vec();
            settings.push(("LOGGERHUB_ABORT_AT", point));
            let mut process = world.process(&settings).await;
            let operator = world.operator().at_url(process.url());
            for n in 0..3 {
                let id = format!("{}_{n}", point.replace('.', "_"));
                // It may end while it answers: what was committed counts.
                let _ = operator.try_call(reqwest::Method::POST, "/v1/tenants", &[], Sending::json(&json!({ "id": id, "name": id }))).await;
            }
            process.ended_at(point).await;
            // Its successor tells what is left, so that the next has nothing to tell before it is asked.
            let _successor = world.process(&bus.settings()).await;
            eventually(TOLD_WITHIN, "all is told", async || {
                let left = world.control_sql("select 1 from outbox where streamed_at is null or bused_at is null").await.len();
                if left == 0 { Ok(()) } else { Err(format!("{left} events")) }
            })
            .await;
        }

        let recorded: Vec<(String, String)> =
            world.control_sql("select tenant_id, type from outbox order by position").await.iter().map(|row| (sqlx::Row::get(row, 0), sqlx::Row::get(row, 1))).collect();
        assert!(recorded.len() >= 2, "somebody ended while there was something to tell: {recorded:?}");
        let tenants: HashSet<&String> = recorded.iter().map(|(tenant, _)| tenant).collect();
        let of = |tenant: &str| recorded.iter().filter(|(of, _)| of == tenant).map(|(_, kind)| kind.as_str()).collect::<Vec<_>>();
        let mut on_bus: Vec<Value> = Vec::new();
        eventually(TOLD_WITHIN, "all is told on both ways", async || {
            let stream = streamed(world).await;
            on_bus.extend(bus.received().await.iter().map(|entry| entry["detail"].clone()));
            for tenant in &tenants {
                let (streamed, mut bused, mut expected) = (types_of(&once(&stream), tenant), types_of(&once(&on_bus), tenant), of(tenant));
                let is_in_order = streamed == expected;
                // Neither EventBridge nor its queue keeps an order.
                bused.sort_unstable();
                expected.sort_unstable();
                if !is_in_order || bused != expected {
                    return Err(format!("{tenant}: {streamed:?} {bused:?} {expected:?}"));
                }
            }
            Ok(())
        })
        .await;
        assert!(streamed(world).await.len() > recorded.len(), "what was appended by those who ended is told twice");
        bus.remove().await;
    });
}
