//! Retention: what is over is in no answer, at once, and leaves the stores; under a legal hold nothing does.

use std::collections::BTreeSet;
use std::time::Duration;

use maintenance::{Applied, apply_retention};
use reqwest::Method;
use serde_json::{Value, json};
use shared::ids::BatchId;
use shared::timestamp::{self, DAY_MS};
use uuid::Uuid;

use crate::harness::{Caller, SOON, Seen, Sending, World, batch_id, eventually, ids, log_id, plain, story, texts};

/// How soon a change counts in every process.
const COUNTS_WITHIN: Duration = Duration::from_secs(10);
/// How long a removal may take up work.
const BUDGET: Duration = Duration::from_secs(60);

/// A batch of two logs as it was received so many days ago, with one more record that cannot be read.
async fn received(world: &World, tenant: &Caller, days_ago: u64, word: &str) -> String {
    let at = world.doors.queue.now_ms() - days_ago * DAY_MS;
    let batch = BatchId::new(at).to_string();
    let (_, header) = tenant.header_by_hand(|header| {
        header["batch"] = json!(batch);
        header["accepted"] = json!(3);
    });
    let own_time = timestamp::format(i64::try_from(at).expect("a time"));
    let line = |n: u8| json!({ "message": format!("{word} {n} of {days_ago} days ago"), "timestamp": own_time, "service": tenant.tenant, "attributes": { word: n } });
    let lines = format!("{}\n{{\"message\":kanarienvogel}}\n{}\n", line(1), line(2));
    world.add_by_hand(&[("u", lines.len().to_string().as_bytes()), ("h", &header), ("p", lines.as_bytes())]).await;
    batch
}

/// Batches of so many days ago, of two tenants, in the same drains: small ones share raw objects.
async fn both_received(world: &World, tenants: [&Caller; 2], days: &[u64]) -> [Vec<String>; 2] {
    let mut batches = [Vec::new(), Vec::new()];
    for days_ago in days {
        for (tenant, batches) in tenants.iter().zip(&mut batches) {
            batches.push(received(world, tenant, *days_ago, "mayfly").await);
        }
    }
    for (tenant, batches) in tenants.iter().zip(&batches) {
        for batch in batches {
            let look = async || -> Result<(), Seen> {
                let seen = tenant.get(&format!("/v1/batches/{batch}"), &[]).await;
                if seen.status == 200 && seen.json()["state"] == "indexed" { Ok(()) } else { Err(seen.text) }
            };
            eventually(SOON, "it is indexed", look).await;
        }
    }
    batches
}

/// The world's hubs would remove what is over by themselves within a minute: they wait until a story has seen what it looks for.
struct Removal(Uuid);

impl Removal {
    async fn waits(world: &World) -> Self {
        let holder = Uuid::new_v4();
        let lease = async || -> Result<(), Seen> {
            let ours = world.doors.queue.lease("apply_retention", holder, Duration::from_secs(600)).await.map_err(|e| e.to_string())?;
            if ours { Ok(()) } else { Err("another is at it".to_owned()) }
        };
        eventually(SOON, "the removal waits", lease).await;
        Self(holder)
    }

    async fn begins(self, world: &World) {
        world.doors.queue.lease("apply_retention", self.0, Duration::ZERO).await.expect("Redis answers");
    }
}

async fn retain(world: &World, tenant: &str, periods: &Value) -> Value {
    world.operator().call(Method::PUT, &format!("/v1/tenants/{tenant}/retention"), &[], Sending::json(periods)).await.ok(200)
}

/// Ids of the two logs of each batch.
fn logs_of<'a>(batches: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    batches.into_iter().flat_map(|batch| [log_id(batch, 0), log_id(batch, 2)]).collect()
}

fn set(ids: Vec<String>) -> BTreeSet<String> {
    ids.into_iter().collect()
}

/// All that a reader is shown, by way of it.
async fn shown(reader: &Caller) -> [BTreeSet<String>; 3] {
    let listed = ids(&reader.list(&[("limit", "1000")]).await);
    let found = ids(&reader.search("mayfly").await);
    let exported = reader.get("/v1/export", &[]).await;
    let exported = exported.text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a log")["id"].as_str().expect("an id").to_owned()).collect();
    [set(listed), set(found), exported]
}

/// Waits until a reader is shown these by lists and exports, and those by searches.
async fn until_shown(reader: &Caller, listed: &BTreeSet<String>, found: &BTreeSet<String>) {
    let wanted = [listed.clone(), found.clone(), listed.clone()];
    let look = async || {
        let now = shown(reader).await;
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    };
    eventually(COUNTS_WITHIN, "it is shown what is kept, and nothing else", look).await;
}

