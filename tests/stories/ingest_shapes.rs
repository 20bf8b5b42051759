//! What a request with logs may look like.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Caller, Encoding, Sending, log_id, logs, plain, sample, story, texts};

/// Every shape that a body may have, with these records in it.
fn shapes(records: &[Value]) -> Vec<(&'static str, Sending)> {
    let (array, wrapped) = (json!(records), json!({ "logs": records }));
    let pretty = |body: &Value| Sending::bytes(serde_json::to_vec_pretty(body).expect("JSON")).header("content-type", "application/json");
    let bare_lines: Vec<String> = records.iter().map(|record| format!("{record}\r\n\r\n")).collect();
    vec![
        ("array", Sending::json(&array)),
        ("pretty array", pretty(&array)),
        ("wrapped", Sending::json(&wrapped)),
        ("pretty wrapped", pretty(&wrapped)),
        ("ndjson", Sending::ndjson(records)),
        ("ndjson that nobody calls so, with blank lines", Sending::bytes(bare_lines.concat())),
        ("array with a byte-order mark", Sending::bytes(format!("\u{feff}{array}"))),
    ]
}

async fn expect_stored(acme: &Caller, sending: Sending, records: &[Value], what: &str) {
    let receipt = acme.send(sending).await.ok(202);
    assert_eq!((&receipt["accepted"], &receipt["rejected"], &receipt["errors"]), (&json!(records.len()), &json!(0), &json!([])), "{what}: {receipt}");
    let batch = receipt["batch_id"].as_str().expect("a batch id");
    acme.wait_until(batch, "indexed", crate::harness::SOON).await;
    for (position, record) in (0..).zip(records) {
        assert_eq!(&acme.detail(&log_id(batch, position)).await["record"], record, "{what}");
    }
}

#[test]
fn every_shape_in_every_encoding_is_stored_as_it_was_sent() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = &sample("stack-traces")[40..43];
        let mut cases = Vec::new();
        for encoding in Encoding::ALL {
            for (shape, sending) in shapes(records) {
                cases.push((format!("{shape}, {encoding:?}"), sending.packed(encoding)));
            }
        }
        futures::future::join_all(cases.into_iter().map(|(what, sending)| {
            let acme = &acme;
            async move { expect_stored(acme, sending, records, &what).await }
        }))
        .await;
    });
}

#[test]
fn one_record_alone_is_a_body_too() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = sample("cloud-audit-json")[3].clone();
        let pretty = Sending::bytes(serde_json::to_vec_pretty(&record).expect("JSON"));
        for sending in [Sending::json(&record), Sending::ndjson([&record]), pretty, Sending::json(&record).packed(Encoding::Zstd)] {
            expect_stored(&acme, sending, std::slice::from_ref(&record), "alone").await;
        }
        assert_eq!(logs(&acme.list(&[]).await).len(), 4);
    });
}

#[test]
fn the_short_route_and_every_way_to_show_a_key_do_the_same() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let by_header = world.anyone().with_credential("x-api-key", &acme.key);
        let lower_case = world.anyone().with_credential("authorization", &format!("bearer {}", acme.key));
        for (caller, path, message) in [(&acme, "/logs", "one"), (&by_header, "/v1/logs", "two"), (&by_header, "/logs", "three"), (&lower_case, "/v1/logs", "four")] {
            let receipt = caller.call(Method::POST, path, &[], Sending::json(&plain(message))).await.ok(202);
            acme.wait_until_indexed(receipt["batch_id"].as_str().expect("a batch id")).await;
        }
        let mut messages = texts(&by_header.list(&[]).await, "message");
        messages.sort_unstable();
        assert_eq!(messages, ["four", "one", "three", "two"]);
    });
}

#[test]
fn encodings_are_known_by_their_usual_names_in_any_case() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let body = plain("named").to_string();
        for (name, encoding) in [("GZIP", Encoding::Gzip), ("x-gzip", Encoding::Gzip), ("Zstd", Encoding::Zstd), ("identity", Encoding::Identity)] {
            let receipt = acme.send(Sending::bytes(encoding.pack(body.as_bytes())).header("content-encoding", name)).await.ok(202);
            assert_eq!(receipt["accepted"], 1, "{name}");
        }
    });
}

#[test]
fn a_gzip_body_of_several_members_is_one_body() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let members: Vec<Vec<u8>> = ["first", "second"].iter().map(|word| Encoding::Gzip.pack(format!("{}\n", plain(word)).as_bytes())).collect();
        let receipt = acme.send(Sending::bytes(members.concat()).header("content-encoding", "gzip").header("content-type", "application/x-ndjson")).await.ok(202);
        assert_eq!(receipt["accepted"], 2);
    });
}

#[test]
fn a_record_with_a_field_named_logs_is_a_record() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = json!({ "message": "holds a list", "logs": [{ "message": "inner" }] });
        expect_stored(&acme, Sending::json(&record), std::slice::from_ref(&record), "a field named logs").await;
    });
}
