//! One log whole: its fields, the record as it was sent, and where it came from.

use serde_json::{Value, json};

use crate::harness::{NOWHERE, Sending, log_id, sample, story};

#[test]
fn a_detail_holds_everything_that_is_known_of_a_log() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = json!({
            "tenant_id": "acme", "service": "billing", "level": "err", "timestamp": "2025-10-10T14:26:36.1239+02:00", "message": "Payment failed due to invalid UUID",
            "full_log": "Traceback (most recent call last):\n  ...\nValueError: badly formed", "language": "python", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
            "attributes": { "http": { "status": 502 }, "retry": true }, "user": { "id": 7 }, "host": "web-3",
        });
        let batch = acme.stored(std::slice::from_ref(&record)).await;
        let id = log_id(&batch, 0);
        let expected = [
            ("id", json!(id)),
            ("batch_id", json!(batch)),
            ("timestamp", json!("2025-10-10T12:26:36.123Z")),
            ("service", json!("billing")),
            ("level", json!("ERROR")),
            ("message", record["message"].clone()),
            ("full_log", record["full_log"].clone()),
            ("language", json!("python")),
            ("trace_id", record["trace_id"].clone()),
            ("span_id", record["span_id"].clone()),
            ("attributes", json!({ "http": { "status": 502 }, "retry": true, "user": { "id": 7 }, "host": "web-3" })),
            ("indexed", json!(true)),
            ("record", record.clone()),
        ];
        for (source, from) in [(None, "opensearch"), (Some("auto"), "opensearch"), (Some("raw"), "raw")] {
            let parameters: Vec<(&str, &str)> = source.into_iter().map(|source| ("source", source)).collect();
            let detail = acme.get(&format!("/v1/logs/{id}"), &parameters).await.ok(200);
            for (field, value) in &expected {
                assert_eq!(&detail[*field], value, "{field} from {from}");
            }
            assert_eq!(detail["source"], from);
            assert_eq!(detail.as_object().map(serde_json::Map::len), Some(expected.len() + 3), "and raw_path, received_at, source: {detail}");
        }
        assert_eq!(acme.detail(&id.to_uppercase()).await["id"], id, "an id may be written in capitals");
    });
}

#[test]
fn the_record_keeps_its_own_spelling_white_space_between_tokens_aside() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let sent = "{ \"z\" : 1.0,\n\t\"message\" : \"sp\\u00e4t \\/ \\\"q\\\"\\r\\n  two  spaces\",\r\n  \"a\" : [ 1e2 , -0 ],\n  \"z\" : 2 }";
        let kept = r#"{"z":1.0,"message":"sp\u00e4t \/ \"q\"\r\n  two  spaces","a":[1e2,-0],"z":2}"#;
        let receipt = acme.send(Sending::bytes(sent)).await.ok(202);
        let batch = receipt["batch_id"].as_str().expect("an id");
        acme.wait_until_indexed(batch).await;
        for source in ["auto", "raw"] {
            let detail = acme.get(&format!("/v1/logs/{}", log_id(batch, 0)), &[("source", source)]).await;
            assert!(detail.text.contains(&format!(r#""record":{kept}"#)), "{}", detail.text);
        }
    });
}

#[test]
fn what_is_not_there_is_a_404_and_what_makes_no_sense_a_422() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&sample("kafka")[..2]).await;
        let id = log_id(&batch, 0);
        let past_the_end = log_id(&batch, 2);
        let bare = id.replace('-', "");
        for absent in [
            past_the_end.as_str(),
            bare.as_str(),
            "x",
            "0",
            "null",
            "%20",
            "00000000-0000-0000-0000-000000000000",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "ffffffff-ffff-7fff-bfff-ffffffffffff",
        ] {
            acme.get(&format!("/v1/logs/{absent}"), &[]).await.problem(404, "not_found");
        }
        for (name, value) in [("source", "postgres"), ("source", "RAW")] {
            assert_eq!(acme.get(&format!("/v1/logs/{id}"), &[(name, value)]).await.fault(422, "invalid_parameter").0, "source");
        }
        acme.get(&format!("/v1/logs/{id}"), &[("full", "yes")]).await.problem(422, "invalid_parameter");
        let no_text = acme.get("/v1/logs/%ff%fe", &[]).await;
        no_text.problem(no_text.status, if no_text.status == 404 { "not_found" } else { "bad_request" });
        assert!([400, 404].contains(&no_text.status), "{no_text:?}");
    });
}

#[test]
fn a_raw_object_that_is_gone_is_our_trouble_and_shows_nothing_of_our_inside() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&sample("kafka")[..2]).await;
        let path = format!("/v1/logs/{}", log_id(&batch, 0));
        for object in world.doors.archive.list("").await.expect("it answers") {
            world.doors.archive.delete(&object).await.expect("it answers");
        }
        assert_eq!(acme.get(&path, &[]).await.ok(200)["source"], "opensearch");
        let answer = acme.get(&path, &[("source", "raw")]).await;
        answer.problem(500, "internal");
        assert!(!answer.text.contains("raw/") && !answer.text.contains("NoSuchKey"), "{}", answer.text);
    });
}

#[test]
fn a_detail_needs_the_index_only_where_raw_is_away_and_raw_only_where_the_index_is() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = sample("stack-traces")[7].clone();
        let batch = acme.stored(std::slice::from_ref(&record)).await;
        let path = format!("/v1/logs/{}", log_id(&batch, 0));
        let nowhere = format!("http://{NOWHERE}");
        let without_index = world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &nowhere)]).await;
        let detail = acme.at(&without_index).get(&path, &[]).await.ok(200);
        assert_eq!((&detail["record"], &detail["source"]), (&record, &json!("raw")));

        let without_raw = world.another_hub(&[("LOGGERHUB_S3_ENDPOINT", &nowhere)]).await;
        let acme = acme.at(&without_raw);
        let detail = acme.get(&path, &[]).await.ok(200);
        assert_eq!((&detail["record"], &detail["source"]), (&record, &json!("opensearch")));
        acme.get(&path, &[("source", "raw")]).await.problem(503, "object_store_unavailable");
        assert_eq!(detail["full_log"], record["full_log"]);
        assert_eq!(detail["trace_id"], Value::Null);
    });
}