/// Everything else that answers about logs says the same.
async fn says_the_same(world: &World, reader: &Caller, rows: (&[String], &[String]), index: usize, raw: (&[String], &[String])) {
    let ((kept, gone), (raw_kept, raw_gone)) = (rows, raw);
    let year_ago = timestamp::format(i64::try_from(world.doors.queue.now_ms() - 370 * DAY_MS).expect("a time"));
    let total = async |path: &str, parameters: &[(&str, &str)]| reader.get(path, parameters).await.ok(200)["total"].clone();
    // By the counts of whole hours, and the rows around them; then by rows alone, of the part that so narrow bars may have.
    assert_eq!(total("/v1/histogram", &[("from", year_ago.as_str()), ("interval", "7d")]).await, json!(2 * kept.len()));
    let within = kept.iter().filter(|batch| world.doors.queue.now_ms() - BatchId::parse(batch).expect("an id").unix_ms() < 2 * DAY_MS).count();
    assert_eq!(total("/v1/histogram", &[("from", "now-2d"), ("interval", "30m")]).await, json!(2 * within));
    assert_eq!(total("/v1/histogram", &[("from", year_ago.as_str()), ("q", "mayfly")]).await, json!(index));
    assert_eq!(total("/v1/facets", &[("fields", "service")]).await, json!(2 * kept.len()));
    assert_eq!(total("/v1/facets", &[("fields", "attributes.mayfly"), ("q", "mayfly")]).await, json!(index));
    assert_eq!(reader.search("mayfly").await["total"]["value"], json!(index));
    for batch in kept {
        let id = log_id(batch, 0);
        assert_eq!(reader.detail(&id).await["id"], json!(id));
        assert_eq!(reader.get(&format!("/v1/logs/{id}"), &[("source", "raw")]).await.ok(200)["id"], json!(id));
        let around = reader.get(&format!("/v1/logs/{id}/context"), &[("before", "200"), ("after", "200")]).await.ok(200);
        let seen = around["before"].as_array().into_iter().chain(around["after"].as_array()).flatten().count() + 1;
        assert_eq!(seen, 2 * kept.len(), "{around}");
    }
    for batch in gone {
        let id = log_id(batch, 0);
        for (path, parameters) in [(format!("/v1/logs/{id}"), &[][..]), (format!("/v1/logs/{id}"), &[("source", "raw")]), (format!("/v1/logs/{id}/context"), &[])] {
            reader.get(&path, parameters).await.problem(404, "not_found");
        }
    }
    // From a place before all of it, a follower is shown what is kept.
    let before_all = BatchId::new(world.doors.queue.now_ms() - 369 * DAY_MS).log(0).to_string();
    let tailed = reader.get("/v1/tail", &[("cursor", before_all.as_str()), ("wait", "0")]).await.ok(200);
    assert_eq!((set(ids(&tailed)), &tailed["gap"]), (logs_of(kept), &Value::Null), "{tailed}");
    for caller in [reader, &world.operator()] {
        let of_the_tenant = [("tenant", reader.tenant.as_str())];
        let letters = caller.get("/v1/dead-letters", if caller.tenant.is_empty() { &of_the_tenant } else { &[] }).await.ok(200);
        let there = texts(&json!({ "logs": letters["dead_letters"] }), "id");
        assert_eq!(set(there), raw_kept.iter().map(|batch| log_id(batch, 1)).collect(), "{letters}");
        for batch in raw_gone {
            let path = format!("/v1/dead-letters/{}", log_id(batch, 1));
            caller.get(&path, &[]).await.problem(404, "not_found");
        }
    }
    for batch in raw_gone {
        reader.get(&format!("/v1/batches/{batch}"), &[]).await.problem(404, "not_found");
    }
    for batch in raw_kept {
        assert_eq!(reader.batch(batch).await["accepted"], json!(3));
    }
}

