//! API keys: what opens a door, what does not, and how soon a change counts.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shared::ids::ApiKey;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::{Answer, Caller, SOON, Seen, Sending, World, eventually, log_id, logs, plain, story, texts};

/// Within this a change of a key counts everywhere.
const EVERYWHERE: Duration = Duration::from_secs(10);

/// Every route that takes a tenant's key.
async fn knock_everywhere(caller: &Caller, tenant: &str) -> Vec<(&'static str, Answer)> {
    let keys = format!("/v1/tenants/{tenant}/keys");
    let some_id = uuid::Uuid::now_v7();
    let letter = format!("/v1/dead-letters/{some_id}");
    vec![
        ("send", caller.send(Sending::json(&plain("knock"))).await),
        ("send, short", caller.call(Method::POST, "/logs", &[], Sending::json(&plain("knock"))).await),
        ("batch", caller.get(&format!("/v1/batches/{some_id}"), &[]).await),
        ("list", caller.get("/v1/logs", &[]).await),
        ("search", caller.get("/v1/search", &[("q", "knock")]).await),
        ("detail", caller.get(&format!("/v1/logs/{some_id}"), &[]).await),
        ("list keys", caller.get(&keys, &[]).await),
        ("make a key", caller.post(&keys, &json!({ "name": "k" })).await),
        ("revoke a key", caller.delete(&format!("{keys}/{some_id}")).await),
        ("list letters", caller.get("/v1/dead-letters", &[]).await),
        ("read a letter", caller.get(&letter, &[]).await),
        ("redrive a letter", caller.post(&format!("{letter}/redrive"), &json!({})).await),
        ("redrive letters", caller.post("/v1/dead-letters/redrive", &json!({})).await),
        ("discard a letter", caller.delete(&letter).await),
    ]
}

/// Waits until a door answers so.
async fn until_status(what: &str, status: u16, knock: impl AsyncFn() -> Answer) -> Answer {
    let look = async || -> Result<Answer, Seen> {
        let answer = knock().await;
        if answer.status == status { Ok(answer) } else { Err(format!("{}: {}", answer.status, answer.text)) }
    };
    eventually(EVERYWHERE, what, look).await
}

#[test]
fn nobody_gets_in_without_a_key_that_is_known() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut typo = acme.key.clone();
        typo.replace_range(20..21, if &typo[20..21] == "x" { "y" } else { "x" });
        let unknown = ApiKey::generate().reveal().to_owned();
        let strangers = [
            ("nothing", world.anyone()),
            ("a typing error", world.anyone().bearing(&typo)),
            ("a typing error as X-API-Key", world.anyone().with_credential("x-api-key", &typo)),
            ("a key that nobody made", world.anyone().bearing(&unknown)),
            ("a prefix", world.anyone().bearing(&acme.key[..12])),
            ("an empty token", world.anyone().bearing("")),
            ("basic authentication", world.anyone().with_credential("authorization", "Basic bGg6bGg=")),
            ("the key without a scheme", world.anyone().with_credential("authorization", &acme.key)),
            ("the key as a cookie", world.anyone().with_credential("cookie", &format!("key={}", acme.key))),
            ("bytes", world.anyone().with_credential("x-api-key", "\u{e9}\u{e9}")),
        ];
        for (who, stranger) in strangers {
            for (door, answer) in knock_everywhere(&stranger, "acme").await {
                assert_eq!(answer.status, 401, "{who} at {door}: {}", answer.text);
                answer.problem(401, "unauthenticated");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{who} at {door}");
            }
        }
        world.operator().send(Sending::json(&plain("m"))).await.problem(401, "unauthenticated");
        world.operator().get("/v1/logs", &[]).await.problem(401, "unauthenticated");
        assert_eq!(logs(&acme.list(&[]).await), [] as [Value; 0]);
    });
}

#[test]
fn each_scope_opens_its_own_doors_and_no_other() {
    story(async |world| {
        world.tenant("acme").await;
        let opens: [(&str, &[&str]); 5] = [
            ("logs:write", &["send", "send, short", "batch", "redrive a letter", "redrive letters"]),
            ("logs:read", &["batch", "list", "search", "detail", "list letters", "read a letter"]),
            ("keys:manage", &["list keys", "make a key", "revoke a key"]),
            ("billing:read", &[]),
            ("tenant:admin", &["discard a letter"]),
        ];
        for (scope, doors) in opens {
            let caller = world.key_of("acme", &[scope]).await;
            for (door, answer) in knock_everywhere(&caller, "acme").await {
                if doors.contains(&door) {
                    assert!([200, 201, 202, 404].contains(&answer.status), "{scope} at {door}: {}", answer.text);
                } else {
                    assert_eq!(answer.status, 403, "{scope} at {door}: {}", answer.text);
                    answer.problem(403, "missing_scope");
                }
            }
        }
    });
}

