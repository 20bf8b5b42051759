//! The query language has one meaning: what it says of a log in memory is what the index finds, and what the rows find without it.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::document::spaced;
use shared::query::words::lowered_words;
use shared::query::{Query, Subject};

use crate::harness::{NOWHERE, Sending, Sent, for_all, sample_files, shared_data, story};

/// Queries and records of the property; `LOGGERHUB_QUERY_CASES=1000` takes as many queries, over 20,000 events of the shared sample where
/// that is at hand.
const CASES: u32 = 150;
const MANY_RECORDS: usize = 20_000;

/// Whether it is meant as the rows have it: the beginning of the message, and none of what they lack.
fn row_is_meant_by(sent: &Sent, query: &Query) -> bool {
    let log = sent.subject();
    let message = shared::text::first_chars(log.message, shared::rows::MAX_MESSAGE_CHARS);
    let parts = shared::query::words::runs([message]);
    query.matches(&Subject { message, full_log: None, trace_id: None, span_id: None, attributes: &[], attribute_numbers: &[], parts: &parts, ..log })
}

/// Pieces of queries, made of what the records hold.
fn terms(records: &[Value]) -> impl Strategy<Value = String> + use<> {
    let texts: Vec<String> = records.iter().flat_map(|record| ["message", "full_log"].map(|field| record[field].as_str().unwrap_or_default().to_owned())).collect();
    let services: Vec<String> = records.iter().filter_map(|record| record["service"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>().into_iter().collect();
    let word = (prop::sample::select(texts), any::<prop::sample::Index>(), 1..4_usize).prop_map(|(text, start, length)| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let start = if words.is_empty() { 0 } else { start.index(words.len()) };
        let piece = words.get(start..(start + length).min(words.len())).unwrap_or_default().join(" ");
        let piece: String = piece.chars().filter(|c| !matches!(c, '"' | '\\')).take(60).collect();
        if lowered_words(&piece).next().is_some() { piece } else { "error".to_owned() }
    });
    let one = word.clone().prop_map(|text| lowered_words(&text).next().unwrap_or_default());
    let part = word.clone().prop_map(|text| text.split(|c: char| !c.is_alphanumeric()).find(|word| word.len() > 1).unwrap_or("the").to_owned());
    prop_oneof![
        3 => word.clone().prop_map(|text| format!("\"{text}\"")),
        3 => part,
        1 => one.clone().prop_map(|word| { let start: String = word.chars().take(4).collect(); if start.chars().count() > 1 { format!("{start}*") } else { word } }),
        1 => one.prop_map(|word| if word.is_ascii() && word.len() > 3 { format!("{}?{}", &word[..1], &word[2..]) } else { word }),
        1 => word.clone().prop_map(|text| format!("message:\"{text}\"")),
        1 => word.prop_map(|text| format!("full_log:\"{text}\"")),
        2 => prop::sample::select(services).prop_map(|service| format!("service:\"{service}\"")),
        1 => prop::sample::select(vec!["level>=warn", "level:INFO", "level<ERROR", "level:(DEBUG OR FATAL)", "language:java", "language:*", "full_log:*"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["timestamp<2016-06-01", "timestamp:[2013-01-01 TO 2015-06-01}", "timestamp>=2017-01-01T00:00:00Z"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["attributes.n>=500", "attributes.n:[10 TO 70}", "attributes.n<0", "attributes.n:42", "attributes.user.name:ann*", "attributes.user:*", "attributes.user.name:\"Bob\""]).prop_map(str::to_owned),
    ]
}

fn queries(records: &[Value]) -> impl Strategy<Value = String> + use<> {
    terms(records).prop_recursive(3, 8, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(|all| all.join(" ")),
            several.prop_map(|any| format!("({})", any.join(" OR "))),
            inner.prop_map(|one| if one.contains(' ') && !one.starts_with(['"', '(']) { format!("NOT ({one})") } else { format!("NOT {one}") }),
        ]
    })
}

/// Real events, every third one with attributes.
fn records(many: bool) -> Vec<Value> {
    let real = if many { shared_data(MANY_RECORDS) } else { None };
    let mut records = real.unwrap_or_else(|| sample_files().iter().flat_map(|(_, events)| events).cloned().collect());
    for (n, record) in records.iter_mut().enumerate().filter(|(n, _)| n % 3 == 0) {
        let number = i64::try_from(n).unwrap_or_default() * 37 % 1000 - 100;
        let name = ["Bob", "annika", "ann"][n % 9 / 3];
        record["attributes"] = json!({ "n": number, "user": { "name": name } });
    }
    records
}

#[test]
fn generated_queries_find_in_every_store_what_they_mean_in_memory() {
    let cases = std::env::var("LOGGERHUB_QUERY_CASES").ok().and_then(|cases| cases.parse().ok());
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = records(cases.is_some());
        let sent = acme.sent(&records).await;
        let without_index = acme.at(&world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))]).await);
        println!("{} records", sent.len());
        for_all(cases.unwrap_or(CASES), &queries(&records), async |q| {
            let query = Query::parse(&q, 1_760_099_196_000).map_err(|error| TestCaseError::fail(format!("{q}: {error}")))?;
            let meant = |is: &dyn Fn(&Sent) -> bool| sent.iter().filter(|one| is(one)).map(|one| one.id.to_string()).collect::<BTreeSet<_>>();
            let in_memory = meant(&|one| one.is_meant_by(&query));
            let in_index = acme.found(&q).await;
            prop_assert!(in_memory == in_index, "{}: {} meant, {} found; for example {:?}", q, in_memory.len(), in_index.len(), example(&sent, &in_memory, &in_index));
            if query.field_beyond_rows().is_none() {
                let in_memory = meant(&|one| row_is_meant_by(one, &query));
                let in_rows = without_index.found(&q).await;
                prop_assert!(in_memory == in_rows, "{}: {} meant, {} in rows; for example {:?}", q, in_memory.len(), in_rows.len(), example(&sent, &in_memory, &in_rows));
            }
            Ok(())
        });
    });
}

