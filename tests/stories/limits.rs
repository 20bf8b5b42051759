//! Limits: what they let through, what they say, what is counted of what they refuse, and how soon a change of them counts.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use shared::billing::month::Month;

use crate::harness::{Answer, Caller, SOON, Seen, Sending, World, batch_id, eventually, numbered, plain, story, texts};

/// Sets a tenant's limits, and waits until every process knows them.
async fn limit(world: &World, tenant: &str, limits: &Value) {
    let path = format!("/v1/tenants/{tenant}/limits");
    let set = world.operator().call(Method::PUT, &path, &[], Sending::json(limits)).await.ok(200);
    assert_eq!(world.operator().get(&path, &[]).await.ok(200), set);
    tokio::time::sleep(Duration::from_secs(6)).await;
}

/// All that was refused of a tenant, once it comes to so many requests.
async fn refused(world: &World, tenant: &str, requests: u64) -> Value {
    let look = async || -> Result<Value, Seen> {
        let page = world.operator().get("/v1/usage/refused", &[("tenant", tenant)]).await.ok(200);
        if page["total"]["requests"] == requests { Ok(page) } else { Err(page.to_string()) }
    };
    eventually(SOON, "every refused request is counted", look).await
}

fn wire_bytes(records: &[Value]) -> usize {
    records.iter().map(|record| record.to_string().len() + 1).sum()
}

#[test]
fn a_rate_lets_through_what_it_says_and_the_rest_is_counted_to_the_last_byte() {
    const OFFERED: u32 = 5_000;
    const RATE: u32 = 2_000;
    const A_REQUEST: usize = 50;
    story(async |world| {
        let acme = world.tenant("acme").await;
        limit(world, "acme", &json!({ "rate": { "logs_per_second": RATE, "burst_seconds": 1 } })).await;
        let records = numbered("flood", A_REQUEST);
        let mut ticker = tokio::time::interval(Duration::from_secs_f64(A_REQUEST as f64 / f64::from(OFFERED)));
        let began = Instant::now();
        let mut sends = Vec::new();
        while began.elapsed() < Duration::from_secs(12) {
            ticker.tick().await;
            let (caller, sending) = (acme.clone(), Sending::ndjson(&records));
            sends.push(tokio::spawn(async move { caller.send(sending).await }));
        }
        let answers: Vec<Answer> = futures::future::join_all(sends).await.into_iter().map(|answer| answer.expect("it was answered")).collect();
        let seconds = began.elapsed().as_secs_f64();
        let taken = answers.iter().filter(|answer| answer.status == 202).count();
        let over: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 202).collect();
        for answer in &over {
            answer.problem(429, "tenant_rate_limited");
            assert!(answer.header("retry-after").is_some_and(|seconds| seconds != "0"));
        }
        let (logs, most) = ((taken * A_REQUEST) as f64, f64::from(RATE) * (seconds + 1.0));
        println!("{} requests in {seconds:.1} s: {logs} logs taken of {most:.0}, {} requests refused", answers.len(), over.len());
        assert!((logs / most - 1.0).abs() <= 0.02, "{logs} logs in {seconds} s");

        let page = refused(world, "acme", over.len() as u64).await;
        assert_eq!(page["total"]["bytes"], over.len() * wire_bytes(&records), "{page}");
        let reasons: Vec<&Value> = page["refused"].as_array().expect("a list").iter().map(|line| &line["reason"]).collect();
        assert!(reasons.iter().all(|reason| **reason == "tenant_rate_limited"), "{page}");
    });
}

