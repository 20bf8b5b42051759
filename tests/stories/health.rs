//! What a hub says of itself: health, metrics, and its description.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{NOWHERE, Sending, Wire, plain, story};

const ENGINES: [&str; 5] = ["redis", "postgres_control", "postgres_logs", "opensearch", "object_store"];

#[test]
fn a_hub_is_alive_and_ready_while_its_engines_are() {
    story(async |world| {
        let anyone = world.anyone();
        assert_eq!(anyone.get("/healthz", &[]).await.ok(200), json!({ "status": "alive" }));
        let ready = anyone.get("/readyz", &[]).await.ok(200);
        let engines: serde_json::Map<String, Value> = ENGINES.iter().map(|engine| ((*engine).to_owned(), json!({ "ok": true }))).collect();
        assert_eq!(ready, json!({ "status": "ready", "engines": engines }));
    });
}

#[test]
fn an_engine_that_is_away_is_named_with_the_reason() {
    story(async |world| {
        let (http, postgres, redis) = (format!("http://{NOWHERE}"), format!("postgres://nobody:s3cret@{NOWHERE}/nothing"), format!("redis://:s3cret@{NOWHERE}/0"));
        let cases = [
            ("redis", "LOGGERHUB_REDIS_URL", &redis, 503, "unready"),
            ("postgres_control", "LOGGERHUB_CONTROL_DATABASE_URL", &postgres, 200, "degraded"),
            ("postgres_logs", "LOGGERHUB_LOGS_DATABASE_URL", &postgres, 200, "degraded"),
            ("opensearch", "LOGGERHUB_OPENSEARCH_URL", &http, 200, "degraded"),
            ("object_store", "LOGGERHUB_S3_ENDPOINT", &http, 200, "degraded"),
        ];
        futures::future::join_all(cases.map(|(away, setting, url, status, says)| async move {
            let hub = world.another_hub(&[(setting, url)]).await;
            let anyone = world.anyone().at(&hub);
            let answer = anyone.get("/readyz", &[]).await;
            let ready = answer.json();
            assert_eq!((answer.status, &ready["status"]), (status, &json!(says)), "{away}: {ready}");
            for engine in ENGINES {
                assert_eq!(ready["engines"][engine]["ok"], engine != away, "{engine}: {ready}");
                let reason = ready["engines"][engine]["reason"].as_str();
                assert_eq!(reason.is_some_and(|text| !text.is_empty()), engine == away, "{engine}: {ready}");
            }
            assert!(!answer.text.contains("s3cret"), "{}", answer.text);
            anyone.get("/healthz", &[]).await.ok(200);
        }))
        .await;
    });
}

#[test]
fn a_bucket_that_is_not_there_and_a_paused_engine_are_named_too() {
    story(async |world| {
        let hub = world.another_hub(&[("LOGGERHUB_S3_BUCKET", "there-is-no-such-bucket")]).await;
        let ready = world.anyone().at(&hub).get("/readyz", &[]).await.ok(200);
        assert_eq!((&ready["status"], &ready["engines"]["object_store"]["ok"]), (&json!("degraded"), &json!(false)), "{ready}");

        let (wire, url) = Wire::over(&world.setting("LOGGERHUB_OPENSEARCH_URL")).await;
        let hub = world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &url)]).await;
        wire.hold();
        let answer = world.anyone().at(&hub).get("/readyz", &[]).await;
        assert_eq!(answer.ok(200)["engines"]["opensearch"]["ok"], false);
        assert!(answer.took < std::time::Duration::from_secs(10), "{:?}", answer.took);
    });
}

#[test]
fn metrics_count_what_happened() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let before = metrics_of(&acme.get("/metrics", &[]).await.text);
        acme.send(Sending::json(&json!([plain("one"), 7]))).await.ok(202);
        acme.stored(&[plain("two")]).await;
        acme.get("/nowhere", &[]).await.problem(404, "not_found");
        let answer = acme.get("/metrics", &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4")));
        let after = metrics_of(&answer.text);
        // Other stories run in this process, too: counters may have risen by more.
        let rose = |name: &str, by: f64| assert!(after.get(name).copied().unwrap_or_default() >= before.get(name).copied().unwrap_or_default() + by, "{name} in {}", answer.text);
        rose("loggerhub_logs_accepted_total", 2.0);
        rose("loggerhub_logs_rejected_total", 1.0);
        rose("loggerhub_logs_stored_total", 1.0);
        rose(r#"loggerhub_http_requests_total{method="POST",route="/v1/logs",status="202"}"#, 2.0);
        rose(r#"loggerhub_http_requests_total{method="GET",route="none",status="404"}"#, 1.0);
        assert!(after.contains_key("loggerhub_queue_bytes"), "{}", answer.text);
        for histogram in ["loggerhub_http_request_seconds_bucket", "loggerhub_drain_seconds_bucket", r#"loggerhub_drain_step_seconds_bucket{step="index""#] {
            assert!(answer.text.contains(histogram), "{histogram} in {}", answer.text);
        }
        assert!(!answer.text.contains("acme"), "no tenant is named: thousands of them would drown Prometheus");
    });
}