fn example<'a>(sent: &'a [Sent], meant: &BTreeSet<String>, found: &BTreeSet<String>) -> Option<&'a str> {
    let odd = meant.symmetric_difference(found).next()?;
    sent.iter().find(|one| one.id.to_string() == *odd).map(|one| one.text)
}

#[test]
fn the_index_splits_text_into_the_words_that_we_do() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[json!({ "message": "x" })]).await;
        let strategy = prop_oneof![
            "\\PC{0,60}",
            "[a-zA-Z0-9 ._/\u{a0}\u{2007}\u{202f}\u{0}\t\r\n\u{1b}\u{1f}日é\u{301}`^+$<>|~-]{0,60}",
            "(\u{1b}\\[[0-9;?]{0,3}[ -/]?[@-~]|[a-zA-Z0-9 \u{1}\u{1b}\u{7f}\u{85}\\[]){0,20}",
            prop::collection::vec(any::<char>(), 0..20).prop_map(|all| all.into_iter().collect::<String>())
        ];
        for_all(400, &strategy, async |text| {
            // Java and we may know different versions of Unicode: a character that is new to one of them is passed over.
            let ours: Vec<String> = lowered_words(&text).collect();
            let theirs = world.words_of_index(&spaced(&text)).await;
            prop_assert_eq!(ours, theirs);
            Ok(())
        });
    });
}

#[test]
fn a_word_with_stars_is_as_long_as_the_index_can_hold_it_against_its_words() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[json!({ "message": "x", "attributes": { "path": "y" } })]).await;
        let worst = |length: usize| {
            let half = "a".repeat((length - 19) / 2);
            format!("*a?a?a?a?{half}*{half}?a?a?a?a*")
        };
        for q in [worst(127), format!("attributes.{}:*y?y", "p".repeat(124)), format!("aa*{}", "b".repeat(125))] {
            let answer = acme.get("/v1/search", &[("q", &q)]).await.ok(200);
            assert_eq!((&answer["source"], &answer["complete"]), (&json!("opensearch"), &json!(true)), "{q}");
        }
        for q in [worst(129), format!("attributes.{}:*y?y", "p".repeat(125)), format!("aa*{}", "b".repeat(126)), format!("service:aa*{}", "b".repeat(1_000))] {
            acme.get("/v1/search", &[("q", &q)]).await.problem(422, "invalid_query");
        }
        let path = |length: usize| format!("attributes.{}", ".".repeat(length));
        acme.get("/v1/facets", &[("fields", &path(256))]).await.ok(200);
        assert_eq!(acme.get("/v1/facets", &[("fields", &path(257))]).await.fault(422, "invalid_parameter").0, "fields");
        acme.get("/v1/histogram?interval=3652500d", &[]).await.ok(200);
        acme.get("/v1/histogram?interval=9999999999d", &[]).await.problem(422, "invalid_parameter");
    });
}