#[test]
fn what_is_left_is_said_and_a_key_and_a_service_have_rates_of_their_own() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let limits = json!({ "rate": { "logs_per_second": 1000, "burst_seconds": 10 }, "services": { "noisy": { "logs_per_second": 1, "burst_seconds": 5 } } });
        limit(world, "acme", &limits).await;
        let of = |service: &str, count: usize| -> Vec<Value> { (0..count).map(|n| json!({ "message": format!("number {n}"), "service": service })).collect() };
        let first = acme.send(Sending::ndjson(&of("noisy", 5))).await;
        first.ok(202);
        assert_eq!(first.header("ratelimit-policy"), Some(r#""tenant-logs";q=10000;w=10, "service-noisy-logs";q=5;w=5"#));
        assert_eq!(first.header("ratelimit"), Some(r#""tenant-logs";r=9995, "service-noisy-logs";r=0"#));

        let mixed = [of("noisy", 5), of("quiet", 3)].concat();
        let over = acme.send(Sending::ndjson(&mixed)).await;
        over.problem(429, "service_rate_limited");
        acme.send(Sending::ndjson(&of("quiet", 3))).await.ok(202);
        let page = refused(world, "acme", 2).await;
        let counted = |service: &str| page["refused"].as_array().expect("a list").iter().find(|line| line["service"] == service).map(|line| line["logs"].clone());
        assert_eq!((counted("noisy"), counted("quiet")), (Some(json!(5)), Some(json!(3))), "{page}");

        // A key's own rate holds that key alone; and sending the same again by its Idempotency-Key costs nothing.
        let narrow = acme.key_made_by(&world.operator(), &json!({ "name": "narrow", "limits": { "logs_per_second": 1 } })).await;
        let once = || Sending::json(&plain("once")).idempotency_key("the same");
        narrow.send(once()).await.ok(202);
        narrow.send(once()).await.ok(202);
        narrow.send(Sending::json(&plain("twice"))).await.problem(429, "key_rate_limited");
        acme.send(Sending::json(&plain("another key"))).await.ok(202);
    });
}

#[test]
fn a_quota_is_noticed_then_keeps_out_of_the_index_then_refuses_and_never_blocks_reading() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let steps = json!([{ "percent": 100, "action": "raw_only" }, { "percent": 150, "action": "refuse" }]);
        limit(world, "acme", &json!({ "quota": { "logs": 200, "steps": steps } })).await;
        for n in 0..3 {
            acme.stored(&numbered(&format!("part{n} within"), 50)).await;
        }
        acme.stored(&numbered("part3 within", 50)).await;
        let beyond = acme.accepted(&numbered("beyond", 99)).await;
        let receipt = acme.wait_until(&beyond, "indexed", SOON).await;
        assert_eq!((&receipt["stored"], &receipt["indexed"]), (&json!(99), &json!(0)), "{receipt}");
        acme.send(Sending::ndjson(&numbered("too many", 2))).await.problem(402, "quota_exceeded");
        // What fits is taken.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let last = acme.send(Sending::json(&plain("the last"))).await;
        assert_eq!(last.header("ratelimit"), Some(r#""month-logs";r=0"#));
        acme.wait_until_indexed(&batch_id(&last.ok(202))).await;
        acme.send(Sending::json(&plain("one more"))).await.problem(402, "quota_exceeded");

        assert_eq!(acme.all_pages("/v1/logs", &[("limit", "100")]).await.len(), 300, "all that was taken is listed");
        assert!(texts(&acme.search("beyond").await, "message").is_empty(), "and what came beyond is not in the index");
        assert!(!texts(&acme.search("within").await, "message").is_empty());
        refused(world, "acme", 2).await;

        for _ in 0..2 {
            maintenance::run_all(&world.doors.maintenance()).await;
        }
        let page = world.operator().get("/v1/audit", &[("tenant", "acme"), ("action", "quota.reached")]).await.ok(200);
        let mut percents: Vec<i64> = page["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["data"]["percent"].as_i64()).collect();
        percents.sort_unstable();
        assert_eq!(percents, [50, 80, 100], "each once: {page}");

        // Redis loses what it counted: it is told again from the receipts.
        let months: Vec<String> = world.redis().await.keys(world.redis_key("{p0}:month:acme:*")).await.expect("Redis answers");
        world.redis().await.del::<_, ()>(&months).await.expect("Redis answers");
        maintenance::run_all(&world.doors.maintenance()).await;
        acme.send(Sending::json(&plain("one more"))).await.problem(402, "quota_exceeded");

        // More is let in once there is more.
        limit(world, "acme", &json!({ "quota": { "logs": 1000 } })).await;
        acme.stored(&[plain("there is room again")]).await;

        // What was kept out is indexed later, and counted as used, once.
        let indexed = async || -> Value {
            let done = world.command(&["index", "--tenant", "acme", "--json"]).await;
            assert_eq!(done.status.code(), Some(0), "{done:?}");
            serde_json::from_slice(&done.stdout).expect("JSON")
        };
        assert_eq!(indexed().await, json!({ "wanted": 100, "lost": 0, "pending": 0 }));
        assert_eq!(indexed().await, json!({ "wanted": 0, "lost": 0, "pending": 0 }));
        let receipt = acme.wait_until_indexed(&beyond).await;
        assert_eq!((&receipt["indexed"], &receipt["not_wanted"]), (&json!(99), &json!(0)));
        let found = acme.get("/v1/search", &[("q", "beyond"), ("limit", "1000")]).await.ok(200);
        assert_eq!(found["total"]["value"], 99);
        let used = world.operator().get("/v1/usage", &[("tenant", "acme")]).await.ok(200);
        assert_eq!(used["total"]["indexed_bytes"], used["total"]["bytes"], "all of it is in the index now: {used}");
        assert_eq!(world.command(&["audit"]).await.status.code(), Some(0));
        // Rows that are made again are as they were, and nothing counts twice.
        world.sql("delete from acme.log_rows").await;
        assert_eq!(world.command(&["rebuild", "--tenant", "acme", "--into", "both"]).await.status.code(), Some(0));
        assert_eq!(indexed().await["wanted"], 0);
        assert_eq!(world.operator().get("/v1/usage", &[("tenant", "acme")]).await.ok(200)["total"]["indexed_bytes"], used["total"]["indexed_bytes"]);
        assert_eq!(world.command(&["audit"]).await.status.code(), Some(0));
    });
}

#[test]
fn a_plan_limits_who_has_no_limits_of_their_own() {
    story(async |world| {
        let (acme, operator) = (world.tenant("acme").await, world.operator());
        let limits = |logs: u32| json!({ "quota": { "logs": logs, "notify_at": [50], "steps": [{ "percent": 100, "action": "refuse" }] } });
        for wrong in [json!({ "quota": { "logs": 0 } }), json!([]), json!([{ "logs_per_second": 5 }])] {
            operator.post("/v1/plans", &json!({ "id": "wrong", "name": "Wrong", "currency": "EUR", "limits": wrong })).await.fault(422, "invalid_parameter");
        }
        let plan = operator.post("/v1/plans", &json!({ "id": "small", "name": "Small", "currency": "EUR", "limits": limits(10) })).await.ok(201);
        assert_eq!(plan["versions"][0]["limits"]["quota"]["logs"], json!(10), "{plan}");
        operator.call(Method::PUT, "/v1/tenants/acme/plan", &[], Sending::json(&json!({ "plan": "small" }))).await.ok(200);
        let of_acme = async || operator.get("/v1/tenants/acme/limits", &[]).await.ok(200)["quota"]["logs"].clone();
        assert_eq!(of_acme().await, json!(10));
        tokio::time::sleep(Duration::from_secs(6)).await;
        acme.stored(&numbered("within", 10)).await;
        acme.send(Sending::json(&plain("one too many"))).await.problem(402, "quota_exceeded");
        let doors = world.doors.maintenance();
        maintenance::watch_quotas(&doors).await.expect("the engines answer");
        let told = operator.get("/v1/audit", &[("tenant", "acme"), ("action", "quota.reached")]).await.ok(200);
        assert_eq!(told["entries"].as_array().map(Vec::len), Some(1), "{told}");

        // Another version of the plan counts for all who have it.
        let this_month = Month::of(time::OffsetDateTime::now_utc()).to_string();
        operator.patch("/v1/plans/small", &json!({ "limits": limits(20), "from": this_month })).await.ok(200);
        maintenance::take_plan_limits(&doors).await.expect("the engines answer");
        assert_eq!(of_acme().await, json!(20));
        let look = async || -> Result<(), Seen> {
            let answer = acme.send(Sending::json(&plain("there is room"))).await;
            if answer.status == 202 { Ok(()) } else { Err(answer.text) }
        };
        eventually(Duration::from_secs(10), "the plan's new quota counts", look).await;
        assert_eq!(maintenance::take_plan_limits(&doors).await.ok(), Some(0), "nothing is taken twice");

        // A tenant's own go before, and the plan's count again without them.
        limit(world, "acme", &json!({ "quota": { "logs": 11, "steps": [{ "percent": 100, "action": "refuse" }] } })).await;
        acme.send(Sending::json(&plain("one too many"))).await.problem(402, "quota_exceeded");
        let answered = operator.call(Method::PUT, "/v1/tenants/acme/limits", &[], Sending::json(&json!({}))).await.ok(200);
        assert_eq!((&answered["quota"]["logs"], of_acme().await), (&json!(20), json!(20)), "the answer says what counts");
        eventually(Duration::from_secs(10), "the plan's quota counts again", look).await;
    });
}

#[test]
fn a_used_up_quota_throttles_to_its_rate() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let steps = json!([{ "percent": 100, "action": "throttle", "logs_per_second": 10 }]);
        limit(world, "acme", &json!({ "quota": { "logs": 100, "steps": steps } })).await;
        acme.accepted(&numbered("quick", 100)).await;
        acme.accepted(&numbered("slow", 10)).await;
        acme.send(Sending::ndjson(&numbered("slow", 10))).await.problem(429, "quota_throttled");
        tokio::time::sleep(Duration::from_millis(1200)).await;
        acme.accepted(&numbered("slow", 10)).await;
    });
}

