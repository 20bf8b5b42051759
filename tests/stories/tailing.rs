//! Following logs as they come in: each once, in the order of receipt, by events and by asking again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{Caller, NOWHERE, SOON, Wire, eventually, ids, log_id, numbered, plain, story, story_with};

/// The ids of the first so many logs of a batch.
fn ids_of(batch: &str, count: u16) -> Vec<String> {
    (0..count).map(|position| log_id(batch, position)).collect()
}

/// Asks again and again until so many logs came. Answers them, and where to go on.
async fn asked_until(caller: &Caller, parameters: &[(&str, &str)], mut cursor: String, count: usize) -> (Vec<Value>, String) {
    let (began, mut all) = (Instant::now(), Vec::new());
    while all.len() < count {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {count}", all.len());
        let mut parameters = parameters.to_vec();
        parameters.push(("cursor", &cursor));
        let page = caller.get("/v1/tail", &parameters).await.ok(200);
        assert_eq!((&page["gap"], &page["complete"]), (&Value::Null, &json!(true)));
        all.extend_from_slice(page["logs"].as_array().expect("logs"));
        cursor = page["cursor"].as_str().expect("a place").to_owned();
    }
    (all, cursor)
}

async fn here(caller: &Caller) -> String {
    caller.get("/v1/tail", &[("wait", "0")]).await.ok(200)["cursor"].as_str().expect("a place").to_owned()
}

#[test]
fn a_tail_shows_each_log_once_in_the_order_of_receipt_and_goes_on_where_it_was() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let before = log_id(&acme.stored(&[plain("from before")]).await, 0);
        eventually(SOON, "a tail begins after it", async || if here(&acme).await > before { Ok(()) } else { Err("not yet") }).await;
        let mut events = acme.follow(&[], None).await;
        assert_eq!(events.next().await.expect("a first word").name, "heartbeat", "what was there before is not shown");
        let mut sent = Vec::new();
        for _ in 0..20 {
            sent.extend(ids_of(&acme.accepted(&numbered("line", 25)).await, 25));
        }
        let seen = events.logs(200).await;
        drop(events);
        let place = &seen[199].id;
        // From another hub, in the middle of a batch.
        let mut again = acme.at(&world.another_hub(&[]).await).follow(&[], Some(place)).await;
        let rest = again.logs(300).await;
        let all: Vec<&str> = seen.iter().chain(&rest).filter_map(|event| event.data["id"].as_str()).collect();
        sent.sort_unstable();
        assert!(all.iter().eq(&sent), "each once, in order");
        // Without events, over the same place.
        let (asked, _) = asked_until(&acme, &[("limit", "70"), ("fields", "id")], place.clone(), 300).await;
        assert!(asked.iter().filter_map(|log| log["id"].as_str()).eq(sent[200..].iter().map(String::as_str)));
        let empty = acme.get("/v1/tail", &[("cursor", &rest[299].id), ("wait", "1")]).await;
        assert!(ids(&empty.ok(200)).is_empty() && empty.took >= Duration::from_secs(1));
        for (name, value) in [("cursor", "there"), ("cursor", "01ffffff-ffff-ffff-ffff-ffffffffffff"), ("wait", "26"), ("limit", "0"), ("fields", "record"), ("level", "loud")] {
            assert_eq!(acme.get("/v1/tail", &[(name, value)]).await.fault(422, "invalid_parameter").0, name);
        }
        acme.get("/v1/tail", &[("q", "a AND")]).await.fault(422, "invalid_query");
    });
}

