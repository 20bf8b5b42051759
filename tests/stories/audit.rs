//! The audit: clean when all is well, and whatever is damaged by hand is found and named.

use maintenance::Period;
use maintenance::audit::{Audit, Kind, Store};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{SOON, World, log_id, numbered, sample, story};

async fn audit(world: &World) -> Audit {
    world.doors.queue.ask_clock().await.expect("Redis answers");
    let period = Period { from_ms: 0, to_ms: world.doors.queue.now_ms() + 1 };
    maintenance::audit::audit(&world.doors.maintenance(), None, period, |_| {}).await.expect("every store answers")
}

/// What an audit finds: log or batch, store and kind.
async fn found(world: &World) -> Vec<(String, Store, Kind)> {
    let name = |finding: &maintenance::audit::Finding| finding.log_id.map_or_else(|| finding.batch_id.to_string(), |id| id.to_string());
    audit(world).await.findings.iter().map(|finding| (name(finding), finding.store, finding.kind)).collect()
}

#[test]
fn ordinary_traffic_is_accounted_for_to_the_last_log() {
    story(async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        acme.stored(&sample("kafka")[..100]).await;
        let mixed = acme.send(crate::harness::Sending::json(&json!([{ "message": "good" }, 7, { "message": "good, too" }]))).await.ok(202);
        acme.wait_until_indexed(mixed["batch_id"].as_str().expect("an id")).await;
        other.stored(&numbered("other", 30)).await;
        let (audit, status, said) = (audit(world).await, world.command(&["audit", "--json"]).await, world.command(&["audit"]).await);
        assert!(audit.is_clean(), "{:?}", audit.findings);
        let counts: Vec<_> = audit.tenants.iter().map(|tenant| (tenant.tenant.as_str(), tenant.batches, tenant.accepted, tenant.rows, tenant.documents, tenant.raw_ids)).collect();
        assert_eq!(counts, [("acme", 2, 102, 102, 102, 102), ("other", 1, 30, 30, 30, 30)]);
        let json: Value = serde_json::from_slice(&status.stdout).expect("JSON");
        assert_eq!((status.status.code(), &json["clean"], &json["tenants"][1]["rows"]), (Some(0), &json!(true), &json!(30)));
        assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("clean"));
        let only_new = world.command(&["audit", "--json", "--tenant", "other", "--to", "now-1h"]).await;
        let json: Value = serde_json::from_slice(&only_new.stdout).expect("JSON");
        assert_eq!((&json["tenants"][0]["batches"], &json["tenants"][1]), (&json!(0), &Value::Null));
        assert_eq!(world.command(&["audit", "--from", "yesterday"]).await.status.code(), Some(2));
    });
}

#[test]
fn a_pending_document_hides_no_lost_one() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("log", 20)).await;
        world.until_queue_holds(0, SOON).await;
        // The hub would make up for what is pending.
        world.stop_hub().await;
        let (pending, lost) = (log_id(&batch, 3), log_id(&batch, 7));
        world.sql(&format!("update acme.log_rows set index_state = 0 where id = '{pending}'")).await;
        world.sql(&format!("update public.receipts set indexed = indexed - 1, pending = pending + 1 where batch_id = '{batch}'")).await;
        assert!(audit(world).await.is_clean());
        let index = format!("{}-*", world.setting("LOGGERHUB_INDEX_PREFIX"));
        world.opensearch(Method::POST, &format!("{index}/_delete_by_query?refresh=true"), &json!({ "query": { "ids": { "values": [lost] } } })).await;
        assert_eq!(found(world).await, [(lost, Store::Documents, Kind::Missing)]);
    });
}

#[test]
fn a_tenant_that_lost_its_schema_is_a_finding_and_ends_no_audit() {
    story(async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        let (batch, _) = (acme.stored(&numbered("log", 5)).await, other.stored(&numbered("log", 5)).await);
        world.until_queue_holds(0, SOON).await;
        world.sql("drop schema acme cascade").await;
        let found = found(world).await;
        assert!(found.contains(&(batch, Store::Rows, Kind::Missing)), "{found:?}");
        let said = world.command(&["audit", "--json"]).await;
        let json: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        assert_eq!((said.status.code(), &json["tenants"][1]["rows"]), (Some(1), &json!(5)));
    });
}