#[test]
fn a_lowered_limit_a_suspension_and_a_revocation_count_in_every_process_within_ten_seconds() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let other = world.another_hub(&[]).await;
        let hubs = [acme.clone(), acme.at(&other)];
        let all_answer = async |status: u16, code: &str| {
            let look = async || -> Result<(), Seen> {
                for hub in &hubs {
                    let answer = hub.send(Sending::ndjson(&numbered("m", 5))).await;
                    if answer.status != status {
                        return Err(format!("{} from {}", answer.status, hub.url()));
                    }
                }
                Ok(())
            };
            eventually(Duration::from_secs(10), &format!("{status} {code} in both"), look).await;
        };
        all_answer(202, "").await;
        let operator = world.operator();
        operator.call(Method::PUT, "/v1/tenants/acme/limits", &[], Sending::json(&json!({ "rate": { "logs_per_second": 1 } }))).await.ok(200);
        all_answer(429, "tenant_rate_limited").await;
        operator.call(Method::PUT, "/v1/tenants/acme/limits", &[], Sending::json(&json!({}))).await.ok(200);
        all_answer(202, "").await;
        operator.patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        all_answer(403, "tenant_suspended").await;
        operator.patch("/v1/tenants/acme", &json!({ "status": "active" })).await.ok(200);
        all_answer(202, "").await;
        let keys = operator.get("/v1/tenants/acme/keys", &[]).await.ok(200);
        for key in keys["keys"].as_array().expect("a list") {
            operator.delete(&format!("/v1/tenants/acme/keys/{}", key["id"].as_str().expect("an id"))).await.empty(204);
        }
        all_answer(401, "unauthenticated").await;
        // What the suspension refused is counted as well.
        let page = operator.get("/v1/usage/refused", &[("tenant", "acme")]).await.ok(200);
        assert!(page["refused"].as_array().is_some_and(|lines| lines.iter().any(|line| line["reason"] == "tenant_suspended")), "{page}");
    });
}

