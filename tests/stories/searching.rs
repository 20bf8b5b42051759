//! Full-text search: what is found, in which order, and what is shown of it.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use crate::harness::{Caller, NOWHERE, World, for_all, ids, log_id, logs, numbered, sample, story, texts};

/// Logs that differ in what can be searched for. The first is the newest.
const LIBRARY: [(&str, &str, &str, &str); 9] = [
    (
        "billing",
        "ERROR",
        "Payment failed due to invalid UUID",
        "Traceback (most recent call last):\n  File \"/srv/billing/pay.py\", line 3, in charge\nValueError: badly formed hexadecimal UUID string",
    ),
    ("billing", "INFO", "Payment of 30 EUR accepted", ""),
    ("gateway", "WARN", "Connection timed out after 30s to db-primary.internal:5432", ""),
    ("kafka", "ERROR", "org.apache.kafka.common.errors.NotLeaderForPartitionException: This server is not the leader for that topic-partition.", ""),
    ("logrotate", "INFO", "/var/log/app-1.log rotated to /var/log/app-1.log.2.gz", ""),
    ("shop-web", "WARN", "<script>alert(\"boom\") & co</script> was sent as a name", ""),
    ("intl", "INFO", "ошибка соединения: naïve café, 日本語のログ", ""),
    ("auth", "INFO", "user_id=4711 session=6ba7b810-9dad-41d1-80b4-00c04fd430c8 level=\"error\" retry_count:3", ""),
    ("edge", "INFO", "100% of e-mails to ops@example.org sent; see https://status.example.org/?a=1&b=2", ""),
];

async fn library(world: &World) -> Caller {
    let acme = world.tenant("acme").await;
    let records: Vec<Value> = (0..).zip(LIBRARY).map(|(n, (service, level, message, full_log))| json!({ "service": service, "level": level, "message": message, "full_log": full_log, "timestamp": format!("2026-03-03T03:03:{:02}Z", 30 - n) })).collect();
    acme.stored(&records).await;
    acme
}

/// Services of what a search finds, in order.
async fn found(acme: &Caller, q: &str) -> Vec<String> {
    texts(&acme.search(q).await, "service")
}

#[test]
fn words_phrases_and_exclusions_find_what_they_say() {
    story(async |world| {
        let acme = library(world).await;
        let cases: [(&str, &[&str]); 34] = [
            ("payment", &["billing", "billing"]),
            ("PAYMENT Failed", &["billing"]),
            ("uuid payment", &["billing"]),
            ("payment hexadecimal", &["billing"]),
            ("\"invalid UUID\"", &["billing"]),
            ("\"UUID invalid\"", &[]),
            ("pay", &["billing"]),
            ("paymen", &[]),
            ("payment -failed", &["billing"]),
            ("payment -\"badly formed\"", &["billing"]),
            ("payment nowhere", &[]),
            ("30", &["billing"]),
            ("30s", &["gateway"]),
            ("NotLeaderForPartitionException", &["kafka"]),
            ("notleaderforpartitionexception", &["kafka"]),
            ("org.apache.kafka.common.errors.NotLeaderForPartitionException", &["kafka"]),
            ("kafka.common.errors", &["kafka"]),
            ("common.kafka", &[]),
            ("topic-partition", &["kafka"]),
            ("db-primary.internal:5432", &["gateway"]),
            ("5432", &["gateway"]),
            ("/var/log/app-1.log", &["logrotate"]),
            ("app-1.log.2.gz", &["logrotate"]),
            ("File \"/srv/billing/pay.py\", line 3", &["billing"]),
            ("соединения", &["intl"]),
            ("ОШИБКА", &["intl"]),
            ("café", &["intl"]),
            ("user_id=4711", &["auth"]),
            ("user_id", &["auth"]),
            ("6ba7b810-9dad-41d1-80b4-00c04fd430c8", &["auth"]),
            ("level=\"error\"", &["auth"]),
            ("ops@example.org", &["edge"]),
            ("https://status.example.org/?a=1&b=2", &["edge"]),
            ("100%", &["edge"]),
        ];
        for (q, services) in cases {
            assert_eq!(found(&acme, q).await, services, "{q}");
        }
        assert_eq!(found(&acme, "-payment -kafka").await, ["gateway", "logrotate", "shop-web", "intl", "auth", "edge"]);
        assert_eq!(found(&acme, "日本語のログ").await, ["intl"]);
    });
}