#[test]
fn what_an_attempt_left_behind_of_a_batch_that_is_dead_as_a_whole_is_no_finding() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("log", 5)).await;
        world.until_queue_holds(0, SOON).await;
        // As it stands where five processors died between the index and the rows.
        world.sql("delete from acme.log_rows").await;
        world.sql("update public.receipts set stored = 0, indexed = 0, dead = 5").await;
        world.sql(&format!("insert into public.dead_letters (id, tenant, batch_id, records, stage, code, reason, bytes) values (gen_random_uuid(), 'acme', '{batch}', 5, 'open', 'killed_its_processors', 'by hand', '')")).await;
        let audit = audit(world).await;
        assert!(audit.is_clean(), "{:?}", audit.findings);
        assert_eq!((audit.tenants[0].dead, audit.tenants[0].documents_of_letters), (5, 5));
    });
}

#[test]
fn what_is_missing_doubled_or_nobodys_is_named() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut batches = Vec::new();
        for n in 0..8 {
            batches.push(acme.stored(&numbered(&format!("batch {n}"), 10)).await);
        }
        world.until_queue_holds(0, SOON).await;
        let (first, log) = (|n: usize| batches[n].clone(), |n: usize| log_id(&batches[n], 3));
        assert!(audit(world).await.is_clean());

        world.sql(&format!("delete from acme.log_rows where id = '{}'", log(0))).await;
        world.sql(&format!("insert into acme.log_rows select '{}', timestamp, object_id, raw_offset, raw_length, level, index_state, service, language, message from acme.log_rows where id = '{}'", log_id(&batches[1], 77), log(1))).await;
        let index = format!("{}-*", world.setting("LOGGERHUB_INDEX_PREFIX"));
        let gone = world.opensearch(Method::POST, &format!("{index}/_delete_by_query?refresh=true"), &json!({ "query": { "ids": { "values": [log(2)] } } })).await;
        assert_eq!(gone["deleted"], 1, "{gone}");
        let one = world.opensearch(Method::POST, &format!("{index}/_search"), &json!({ "query": { "ids": { "values": [log(3)] } } })).await;
        let hit = &one["hits"]["hits"][0];
        let stray = log_id(&batches[3], 99);
        let put = world.opensearch(Method::PUT, &format!("{}/_create/{stray}?routing=acme&refresh=true", hit["_index"].as_str().expect("an index")), &hit["_source"]).await;
        assert_eq!(put["result"], "created", "{put}");
        world.sql(&format!("delete from public.receipts where batch_id = '{}'", first(4))).await;
        world.sql(&format!("update public.receipts set accepted = accepted + 1 where batch_id = '{}'", first(5))).await;
        world.sql(&format!("update acme.log_rows set raw_offset = raw_offset + 1 where id = '{}'", log(6))).await;
        let path = world.sql(&format!("select raw_path from acme.logs where id = '{}'", log(7))).await;
        let path: String = sqlx::Row::get(&path[0], "raw_path");
        world.doors.archive.delete(&path).await.expect("the object store answers");

        let found = found(world).await;
        let has = |name: &str, store, kind| assert!(found.contains(&(name.to_owned(), store, kind)), "{name} {store:?} {kind:?}: {found:?}");
        has(&first(0), Store::Rows, Kind::Missing);
        has(&log(0), Store::Rows, Kind::Missing);
        has(&log(0), Store::Documents, Kind::Extra);
        has(&first(1), Store::Rows, Kind::Extra);
        has(&log_id(&batches[1], 77), Store::Raw, Kind::Missing);
        has(&log(2), Store::Documents, Kind::Missing);
        has(&stray, Store::Documents, Kind::Extra);
        for store in [Store::Rows, Store::Raw, Store::Documents] {
            has(&first(4), store, Kind::Extra);
        }
        has(&first(5), Store::Receipts, Kind::Miscounted);
        has(&log(6), Store::Raw, Kind::Misplaced);
        for position in 0..10 {
            has(&log_id(&batches[7], position), Store::Raw, Kind::Missing);
        }
        let said = world.command(&["audit"]).await;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.status.code(), Some(1), "{text}");
        assert!(text.contains("NOT CLEAN") && text.contains(&log(2)), "{text}");
    });
}
