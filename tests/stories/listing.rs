//! Lists: the newest first, filtered, page by page.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use shared::timestamp;
use sqlx::Row;
use time::OffsetDateTime;

use crate::harness::{Caller, Encoding, Sending, ids, log_id, logs, numbered, sample, story, texts};

/// Real events of three services.
async fn three_services(acme: &Caller) {
    let records: Vec<Value> = [&sample("kafka")[..200], &sample("openstack")[..200], &sample("syslog")[..200]].concat();
    acme.stored(&records).await;
}

#[test]
fn a_list_is_newest_first_and_shows_what_was_sent() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = sample("gdrive-sync");
        let batch = acme.stored(records).await;
        let mut expected: Vec<(String, String, Value)> = (0..).zip(records).map(|(position, record)| (shown_time(record), log_id(&batch, position), record.clone())).collect();
        expected.sort_unstable_by(|a, b| (&b.0, &b.1).cmp(&(&a.0, &a.1)));

        let page = acme.list(&[]).await;
        assert_eq!((logs(&page).len(), &page["source"], &page["complete"], &page["range"]), (50, &json!("postgres"), &json!(true), &json!({ "from": null, "to": null })));
        let listed = acme.all_pages("/v1/logs", &[("limit", "64")]).await;
        assert_eq!(listed.len(), expected.len());
        for (log, (at, id, record)) in listed.iter().zip(&expected) {
            assert_eq!((&log["timestamp"], &log["id"]), (&json!(at), &json!(id)));
            for field in ["service", "level", "language"] {
                assert_eq!(log[field], record[field], "{field} of {log}");
            }
            let message: String = record["message"].as_str().expect("a message").chars().take(500).collect();
            assert_eq!(log["message"], message);
            assert_eq!(log["indexed"], true);
            assert!(log["raw_path"].as_str().is_some_and(|path| path.contains("/raw/standard/") && path.ends_with(".ndjson.zst")), "{log}");
            assert!(log["received_at"].as_str().is_some_and(|at| timestamp::parse(at).is_ok()), "{log}");
        }
    });
}

/// A record's time as lists show it.
fn shown_time(record: &Value) -> String {
    timestamp::format(timestamp::parse(record["timestamp"].as_str().expect("a time")).expect("RFC 3339"))
}

/// Query parameters: name and value.
type Parameters<'a> = &'a [(&'a str, &'a str)];

#[test]
fn services_and_levels_filter_alone_together_and_repeated() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        three_services(&acme).await;
        let all = acme.all_pages("/v1/logs", &[("limit", "1000")]).await;
        assert_eq!(all.len(), 600);
        // Filters, the services and levels that are left, and whether there are any.
        let cases: [(Parameters<'_>, &[&str], &[&str], bool); 8] = [
            (&[("service", "cinder-api")], &["cinder-api"], &[], true),
            (&[("service", "cinder-api"), ("service", "object-replicator")], &["cinder-api", "object-replicator"], &[], true),
            (&[("level", "ERROR")], &[], &["ERROR"], true),
            (&[("level", "warning"), ("level", "Err"), ("level", "WARN")], &[], &["WARN", "ERROR"], true),
            (&[("service", "kafka0-controller"), ("level", "trace"), ("level", "debug")], &["kafka0-controller"], &["TRACE", "DEBUG"], true),
            (&[("service", ""), ("level", "")], &[], &[], true),
            (&[("service", "nobody")], &["nobody"], &[], false),
            (&[("service", "Cinder-API")], &["Cinder-API"], &[], false),
        ];
        for (parameters, services, levels, some) in cases {
            let is_one_of = |value: &Value, wanted: &[&str]| wanted.is_empty() || wanted.contains(&value.as_str().unwrap_or_default());
            let expected: Vec<&Value> = all.iter().filter(|log| is_one_of(&log["service"], services) && is_one_of(&log["level"], levels)).collect();
            assert_eq!(!expected.is_empty(), some, "{parameters:?}");
            let paged: Vec<(&str, &str)> = parameters.iter().copied().chain([("limit", "37")]).collect();
            let listed = acme.all_pages("/v1/logs", &paged).await;
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{parameters:?}");
        }
    });
}

