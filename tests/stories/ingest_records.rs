//! What a record may say, and what becomes of it.

use serde_json::{Value, json};

use crate::harness::{CANARY as SECRET, Sending, log_id, logs, numbered, plain, story, texts};

/// Records that are none, each with the code of its fault; `acme` is the key's tenant. What they hold must not come back.
fn bad_records() -> Vec<(String, &'static str)> {
    let nested = |depth: usize| format!(r#"{{"message":"{SECRET}","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    vec![
        (SECRET.to_owned(), "invalid_json"),
        (format!(r#"{{"message":"{SECRET}" "service":"x"}}"#), "invalid_json"),
        (format!(r#"{{"message":"{SECRET}",}}"#), "invalid_json"),
        (String::new(), "invalid_json"),
        ("7".to_owned(), "not_an_object"),
        ("null".to_owned(), "not_an_object"),
        (format!(r#""{SECRET}""#), "not_an_object"),
        (format!(r#"[{{"message":"{SECRET}"}}]"#), "not_an_object"),
        (r#"{"message":5}"#.to_owned(), "invalid_type"),
        (format!(r#"{{"message":"{SECRET}","full_log":["{SECRET}"]}}"#), "invalid_type"),
        (format!(r#"{{"message":"{SECRET}","service":{{"name":"x"}}}}"#), "invalid_type"),
        (format!(r#"{{"message":"{SECRET}","timestamp":1760099196}}"#), "invalid_type"),
        (format!(r#"{{"message":"{SECRET}","timestamp":1e400}}"#), "invalid_type"),
        (format!(r#"{{"message":"{SECRET}","level":"{SECRET}"}}"#), "invalid_level"),
        (format!(r#"{{"message":"{SECRET}","timestamp":"{SECRET}"}}"#), "invalid_timestamp"),
        (format!(r#"{{"message":"{SECRET}","service":"{}"}}"#, "s".repeat(257)), "field_too_long"),
        (format!(r#"{{"message":"{SECRET}","trace_id":"{}"}}"#, "é".repeat(129)), "field_too_long"),
        (r#"{"service":"billing"}"#.to_owned(), "missing_text"),
        (r#"{"message":" \t ","full_log":"\n"}"#.to_owned(), "missing_text"),
        (r#"{"message":null,"full_log":null}"#.to_owned(), "missing_text"),
        (nested(64), "nested_too_deep"),
        (nested(10_000), "nested_too_deep"),
        (format!(r#"{{"message":"{SECRET}","tenant_id":"globex"}}"#), "tenant_mismatch"),
        (format!(r#"{{"message":"{SECRET}","tenant_id":""}}"#), "tenant_mismatch"),
        (format!(r#"{{"message":"{}"}}"#, "m".repeat(1024 * 1024)), "record_too_large"),
    ]
}

#[test]
fn a_bad_record_costs_itself_with_its_position_and_reason_and_never_its_neighbours() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        world.tenant("globex").await;
        let bad = bad_records();
        // good, bad, good, bad, ..., good
        let elements: Vec<String> =
            bad.iter().enumerate().flat_map(|(n, (record, _))| [plain(&format!("neighbour {n}")).to_string(), record.clone()]).chain([plain("the last").to_string()]).collect();
        let receipt = acme.send(Sending::bytes(format!("[{}]", elements.join(",\n")))).await.ok(202);
        assert_eq!((&receipt["accepted"], &receipt["rejected"]), (&json!(bad.len() + 1), &json!(bad.len())));
        let faults: Vec<(u64, &str)> =
            receipt["errors"].as_array().expect("errors").iter().map(|fault| (fault["index"].as_u64().expect("a position"), fault["code"].as_str().expect("a code"))).collect();
        let expected: Vec<(u64, &str)> = (0..).zip(&bad).map(|(n, (_, code))| (2 * n + 1, *code)).collect();
        assert_eq!(faults, expected);
        assert!(!receipt.to_string().contains(SECRET), "an error repeats what was in the record: {receipt}");

        let batch = receipt["batch_id"].as_str().expect("a batch id");
        let became = acme.wait_until_indexed(batch).await;
        assert_eq!(
            (&became["received"], &became["accepted"], &became["rejected"], &became["stored"]),
            (&json!(2 * bad.len() + 1), &json!(bad.len() + 1), &json!(bad.len()), &json!(bad.len() + 1))
        );
        assert_eq!(became["errors"], receipt["errors"], "a receipt says the same later");
        for n in 0..bad.len() {
            let position = u16::try_from(2 * n).expect("small");
            assert_eq!(acme.detail(&log_id(batch, position)).await["message"], format!("neighbour {n}"));
            acme.get(&format!("/v1/logs/{}", log_id(batch, position + 1)), &[]).await.problem(404, "not_found");
        }
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), bad.len() + 1);
    });
}

#[test]
fn a_bad_record_alone_is_refused_with_the_same_reason() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for (record, code) in bad_records().into_iter().filter(|(record, _)| !record.is_empty()) {
            let answer = acme.send(Sending::bytes(format!("[{record}]"))).await;
            assert_eq!(answer.fault(422, "no_valid_logs").1, code);
            assert!(!answer.text.contains(SECRET), "{}", answer.text);
        }
        assert_eq!(logs(&acme.list(&[]).await), [] as [Value; 0]);
    });
}

#[test]
fn bytes_that_are_no_utf8_cost_their_own_record() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let lines = [plain("before").to_string().into_bytes(), b"{\"message\":\"caf\xe9\"}".to_vec(), plain("after").to_string().into_bytes()];
        for (body, what) in [(lines.join(&b'\n'), "NDJSON"), ([b"[".as_slice(), &lines.join(&b','), b"]"].concat(), "array")] {
            let receipt = acme.send(Sending::bytes(body)).await.ok(202);
            assert_eq!((&receipt["accepted"], &receipt["errors"][0]["index"], &receipt["errors"][0]["code"]), (&json!(2), &json!(1), &json!("invalid_utf8")), "{what}: {receipt}");
            let batch = receipt["batch_id"].as_str().expect("a batch id");
            acme.wait_until_indexed(batch).await;
            assert_eq!(acme.detail(&log_id(batch, 0)).await["message"], "before", "{what}");
            assert_eq!(acme.detail(&log_id(batch, 2)).await["message"], "after", "{what}");
        }
    });
}

#[test]
fn nul_and_lone_surrogates_show_as_marks_and_are_kept_as_they_were_sent() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = r#"{"message":"nul \u0000 high \ud83d low \udc00 pair \ud83d\ude00","service":"a\u0000b","full_log":"deep\u0000water\nline \ud800"}"#;
        let receipt = acme.send(Sending::bytes(record)).await.ok(202);
        let batch = receipt["batch_id"].as_str().expect("a batch id");
        acme.wait_until_indexed(batch).await;
        let shown = "nul \u{fffd} high \u{fffd} low \u{fffd} pair \u{1f600}";
        for page in [acme.list(&[("service", "a\u{fffd}b")]).await, acme.list(&[("service", "a\0b")]).await, acme.search("\"nul high low pair\"").await, acme.search("water").await]
        {
            assert_eq!(texts(&page, "message"), [shown]);
            assert_eq!(texts(&page, "service"), ["a\u{fffd}b"]);
        }
        for source in ["auto", "raw"] {
            let detail = acme.get(&format!("/v1/logs/{}", log_id(batch, 0)), &[("source", source)]).await;
            assert_eq!(detail.status, 200);
            assert!(detail.text.contains(&format!(r#""record":{record}"#)), "as sent, escapes and all: {}", detail.text);
            assert!(detail.text.contains("deep\u{fffd}water\\nline \u{fffd}"), "{}", detail.text);
        }
    });
}

#[test]
fn surrogates_and_nul_anywhere_in_a_record_do_not_keep_it_from_being_read() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = [
            r#"{"message":"m","attributes":{"bad":"\ud800\u0000","good":1}}"#,
            r#"{"message":"m","attributes":{"\udc00 key\u0000":1}}"#,
            r#"{"message":"m","name\ud800\u0000":{"\udfff":["\ud800"]},"good":1}"#,
            r#"{"message":"m","attributes":"\ud83d","language":"\ud83d\u0000","trace_id":"\u0000","span_id":"\udead"}"#,
            r#"{"message":"m","message":"last\u0000counts","attributes":null,"attributes":[1,{"a":null}]}"#,
        ];
        let receipt = acme.send(Sending::bytes(format!("[{}]", records.join(",")))).await.ok(202);
        assert_eq!(receipt["accepted"], records.len());
        let batch = receipt["batch_id"].as_str().expect("an id");
        assert_eq!(acme.wait_until_indexed(batch).await["indexed"], records.len());
        assert_eq!(logs(&acme.list(&[]).await).len(), records.len());
        for (position, record) in (0..).zip(records) {
            for source in ["auto", "raw"] {
                let detail = acme.get(&format!("/v1/logs/{}", log_id(batch, position)), &[("source", source)]).await;
                assert!(detail.status == 200 && detail.text.contains(&format!(r#""record":{record}"#)), "{source}: {detail:?}");
            }
        }
    });
}

#[test]
fn what_is_not_sent_has_its_default() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = [json!({ "message": "bare" }), json!({ "full_log": "\n  first line\nsecond line", "service": "", "level": "", "timestamp": null, "language": null })];
        let batch = acme.stored(&records).await;
        let (bare, full) = (acme.detail(&log_id(&batch, 0)).await, acme.detail(&log_id(&batch, 1)).await);
        for log in [&bare, &full] {
            assert_eq!((&log["service"], &log["level"], &log["language"]), (&json!("unknown"), &json!("INFO"), &Value::Null));
            assert_eq!(log["timestamp"], log["received_at"]);
        }
        assert_eq!((&bare["message"], &bare["full_log"]), (&json!("bare"), &Value::Null));
        assert_eq!((&full["message"], &full["full_log"]), (&json!("  first line"), &json!("\n  first line\nsecond line")));
    });
}

#[test]
fn levels_are_understood_in_the_words_of_every_logger() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let words = [
            ("trace", "TRACE"),
            ("Verbose", "DEBUG"),
            ("FINE", "DEBUG"),
            ("notice", "INFO"),
            ("informational", "INFO"),
            ("Warning", "WARN"),
            ("err", "ERROR"),
            ("SEVERE", "ERROR"),
            ("critical", "FATAL"),
            ("emerg", "FATAL"),
            (" panic ", "FATAL"),
        ];
        let records: Vec<Value> = words.iter().map(|(word, _)| json!({ "message": word, "level": word })).collect();
        let batch = acme.stored(&records).await;
        for (position, (word, level)) in (0..).zip(words) {
            let log = acme.detail(&log_id(&batch, position)).await;
            assert_eq!((&log["level"], &log["record"]["level"]), (&json!(level), &json!(word)));
        }
    });
}

#[test]
fn times_at_the_edges_of_what_the_stores_hold_are_kept_and_beyond_them_refused() {
    const GOOD: [(&str, &str); 10] = [
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("2999-01-01T00:00:00Z", "2999-01-01T00:00:00.000Z"),
        ("2026-06-30T23:59:60Z", "2026-06-30T23:59:59.999Z"),
        ("2026-06-30t12:00:00.9999999z", "2026-06-30T12:00:00.999Z"),
        ("2026-06-30 12:00:00.5Z", "2026-06-30T12:00:00.500Z"),
        ("2026-06-30T14:00:00+02:00", "2026-06-30T12:00:00.000Z"),
        ("2026-06-30T00:00:00-11:30", "2026-06-30T11:30:00.000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ];
    const BAD: [&str; 10] = [
        "0000-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-02-29T00:00:00Z",
        "2026-06-30T24:00:00Z",
        "2026-06-30T12:00:00",
        "2026-06-30",
        "-2026-06-30T12:00:00Z",
        "1e400",
    ];
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = |at: &&str| json!({ "message": format!("at {at}"), "timestamp": at });
        let records: Vec<Value> = GOOD.iter().map(|(sent, _)| record(sent)).chain(BAD.iter().map(record)).collect();
        let receipt = acme.send(Sending::json(&json!(records))).await.ok(202);
        let codes: Vec<&str> = receipt["errors"].as_array().expect("errors").iter().filter_map(|fault| fault["code"].as_str()).collect();
        assert_eq!((&receipt["accepted"], codes), (&json!(GOOD.len()), vec!["invalid_timestamp"; BAD.len()]));
        let batch = receipt["batch_id"].as_str().expect("a batch id");
        assert_eq!(acme.wait_until_indexed(batch).await["indexed"], GOOD.len(), "the index refuses none");

        let mut newest_first: Vec<&str> = GOOD.iter().map(|(_, kept)| *kept).collect();
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(texts(&acme.list(&[]).await, "timestamp"), newest_first);
        assert_eq!(texts(&acme.search("at").await, "timestamp"), newest_first, "the index sorts as the rows do");
        let old = [("q", "at"), ("to", "1970-01-01T00:00:00Z")];
        assert_eq!(texts(&acme.list(&old[1..]).await, "timestamp"), &newest_first[8..]);
        assert_eq!(texts(&acme.get("/v1/search", &old).await.ok(200), "timestamp"), &newest_first[8..]);
        let rows = world.sql(r#"select count(*) from acme.logs where "timestamp" = '0001-01-01T00:00:00Z' or "timestamp" = '9999-12-31T23:59:59.999Z'"#).await;
        assert_eq!(sqlx::Row::get::<i64, _>(&rows[0], 0), 2);
    });
}

#[test]
fn numbers_of_any_size_and_unknown_fields_are_kept_as_they_were_sent() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let record = r#"{"message":"numbers","big":123456789012345678901234567890,"huge":1e400,"tiny":-1.50e-3,"one":1.0,"user":{"id":7,"tags":["a",null]},"attributes":{"status":503,"big":1},"":"empty name"}"#;
        let receipt = acme.send(Sending::bytes(record)).await.ok(202);
        let batch = receipt["batch_id"].as_str().expect("a batch id");
        let became = acme.wait_until_indexed(batch).await;
        assert_eq!(became["indexed"], 1);
        let detail = acme.get(&format!("/v1/logs/{}", log_id(batch, 0)), &[]).await;
        assert!(detail.text.contains(&format!(r#""record":{record}"#)), "{}", detail.text);
        let attributes =
            r#""attributes":{"":"empty name","big":123456789012345678901234567890,"huge":1e400,"one":1.0,"status":503,"tiny":-1.50e-3,"user":{"id":7,"tags":["a",null]}}"#;
        assert!(detail.text.contains(attributes), "{}", detail.text);
    });
}

#[test]
fn a_long_message_of_many_bytes_is_cut_between_characters_in_lists_and_whole_in_detail() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let messages = ["é".repeat(501), format!("{} needle", "日本語🦀".repeat(200)), "x".repeat(500)];
        let records: Vec<Value> = messages.iter().rev().map(|message| plain(message)).collect();
        let batch = acme.stored(&records).await;
        let cut: Vec<String> = messages.iter().map(|message| message.chars().take(500).collect()).collect();
        assert_eq!(texts(&acme.list(&[]).await, "message"), cut);
        assert_eq!(texts(&acme.search("needle").await, "message"), &cut[1..2], "what a list cuts off is found all the same");
        for (position, message) in (0..).zip(messages.iter().rev()) {
            assert_eq!(&acme.detail(&log_id(&batch, position)).await["message"], message);
        }
    });
}

#[test]
fn a_record_of_exactly_one_mebibyte_is_searchable_to_its_last_word_and_comes_back_whole() {
    const MEBIBYTE: usize = 1024 * 1024;
    story(async |world| {
        let acme = world.tenant("acme").await;
        let around = json!({ "message": "heavy", "full_log": "" }).to_string().len();
        let sized = |bytes: usize| {
            let last = " zyzzyva";
            let filler: String = "lorem-ipsum dolor ".chars().cycle().take(bytes - around - last.len()).collect();
            json!({ "message": "heavy", "full_log": filler + last })
        };
        let (exact, over) = (sized(MEBIBYTE), sized(MEBIBYTE + 1));
        assert_eq!((exact.to_string().len(), over.to_string().len()), (MEBIBYTE, MEBIBYTE + 1));
        assert_eq!(acme.send(Sending::json(&over)).await.fault(422, "no_valid_logs").1, "record_too_large");
        let batch = acme.stored(std::slice::from_ref(&exact)).await;
        let id = log_id(&batch, 0);
        for q in ["zyzzyva", "\"dolor lorem ipsum\""] {
            assert_eq!(texts(&acme.search(q).await, "id"), [id.as_str()], "{q}");
        }
        for source in ["auto", "raw"] {
            let detail = acme.get(&format!("/v1/logs/{id}"), &[("source", source)]).await.ok(200);
            assert!(detail["record"] == exact && detail["full_log"] == exact["full_log"], "whole, from {source}");
        }
    });
}

#[test]
fn sixty_four_levels_of_nesting_are_kept_and_not_one_more() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        // The record itself is the first level.
        let nested = |levels: usize| format!(r#"{{"message":"nest","a":{}7{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
        let fits = nested(64);
        let receipt = acme.send(Sending::bytes(fits.clone())).await.ok(202);
        let batch = receipt["batch_id"].as_str().expect("a batch id");
        assert_eq!(acme.wait_until_indexed(batch).await["indexed"], 1);
        assert_eq!(acme.detail(&log_id(batch, 0)).await["record"], serde_json::from_str::<Value>(&fits).expect("JSON"));
        assert_eq!(acme.send(Sending::bytes(nested(65))).await.fault(422, "no_valid_logs").1, "nested_too_deep");
        assert_eq!(acme.send(Sending::bytes(format!("[{}{}]", "[".repeat(10_000), "]".repeat(10_000)))).await.fault(422, "no_valid_logs").1, "nested_too_deep");
        acme.send(Sending::bytes("[".repeat(10_000))).await.problem(400, "invalid_json");
        acme.send(Sending::bytes(r#"{"a":"#.repeat(10_000))).await.problem(400, "invalid_json");
    });
}

#[test]
fn a_log_of_many_attributes_is_indexed_and_kept() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut record = plain("wide");
        for n in 0..2000 {
            record[format!("field {n}")] = json!({ "n": n, "text": "v".repeat(200) });
        }
        let batch = acme.stored(&[record.clone(), numbered("narrow", 1)[0].clone()]).await;
        assert!(acme.detail(&log_id(&batch, 0)).await["record"] == record);
        assert_eq!(acme.batch(&batch).await["indexed"], 2);
    });
}