#[test]
fn what_is_over_is_in_no_answer_at_once_and_leaves_the_stores_and_nobody_elses_does() {
    story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let elsewhere = world.another_hub(&[]).await;
        let days = [0, 1, 2, 3, 40, 41, 120, 200];
        let [own, others] = both_received(world, [&acme, &globex], &days).await;
        until_shown(&acme, &logs_of(&own), &logs_of(&own)).await;
        says_the_same(world, &acme, (&own, &[]), 2 * own.len(), (&own, &[])).await;

        let periods = json!({ "index_days": 2, "rows_days": 40, "raw_days": 120 });
        let preview = world.operator().get("/v1/tenants/acme/retention/preview", &[("index_days", "2"), ("rows_days", "40"), ("raw_days", "120")]).await.ok(200);
        let going = json!([preview["index"]["logs"], preview["rows"]["logs"], preview["raw"]["logs"], preview["raw"]["dead_letters"]]);
        assert_eq!(going, json!([10, 6, 2, 1]), "{preview}");
        assert!(preview["index"]["bytes"].as_i64().is_some_and(|bytes| bytes > 0) && preview["raw"]["bytes"].as_i64().is_some_and(|bytes| bytes > 0), "{preview}");
        let before = world.operator().get("/v1/tenants/acme/retention", &[]).await.ok(200);
        assert_eq!(before, json!({ "kept_from": { "index": null, "rows": null, "raw": null } }), "a preview changes nothing");

        let removal = Removal::waits(world).await;
        let now_set = retain(world, "acme", &periods).await;
        assert_eq!(json!([now_set["index_days"], now_set["rows_days"], now_set["raw_days"]]), json!([2, 40, 120]));
        assert_eq!(now_set["kept_from"], preview["kept_from"]);
        let (listed, found, raw) = (&own[..5], &own[..3], &own[..7]);
        for reader in [acme.clone(), acme.at(&elsewhere)] {
            until_shown(&reader, &logs_of(listed), &logs_of(found)).await;
            says_the_same(world, &reader, (listed, &own[5..]), 6, (raw, &own[7..])).await;
        }
        // A letter that is kept longer than rows of its day is not stored where nobody would see it.
        let letter = format!("/v1/dead-letters/{}", log_id(&own[6], 1));
        acme.post(&format!("{letter}/redrive"), &json!({})).await.ok(202);
        let look = async || {
            let seen = acme.get(&letter, &[]).await.ok(200);
            if seen["code"] == "past_retention" { Ok(()) } else { Err(seen.to_string()) }
        };
        eventually(SOON, "it stays, and says why", look).await;
        assert_eq!(acme.list(&[]).await["kept_from"], now_set["kept_from"]["rows"]);
        assert_eq!(acme.search("mayfly").await["kept_from"], now_set["kept_from"]["index"]);
        assert_eq!(shown(&globex).await, [logs_of(&others), logs_of(&others), logs_of(&others)]);

        // What is there behind the answers goes when maintenance comes by, once.
        removal.begins(world).await;
        let doors = world.doors.maintenance();
        let mut applied = apply_retention(&doors, doors.queue.now_ms(), BUDGET).await.expect("the engines answer");
        assert_eq!((applied.tenants, applied.documents, applied.letters, applied.failed), (1, 10, 1, 0), "{applied:?}");
        assert!(applied.partitions >= 2 && applied.shared_objects >= 1, "they share objects: {applied:?}");
        applied = apply_retention(&doors, doors.queue.now_ms(), BUDGET).await.expect("the engines answer");
        assert_eq!(applied, Applied::default(), "nothing is left to be done");
        let lines = world.raw_lines().await;
        let of = |tenant: &str| lines.iter().filter(|(_, line)| line.tenant == tenant).map(|(id, _)| id.clone()).collect::<BTreeSet<_>>();
        assert_eq!((of("acme"), of("globex")), (logs_of(raw), logs_of(&others)));
        let ours = world.in_stores("acme").await;
        assert_eq!((set(ours.documents), set(ours.rows).is_superset(&logs_of(listed))), (logs_of(found), true));
        world.in_stores("globex").await.hold_exactly(&logs_of(&others).into_iter().collect::<Vec<_>>());
        for reader in [&acme, &globex] {
            let (batches, listed) = if reader.tenant == "acme" { (&own, listed) } else { (&others, &others[..]) };
            for batch in batches.iter().take(listed.len()) {
                assert_eq!(reader.get(&format!("/v1/logs/{}", log_id(batch, 2)), &[("source", "raw")]).await.ok(200)["source"], "raw");
            }
        }
        let audit = world.command(&["audit", "--json"]).await;
        assert_eq!(audit.status.code(), Some(0), "{}", String::from_utf8_lossy(&audit.stdout));

        // What has gone does not come back, whatever is set later, nor by a rebuild.
        retain(world, "acme", &json!({})).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let rebuilt = world.command(&["rebuild", "--tenant", "acme", "--into", "both"]).await;
        assert_eq!(rebuilt.status.code(), Some(0), "{rebuilt:?}");
        until_shown(&acme, &logs_of(listed), &logs_of(found)).await;
        says_the_same(world, &acme, (listed, &own[5..]), 6, (raw, &own[7..])).await;
        let fresh = batch_id(&acme.send(Sending::json(&plain("mayfly of now"))).await.ok(202));
        acme.wait_until_indexed(&fresh).await;
        assert!(ids(&acme.list(&[]).await).contains(&log_id(&fresh, 0)), "what comes in now is kept");
    });
}