#[test]
fn records_that_cannot_be_taken_are_counted_by_their_reason() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let bad = [json!({ "message": "good" }), json!({ "level": "?", "message": "m" }), json!({ "tenant_id": "other", "message": "m" }), json!({})];
        acme.send(Sending::ndjson(&bad)).await.ok(202);
        acme.send(Sending::ndjson(&bad[1..])).await.problem(422, "no_valid_logs");
        let page = refused(world, "acme", 1).await;
        let counted = |reason: &str| page["refused"].as_array().expect("a list").iter().find(|line| line["reason"] == reason).map(|line| line["logs"].clone());
        for reason in ["invalid_level", "tenant_mismatch", "missing_text"] {
            assert_eq!(counted(reason), Some(json!(2)), "{reason}: {page}");
        }
        assert_eq!(page["total"]["bytes"], 2 * wire_bytes(&bad[1..]), "{page}");

        let mine = world.key_of("acme", &["billing:read"]).await;
        assert_eq!(mine.get("/v1/usage/refused", &[]).await.ok(200)["total"], page["total"]);
        let (mut lines, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let next: Vec<(&str, &str)> = [("limit", "1")].into_iter().chain(cursor.as_deref().map(|cursor| ("cursor", cursor))).collect();
            let one = mine.get("/v1/usage/refused", &next).await.ok(200);
            lines.extend_from_slice(one["refused"].as_array().expect("a list"));
            cursor = one["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(json!(lines), page["refused"], "page by page, the same");
        mine.get("/v1/usage/refused", &[("tenant", "acme")]).await.problem(422, "invalid_parameter");
        acme.get("/v1/usage/refused", &[]).await.problem(403, "missing_scope");
        world.operator().get("/v1/usage/refused", &[]).await.problem(422, "invalid_parameter");
    });
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    story(async |world| {
        world.tenant("acme").await;
        let put = async |caller: &Caller, body: &Value| caller.call(Method::PUT, "/v1/tenants/acme/limits", &[], Sending::json(body)).await;
        for bad in [json!({ "rate": { "logs_per_second": 0 } }), json!({ "rates": {} }), json!({ "quota": { "steps": [] } }), json!({ "rate": 7 })] {
            put(&world.operator(), &bad).await.problem(422, "invalid_parameter");
        }
        put(&world.key_of("acme", &["tenant:admin"]).await, &json!({})).await.problem(401, "unauthenticated");
        world.operator().get("/v1/tenants/nobody/limits", &[]).await.problem(404, "not_found");
    });
}

