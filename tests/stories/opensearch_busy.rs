//! OpenSearch that answers, and does not take: read-only, full, slow, or particular about one document.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::{SOON, Wire, World, log_id, numbered, plain, story};

/// A `_bulk` is given up after a while; then rows go on without the index.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(60);

/// Sets a block on every index of a world.
async fn block(world: &World, name: &str, on: bool) {
    let indices = format!("{}-*", world.setting("LOGGERHUB_INDEX_PREFIX"));
    let set = world.opensearch(Method::PUT, &format!("{indices}/_settings"), &json!({ "index": { "blocks": { name: if on { json!(true) } else { json!(null) } } } })).await;
    assert_eq!(set["acknowledged"], true, "{set}");
}

#[test]
fn an_index_that_takes_nothing_for_a_while_gets_what_it_missed() {
    // The second is what OpenSearch sets on a disk that is full, and answers with 429.
    for kind in ["write", "read_only_allow_delete"] {
        story(async |world| {
            let acme = world.tenant("acme").await;
            let before = acme.stored(&numbered("before", 5)).await;
            block(world, kind, true).await;
            let missed = acme.accepted(&numbered("missed", 40)).await;
            let stored = acme.wait_until(&missed, "stored", SOON).await;
            assert_eq!((&stored["stored"], &stored["pending"], &stored["refused"]), (&json!(40), &json!(40), &json!(0)), "{kind}: {stored}");
            assert_eq!(acme.search("missed").await["complete"], json!(false));
            block(world, kind, false).await;
            acme.wait_until(&missed, "indexed", GIVEN_UP_WITHIN).await;
            assert_eq!(acme.search("missed").await["total"]["value"], 40);
            let all: Vec<String> = (0..5).map(|n| log_id(&before, n)).chain((0..40).map(|n| log_id(&missed, n))).collect();
            world.in_stores("acme").await.hold_exactly(&all);
        });
    }
}

#[test]
fn a_document_that_the_index_refuses_is_kept_listed_and_read_and_its_neighbours_are_found() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        // An index whose `message` is a number: every other text is refused, as a mapping of somebody's own might.
        let index = world.doors.index.name("standard", world.doors.queue.now_ms());
        world.opensearch(Method::DELETE, &index, &json!({})).await;
        let made = world.opensearch(Method::PUT, &index, &json!({ "mappings": { "properties": { "message": { "type": "integer" } } } })).await;
        assert_eq!(made["acknowledged"], true, "{made}");
        let batch = acme.accepted(&[plain("1"), plain("no number"), plain("3")]).await;
        let became = acme.wait_until(&batch, "indexed", SOON).await;
        assert_eq!(json!([became["stored"], became["indexed"], became["refused"], became["dead"]]), json!([3, 2, 1, 0]), "{became}");
        let refused = acme.detail(&log_id(&batch, 1)).await;
        assert_eq!((&refused["message"], &refused["source"], &refused["indexed"]), (&json!("no number"), &json!("raw"), &json!(false)));
        assert_eq!(acme.list(&[]).await["logs"].as_array().map(Vec::len), Some(3));
        assert_eq!(world.in_stores("acme").await.documents, [log_id(&batch, 0), log_id(&batch, 2)]);
        assert_eq!(world.command(&["audit"]).await.status.code(), Some(0), "a document that is not there has its reason");
    });
}

#[test]
fn while_opensearch_hangs_logs_are_taken_at_once_and_stored_without_it() {
    story(async |world| {
        let (wire, over) = Wire::over(&world.setting("LOGGERHUB_OPENSEARCH_URL")).await;
        let acme = world.tenant("acme").await;
        // No other may drain, or make up for the index.
        world.stop_hub().await;
        let acme = acme.at(&world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &over)]).await);
        acme.stored(&numbered("before", 5)).await;
        wire.hold();
        let began = Instant::now();
        let batch = acme.accepted(&numbered("meanwhile", 20)).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        acme.wait_until(&batch, "stored", GIVEN_UP_WITHIN).await;
        wire.mend();
        acme.wait_until(&batch, "indexed", GIVEN_UP_WITHIN).await;
        assert_eq!(acme.search("meanwhile").await["total"]["value"], 20);
    });
}
