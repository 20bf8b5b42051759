//! What readers ask beside lists and searches: orders and fields, bars over time, what stands around a log, and what can be searched by now.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{NEVER_DRAINS, NOWHERE, ids, log_id, logs, numbered, plain, sample, story, story_with, texts};

#[test]
fn lists_and_searches_go_in_the_order_that_is_asked_for() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&numbered("needle", 30)).await;
        for path in ["/v1/logs", "/v1/search"] {
            let with = |sort: &'static str| {
                [("q", "needle"), ("sort", sort), ("limit", "7")].into_iter().filter(move |(name, _)| path == "/v1/search" || *name != "q").collect::<Vec<_>>()
            };
            let newest = acme.all_pages(path, &with("newest")).await;
            let mut oldest = acme.all_pages(path, &with("oldest")).await;
            oldest.reverse();
            assert!(newest.len() == 30 && newest == oldest, "{path}");
            let cursor = acme.get(path, &with("newest")).await.ok(200)["next_cursor"].as_str().expect("more").to_owned();
            let mut other = with("oldest");
            other.push(("cursor", &cursor));
            acme.get(path, &other).await.problem(422, "invalid_cursor");
        }
        acme.get("/v1/logs", &[("sort", "relevance")]).await.fault(422, "invalid_parameter");
    });
}

#[test]
fn relevance_puts_logs_that_hold_more_of_the_query_first_page_by_page() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut records: Vec<Value> = (0..20).map(|n| plain(&format!("disk {n}"))).collect();
        records[3]["message"] = json!("disk full");
        records[5]["message"] = json!("disk full quota");
        acme.stored(&records).await;
        let found = acme.all_pages("/v1/search", &[("q", "disk OR full OR quota"), ("sort", "relevance"), ("limit", "4")]).await;
        let messages: Vec<&str> = found.iter().filter_map(|log| log["message"].as_str()).collect();
        assert_eq!((messages.len(), &messages[..2]), (20, &["disk full quota", "disk full"][..]));
        let mut distinct: Vec<&str> = found.iter().filter_map(|log| log["id"].as_str()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 20);
    });
}

#[test]
fn a_log_is_answered_with_the_fields_that_are_asked_for() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[plain("disk <full>")]).await;
        let only = |page: &Value| logs(page)[0].as_object().expect("a log").keys().cloned().collect::<Vec<_>>();
        assert_eq!(only(&acme.get("/v1/logs", &[("fields", "message,id")]).await.ok(200)), ["id", "message"]);
        let page = acme.get("/v1/search", &[("q", "full"), ("fields", "highlights,highlight_offsets")]).await.ok(200);
        assert_eq!(logs(&page)[0], json!({ "highlights": { "message": ["disk &lt;<em>full</em>&gt;"] }, "highlight_offsets": { "message": [[[6, 10]]] } }));
        assert_eq!(acme.get("/v1/logs", &[("fields", "secret")]).await.fault(422, "invalid_parameter").0, "fields");
    });
}

#[test]
fn bars_over_time_count_every_log_once_in_both_stores() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let sent = [sample("kafka"), sample("openstack")].concat();
        acme.stored(&sent).await;
        let range = [("from", "2010-01-01T00:00:00Z"), ("to", "2020-01-01T00:00:00Z"), ("by", "level")];
        let rows = acme.get("/v1/histogram", &range).await.ok(200);
        let index = acme.get("/v1/histogram", &[range[0], range[1], range[2], ("q", "-kanarienvogel")]).await.ok(200);
        assert_eq!((&rows["source"], &index["source"], &rows["complete"], &index["complete"]), (&json!("postgres"), &json!("opensearch"), &json!(true), &json!(true)));
        assert_eq!((&rows["total"], &rows["bars"]), (&json!(sent.len()), &index["bars"]));
        let bars = rows["bars"].as_array().expect("bars");
        assert!(bars.len() <= 120 && bars.iter().any(|bar| bar["total"] == 0), "{} bars", bars.len());
        assert!(bars.iter().all(|bar| bar["other"] == 0), "each log has a level: {rows}");
        let by_level = |level: &str| bars.iter().filter_map(|bar| bar["by"][level].as_u64()).sum::<u64>();
        let expected = |level: &str| sent.iter().filter(|record| record["level"] == level).count() as u64;
        assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].iter().all(|level| by_level(level) == expected(level)));
        let errors = acme.get("/v1/histogram", &[range[0], range[1], ("q", "level>=error")]).await.ok(200);
        assert_eq!(errors["total"], expected("ERROR") + expected("FATAL"));
        // Where the index is down, what needs no search is still counted; what does is not.
        let without_index = acme.at(&world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))]).await);
        assert_eq!(without_index.get("/v1/histogram", &range).await.ok(200)["total"], rows["total"]);
        without_index.get("/v1/histogram", &[("q", "x")]).await.problem(503, "opensearch_unavailable");
        for (name, value) in [("by", "message"), ("interval", "1ms"), ("interval", "1s"), ("from", "soon"), ("from", "2200-01-01T00:00:00Z")] {
            assert_eq!(acme.get("/v1/histogram", &[(name, value)]).await.fault(422, "invalid_parameter").0, name);
        }
        acme.get("/v1/histogram", &[("q", "a AND")]).await.fault(422, "invalid_query");
    });
}