#[test]
fn highlights_show_the_matches_and_nothing_that_a_browser_would_run() {
    story(async |world| {
        let acme = library(world).await;
        let highlights = async |q: &str| logs(&acme.search(q).await)[0]["highlights"].clone();
        assert_eq!(highlights("uuid payment").await["message"], json!(["<em>Payment</em> failed due to invalid <em>UUID</em>"]));
        assert!(highlights("hexadecimal").await["full_log"][0].as_str().is_some_and(|text| text.contains("badly formed <em>hexadecimal</em> UUID")));
        let script = highlights("alert").await["message"][0].as_str().expect("a fragment").to_owned();
        assert!(script.contains("&lt;script&gt;<em>alert</em>(&quot;boom&quot;) &amp; co&lt;&#x2F;script&gt;"), "{script}");
        let first = acme.search("payment -accepted").await;
        assert_eq!(first["total"], json!({ "value": 1, "relation": "eq" }));
        assert_eq!((&first["source"], &first["complete"], &first["range"]), (&json!("opensearch"), &json!(true), &json!({ "from": null, "to": null })));
    });
}

#[test]
fn a_search_goes_by_the_same_filters_and_order_as_a_list() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[sample("kafka"), sample("openstack")].concat()).await;
        let cases: [&[(&str, &str)]; 6] = [
            &[],
            &[("service", "cinder-api"), ("service", "nova-api")],
            &[("level", "warning"), ("level", "err")],
            &[("service", "kafka0-controller"), ("level", "TRACE")],
            &[("from", "2016-01-01T00:00:00Z"), ("to", "2016-12-20T00:00:00Z")],
            &[("to", "2013-09-27T18:30:00Z"), ("level", "debug")],
        ];
        for filters in cases {
            // Nothing holds this word, so excluding it finds everything.
            let searched: Vec<(&str, &str)> = filters.iter().copied().chain([("q", "-kanarienvogel"), ("limit", "300")]).collect();
            let listed: Vec<(&str, &str)> = filters.iter().copied().chain([("limit", "1000")]).collect();
            let mut found = acme.all_pages("/v1/search", &searched).await;
            for log in &mut found {
                let log = log.as_object_mut().expect("a log");
                log.retain(|field, _| !field.starts_with("highlight"));
            }
            let expected = acme.all_pages("/v1/logs", &listed).await;
            assert!(!expected.is_empty() && found == expected, "{filters:?}: {} found, {} listed", found.len(), expected.len());
        }
    });
}

#[test]
fn a_search_is_counted_exactly_up_to_ten_thousand_and_as_a_bound_beyond() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let needles = numbered("needle", 5000);
        futures::future::join_all([&needles[..], &needles, &needles[..100]].map(|records| acme.stored(records))).await;
        let page = acme.get("/v1/search", &[("q", "needle"), ("limit", "5")]).await.ok(200);
        assert_eq!((logs(&page).len(), &page["total"]), (5, &json!({ "value": 10_000, "relation": "gte" })));
        let page = acme.get("/v1/search", &[("q", "needle"), ("to", "2026-02-03T00:01:40Z")]).await.ok(200);
        assert_eq!(page["total"], json!({ "value": 300, "relation": "eq" }));
    });
}

#[test]
fn a_query_without_a_word_or_with_too_many_is_told_so() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.get("/v1/search", &[]).await.problem(422, "invalid_query");
        let (long, many) = ("x".repeat(4001), "w ".repeat(65));
        for q in ["", "  ", "\"\"", "-", "--", "...", "🔥 -> 🔥", long.as_str(), many.as_str()] {
            assert_eq!(acme.get("/v1/search", &[("q", q)]).await.fault(422, "invalid_query").0, "q", "{q}");
        }
        let (long, many) = ("x".repeat(4000), "w ".repeat(64));
        for q in [long.as_str(), many.as_str()] {
            assert_eq!(logs(&acme.search(q).await).len(), 0);
        }
    });
}

