//! Redis, Postgres and the object store away or paused: what is refused, what waits, and that nothing accepted is lost.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, NOWHERE, SOON, Seen, Sending, Wire, World, eventually, log_id, logs, numbered, plain, sample, story, story_with, texts};

/// How soon a hub is itself again once an engine is: its longest pause between tries is 5 s.
const MENDED_WITHIN: Duration = Duration::from_secs(60);
/// A request is answered within this, whatever happens to Redis: the promise.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// Sends until it is taken.
async fn until_taken(caller: &Caller, record: &Value) -> String {
    let look = async || -> Result<Answer, Seen> {
        let answer = caller.send(Sending::json(record)).await;
        if answer.status == 202 { Ok(answer) } else { Err(format!("{}: {}", answer.status, answer.text)) }
    };
    eventually(MENDED_WITHIN, "logs are taken again", look).await.ok(202)["batch_id"].as_str().expect("an id").to_owned()
}

/// A hub beside the world's own, with a wire between it and one engine.
async fn over_a_wire(world: &World, setting: &'static str) -> (Wire, crate::harness::Running) {
    let (wire, url) = Wire::over(&world.setting(setting)).await;
    (wire, world.another_hub(&[(setting, &url)]).await)
}

#[test]
fn without_redis_logs_are_refused_at_once_and_reading_goes_on() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&[plain("from before")]).await;
        let (wire, hub) = over_a_wire(world, "LOGGERHUB_REDIS_URL").await;
        let acme = acme.at(&hub);
        acme.send(Sending::json(&plain("the key is known here"))).await.ok(202);
        wire.cut();
        let fresh_key = world.key_of("acme", &["logs:write", "logs:read"]).await.at(&hub);
        for caller in [&acme, &fresh_key] {
            let answer = caller.send(Sending::json(&plain("refused"))).await;
            answer.problem(503, "redis_unavailable");
            assert!(answer.took < ANSWERED_WITHIN, "{:?}", answer.took);
            assert_eq!(texts(&caller.search("before").await, "message"), ["from before"]);
            assert_eq!(caller.detail(&log_id(&batch, 0)).await["message"], "from before");
            assert_eq!(caller.batch(&batch).await["state"], "indexed");
        }
        // What waits in the queue cannot be told: that all is in it cannot be promised.
        acme.get("/v1/export", &[]).await.problem(503, "redis_unavailable");
        let unknown = shared::ids::BatchId::new(1_790_000_000_000);
        acme.get(&format!("/v1/batches/{unknown}"), &[]).await.problem(503, "redis_unavailable");
        let ready = acme.get("/readyz", &[]).await;
        assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("unready")));

        wire.mend();
        let batch = until_taken(&acme, &plain("after")).await;
        acme.wait_until_indexed(&batch).await;
        let messages = texts(&acme.list(&[]).await, "message");
        assert!(!messages.contains(&"refused".to_owned()), "what was refused is not stored: {messages:?}");
        assert_eq!(messages.len(), 3);
    });
}

#[test]
fn a_paused_redis_does_not_take_in_later_what_was_refused() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let (wire, hub) = over_a_wire(world, "LOGGERHUB_REDIS_URL").await;
        let there = acme.at(&hub);
        there.send(Sending::json(&plain("before"))).await.ok(202);
        wire.hold();
        let answers = futures::future::join_all((0..5).map(|_| there.send(Sending::json(&plain("refused"))))).await;
        for answer in &answers {
            answer.problem(503, "redis_unavailable");
            assert!(answer.took < ANSWERED_WITHIN, "{:?}", answer.took);
        }
        // All that was on its way arrives now.
        wire.mend();
        let batch = until_taken(&there, &plain("after")).await;
        acme.wait_until_indexed(&batch).await;
        let mut messages = texts(&acme.list(&[]).await, "message");
        messages.sort_unstable();
        assert_eq!(messages, ["after", "before"]);
    });
}

/// With this engine cut off, logs are taken and wait; mended, all are in every store once.
async fn logs_wait_for(world: &World, setting: &'static str) {
    let records = sample("kafka");
    let (wire, hub) = over_a_wire(world, setting).await;
    let acme = world.tenant("acme").await.at(&hub);
    acme.stored(&records[..10]).await;
    wire.cut();
    let mut batches = Vec::new();
    for chunk in records[10..310].chunks(50) {
        batches.push(acme.accepted(chunk).await);
    }
    // Something has been tried, and has failed, once the processor holds all of it.
    let held = async || -> Result<(), Seen> {
        let pending: redis::Value =
            redis::cmd("XPENDING").arg(world.redis_key("{p0}:queue")).arg("processor").query_async(&mut world.redis().await).await.map_err(|e| e.to_string())?;
        let count: Vec<redis::Value> = redis::from_redis_value(pending).map_err(|e| e.to_string())?;
        if matches!(count.first(), Some(redis::Value::Int(1..))) { Ok(()) } else { Err(format!("{count:?}")) }
    };
    eventually(SOON, "the processor has taken some", held).await;
    assert_eq!(world.queue_length().await, 6, "nothing is acknowledged");
    wire.mend();
    for batch in &batches {
        acme.wait_until(batch, "indexed", MENDED_WITHIN).await;
    }
    let rows = world.in_stores("acme").await;
    assert_eq!(rows.rows.len(), 310);
    rows.hold_exactly(&rows.rows);
    world.until_queue_holds(0, SOON).await;
}