#[test]
fn a_key_is_shown_once_and_known_by_its_prefix_after_that() {
    story(async |world| {
        world.tenant("acme").await;
        let operator = world.operator();
        let made = operator.post("/v1/tenants/acme/keys", &json!({ "name": " nightly job ", "scopes": ["logs:read", "logs:read"] })).await.ok(201);
        let key = made["key"].as_str().expect("a key");
        assert!(ApiKey::parse(key).is_ok() && key.starts_with("lh_live_"), "{made}");
        assert_eq!((&made["prefix"], &made["name"], &made["scopes"], &made["expires_at"]), (&json!(&key[..12]), &json!("nightly job"), &json!(["logs:read"]), &Value::Null));
        let listed = operator.get("/v1/tenants/acme/keys", &[]).await;
        assert!(!listed.text.contains(key) && !listed.text.contains("hash"), "{}", listed.text);
        let keys = listed.ok(200)["keys"].clone();
        let last = &keys[1];
        assert_eq!(keys.as_array().map(Vec::len), Some(2), "{keys}");
        for field in ["id", "prefix", "name", "scopes", "created_at", "expires_at"] {
            assert_eq!(last[field], made[field], "{field}");
        }
        assert_eq!(last["revoked_at"], Value::Null);
    });
}

#[test]
fn a_key_that_is_asked_for_wrongly_is_not_made() {
    story(async |world| {
        world.tenant("acme").await;
        let operator = world.operator();
        let cases = [
            (json!({}), "name", "required"),
            (json!({ "name": " " }), "name", "invalid_parameter"),
            (json!({ "name": "n".repeat(201) }), "name", "invalid_parameter"),
            (json!({ "name": "k", "scopes": [] }), "scopes", "invalid_parameter"),
            (json!({ "name": "k", "scopes": ["logs:all"] }), "scopes", "invalid_parameter"),
            (json!({ "name": "k", "scopes": "logs:read" }), "scopes", "invalid_parameter"),
            (json!({ "name": "k", "expires_at": "2020-01-01T00:00:00Z" }), "expires_at", "invalid_parameter"),
            (json!({ "name": "k", "expires_at": "tomorrow" }), "expires_at", "invalid_parameter"),
            (json!({ "name": "k", "tenant": "globex" }), "tenant", "unknown_field"),
        ];
        for (body, field, code) in cases {
            let fault = operator.post("/v1/tenants/acme/keys", &body).await.fault(422, "invalid_parameter");
            assert_eq!(fault, (field.to_owned(), code.to_owned()), "{body}");
        }
        operator.call(Method::POST, "/v1/tenants/acme/keys", &[], Sending::bytes("{")).await.problem(400, "invalid_json");
        operator.call(Method::POST, "/v1/tenants/acme/keys", &[], Sending::json(&json!({ "name": "n".repeat(70_000) }))).await.problem(413, "body_too_large");
        operator.post("/v1/tenants/nobody/keys", &json!({ "name": "k" })).await.problem(404, "not_found");
        operator.get("/v1/tenants/nobody/keys", &[]).await.problem(404, "not_found");
        operator.delete("/v1/tenants/acme/keys/nonsense").await.problem(404, "not_found");
        operator.delete(&format!("/v1/tenants/acme/keys/{}", uuid::Uuid::now_v7())).await.problem(404, "not_found");
        assert_eq!(operator.get("/v1/tenants/acme/keys", &[]).await.ok(200)["keys"].as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn a_revoked_key_stops_within_ten_seconds_in_every_process() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let second = world.another_hub(&[]).await;
        let doomed = world.key_of("acme", &["logs:write", "logs:read"]).await;
        let places = [doomed.clone(), doomed.at(&second)];
        for place in &places {
            place.send(Sending::json(&plain("before"))).await.ok(202);
            place.list(&[]).await;
        }
        let door = format!("/v1/tenants/acme/keys/{}", doomed.key_id);
        world.operator().delete(&door).await.empty(204);
        futures::future::join_all(places.iter().map(|place| async move {
            until_status("sending stops", 401, async || place.send(Sending::json(&plain("after"))).await).await.problem(401, "unauthenticated");
            until_status("reading stops", 401, async || place.get("/v1/logs", &[]).await).await.problem(401, "unauthenticated");
        }))
        .await;
        acme.send(Sending::json(&plain("the other key"))).await.ok(202);
        world.operator().delete(&door).await.empty(204);
        let keys = world.operator().get("/v1/tenants/acme/keys", &[]).await.ok(200)["keys"].clone();
        let of = |id: &str| keys.as_array().into_iter().flatten().find(|key| key["id"] == id).cloned().unwrap_or_default();
        assert!(of(&doomed.key_id)["revoked_at"].is_string() && of(&acme.key_id)["revoked_at"].is_null(), "{keys}");
    });
}

#[test]
fn a_key_ends_when_it_said_that_it_would() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let end = OffsetDateTime::now_utc() + Duration::from_secs(3);
        let body = json!({ "name": "short", "expires_at": end.format(&Rfc3339).expect("a time") });
        let short = acme.key_made_by(&world.operator(), &body).await;
        short.send(Sending::json(&plain("in time"))).await.ok(202);
        short.list(&[]).await;
        until_status("it cannot send", 401, async || short.send(Sending::json(&plain("late"))).await).await.problem(401, "unauthenticated");
        assert!(OffsetDateTime::now_utc() >= end, "not before its time");
        short.get("/v1/logs", &[]).await.problem(401, "unauthenticated");
    });
}