#[test]
fn a_range_holds_its_beginning_and_not_its_end() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&numbered("tick", 10)).await;
        let at = |second: u32| format!("2026-02-03T00:00:{second:02}Z");
        for (from, to, expected) in [(2, 5, vec!["tick 4", "tick 3", "tick 2"]), (0, 1, vec!["tick 0"]), (9, 10, vec!["tick 9"]), (10, 20, vec![])] {
            let page = acme.list(&[("from", &at(from)), ("to", &at(to))]).await;
            assert_eq!(texts(&page, "message"), expected);
            let shown = |second: u32| at(second).replace('Z', ".000Z");
            assert_eq!(page["range"], json!({ "from": shown(from), "to": shown(to) }));
        }
        assert_eq!(logs(&acme.list(&[("from", "2026-02-03T01:00:03+01:00")]).await).len(), 7);
        assert_eq!(logs(&acme.list(&[("to", "2026-02-03T00:00:03.001Z")]).await).len(), 4);
        let halves = [acme.list(&[("to", &at(5))]).await, acme.list(&[("from", &at(5))]).await];
        assert_eq!(halves.iter().map(|page| logs(page).len()).sum::<usize>(), 10, "two ranges that meet hold everything once");
    });
}

#[test]
fn a_range_may_be_relative_to_now() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let now = timestamp::from_datetime(OffsetDateTime::now_utc());
        let ago = |minutes: i64| json!({ "message": format!("{minutes} minutes ago"), "timestamp": timestamp::format(now - minutes * 60_000) });
        acme.stored(&[ago(1), ago(10), ago(70), ago(60 * 24 * 2), ago(-60)]).await;
        for (parameters, expected) in [
            (vec![("from", "now-15m"), ("to", "now")], vec!["1 minutes ago", "10 minutes ago"]),
            (vec![("from", "now-300s"), ("to", "now")], vec!["1 minutes ago"]),
            (vec![("from", "now-2h"), ("to", "now-30m")], vec!["70 minutes ago"]),
            (vec![("to", "now-1d")], vec!["2880 minutes ago"]),
            (vec![("from", "now-1w"), ("to", "now-1d")], vec!["2880 minutes ago"]),
            (vec![("from", "now")], vec!["-60 minutes ago"]),
        ] {
            let page = acme.list(&parameters).await;
            assert_eq!(texts(&page, "message"), expected, "{parameters:?}");
            let side = |side: &str| page["range"][side].as_str().map(|at| timestamp::parse(at).expect("RFC 3339"));
            assert_eq!(parameters.iter().any(|(name, _)| *name == "from"), side("from").is_some(), "the answer says which range it used: {page}");
            assert!(side("to").is_none_or(|to| to <= timestamp::from_datetime(OffsetDateTime::now_utc())), "{page}");
        }
    });
}

#[test]
fn what_makes_no_sense_as_a_parameter_is_named() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let wrong = [
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "-1"),
            ("limit", "ten"),
            ("limit", "99999999999999999999"),
            ("level", "loud"),
            ("from", "yesterday"),
            ("from", "2026-02-30T00:00:00Z"),
            ("from", "now+1h"),
            ("from", "now-99999999999999999999w"),
            ("to", "2026-02-03"),
            ("to", "1760099196"),
        ];
        for (name, value) in wrong {
            for (path, more) in [("/v1/logs", None), ("/v1/search", Some(("q", "word")))] {
                let parameters: Vec<_> = [(name, value)].into_iter().chain(more).collect();
                let fault = acme.get(path, &parameters).await.fault(422, "invalid_parameter");
                assert_eq!(fault, (name.to_owned(), "invalid_parameter".to_owned()), "{path} {name}={value}");
            }
        }
        for range in [["now", "now-1h"], ["now", "now"], ["2026-02-03T00:00:00Z", "2026-02-03T00:00:00Z"]] {
            assert_eq!(acme.get("/v1/logs", &[("from", range[0]), ("to", range[1])]).await.fault(422, "invalid_parameter").0, "from");
        }
        for unknown in [("order", "asc"), ("q", "word"), ("tenant", "globex"), ("Limit", "5")] {
            acme.get("/v1/logs", &[unknown]).await.problem(422, "invalid_parameter");
        }
        acme.get("/v1/logs", &[("limit", "5"), ("limit", "6")]).await.problem(422, "invalid_parameter");
        acme.get("/v1/logs?limit=%ff", &[]).await.problem(422, "invalid_parameter");
    });
}

