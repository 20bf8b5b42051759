//! Sending the same request again, for whatever reason, and storing it once.

use serde_json::{Value, json};

use crate::harness::{Encoding, Sending, logs, numbered, plain, sample, story, texts};

#[test]
fn the_same_request_sent_again_has_the_same_answer_and_is_stored_once() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let body = json!([plain("good"), 7, plain("good too"), { "message": 5 }]);
        let sending = || Sending::json(&body).idempotency_key("order-4711");
        let first = acme.send(sending()).await.ok(202);
        assert_eq!((&first["accepted"], &first["rejected"]), (&json!(2), &json!(2)));
        assert_eq!(acme.send(sending()).await.ok(202), first);
        assert_eq!(acme.send(sending().packed(Encoding::Gzip)).await.ok(202), first, "what counts is the body unpacked");
        acme.wait_until_indexed(first["batch_id"].as_str().expect("an id")).await;
        assert_eq!(acme.send(sending()).await.ok(202), first, "stored, it is still remembered");
        assert_eq!(texts(&acme.list(&[]).await, "message").len(), 2);
    });
}

#[test]
fn eight_at_the_same_time_are_one_batch() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = &sample("openstack")[..300];
        let sending = || Sending::ndjson(records).packed(Encoding::Zstd).idempotency_key("all-at-once");
        let other = world.another_hub(&[]).await;
        let elsewhere = acme.at(&other);
        let answers = futures::future::join_all((0..8).map(|n| if n % 2 == 0 { acme.send(sending()) } else { elsewhere.send(sending()) })).await;
        let receipts: Vec<Value> = answers.iter().map(|answer| answer.ok(202)).collect();
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
        acme.wait_until_indexed(receipts[0]["batch_id"].as_str().expect("an id")).await;
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 300);
        assert_eq!(world.in_stores("acme").await.raw.len(), 300, "and it was written once");
    });
}

#[test]
fn the_same_key_with_another_body_is_a_conflict_and_stores_nothing() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.send(Sending::json(&plain("one")).idempotency_key("k")).await.ok(202)["batch_id"].clone();
        for other in [plain("two"), json!([plain("one")]), json!({ "message": "one" })] {
            acme.send(Sending::json(&other).idempotency_key("k")).await.problem(409, "idempotency_conflict");
        }
        acme.send(Sending::json(&plain("two")).idempotency_key("K")).await.ok(202);
        acme.wait_until_indexed(batch.as_str().expect("an id")).await;
        acme.stored(&[plain("three")]).await;
        let mut messages = texts(&acme.list(&[]).await, "message");
        messages.sort_unstable();
        assert_eq!(messages, ["one", "three", "two"]);
    });
}

#[test]
fn another_tenants_key_of_the_same_name_is_another_key() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let sending = |word: &str| Sending::ndjson(&numbered(word, 3)).idempotency_key("nightly");
        let of_acme = acme.send(sending("same")).await.ok(202);
        let of_globex = globex.send(sending("same")).await.ok(202);
        assert_ne!(of_acme["batch_id"], of_globex["batch_id"]);
        globex.send(sending("other")).await.problem(409, "idempotency_conflict");
        for (caller, receipt) in [(&acme, &of_acme), (&globex, &of_globex)] {
            caller.wait_until_indexed(receipt["batch_id"].as_str().expect("an id")).await;
            assert_eq!(logs(&caller.list(&[]).await).len(), 3);
        }
    });
}

#[test]
fn a_request_that_was_refused_is_not_remembered() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.send(Sending::bytes("[1, 2]").idempotency_key("retry")).await.problem(422, "no_valid_logs");
        acme.send(Sending::bytes("[").idempotency_key("retry")).await.problem(400, "invalid_json");
        assert_eq!(acme.send(Sending::json(&plain("mended")).idempotency_key("retry")).await.ok(202)["accepted"], 1);
    });
}

#[test]
fn without_a_key_the_same_body_twice_is_two_batches() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batches = [acme.stored(&[plain("twin")]).await, acme.stored(&[plain("twin")]).await];
        assert_ne!(batches[0], batches[1]);
        assert_eq!(texts(&acme.list(&[]).await, "message"), ["twin", "twin"]);
    });
}