#[test]
fn a_suspended_tenant_reads_and_does_not_send_until_it_may_again() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let globex = world.tenant("globex").await;
        let batch = acme.stored(&[plain("from before")]).await;
        world.operator().patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        until_status("sending stops", 403, async || acme.send(Sending::json(&plain("refused"))).await).await.problem(403, "tenant_suspended");
        assert_eq!(texts(&acme.search("before").await, "message"), ["from before"]);
        assert!(texts(&acme.list(&[("limit", "1000")]).await, "message").contains(&"from before".to_owned()));
        assert_eq!(acme.detail(&log_id(&batch, 0)).await["message"], "from before");
        globex.send(Sending::json(&plain("others go on"))).await.ok(202);
        let new_key = world.key_of("acme", &["logs:write"]).await;
        new_key.send(Sending::json(&plain("a new key does not help"))).await.problem(403, "tenant_suspended");

        world.operator().patch("/v1/tenants/acme", &json!({ "status": "active" })).await.ok(200);
        for key in [&acme, &new_key] {
            until_status("sending works again", 202, async || key.send(Sending::json(&plain("again"))).await).await;
        }
    });
}

#[test]
fn a_tenants_own_key_manages_its_keys_and_gives_away_no_more_than_it_has() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let admin = world.key_of("acme", &["keys:manage"]).await;
        let sender = acme.key_made_by(&admin, &json!({ "name": "by a key", "scopes": ["logs:write"] })).await;
        sender.send(Sending::json(&plain("m"))).await.ok(202);
        for scope in ["tenant:admin", "billing:read"] {
            admin.post("/v1/tenants/acme/keys", &json!({ "name": "k", "scopes": ["logs:read", scope] })).await.problem(403, "scope_not_held");
        }
        let rich = world.key_of("acme", &["keys:manage", "billing:read"]).await;
        rich.post("/v1/tenants/acme/keys", &json!({ "name": "k", "scopes": ["billing:read"] })).await.ok(201);
        assert_eq!(admin.get("/v1/tenants/acme/keys", &[]).await.ok(200)["keys"].as_array().map(Vec::len), Some(5));

        let strange = format!("/v1/tenants/globex/keys/{}", globex.key_id);
        for path in ["/v1/tenants/globex/keys", "/v1/tenants/nobody/keys", "/v1/tenants/Not%20An%20Id/keys"] {
            admin.get(path, &[]).await.problem(404, "not_found");
            admin.post(path, &json!({ "name": "k" })).await.problem(404, "not_found");
        }
        admin.delete(&strange).await.problem(404, "not_found");
        admin.delete(&format!("/v1/tenants/acme/keys/{}", globex.key_id)).await.problem(404, "not_found");
        globex.send(Sending::json(&plain("still in force"))).await.ok(202);

        admin.delete(&format!("/v1/tenants/acme/keys/{}", sender.key_id)).await.empty(204);
        until_status("it has stopped", 401, async || sender.send(Sending::json(&plain("m"))).await).await;
    });
}