#[test]
fn an_empty_text_counts_as_not_sent_and_an_empty_number_id_or_state_is_refused() {
    story(async |world| {
        let (acme, operator) = (world.tenant("acme").await, world.operator());
        let batch = acme.stored(&[json!({ "message": "one" })]).await;
        let (log, hook) = (log_id(&batch, 0), uuid::Uuid::nil());
        for path in ["/v1/logs?service=&level=&from=&to=&sort=&cursor=&fields=", "/v1/search?q=one&service=&level=&cursor="] {
            acme.get(path, &[]).await.ok(200);
        }
        let empty = [
            "/v1/logs?limit=",
            "/v1/logs?limit",
            "/v1/search?limit=",
            "/v1/facets?fields=service&limit=",
            "/v1/tail?limit=",
            "/v1/tail?wait=",
            &format!("/v1/logs/{log}/context?before="),
            &format!("/v1/logs/{log}/context?after="),
            &format!("/v1/batches/{batch}?timeout="),
        ];
        let of_operators = [
            "/v1/invoices?status=",
            "/v1/tenants?limit=",
            "/v1/dead-letters?limit=",
            "/v1/usage/batches?tenant=acme&hour=2026-11-25T10:00:00Z&key_id=",
            "/v1/tenants/acme/retention/preview?rows_days=",
            "/v1/tenants/acme/retention/preview?legal_hold=",
            &format!("/v1/tenants/acme/webhooks/{hook}/deliveries?state="),
        ];
        for (caller, path) in empty.map(|path| (&acme, path)).into_iter().chain(of_operators.map(|path| (&operator, path))) {
            let name = path.split(['?', '&']).next_back().map(|last| last.trim_end_matches('='));
            assert_eq!(Some(caller.get(path, &[]).await.fault(422, "invalid_parameter").0.as_str()), name, "{path}");
        }
    });
}

/// So many logs of one moment.
fn of_one_moment(count: usize) -> Vec<Value> {
    vec![json!({ "message": "one of many", "timestamp": "2026-05-05T05:05:05.005Z", "service": "swarm" }); count]
}

#[test]
fn pages_of_logs_of_one_moment_miss_none_and_repeat_none_while_new_ones_come_in() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut batches = vec![acme.accepted(&of_one_moment(1500)).await, acme.accepted(&of_one_moment(1)).await, acme.accepted(&of_one_moment(1499)).await];
        for (path, filter) in [("/v1/logs", ("service", "swarm")), ("/v1/search", ("q", "\"one of many\""))] {
            for batch in &batches {
                acme.wait_until_indexed(batch).await;
            }
            let expected: Vec<String> = world.sql(r#"select id::text from acme.log_rows order by "timestamp" desc, id desc"#).await.iter().map(|row| row.get(0)).collect();
            let (mut seen, mut cursor, mut limits) = (Vec::new(), None::<String>, ["173", "97", "340"].iter().cycle());
            loop {
                let limit = limits.next().expect("a cycle");
                let parameters: Vec<(&str, &str)> = [("limit", *limit), filter].into_iter().chain(cursor.as_deref().map(|cursor| ("cursor", cursor))).collect();
                let page = acme.get(path, &parameters).await.ok(200);
                seen.extend(ids(&page));
                cursor = page["next_cursor"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
                // More come in between any two pages, of the same moment and of one long before it; some are stored before the next.
                let late = json!({ "message": "one of many", "timestamp": "2020-05-05T05:05:05Z", "service": "swarm" });
                let newer = acme.accepted(&[of_one_moment(3), vec![late; 2]].concat()).await;
                if *limit == "97" {
                    acme.wait_until_indexed(&newer).await;
                }
                batches.push(newer);
            }
            assert!(expected.len() >= 3000, "{path}: thousands");
            assert_eq!(seen.len(), expected.len(), "{path}");
            assert!(seen == expected, "{path}: exactly what was there at the first page, and of one moment the id decides");
        }
    });
}

