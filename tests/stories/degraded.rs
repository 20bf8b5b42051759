//! What readers get while the index is slow, behind, closed, partly missing or lost: what there is, and the truth about what is not.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use reqwest::Method;
use serde_json::{Value, json};
use shared::ids::BatchId;
use tower::ServiceExt;

use crate::harness::{Caller, NOWHERE, SOON, Wire, World, eventually, ids, log_id, numbered, story, story_with};

/// Asks OpenSearch itself.
async fn opensearch(world: &World, method: Method, path: &str, body: Option<Value>) -> Value {
    let url = format!("{}/{path}", world.setting("LOGGERHUB_OPENSEARCH_URL").trim_end_matches('/'));
    let mut request = reqwest::Client::new().request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("OpenSearch answers");
    let status = answer.status();
    let said: Value = answer.json().await.expect("JSON");
    assert!(status.is_success(), "{path}: {said}");
    said
}

/// The index that holds a batch.
fn index_of(world: &World, batch: &str) -> String {
    world.doors.index.name("standard", BatchId::parse(batch).expect("a batch id").unix_ms())
}

/// How many logs a search and a count of a query give, and whether each says that it saw all.
async fn searched(caller: &Caller) -> [(usize, bool); 2] {
    let found = caller.search("needle").await;
    let bars = caller.get("/v1/histogram", &[("q", "needle"), ("from", "2026-02-03T00:00:00Z"), ("to", "2026-02-04T00:00:00Z")]).await.ok(200);
    assert_eq!((&found["source"], &bars["source"]), (&json!("opensearch"), &json!("opensearch")));
    let total = usize::try_from(bars["total"].as_u64().expect("a number")).expect("small");
    [(ids(&found).len(), found["complete"] == true), (total, bars["complete"] == true)]
}

/// Lists, exact counts, details and exports, which need no index.
async fn all_is_there(caller: &Caller, batch: &str, count: usize) {
    assert_eq!(ids(&caller.list(&[]).await).len(), count);
    let bars = caller.get("/v1/histogram", &[("from", "2026-02-03T00:00:00Z"), ("to", "2026-02-04T00:00:00Z")]).await.ok(200);
    assert_eq!((&bars["total"], &bars["complete"]), (&json!(count), &json!(true)));
    let detail = caller.detail(&log_id(batch, 0)).await;
    assert_eq!((&detail["message"], &detail["source"]), (&json!("needle 0"), &json!("raw")));
    assert_eq!(caller.get("/v1/export", &[("q", "needle")]).await.text.lines().count(), count);
}

#[test]
fn a_closed_index_is_said_to_be_missing() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("needle", 20)).await;
        assert_eq!(searched(&acme).await, [(20, true); 2]);
        let index = index_of(world, &batch);
        opensearch(world, Method::POST, &format!("{index}/_close"), None).await;
        assert_eq!(searched(&acme).await, [(0, false); 2]);
        all_is_there(&acme, &batch, 20).await;
        opensearch(world, Method::POST, &format!("{index}/_open?wait_for_active_shards=1"), None).await;
        crate::harness::eventually(crate::harness::SOON, "all is found again", async || match searched(&acme).await {
            [(20, true), (20, true)] => Ok(()),
            seen => Err(format!("{seen:?}")),
        })
        .await;
    });
}

#[test]
fn a_missing_shard_is_said_to_be_missing() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("needle", 20)).await;
        let index = index_of(world, &batch);
        // A shard that was never anywhere stays away from nodes of another name; one that was may be put back on its node all the same.
        opensearch(world, Method::DELETE, &index, None).await;
        let nowhere = json!({ "settings": { "index.routing.allocation.require._name": "nobody" } });
        opensearch(world, Method::PUT, &format!("{index}?wait_for_active_shards=0"), Some(nowhere)).await;
        eventually(SOON, "its shard lies nowhere", async || {
            let shards = opensearch(world, Method::GET, &format!("_cat/shards/{index}?format=json"), None).await;
            let all = shards.as_array().cloned().unwrap_or_default();
            if !all.is_empty() && all.iter().all(|shard| shard["state"] == "UNASSIGNED") { Ok(()) } else { Err(shards) }
        })
        .await;
        assert_eq!(searched(&acme).await, [(0, false); 2]);
        all_is_there(&acme, &batch, 20).await;
    });
}

#[test]
fn of_a_lost_index_lists_details_and_exports_know_all() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("needle", 20)).await;
        opensearch(world, Method::DELETE, &index_of(world, &batch), None).await;
        assert_eq!(searched(&acme).await, [(0, true); 2], "nothing says so: the audit does");
        all_is_there(&acme, &batch, 20).await;
    });
}

#[test]
fn a_slow_index_is_waited_for_so_long_and_no_longer() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("needle", 20)).await;
        let (wire, url) = Wire::over(&world.setting("LOGGERHUB_OPENSEARCH_URL")).await;
        let slow = acme.at(&world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &url)]).await);
        assert_eq!(searched(&slow).await, [(20, true); 2]);
        wire.hold();
        let (answer, detail) = (slow.get("/v1/search", &[("q", "needle")]).await, slow.get(&format!("/v1/logs/{}", log_id(&batch, 3)), &[]).await);
        let found = answer.ok(200);
        assert_eq!((ids(&found).len(), &found["source"], &found["complete"], &found["lag_s"]), (20, &json!("postgres"), &json!(false), &Value::Null));
        assert!(answer.took < Duration::from_secs(14) && found["took_ms"].as_u64().is_some_and(|ms| ms >= 9_000), "{:?}", answer.took);
        assert_eq!((detail.ok(200)["source"].as_str(), detail.took < Duration::from_secs(6)), (Some("raw"), true), "{:?}", detail.took);
        assert_eq!(ids(&slow.list(&[]).await).len(), 20);
        wire.mend();
    });
}

#[test]
fn an_index_that_is_behind_says_for_how_long() {
    // This hub writes to no index, and nobody makes up for it; what asks here has one.
    story_with(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))], async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.accepted(&numbered("needle", 20)).await;
        acme.wait_until(&batch, "stored", Duration::from_secs(60)).await;
        let router = shared::http::dress(search::router(world.doors.search()));
        let ask = async |path: &str| -> Value {
            let request = Request::get(path).header("authorization", format!("Bearer {}", acme.key)).body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("infallible");
            serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body")).expect("JSON")
        };
        let seen = ask("/v1/search?q=needle").await;
        assert_eq!((ids(&seen).len(), &seen["source"], &seen["complete"]), (0, &json!("opensearch"), &json!(false)), "{seen}");
        assert!(seen["lag_s"].as_f64().is_some_and(|lag| lag > 0.0), "{seen}");
        let mark = ask("/v1/watermark").await;
        assert!(mark["watermark"].as_str() <= acme.batch(&batch).await["received_at"].as_str(), "{mark}");
        let later = ask("/v1/search?q=needle").await;
        assert!(later["lag_s"].as_f64() > seen["lag_s"].as_f64(), "{seen} {later}");
    });
}