#[test]
fn a_tenant_whose_rates_cannot_be_read_is_refused_alone() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        limit(world, "acme", &json!({ "rate": { "logs_per_second": 1000, "burst_seconds": 10 } })).await;
        let _: () = world.redis().await.set(world.redis_key("{p0}:rates:acme"), "no hash").await.expect("Redis answers");
        // Many at once, so that some of both come to Redis in one call.
        let sends = (0..60).map(|n| {
            let (is_acme, caller) = if n % 2 == 0 { (true, &acme) } else { (false, &globex) };
            async move { (is_acme, caller.send(Sending::ndjson(&[plain("one")])).await) }
        });
        for (is_acme, answer) in futures::future::join_all(sends).await {
            if is_acme {
                answer.problem(503, "redis_unavailable");
            } else {
                let batch = batch_id(&answer.ok(202));
                globex.wait_until_indexed(&batch).await;
            }
        }
        let drained = async || -> Result<(), Seen> {
            let waiting: Option<u64> = world.redis().await.hget(world.redis_key("{p0}:backlog"), "stored").await.expect("Redis answers");
            if waiting == Some(0) { Ok(()) } else { Err(format!("{waiting:?} bytes wait")) }
        };
        eventually(SOON, "what was taken was counted, and has gone", drained).await;
        assert_eq!(world.in_stores("acme").await.rows.len(), 0);
    });
}