/// The world's first hub does not drain, so that the one on the wire has to.
const LAZY: [(&str, &str); 1] = [("LOGGERHUB_LINGER_MS", "3600000")];

#[test]
fn without_the_logs_database_logs_are_taken_and_wait_in_the_queue() {
    story_with(&LAZY, async |world| logs_wait_for(world, "LOGGERHUB_LOGS_DATABASE_URL").await);
}

#[test]
fn without_the_object_store_logs_are_taken_and_wait_in_the_queue() {
    story_with(&LAZY, async |world| logs_wait_for(world, "LOGGERHUB_S3_ENDPOINT").await);
}

#[test]
fn an_outage_of_postgres_does_not_fill_the_object_store_with_copies() {
    story_with(&LAZY, async |world| {
        let (wire, hub) = over_a_wire(world, "LOGGERHUB_LOGS_DATABASE_URL").await;
        let acme = world.tenant("acme").await.at(&hub);
        acme.stored(&[plain("first")]).await;
        wire.cut();
        let batch = acme.accepted(&[plain("waits")]).await;
        acme.get(&format!("/v1/batches/{batch}"), &[]).await.problem(503, "postgres_unavailable");
        acme.get("/v1/logs", &[]).await.problem(503, "postgres_unavailable");
        acme.get("/v1/logs/00000000-0000-7000-8000-000000000000", &[]).await.problem(503, "postgres_unavailable");
        wire.mend();
        acme.wait_until(&batch, "indexed", MENDED_WITHIN).await;
        assert_eq!(world.doors.archive.list("raw/").await.expect("it answers").len(), 2);
    });
}

#[test]
fn a_redis_that_comes_back_empty_is_filled_again_and_goes_on() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[plain("before")]).await;
        let mut redis = world.redis().await;
        let keys: Vec<String> = redis::AsyncCommands::keys(&mut redis, world.redis_key("*")).await.expect("Redis answers");
        let _: u64 = redis::AsyncCommands::del(&mut redis, keys).await.expect("Redis answers");
        // Scripts are gone with a restart, too. Other stories go on without them as this one does.
        redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut redis).await.expect("Redis answers");
        assert_eq!(texts(&acme.list(&[]).await, "message"), ["before"]);
        maintenance::republish_keys(&world.doors.maintenance()).await.expect("both engines answer");
        let batch = until_taken(&acme, &plain("after")).await;
        acme.wait_until_indexed(&batch).await;
        assert_eq!(texts(&acme.search("after").await, "message"), ["after"]);
        world.until_queue_holds(0, SOON).await;
    });
}

#[test]
fn an_index_that_was_removed_by_hand_is_made_again_as_it_was() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&[plain("lost from the index")]).await;
        let prefix = world.setting("LOGGERHUB_INDEX_PREFIX");
        world.opensearch(Method::DELETE, &format!("{prefix}-*"), &json!({})).await;
        assert_eq!(acme.detail(&log_id(&batch, 0)).await["source"], "raw", "what the index lost is read all the same");
        acme.stored(&[json!({ "message": "after", "odd": 1 }), json!({ "message": "after, too", "odd": { "no": "number" } })]).await;
        assert_eq!(texts(&acme.search("after").await, "message").len(), 2);
        let mappings = world.opensearch(Method::GET, &format!("{prefix}-*/_mapping"), &json!({})).await;
        for (index, mapping) in mappings.as_object().expect("indices") {
            assert_eq!(
                (&mapping["mappings"]["dynamic"], &mapping["mappings"]["properties"]["message"]["type"]),
                (&json!("false"), &json!("match_only_text")),
                "{index}: {mapping}"
            );
        }
    });
}

#[test]
fn with_every_store_down_logs_are_taken_all_the_same() {
    let (http, postgres) = (format!("http://{NOWHERE}"), format!("postgres://nobody@{NOWHERE}/nothing"));
    story(async |world| {
        let acme = world.tenant("acme").await;
        let bare = world
            .another_hub(&[
                ("LOGGERHUB_OPENSEARCH_URL", &http),
                ("LOGGERHUB_S3_ENDPOINT", &http),
                ("LOGGERHUB_LOGS_DATABASE_URL", &postgres),
                ("LOGGERHUB_CONTROL_DATABASE_URL", &postgres),
            ])
            .await;
        let answer = acme.at(&bare).send(Sending::ndjson(&numbered("brave", 100))).await;
        assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
        let batch = answer.ok(202)["batch_id"].as_str().expect("an id").to_owned();
        // Whoever of the two took it: what the one cannot store, the other does once it is left behind.
        bare.stop().await;
        acme.wait_until(&batch, "indexed", MENDED_WITHIN).await;
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 100);
    });
}

#[test]
fn without_the_logs_database_a_search_answers_from_the_index_alone() {
    story(async |world| {
        let (wire, hub) = over_a_wire(world, "LOGGERHUB_LOGS_DATABASE_URL").await;
        let acme = world.tenant("acme").await.at(&hub);
        acme.stored(&[plain("needle in a haystack")]).await;
        let with_rows = acme.search("needle").await;
        wire.cut();
        let without = acme.search("needle").await;
        assert_eq!((&without["complete"], &without["lag_s"], &without["source"]), (&json!(false), &json!(null), &json!("opensearch")));
        let (mut log, mut expected) = (logs(&without)[0].clone(), logs(&with_rows)[0].clone());
        assert!(log["raw_path"].take().is_null() && !expected["raw_path"].take().is_null());
        assert_eq!(log, expected);
        wire.mend();
    });
}