#[test]
fn a_tail_holds_queries_to_whole_records_and_needs_no_index() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let acme = acme.at(&world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))]).await);
        let place = here(&acme).await;
        let mut records: Vec<Value> =
            (0..40).map(|n| json!({ "service": format!("s{}", n % 2), "level": if n < 20 { "INFO" } else { "ERROR" }, "message": format!("line {n}") })).collect();
        records[3]["message"] = json!(format!("{} needle", "long ".repeat(300)));
        records[7]["full_log"] = json!("a needle in the text");
        records[9]["attributes"] = json!({ "http": { "status": 503 } });
        let batch = acme.accepted(&records).await;
        let expect = async |parameters: &[(&str, &str)], positions: &[u16]| {
            let (found, _) = asked_until(&acme, parameters, place.clone(), positions.len()).await;
            let found: Vec<&str> = found.iter().filter_map(|log| log["id"].as_str()).collect();
            assert_eq!(found, positions.iter().map(|n| log_id(&batch, *n)).collect::<Vec<_>>(), "{parameters:?}");
        };
        expect(&[("q", "needle")], &[3, 7]).await;
        expect(&[("q", "attributes.http.status>=500")], &[9]).await;
        expect(&[("q", "line -attributes.http:* level:info"), ("service", "s1")], &[1, 5, 7, 11, 13, 15, 17, 19]).await;
        expect(&[("q", "level:error service:s0")], &[20, 22, 24, 26, 28, 30, 32, 34, 36, 38]).await;
        let page = acme.get("/v1/tail", &[("cursor", &place), ("level", "error"), ("limit", "3")]).await.ok(200);
        assert_eq!((ids(&page).len(), &page["source"], &page["cursor"]), (3, &json!("postgres"), &json!(log_id(&batch, 22))));
        assert_eq!(acme.get("/v1/tail", &[("cursor", &place), ("q", "needle")]).await.ok(200)["source"], "raw");
        let others = world.tenant("globex").await;
        assert!(ids(&others.get("/v1/tail", &[("cursor", &place), ("wait", "1")]).await.ok(200)).is_empty());
    });
}

#[test]
fn a_tail_waits_for_an_engine_says_so_and_then_shows_everything_once() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let (wire, url) = Wire::over(&world.setting("LOGGERHUB_LOGS_DATABASE_URL")).await;
        let reading = acme.at(&world.another_hub(&[("LOGGERHUB_LOGS_DATABASE_URL", &url), NEVER]).await);
        let mut events = reading.follow(&[], None).await;
        events.next_named("heartbeat").await;
        wire.cut();
        let waiting = events.next_named("waiting").await;
        assert_eq!((&waiting.data, waiting.id.as_str()), (&json!({ "for": "postgres_logs" }), ""));
        let batch = acme.stored(&numbered("meanwhile", 50)).await;
        wire.mend();
        let seen: Vec<String> = events.logs(50).await.iter().filter_map(|event| event.data["id"].as_str().map(str::to_owned)).collect();
        assert_eq!(seen, ids_of(&batch, 50));
    });
}

/// A hub that drains nothing: what it reads is stored by another.
const NEVER: (&str, &str) = ("LOGGERHUB_LINGER_MS", "3600000");

#[test]
fn a_batch_that_is_late_is_waited_for_not_passed() {
    story_with(&[NEVER], async |world| {
        let acme = world.tenant("acme").await;
        let place = here(&acme).await;
        let late = acme.accepted(&[plain("late")]).await;
        let page = acme.get("/v1/tail", &[("cursor", &place), ("wait", "5")]).await.ok(200);
        assert!(ids(&page).is_empty() && page["up_to"].as_str() < acme.batch(&late).await["received_at"].as_str(), "{page}");
        world.another_hub(&[]).await;
        let next = acme.accepted(&[plain("next")]).await;
        let (seen, _) = asked_until(&acme, &[], page["cursor"].as_str().expect("a place").to_owned(), 2).await;
        assert_eq!(seen.iter().map(|log| log["id"].as_str().unwrap_or_default()).collect::<Vec<_>>(), [log_id(&late, 0), log_id(&next, 0)]);
    });
}

#[test]
fn who_is_far_behind_is_told_how_many_logs_were_left_out() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let place = here(&acme).await;
        let mut batches = Vec::new();
        for _ in 0..21 {
            batches.push(acme.accepted(&(0..5_000).map(|n| json!({ "message": format!("m {n}") })).collect::<Vec<_>>()).await);
        }
        for batch in &batches {
            acme.wait_until(batch, "indexed", Duration::from_secs(90)).await;
        }
        let last = &batches[20];
        let (began, mut skipped, mut seen) = (Instant::now(), 0, BTreeSet::new());
        let mut cursor = place;
        while seen.len() as u64 + skipped < 105_000 {
            assert!(began.elapsed() < Duration::from_secs(60), "{} seen, {skipped} skipped", seen.len());
            // Whoever is a few seconds behind misses nothing, however much it is; the gap comes after ten.
            if skipped == 0 {
                tokio::time::sleep(Duration::from_secs(11).saturating_sub(began.elapsed())).await;
            }
            let page = acme.get("/v1/tail", &[("cursor", &cursor), ("limit", "1000"), ("fields", "id")]).await.ok(200);
            if let Some(gap) = page["gap"].as_object() {
                assert_eq!((skipped, &page["complete"]), (0, &json!(false)), "one gap");
                skipped = gap["skipped"].as_u64().expect("a number");
                assert!(gap["from"].as_str() <= gap["to"].as_str(), "{gap:?}");
            }
            seen.extend(ids(&page));
            cursor = page["cursor"].as_str().expect("a place").to_owned();
        }
        assert_eq!((seen.len(), skipped), (10_000, 95_000));
        assert!(seen.contains(&log_id(last, 4_999)), "the latest are shown");
    });
}