#[test]
fn under_a_legal_hold_nothing_goes_and_the_tenant_cannot_be_deleted() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let globex = world.tenant("globex").await;
        let [own, _] = both_received(world, [&acme, &globex], &[0, 10, 100]).await;
        let doors = world.doors.maintenance();
        retain(world, "acme", &json!({ "index_days": 30, "rows_days": 30, "raw_days": 30, "legal_hold": true })).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        until_shown(&acme, &logs_of(&own), &logs_of(&own)).await;
        assert_eq!(apply_retention(&doors, doors.queue.now_ms() + 1_000 * DAY_MS, BUDGET).await.expect("the engines answer"), Applied::default());
        let preview =
            world.operator().get("/v1/tenants/acme/retention/preview", &[("raw_days", "30"), ("rows_days", "30"), ("index_days", "30"), ("legal_hold", "true")]).await.ok(200);
        assert_eq!(json!([preview["index"]["logs"], preview["rows"]["logs"], preview["raw"]["logs"]]), json!([0, 0, 0]));
        world.operator().delete("/v1/tenants/acme").await.problem(409, "legal_hold");
        until_shown(&acme, &logs_of(&own), &logs_of(&own)).await;

        // Whoever says nothing of the hold leaves it, and only an operator ends it; until then no letter is discarded either.
        assert_eq!(retain(world, "acme", &json!({ "raw_days": 30 })).await["legal_hold"], json!(true));
        let admin = world.key_of("acme", &["tenant:admin"]).await;
        let end = Sending::json(&json!({ "raw_days": 30, "legal_hold": false }));
        admin.call(Method::PUT, "/v1/tenants/acme/retention", &[], end).await.problem(403, "operator_ends_hold");
        admin.delete(&format!("/v1/dead-letters/{}", log_id(&own[2], 1))).await.problem(409, "legal_hold");
        let removal = Removal::waits(world).await;
        retain(world, "acme", &json!({ "raw_days": 30, "legal_hold": false })).await;
        until_shown(&acme, &logs_of(&own[..2]), &logs_of(&own[..2])).await;
        // Whoever removes it may end before that is noted: the next does it again, and finds nothing left.
        removal.begins(world).await;
        world.process(&[("LOGGERHUB_ABORT_AT", "retention.before_noted")]).await.ended_at_within("retention.before_noted", Duration::from_secs(60)).await;
        let noted = async || -> Result<(), Seen> {
            let applied = apply_retention(&doors, doors.queue.now_ms(), BUDGET).await.expect("the engines answer");
            assert_eq!((applied.partitions, applied.documents, applied.letters, applied.shared_objects), (0, 0, 0, 0), "{applied:?}");
            let noted = world.control_sql("select 1 from tenants where id = 'acme' and removed_before ->> 'raw' <> '0'").await.len();
            if noted == 1 { Ok(()) } else { Err("nothing is noted".to_owned()) }
        };
        eventually(SOON, "it is noted", noted).await;
        assert_eq!(set(world.in_stores("acme").await.documents), logs_of(&own[..2]));
        let trail = world.operator().get("/v1/audit", &[("tenant", "acme"), ("action", "tenant.retention_set")]).await.ok(200);
        let set: Vec<&Value> = trail["entries"].as_array().expect("entries").iter().map(|entry| &entry["data"]["retention"]).collect();
        assert_eq!(
            set,
            [&json!({ "raw_days": 30 }), &json!({ "raw_days": 30, "legal_hold": true }), &json!({ "index_days": 30, "rows_days": 30, "raw_days": 30, "legal_hold": true })]
        );
        world.operator().delete("/v1/tenants/acme").await.empty(204);
    });
}

#[test]
fn a_retention_that_cannot_be_carried_out_is_refused() {
    story(async |world| {
        world.tenant("acme").await;
        let put = async |body: Value| world.operator().call(Method::PUT, "/v1/tenants/acme/retention", &[], Sending::json(&body)).await;
        for (body, field) in [
            (json!({ "index_days": 0 }), "index_days"),
            (json!({ "index_days": 8, "rows_days": 7 }), "index_days"),
            (json!({ "index_days": 8, "raw_days": 7 }), "index_days"),
            (json!({ "index_days": 7, "rows_days": 30, "raw_days": 29 }), "rows_days"),
            (json!({ "raw_days": 100_000, "rows_days": 7, "index_days": 7 }), "raw_days"),
            (json!({ "days": 7 }), "retention"),
            (json!({ "index_days": "7" }), "retention"),
        ] {
            let (named, _) = put(body.clone()).await.fault(422, "invalid_parameter");
            assert_eq!(named, field, "{body}");
        }
        let admin = world.key_of("acme", &["tenant:admin"]).await;
        admin.call(Method::PUT, "/v1/tenants/acme/retention", &[], Sending::json(&json!({ "index_days": 7 }))).await.ok(200);
        assert_eq!(admin.get("/v1/tenants/acme/retention", &[]).await.ok(200)["index_days"], json!(7));
        let reader = world.key_of("acme", &["logs:read"]).await;
        reader.get("/v1/tenants/acme/retention", &[]).await.problem(403, "missing_scope");
        admin.get("/v1/tenants/other/retention", &[]).await.problem(404, "not_found");
    });
}