#[test]
fn values_of_fields_are_counted_alike_in_both_stores() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut sent = [sample("kafka"), sample("openstack")].concat();
        for (n, record) in sent.iter_mut().enumerate() {
            let status = [200, 404, 500][n % 3];
            record["attributes"] = json!({ "http": { "status": status, "path": format!("/p{}", n % 2) }, "mixed": if n % 2 == 0 { json!(1) } else { json!("one") } });
        }
        acme.stored(&sent).await;
        let rows = acme.get("/v1/facets", &[("limit", "100")]).await.ok(200);
        let index = acme.get("/v1/facets", &[("limit", "100"), ("q", "-kanarienvogel")]).await.ok(200);
        assert_eq!((&rows["source"], &index["source"], &rows["total"]), (&json!("postgres"), &json!("opensearch"), &json!(sent.len())));
        assert_eq!((&rows["facets"], &rows["total"]), (&index["facets"], &index["total"]));
        let debug = sent.iter().filter(|record| record["level"] == "DEBUG").count();
        let levels = rows["facets"][0]["values"].as_array().expect("values");
        assert!(rows["facets"][0]["field"] == "level" && levels.contains(&json!({ "value": "DEBUG", "count": debug })), "{rows}");
        let statuses = acme.get("/v1/facets", &[("fields", "attributes.http.status"), ("limit", "2")]).await.ok(200);
        let third = sent.len().div_ceil(3);
        assert_eq!((&statuses["facets"][0]["values"][0], &statuses["facets"][0]["values"].as_array().map(Vec::len)), (&json!({ "value": "200", "count": third }), &Some(2)));
        assert!(statuses["facets"][0]["other"].as_u64().is_some_and(|other| other > 0), "{statuses}");
        let twice = acme.get("/v1/facets", &[("fields", "level,service,level")]).await.ok(200);
        assert_eq!(twice["facets"].as_array().map(Vec::len), Some(2), "each field once: {twice}");
        for (name, value) in [("fields", "message"), ("limit", "101"), ("fields", "attributes.")] {
            assert_eq!(acme.get("/v1/facets", &[(name, value)]).await.fault(422, "invalid_parameter").0, name);
        }
        let fields = acme.get("/v1/fields", &[]).await.ok(200);
        let kind = |name: &str| fields["fields"].as_array().expect("fields").iter().find(|field| field["name"] == name).map(|field| field["kind"].clone());
        assert_eq!(
            [kind("attributes.http.status"), kind("attributes.mixed"), kind("message"), kind("attributes.gone")],
            [Some(json!("number")), Some(json!("keyword")), Some(json!("text")), None]
        );
    });
}

#[test]
fn a_log_is_shown_among_its_neighbours_and_further_by_cursor() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut records = numbered("line", 60);
        records.iter_mut().step_by(2).for_each(|record| record["service"] = json!("other"));
        let batch = acme.stored(&records).await;
        let path = format!("/v1/logs/{}/context", log_id(&batch, 31));
        let context = acme.get(&path, &[("before", "2"), ("after", "3")]).await.ok(200);
        let messages = |side: &str| context[side].as_array().expect("logs").iter().filter_map(|log| log["message"].as_str().map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(
            (messages("before"), messages("after")),
            (vec!["line 29".to_owned(), "line 30".to_owned()], vec!["line 32".to_owned(), "line 33".to_owned(), "line 34".to_owned()])
        );
        assert_eq!(context["log"]["message"], "line 31");
        let same = acme.get(&path, &[("before", "1"), ("after", "1"), ("same", "service")]).await.ok(200);
        assert_eq!((&same["before"][0]["message"], &same["after"][0]["message"]), (&json!("line 29"), &json!("line 33")));
        // Its cursors are those of lists.
        let older = acme.get("/v1/logs", &[("limit", "2"), ("cursor", context["before_cursor"].as_str().expect("more"))]).await.ok(200);
        assert_eq!(texts(&older, "message"), ["line 28", "line 27"]);
        let newer = acme.get("/v1/logs", &[("limit", "2"), ("sort", "oldest"), ("service", "billing"), ("cursor", same["after_cursor"].as_str().expect("more"))]).await.ok(200);
        assert_eq!(texts(&newer, "message"), ["line 35", "line 37"]);
        let whole = acme.get(&path, &[("before", "200"), ("after", "200")]).await.ok(200);
        assert_eq!((&whole["before_cursor"], &whole["after_cursor"]), (&Value::Null, &Value::Null));
        let others = world.tenant("globex").await;
        others.get(&path, &[]).await.problem(404, "not_found");
        assert_eq!(acme.get(&path, &[("before", "201")]).await.fault(422, "invalid_parameter").0, "before");
    });
}

#[test]
fn a_writer_waits_until_its_batch_can_be_searched() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.accepted(&[plain("needle")]).await;
        let status = acme.get(&format!("/v1/batches/{batch}"), &[("wait", "indexed"), ("timeout", "20")]).await.ok(200);
        assert_eq!(status["state"], "indexed");
        assert_eq!(ids(&acme.search("needle").await).len(), 1);
        assert_eq!(acme.get(&format!("/v1/batches/{batch}"), &[("wait", "soon")]).await.fault(422, "invalid_parameter").0, "wait");
        assert_eq!(acme.get(&format!("/v1/batches/{batch}"), &[("timeout", "26")]).await.fault(422, "invalid_parameter").0, "timeout");
    });
}

#[test]
fn the_watermark_stands_before_what_waits_and_a_wait_ends_in_time() {
    story_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        let before = acme.get("/v1/watermark", &[]).await.ok(200);
        assert!(before["lag_s"].as_f64().is_some_and(|lag| (5.0..8.0).contains(&lag)), "{before}");
        let batch = acme.accepted(&[plain("waits")]).await;
        let began = Instant::now();
        let status = acme.get(&format!("/v1/batches/{batch}"), &[("wait", "stored"), ("timeout", "6")]).await.ok(200);
        assert!(status["state"] == "queued" && began.elapsed().as_secs() >= 6, "{status}");
        let mark = acme.get("/v1/watermark", &[]).await.ok(200);
        assert_eq!(mark["watermark"], status["received_at"]);
    });
}