#[test]
fn a_tail_ends_with_its_key_and_a_tenant_has_so_many() {
    story_with(&[("LOGGERHUB_STREAMS_PER_TENANT", "2"), ("LOGGERHUB_QUERIES_PER_TENANT", "1")], async |world| {
        let acme = world.tenant("acme").await;
        let leaving = world.key_of("acme", &["logs:read"]).await;
        let (mut first, second) = (leaving.follow(&[], None).await, acme.follow(&[], None).await);
        acme.get("/v1/tail", &[]).await.problem(429, "too_many_streams");
        acme.get("/v1/export", &[]).await.problem(429, "too_many_streams");
        assert_eq!(acme.list(&[]).await["complete"], true, "counted apart");
        world.tenant("globex").await.get("/v1/tail", &[("wait", "0")]).await.ok(200);
        let began = Instant::now();
        world.operator().delete(&format!("/v1/tenants/acme/keys/{}", leaving.key_id)).await.empty(204);
        while first.next().await.is_some() {
            assert!(began.elapsed() < Duration::from_secs(15), "the stream goes on");
        }
        // Who went away is noticed, too.
        drop(second);
        eventually(Duration::from_secs(20), "both places are free", async || {
            let answers = futures::future::join(acme.get("/v1/tail", &[("wait", "1")]), acme.get("/v1/tail", &[("wait", "1")])).await;
            if answers.0.status == 200 && answers.1.status == 200 { Ok(()) } else { Err(format!("{} {}", answers.0.status, answers.1.status)) }
        })
        .await;
    });
}

#[test]
fn where_answers_are_collected_a_tail_ends_with_its_first_logs_and_an_export_in_parts() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let place = here(&acme).await;
        let record = |n: usize| json!({ "message": format!("m {n}"), "full_log": format!("\"{}\"", "x".repeat(40_000)), "timestamp": format!("2026-02-03T00:{:02}:{:02}Z", n / 60, n % 60) });
        let mut expected = Vec::new();
        for half in [0..75, 75..150] {
            expected.extend(ids_of(&acme.stored(&half.map(record).collect::<Vec<_>>()).await, 75));
        }
        let app = search::App { host: search::Host::CollectsAnswers, ..world.doors.search() };
        let router = shared::http::dress(search::router(app));
        let ask = async |path: String| {
            let request = Request::get(path).header("authorization", format!("Bearer {}", acme.key)).header("accept", "text/event-stream").body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("infallible");
            let next = answer.headers().get("x-export-next").and_then(|next| next.to_str().ok()).map(str::to_owned);
            assert_eq!(answer.status().as_u16(), 200);
            (String::from_utf8(axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body").to_vec()).expect("UTF-8"), next)
        };
        let (mut place, mut shown) = (place, Vec::new());
        while shown.len() < 150 {
            let (events, _) = ask(format!("/v1/tail?cursor={place}&q=m")).await;
            shown.extend(events.lines().filter_map(|line| Some(serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok()?["id"].as_str()?.to_owned())));
            place = events.lines().rev().find_map(|line| line.strip_prefix("id: ")).expect("a place").to_owned();
        }
        assert_eq!(shown, expected);
        let (mut parts, mut cursor, mut text) = (0, String::new(), String::new());
        loop {
            let (part, next) = ask(format!("/v1/export?q=m{cursor}")).await;
            assert!(part.len() < 5 * 1024 * 1024);
            text.push_str(&part);
            parts += 1;
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
        }
        let ids: Vec<String> = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id").to_owned()).collect();
        assert!(parts > 1 && ids == expected, "{parts} parts, {} logs", ids.len());
    });
}