/// Whether a freshly made key, which no cache has seen, is refused for lack of a ring.
async fn ring_is_lost(world: &World, key: &Caller) {
    world.lose_key_ring().await;
    key.send(Sending::json(&plain("m"))).await.problem(503, "redis_unavailable");
}

#[test]
fn a_lost_key_ring_is_no_reason_to_say_that_a_key_is_wrong_and_comes_back_by_itself() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let (fresh, revoked) = (world.key_of("acme", &["logs:write", "logs:read"]).await, world.key_of("acme", &["logs:write"]).await);
        world.operator().delete(&format!("/v1/tenants/acme/keys/{}", revoked.key_id)).await.empty(204);
        ring_is_lost(world, &fresh).await;
        let unknown = world.anyone().bearing(ApiKey::generate().reveal());
        unknown.send(Sending::json(&plain("m"))).await.problem(503, "redis_unavailable");
        assert_eq!(logs(&fresh.list(&[]).await), [] as [Value; 0], "who reads is known to Postgres");
        unknown.get("/v1/logs", &[]).await.problem(401, "unauthenticated");

        let done = maintenance::republish_keys(&world.doors.maintenance()).await.expect("both engines answer");
        assert_eq!((done.parts, done.grants >= 3), (16, true), "{done:?}");
        for key in [&acme, &fresh] {
            until_status("it sends again", 202, async || key.send(Sending::json(&plain("again"))).await).await;
        }
        revoked.send(Sending::json(&plain("m"))).await.problem(401, "unauthenticated");
        until_status("it is known that nobody made it", 401, async || unknown.send(Sending::json(&plain("m"))).await).await;
        assert_eq!(maintenance::republish_keys(&world.doors.maintenance()).await.expect("both engines answer").parts, 0, "once is enough");
    });
}

#[test]
fn keys_made_while_redis_is_down_are_not_made() {
    story(async |world| {
        world.tenant("acme").await;
        let (wire, url) = crate::harness::Wire::over(&world.setting("LOGGERHUB_REDIS_URL")).await;
        let hub = world.another_hub(&[("LOGGERHUB_REDIS_URL", &url)]).await;
        let operator = world.operator().at(&hub);
        wire.cut();
        operator.post("/v1/tenants/acme/keys", &json!({ "name": "never seen" })).await.problem(503, "redis_unavailable");
        wire.mend();
        let keys = operator.get("/v1/tenants/acme/keys", &[]).await.ok(200)["keys"].clone();
        let live = keys.as_array().into_iter().flatten().filter(|key| key["revoked_at"].is_null()).count();
        assert_eq!(live, 1, "what nobody was shown opens nothing: {keys}");
        let again = async || {
            let answer = operator.post("/v1/tenants/acme/keys", &json!({ "name": "seen" })).await;
            if answer.status == 201 { Ok(()) } else { Err(answer.text) }
        };
        eventually(SOON, "keys can be made again", again).await;
    });
}