#[test]
fn every_piece_of_an_identifier_finds_it() {
    let hits: HashMap<&str, Vec<&str>> = HashMap::from([
        (
            "org.apache.kafka.common.errors.NotLeaderForPartitionException: gone",
            vec![
                "kafka.common",
                "NotLeaderForPartition",
                "LeaderForPartition",
                "partition",
                "Leader",
                "notleader*",
                "Leader*",
                "part*",
                "notleaderforpartitionexception",
                "errors.NotLeaderForPartitionException",
            ],
        ),
        (
            "parseURLPath failed for /srv/shop-web/app_config.yml",
            vec!["URL", "parse", "Path", "parseurlpath", "shop-web", "/srv/shop-web", "app_config", "config.yml", "app_con*", "url"],
        ),
        (
            "request 6ba7b810-9dad-41d1-80b4-00c04fd430c8 from 10.1.2.3:8080",
            vec!["6ba7b810", "6ba7b810-9dad", "6BA7B810-9DAD-41D1-80B4-00C04FD430C8", "00c04fd4*", "10.1.2.3", "10.1.2.3:8080", "8080"],
        ),
        ("E11000 duplicate key error, trace 4bf92f3577b34da6a3ce929d0e0e4736", vec!["E11000", "e11000", "message:E1100?", "4bf92f35*", "\"duplicate key\""]),
        (
            "java.lang.NullPointerException at com.acme.pay.Charge.run(Charge.java:42)",
            vec!["NullPointer", "NullPointerException", "nullpointer*", "Charge.java:42", "com.acme.pay", "acme.pay.Charge"],
        ),
        ("getUserNameById", vec!["User", "UserName", "NameById", "user*"]),
        ("парсерИмяФайла", vec!["Имя", "файла", "ИмяФайла"]),
        ("\u{1b}[1;31mKaboom\u{1b}[0mplainly", vec!["kaboom", "plainly", "\"kaboom plainly\"", "plain*"]),
    ]);
    let misses = ["PartitionLeader", "pointers", "kafka.apache", "Pointer*Null", "10.1.2.4", "E1100", "\"key duplicate\"", "6ba7b811", "config.app"];
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records: Vec<Value> = hits.keys().map(|message| json!({ "message": message })).collect();
        acme.stored(&records).await;
        for (message, queries) in &hits {
            for q in queries {
                let logs = acme.search(q).await;
                let messages: Vec<&str> = logs["logs"].as_array().expect("logs").iter().filter_map(|log| log["message"].as_str()).collect();
                assert!(messages.contains(message), "{q} finds {messages:?}");
            }
        }
        for q in misses {
            assert_eq!(acme.search(q).await["total"]["value"], 0, "{q}");
        }
    });
}

#[test]
fn a_number_is_found_by_what_was_sent_however_long_it_is() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let numbers = ["7", "9007199254740993", "18446744073709551616", "100000000000000000000", "123456789012345678901234567890"];
        let lines: Vec<String> = numbers.iter().map(|number| format!(r#"{{"message":"{number}","attributes":{{"v":{number}}}}}"#)).collect();
        let receipt = acme.send(Sending::bytes(lines.join("\n"))).await.ok(202);
        acme.wait_until_indexed(receipt["batch_id"].as_str().expect("a batch id")).await;
        for number in numbers {
            let found = acme.search(&format!("attributes.v:{number}")).await;
            assert_eq!((&found["total"]["value"], &found["logs"][0]["message"]), (&json!(1), &json!(number)), "{number}");
        }
    });
}

#[test]
fn a_query_that_cannot_be_read_says_where() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let problem = acme.get("/v1/search", &[("q", "level>=warn AND (a OR b")]).await.problem(422, "invalid_query");
        let fault = &problem["errors"][0];
        assert_eq!((&fault["field"], &fault["code"]), (&json!("q"), &json!("invalid_query")));
        assert_eq!(fault["place"], json!({ "offset": 16, "length": 1, "expected": "a `)`", "caret": "level>=warn AND (a OR b\n                ^" }));
    });
}
