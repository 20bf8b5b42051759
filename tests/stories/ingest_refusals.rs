//! Bodies and requests that are refused whole: with which status, which code, and that nothing of them is stored.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Encoding, Sending, logs, plain, sample, story};

#[test]
fn a_body_that_cannot_be_read_is_told_why() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = plain("fine").to_string();
        let cases: [(&str, String, &str); 13] = [
            ("nothing", String::new(), "empty_body"),
            ("white space", " \r\n\t".to_owned(), "empty_body"),
            ("a byte-order mark alone", "\u{feff}".to_owned(), "empty_body"),
            ("a word", "kanarienvogel".to_owned(), "invalid_json"),
            ("an open object", r#"{"message":"kanarienvogel""#.to_owned(), "invalid_json"),
            ("an open string", r#"{"message":"kanarienvogel}"#.to_owned(), "invalid_json"),
            ("an open array", format!("[{record}"), "invalid_json"),
            ("an array and more", format!("[{record}] {record}"), "invalid_json"),
            ("an array closed as an object", format!("[{record}}}"), "invalid_json"),
            ("an object and more", format!("{record} {record}"), "invalid_json"),
            ("a record with a comma too many", r#"{"message":"m",}"#.to_owned(), "invalid_json"),
            ("a form", "message=kanarienvogel&level=info".to_owned(), "invalid_json"),
            ("XML", "<log>kanarienvogel</log>".to_owned(), "invalid_json"),
        ];
        for (what, body, code) in cases {
            let answer = acme.send(Sending::bytes(body)).await;
            assert_eq!(answer.status, 400, "{what}: {}", answer.text);
            answer.problem(400, code);
            assert!(!answer.text.contains(crate::harness::CANARY), "{what}: {}", answer.text);
        }
        acme.send(Sending::bytes(b"{\"message\":\"\xff\"}".to_vec())).await.problem(400, "invalid_utf8");
        for (what, body) in [("an empty array", "[]"), ("an empty wrapping", r#"{"logs":[]}"#)] {
            let problem = acme.send(Sending::bytes(body)).await.problem(422, "no_valid_logs");
            assert_eq!(problem["errors"], Value::Null, "{what}");
        }
        for (what, body) in [("a number", "7"), ("a text", r#""kanarienvogel""#), ("null", "null"), ("an array of numbers", "[1]")] {
            assert_eq!(acme.send(Sending::bytes(body)).await.fault(422, "no_valid_logs").1, "not_an_object", "{what}");
        }
        let beside = json!({ "logs": [plain("m")], "tenant_id": "acme" });
        assert_eq!(acme.send(Sending::json(&beside)).await.fault(422, "invalid_parameter").0, "logs");
        assert_eq!(logs(&acme.list(&[]).await), [] as [Value; 0]);
    });
}

#[test]
fn a_packed_body_that_is_damaged_is_told_so_and_nothing_of_it_is_stored() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let body: String = sample("kafka").iter().take(200).map(|record| format!("{record}\n")).collect();
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
            let whole = encoding.pack(body.as_bytes());
            let mut damaged: Vec<(&str, Vec<u8>)> = vec![
                ("cut in the middle", whole[..whole.len() / 2].to_vec()),
                ("without its last byte", whole[..whole.len() - 1].to_vec()),
                ("its head alone", whole[..2].to_vec()),
                ("not packed at all", body.clone().into_bytes()),
                ("garbage", (0..4000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect()),
                ("garbage after its head", [&whole[..12], &[0xff; 4000]].concat()),
            ];
            if encoding != Encoding::Deflate {
                damaged.push(("garbage after its end", [whole.as_slice(), b"garbage after the end"].concat()));
            }
            for (what, wire) in damaged {
                let answer = acme.send(Sending::bytes(wire).header("content-encoding", encoding.name())).await;
                assert_eq!(answer.status, 400, "{encoding:?} {what}: {}", answer.text);
                answer.problem(400, "invalid_encoding");
            }
        }
        acme.send(Sending::bytes("").packed(Encoding::Gzip)).await.problem(400, "empty_body");
        acme.stored(&[plain("the only one")]).await;
        assert_eq!(logs(&acme.list(&[]).await).len(), 1);
    });
}

#[test]
fn an_encoding_that_we_do_not_read_is_a_415() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for encoding in ["br", "compress", "gzip, gzip", "snappy", "*"] {
            let answer = acme.send(Sending::json(&plain("m")).header("content-encoding", encoding)).await;
            answer.problem(415, "unsupported_encoding");
        }
    });
}

#[test]
fn an_idempotency_key_that_makes_no_sense_is_refused() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for key in ["", &"k".repeat(256), "schl\u{fc}ssel", "tab\tin it"] {
            let answer = acme.send(Sending::json(&plain("m")).idempotency_key(key)).await;
            assert_eq!(answer.fault(422, "invalid_parameter").0, "Idempotency-Key", "{key}");
        }
        let two = Sending::json(&plain("m")).idempotency_key("one").idempotency_key("another");
        assert_eq!(acme.send(two).await.fault(422, "invalid_parameter").0, "Idempotency-Key");
        for key in ["k", &"k".repeat(255), "with space and ~!@#$%^&*()"] {
            acme.send(Sending::json(&plain("m")).idempotency_key(key)).await.ok(202);
        }
    });
}

#[test]
fn what_is_no_route_and_no_method_of_one_is_told_as_a_problem_too() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for path in ["/", "/v1", "/v2/logs", "/v1/log", "/v1/logs/", "/V1/logs", "/v1/logs/x/y", "/v1/tenants/acme/users", "/v1/batches"] {
            acme.get(path, &[]).await.problem(404, "not_found");
        }
        let wrong = [
            (Method::GET, "/logs"),
            (Method::PUT, "/v1/logs"),
            (Method::DELETE, "/v1/logs"),
            (Method::POST, "/v1/search"),
            (Method::POST, "/v1/logs/x"),
            (Method::DELETE, "/v1/batches/x"),
            (Method::PUT, "/v1/tenants/acme"),
            (Method::DELETE, "/v1/tenants"),
            (Method::PATCH, "/v1/tenants/acme/keys"),
            (Method::GET, "/v1/tenants/acme/keys/x"),
            (Method::POST, "/healthz"),
        ];
        for (method, path) in wrong {
            let answer = acme.call(method, path, &[], Sending::default()).await;
            answer.problem(405, "method_not_allowed");
            assert!(answer.header("allow").is_some_and(|methods| !methods.is_empty()), "{answer:?}");
        }
    });
}

#[test]
fn a_request_id_is_taken_over_where_it_is_sensible_and_made_where_it_is_not() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for id in ["my-request-7", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a/b:c=d+e.f_g"] {
            let answer = acme.call(Method::GET, "/v1/logs", &[], Sending::default().header("x-request-id", id)).await;
            assert_eq!((answer.status, answer.header("x-request-id")), (200, Some(id)));
            let problem = acme.call(Method::GET, "/nowhere", &[], Sending::default().header("x-request-id", id)).await.problem(404, "not_found");
            assert_eq!(problem["request_id"], id);
        }
        for id in ["", "<script>", "a b", &"x".repeat(129), "kanarienvogel\u{e9}"] {
            let answer = acme.call(Method::GET, "/nowhere", &[], Sending::default().header("x-request-id", id)).await;
            let made = answer.problem(404, "not_found")["request_id"].as_str().expect("an id").to_owned();
            assert!(uuid::Uuid::parse_str(&made).is_ok(), "{id}: {made}");
        }
    });
}