#[test]
fn a_key_is_only_for_what_it_says_and_tells_when_it_was_used() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let operator = world.operator();
        let made = async |body: Value| acme.key_made_by(&operator, &body).await;
        let of = |service: &str| json!({ "message": "m", "service": service });

        let billing = made(json!({ "name": "billing", "services": ["billing"] })).await;
        let taken = billing.send(Sending::ndjson(&[of("billing"), of("shipping")])).await.ok(202);
        assert_eq!((&taken["accepted"], &taken["errors"][0]["code"]), (&json!(1), &json!("service_not_allowed")), "{taken}");
        billing.send(Sending::json(&of("shipping"))).await.problem(422, "no_valid_logs");

        let inside = made(json!({ "name": "inside", "networks": ["127.0.0.0/8", "::1"] })).await;
        inside.get("/v1/logs", &[]).await.ok(200);
        let elsewhere = made(json!({ "name": "elsewhere", "networks": ["192.0.2.0/24"] })).await;
        elsewhere.get("/v1/logs", &[]).await.problem(403, "network_not_allowed");
        elsewhere.send(Sending::json(&of("billing"))).await.problem(403, "network_not_allowed");

        let page = "https://app.example.com";
        let browser = made(json!({ "name": "browser", "origins": [page] })).await;
        let from = |origin: &str| Sending::json(&of("billing")).header("origin", origin);
        let answer = browser.send(from(page)).await;
        answer.ok(202);
        assert_eq!(answer.header("access-control-allow-origin"), Some(page));
        let refused = browser.send(from("https://evil.example")).await;
        refused.problem(403, "origin_not_allowed");
        assert_eq!(refused.header("access-control-allow-origin"), None);
        assert_eq!(acme.send(from(page)).await.header("access-control-allow-origin"), None, "a key that names no pages is not for browsers");
        let asked = Sending::default().header("origin", page).header("access-control-request-method", "POST");
        let told = world.anyone().call(Method::OPTIONS, "/v1/logs", &[], asked).await;
        told.empty(204);
        assert_eq!(told.header("access-control-allow-origin"), Some(page));
        assert_eq!(told.header("access-control-allow-credentials"), None);

        // What is not said stays; and a change counts.
        let path = format!("/v1/tenants/acme/keys/{}", elsewhere.key_id);
        let changed = operator.patch(&path, &json!({ "networks": [] })).await.ok(200);
        assert_eq!((&changed["name"], &changed["networks"]), (&json!("elsewhere"), &json!([])));
        let look = async || {
            let answer = elsewhere.get("/v1/logs", &[]).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.status) }
        };
        eventually(SOON, "it may be used from here now", look).await;
        operator.patch(&path, &json!({ "networks": ["10.0.0.0/40"] })).await.problem(422, "invalid_parameter");
        operator.patch(&path, &json!({})).await.problem(422, "nothing_to_change");

        maintenance::run_all(&world.doors.maintenance()).await;
        let keys = operator.get("/v1/tenants/acme/keys", &[]).await.ok(200);
        let used = |name: &str| keys["keys"].as_array().expect("a list").iter().find(|key| key["name"] == name).map(|key| !key["last_used_at"].is_null());
        assert_eq!((used("browser"), used("elsewhere")), (Some(true), Some(true)), "{keys}");
        made(json!({ "name": "never" })).await;
        let keys = operator.get("/v1/tenants/acme/keys", &[]).await.ok(200);
        assert!(keys["keys"].as_array().expect("a list").iter().any(|key| key["name"] == "never" && key["last_used_at"].is_null()), "{keys}");
    });
}

#[test]
fn a_rotated_key_opens_doors_beside_the_new_one_until_the_overlap_is_over() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let operator = world.operator();
        let old = acme.key_made_by(&operator, &json!({ "name": "sdk", "scopes": ["logs:read"], "networks": ["127.0.0.0/8", "::1"] })).await;
        let path = format!("/v1/tenants/acme/keys/{}/rotate", old.key_id);
        acme.post(&path, &json!({})).await.problem(403, "missing_scope");
        let made = operator.post(&path, &json!({ "overlap_seconds": 2 })).await.ok(201);
        assert_eq!((&made["name"], &made["scopes"], &made["networks"]), (&json!("sdk"), &json!(["logs:read"]), &json!(["127.0.0.0/8", "::1/128"])), "{made}");
        let new = acme.bearing(made["key"].as_str().expect("a key"));
        new.get("/v1/logs", &[]).await.ok(200);
        old.get("/v1/logs", &[]).await.ok(200);
        let look = async || {
            let answer = old.get("/v1/logs", &[]).await;
            if answer.status == 401 { Ok(()) } else { Err(answer.status) }
        };
        eventually(SOON, "the old key ends", look).await;
        new.get("/v1/logs", &[]).await.ok(200);
        operator.post(&path, &json!({})).await.problem(404, "not_found");
        let keys = operator.get("/v1/tenants/acme/keys", &[]).await.ok(200);
        let listed = keys["keys"].as_array().expect("a list").iter().find(|key| key["id"] == old.key_id).expect("it is listed");
        assert_eq!(listed["replaced_by"], made["id"]);
        let trail = operator.get("/v1/audit", &[("tenant", "acme"), ("action", "apikey.rotated")]).await.ok(200);
        assert_eq!(trail["entries"].as_array().map(Vec::len), Some(1), "{trail}");
    });
}