#[test]
fn a_cursor_goes_with_its_list_and_no_other() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&numbered("page", 30)).await;
        let first = acme.list(&[("limit", "10"), ("service", "billing"), ("from", "2026-02-03T00:00:00Z")]).await;
        let cursor = first["next_cursor"].as_str().expect("a next page").to_owned();
        let with = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
            more.iter().map(|(name, value)| (*name, (*value).to_owned())).chain([("cursor", cursor.clone())]).collect()
        };
        let get = async |path: &str, parameters: Vec<(&'static str, String)>| {
            let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            acme.get(path, &parameters).await
        };
        for same in [with(&[("service", "billing")]), with(&[("service", "billing"), ("from", "2026-02-03T00:00:00Z")]), with(&[("service", "billing"), ("limit", "3")])] {
            let page = get("/v1/logs", same).await.ok(200);
            assert_eq!(texts(&page, "message")[0], "page 19");
            assert_eq!(page["range"], first["range"]);
        }
        for other in [
            with(&[]),
            with(&[("service", "other")]),
            with(&[("service", "billing"), ("level", "WARN")]),
            with(&[("service", "billing"), ("from", "2026-02-03T00:00:01Z")]),
            with(&[("service", "billing"), ("to", "now")]),
        ] {
            assert_eq!(get("/v1/logs", other).await.fault(422, "invalid_cursor").0, "cursor");
        }
        assert_eq!(get("/v1/search", with(&[("service", "billing"), ("q", "page")])).await.fault(422, "invalid_cursor").0, "cursor");
        let middle = cursor.len() / 2;
        let flipped = format!("{}{}{}", &cursor[..middle], if &cursor[middle..=middle] == "A" { "B" } else { "A" }, &cursor[middle + 1..]);
        for damaged in ["x", "AAAA", &cursor[1..], &cursor[..cursor.len() - 1], &format!("{cursor}A"), &flipped, "../../etc", "\u{0}"] {
            let answer = acme.get("/v1/logs", &[("service", "billing"), ("cursor", damaged)]).await;
            assert_eq!(answer.fault(422, "invalid_cursor").0, "cursor", "{damaged}");
        }
    });
}

#[test]
fn no_answer_is_larger_than_five_mebibytes_and_pages_go_on_from_there() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        // A control character takes one byte in a keyword and six in JSON.
        let wide = "\u{1}".repeat(256);
        let records: Vec<Value> =
            (0..1000).map(|n| json!({ "message": format!("{n:04}{}", "\u{1}".repeat(496)), "service": wide, "language": wide, "timestamp": "2026-02-03T00:00:00Z" })).collect();
        let batch = acme.send(Sending::ndjson(&records).packed(Encoding::Zstd)).await.ok(202)["batch_id"].as_str().expect("an id").to_owned();
        acme.wait_until_indexed(&batch).await;
        let (mut seen, mut sizes, mut cursor) = (HashSet::new(), Vec::new(), None::<String>);
        loop {
            let parameters: Vec<(&str, &str)> = [("limit", "1000")].into_iter().chain(cursor.as_deref().map(|cursor| ("cursor", cursor))).collect();
            let answer = acme.get("/v1/logs", &parameters).await;
            sizes.push(answer.text.len());
            let page = answer.ok(200);
            seen.extend(ids(&page));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert!(sizes.iter().all(|size| *size <= 5 * 1024 * 1024), "{sizes:?}");
        assert!(sizes.len() > 1 && sizes[0] > 4 * 1024 * 1024, "a page is as large as it may be: {sizes:?}");
        assert_eq!(seen.len(), 1000);
    });
}

#[test]
fn operators_read_the_same_list_in_postgres_by_hand() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(sample("stack-traces")).await;
        acme.stored(&[json!({ "message": "latest", "timestamp": "2029-01-01T00:00:00Z", "level": "fatal" })]).await;
        let rows = world.sql("SELECT id, service, level, message, timestamp FROM acme.logs ORDER BY timestamp DESC LIMIT 50").await;
        let page = acme.list(&[]).await;
        assert_eq!((rows.len(), logs(&page).len()), (50, 50));
        for (row, log) in rows.iter().zip(logs(&page)) {
            let at: OffsetDateTime = row.get("timestamp");
            assert_eq!(timestamp::format(timestamp::from_datetime(at)), log["timestamp"]);
            for field in ["service", "level", "message"] {
                assert_eq!(row.get::<String, _>(field), log[field].as_str().expect("text"), "{field}");
            }
        }
        let whole = world.sql("select raw_path, indexed, language, id::text from acme.logs").await;
        assert_eq!(whole.len(), 115);
        assert!(whole.iter().all(|row| row.get::<bool, _>("indexed") && row.get::<String, _>("raw_path").contains("/raw/")));
    });
}

#[test]
fn an_empty_list_is_a_list() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for path in ["/v1/logs", "/v1/search?q=anything"] {
            let page = acme.get(path, &[]).await.ok(200);
            assert_eq!((&page["logs"], &page["next_cursor"], &page["complete"]), (&json!([]), &Value::Null, &json!(true)), "{path}: {page}");
        }
        assert_eq!(acme.call(Method::HEAD, "/v1/logs", &[], Sending::default()).await.status, 200);
    });
}