/// Samples by name and labels.
fn metrics_of(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

#[test]
fn the_description_lists_exactly_the_routes_that_answer() {
    const ROUTES: [(&str, &[&str]); 65] = [
        ("/logs", &["post"]),
        ("/v1/audit", &["get"]),
        ("/v1/batches/{batch_id}", &["get"]),
        ("/v1/credits", &["get", "post"]),
        ("/v1/dead-letters", &["get"]),
        ("/v1/dead-letters/redrive", &["post"]),
        ("/v1/dead-letters/{id}", &["delete", "get"]),
        ("/v1/dead-letters/{id}/redrive", &["post"]),
        ("/v1/export", &["get"]),
        ("/v1/facets", &["get"]),
        ("/v1/fields", &["get"]),
        ("/v1/histogram", &["get"]),
        ("/v1/invitations/accept", &["post"]),
        ("/v1/invoices", &["get"]),
        ("/v1/invoices/{id}", &["get"]),
        ("/v1/invoices/{id}/finalize", &["post"]),
        ("/v1/invoices/{id}/lines/{line}/hours", &["get"]),
        ("/v1/invoices/{id}/pay", &["post"]),
        ("/v1/invoices/{id}/void", &["post"]),
        ("/v1/login", &["post"]),
        ("/v1/logout", &["post"]),
        ("/v1/logs", &["get", "post"]),
        ("/v1/logs/{id}", &["get"]),
        ("/v1/logs/{id}/context", &["get"]),
        ("/v1/me", &["get", "patch"]),
        ("/v1/me/password", &["post"]),
        ("/v1/me/sessions", &["delete", "get"]),
        ("/v1/me/sessions/{session_id}", &["delete"]),
        ("/v1/password-resets", &["post"]),
        ("/v1/password-resets/redeem", &["post"]),
        ("/v1/plans", &["get", "post"]),
        ("/v1/plans/{id}", &["get", "patch"]),
        ("/v1/saved-searches", &["get", "post"]),
        ("/v1/saved-searches/{id}", &["delete", "get", "patch"]),
        ("/v1/search", &["get"]),
        ("/v1/tail", &["get"]),
        ("/v1/tenants", &["get", "post"]),
        ("/v1/tenants/{id}", &["delete", "get", "patch"]),
        ("/v1/tenants/{id}/invitations", &["get", "post"]),
        ("/v1/tenants/{id}/invitations/{invitation_id}", &["delete"]),
        ("/v1/tenants/{id}/keys", &["get", "post"]),
        ("/v1/tenants/{id}/keys/{key_id}", &["delete", "patch"]),
        ("/v1/tenants/{id}/keys/{key_id}/rotate", &["post"]),
        ("/v1/tenants/{id}/limits", &["get", "put"]),
        ("/v1/tenants/{id}/members", &["get"]),
        ("/v1/tenants/{id}/members/{user_id}", &["delete", "patch"]),
        ("/v1/tenants/{id}/plan", &["get", "put"]),
        ("/v1/tenants/{id}/restore", &["post"]),
        ("/v1/tenants/{id}/retention", &["get", "put"]),
        ("/v1/tenants/{id}/retention/preview", &["get"]),
        ("/v1/tenants/{id}/steps", &["get"]),
        ("/v1/tenants/{id}/webhooks", &["get", "post"]),
        ("/v1/tenants/{id}/webhooks/{webhook_id}", &["delete", "get", "patch"]),
        ("/v1/tenants/{id}/webhooks/{webhook_id}/deliveries", &["get"]),
        ("/v1/tenants/{id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redrive", &["post"]),
        ("/v1/tenants/{id}/webhooks/{webhook_id}/redrive", &["post"]),
        ("/v1/tenants/{id}/webhooks/{webhook_id}/rotate", &["post"]),
        ("/v1/tenants/{id}/webhooks/{webhook_id}/test", &["post"]),
        ("/v1/usage", &["get"]),
        ("/v1/usage/batches", &["get"]),
        ("/v1/usage/forecast", &["get"]),
        ("/v1/usage/refused", &["get"]),
        ("/v1/users", &["get"]),
        ("/v1/users/{user_id}", &["patch"]),
        ("/v1/watermark", &["get"]),
    ];
    // Where nobody has to say who they are, an empty body is what is wrong.
    const OPEN: [&str; 4] = ["/v1/invitations/accept", "/v1/login", "/v1/password-resets", "/v1/password-resets/redeem"];
    story(async |world| {
        let anyone = world.anyone();
        let document = anyone.get("/openapi.json", &[]).await.ok(200);
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
        let methods = |item: &Value| item.as_object().into_iter().flatten().map(|(method, _)| method.clone()).collect::<Vec<_>>();
        let listed: BTreeMap<String, Vec<String>> = document["paths"].as_object().expect("paths").iter().map(|(path, item)| (path.clone(), methods(item))).collect();
        let expected = ROUTES.iter().map(|(path, methods)| ((*path).to_owned(), methods.iter().map(|method| (*method).to_owned()).collect())).collect();
        assert_eq!(listed, expected);

        for (path, methods) in ROUTES.into_iter().chain([("/v1/nowhere", [].as_slice())]) {
            for method in ["get", "post", "put", "patch", "delete"] {
                let address = path.replace("{id}", "acme").replace("{key_id}", "k").replace("{batch_id}", "b").replace("{line}", "1");
                let answer = anyone.call(Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"), &address, &[], Sending::default()).await;
                let expected = match (methods.contains(&method), methods.is_empty()) {
                    (true, _) if OPEN.contains(&path) => 400,
                    (true, _) => 401,
                    (false, false) => 405,
                    (false, true) => 404,
                };
                assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
            }
        }
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let responses = operation["responses"].as_object().expect("responses");
                assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
                assert!(operation["security"].as_array().is_some_and(|ways| !ways.is_empty()), "{method} {path} says who may");
            }
        }
    });
}