/// What people paste, and what breaks query languages.
const NASTY: [&str; 44] = [
    "AND",
    "OR",
    "NOT",
    "a AND",
    "NOT NOT x",
    "field:",
    ":",
    "a:b:c",
    "_exists_:x",
    "*",
    "a*",
    "?x?",
    "/re(gex/",
    "/a/",
    "(",
    "a)",
    "((((x",
    "[1 TO",
    "{x TO *}",
    "x~",
    "x~99999",
    "x^",
    "x^-1",
    "\\",
    "\\x",
    "x\\\"y",
    "\"open",
    "x\"y\"z",
    "''",
    "%",
    "%x%",
    "_",
    "a_b",
    "'; drop table log_rows; --",
    "{\"query\":{\"match_all\":{}}}",
    "<em>x</em>",
    "\u{0}x",
    "x\u{fffd}\u{feff}",
    "\u{202e}x",
    "e\u{301}\u{301}",
    "ﷺ x",
    "\r\nx\t",
    "now-15m",
    "&& || !x",
];

/// A query is answered, or told why not: never an error of ours.
async fn is_answered(caller: &Caller, q: &str, without_index: bool) -> Result<(), TestCaseError> {
    let answer = caller.get("/v1/search", &[("q", q), ("limit", "3")]).await;
    match answer.status {
        200 => drop(answer.ok(200)),
        422 => drop(answer.problem(422, "invalid_query")),
        // The rows lack what some queries ask for.
        503 if without_index => drop(answer.problem(503, "opensearch_unavailable")),
        status => return Err(TestCaseError::fail(format!("{status}: {}", answer.text))),
    }
    Ok(())
}

#[test]
fn no_text_breaks_a_search_with_the_index_or_without() {
    story(async |world| {
        let acme = library(world).await;
        let without_index = world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))]).await;
        for (caller, without) in [(&acme, false), (&acme.at(&without_index), true)] {
            for q in NASTY {
                is_answered(caller, q, without).await.unwrap_or_else(|error| panic!("{q:?}: {error}"));
            }
            let strategy = prop_oneof![
                "\\PC{1,60}",
                "[-+*?~^\"'\\\\/(){}\\[\\]:!&|<>=@#$%_., a-z0-9]{1,60}",
                prop::collection::vec(any::<char>(), 1..30).prop_map(|chars| chars.into_iter().collect::<String>()),
                prop::collection::vec(prop::sample::select(&NASTY[..]), 1..6).prop_map(|parts| parts.join(" ")),
            ];
            for_all(120, &strategy, async |q| is_answered(caller, &q, without).await);
        }
    });
}

#[test]
fn any_word_of_a_log_finds_it() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records: Vec<Value> = ["stack-traces", "cloud-audit-json", "lnav-mixed"].iter().flat_map(|file| sample(file)).cloned().collect();
        let batch = acme.stored(&records).await;
        let strategy = (0..records.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..4_usize);
        for_all(120, &strategy, async |(position, field, start, length)| {
            let texts: Vec<&str> = ["message", "full_log"].iter().filter_map(|field| records[position][*field].as_str()).collect();
            let words: Vec<&str> = texts[field.index(texts.len())].split_whitespace().collect();
            let start = start.index(words.len());
            // A phrase of what stands there, as somebody would paste it; quotes in it would end it.
            let phrase = words[start..(start + length).min(words.len())].join(" ").replace('"', " ");
            if !phrase.contains(char::is_alphanumeric) || phrase.chars().count() > 900 {
                return Ok(());
            }
            let id = log_id(&batch, u16::try_from(position).expect("few"));
            let found = acme.all_pages("/v1/search", &[("q", &format!("\"{phrase}\"")), ("limit", "1000")]).await;
            prop_assert!(found.iter().any(|log| log["id"] == id), "{} hits for {:?}, none of them {}", found.len(), phrase, id);
            Ok(())
        });
    });
}

#[test]
fn pages_of_a_search_hold_each_hit_once() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(sample("apache-access")).await;
        acme.stored(sample("syslog")).await;
        let whole = acme.all_pages("/v1/search", &[("q", "-kanarienvogel"), ("limit", "1000")]).await;
        let cut = acme.all_pages("/v1/search", &[("q", "-kanarienvogel"), ("limit", "7")]).await;
        let distinct: HashSet<&str> = cut.iter().filter_map(|log| log["id"].as_str()).collect();
        assert_eq!((whole.len(), distinct.len()), (960, 960));
        assert!(cut == whole, "page by page it is the same list");
        let page = acme.get("/v1/search", &[("q", "GET"), ("limit", "1")]).await.ok(200);
        assert_eq!(ids(&page).len(), 1);
        assert!(page["next_cursor"].is_string() && page["total"]["value"].as_u64() > Some(400), "{page}");
    });
}
