//! Rebuild: what was lost of Postgres and OpenSearch comes back from raw, equal to what was sent, and nothing comes back that must not.

use maintenance::Period;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Caller, SOON, Sending, World, batch_id, eventually, log_id, numbered, plain, sample, sample_files, story};

/// Ends as a rebuild after which all is there, and answers what it said.
async fn rebuilt(world: &World, tenant: &str, into: &str) -> Value {
    let done = world.command(&["rebuild", "--tenant", tenant, "--into", into, "--json"]).await;
    let said = String::from_utf8_lossy(&[done.stdout.as_slice(), &done.stderr].concat()).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}");
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("no JSON: {said}"))
}

async fn is_clean(world: &World) {
    let period = Period { from_ms: 0, to_ms: world.doors.queue.now_ms() + 1 };
    let audit = maintenance::audit::audit(&world.doors.maintenance(), None, period, |_| {}).await.expect("every store answers");
    assert!(audit.is_clean(), "{:?}", audit.findings);
}

/// Takes documents of a tenant out of the index, behind everybody's back.
async fn lose_documents(world: &World, tenant: &str, but: &[String]) -> u64 {
    let index = format!("{}-*", world.setting("LOGGERHUB_INDEX_PREFIX"));
    world.opensearch(Method::POST, &format!("{index}/_refresh"), &json!({})).await;
    let query = json!({ "query": { "bool": { "filter": { "term": { "tenant": tenant } }, "must_not": { "ids": { "values": but } } } } });
    let gone = world.opensearch(Method::POST, &format!("{index}/_delete_by_query?refresh=true"), &query).await;
    gone["deleted"].as_u64().unwrap_or_else(|| panic!("nothing was deleted: {gone}"))
}

/// A log reads as it was sent, from the index and from raw.
async fn reads_as_sent(tenant: &Caller, id: &str, record: &Value) {
    for source in ["auto", "raw"] {
        let seen = tenant.get(&format!("/v1/logs/{id}"), &[("source", source)]).await.ok(200);
        assert_eq!(&seen["record"], record, "{id} {source}");
    }
}

/// What receipts say, but for when they were made.
async fn receipts(world: &World) -> Vec<String> {
    let columns = "batch_id, tenant, accepted, stored, dead, indexed, pending, refused, not_wanted, wire_bytes, unpacked_bytes, stored_at";
    let rows = world.sql(&format!("select r::text as line from (select {columns} from public.receipts order by 1) r")).await;
    rows.iter().map(|row| sqlx::Row::get(row, "line")).collect()
}

#[test]
fn rows_and_documents_that_were_deleted_by_hand_come_back_as_they_were_sent() {
    story(async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        let mut sent = Vec::new();
        for (_, records) in sample_files() {
            let batch = acme.stored(records).await;
            sent.extend((0..).zip(records).map(|(position, record)| (log_id(&batch, position), record.clone())));
        }
        let small = plain("in an object that it shares");
        sent.push((log_id(&acme.stored(std::slice::from_ref(&small)).await, 0), small));
        let others = other.stored(&numbered("other", 20)).await;
        world.until_queue_holds(0, SOON).await;
        let before = receipts(world).await;

        world.sql("delete from acme.log_rows").await;
        assert_eq!(lose_documents(world, "acme", &[]).await, sent.len() as u64);
        assert_eq!(world.command(&["audit"]).await.status.code(), Some(1), "an audit sees it");

        let said = rebuilt(world, "acme", "both").await;
        assert_eq!(json!([said["short_batches"], said["rows_made"], said["rows_lacking"], said["pending"]]), json!([before.len() - 1, sent.len(), 0, 0]), "{said}");
        is_clean(world).await;
        assert_eq!(receipts(world).await, before, "receipts say what they said");
        world.in_stores("acme").await.hold_exactly(&sent.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
        for at in rand::seq::index::sample(&mut rand::rng(), sent.len(), 200) {
            reads_as_sent(&acme, &sent[at].0, &sent[at].1).await;
        }
        world.in_stores("other").await.hold_exactly(&(0..20).map(|n| log_id(&others, n)).collect::<Vec<_>>());

        let again = rebuilt(world, "acme", "both").await;
        assert_eq!(again, json!({ "short_batches": 0, "rows_made": 0, "rows_lacking": 0, "documents_lost": 0, "to_index": 0, "pending": 0 }));
    });
}

#[test]
fn a_part_that_was_lost_is_made_and_the_rest_is_left_alone() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&numbered("part", 100)).await;
        let (kept, lost): (Vec<_>, Vec<_>) = (0..100_u16).map(|n| log_id(&batch, n)).partition(|id| id.ends_with(['0', '5']));
        let list = lost.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
        world.sql(&format!("update acme.log_rows set message = 'touched' where id not in ({list})")).await;
        world.sql(&format!("delete from acme.log_rows where id in ({list})")).await;
        assert_eq!(rebuilt(world, "acme", "postgres").await["rows_made"], lost.len());
        assert_eq!(world.sql("select 1 from acme.log_rows where message = 'touched'").await.len(), kept.len(), "what was there stays as it was");
        acme.wait_until_indexed(&batch).await;
        is_clean(world).await;

        assert_eq!(lose_documents(world, "acme", &kept).await, lost.len() as u64);
        assert_eq!(rebuilt(world, "acme", "opensearch").await["documents_lost"], lost.len());
        is_clean(world).await;
        assert_eq!(acme.search("part").await["total"]["value"], 100);
    });
}

#[test]
fn a_whole_schema_and_the_whole_index_come_back_while_logs_go_on_arriving() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut batches = Vec::new();
        for n in 0..5 {
            batches.push((acme.stored(&sample("kafka")[n * 100..(n + 1) * 100]).await, 100));
        }
        world.sql("drop schema acme cascade").await;
        world.opensearch(Method::DELETE, &format!("{}-*", world.setting("LOGGERHUB_INDEX_PREFIX")), &json!({})).await;
        // Nothing stores what arrives now, before its schema is there again.
        for n in 0..5 {
            batches.push((acme.accepted(&numbered(&format!("late {n}"), 10)).await, 10));
        }
        let said = rebuilt(world, "acme", "both").await;
        assert_eq!((&said["rows_made"], &said["rows_lacking"]), (&json!(500), &json!(0)), "{said}");
        // What was parked is taken up again after half a minute.
        for (batch, _) in &batches {
            acme.wait_until(batch, "indexed", SOON * 3).await;
        }
        is_clean(world).await;
        world.in_stores("acme").await.hold_exactly(&batches.iter().flat_map(|(batch, count)| (0..*count).map(|n| log_id(batch, n))).collect::<Vec<_>>());
    });
}

#[test]
fn what_was_dead_discarded_or_not_wanted_is_not_revived() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        // Raw holds all three records of a batch, two of which are letters: an attempt wrote it, and Postgres refused their rows.
        let batch = acme.stored(&numbered("three", 3)).await;
        for (position, discarded) in [(1, "null"), (2, "now()")] {
            let id = log_id(&batch, position);
            world.sql(&format!("delete from acme.log_rows where id = '{id}'")).await;
            let letter = "insert into public.dead_letters (id, tenant, batch_id, stage, code, reason, bytes, discarded_at)";
            world.sql(&format!("{letter} values ('{id}', 'acme', '{batch}', 'rows', 'refused_by_postgres', 'by hand', '', {discarded})")).await;
        }
        world.sql(&format!("update public.receipts set stored = 1, indexed = 1, dead = 2 where batch_id = '{batch}'")).await;
        let (unwanted, header) = acme.header_by_hand(|header| header["index"] = json!(false));
        world.add_by_hand(&[("u", b"20"), ("h", &header), ("p", b"{\"message\":\"not to be searched\"}\n")]).await;
        eventually(SOON, "it is stored", async || if world.sql("select 1 from acme.log_rows").await.len() == 2 { Ok(()) } else { Err("not yet") }).await;
        is_clean(world).await;

        world.sql("delete from acme.log_rows").await;
        lose_documents(world, "acme", &[]).await;
        let said = rebuilt(world, "acme", "both").await;
        assert_eq!((&said["rows_made"], &said["to_index"]), (&json!(2), &json!(1)), "{said}");
        is_clean(world).await;
        let stores = world.in_stores("acme").await;
        assert_eq!((stores.rows, stores.documents), (vec![log_id(&batch, 0), log_id(&unwanted, 0)], vec![log_id(&batch, 0)]));
    });
}

#[test]
fn what_raw_does_not_hold_is_told_and_who_is_not_there_is_refused() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let lost = acme.stored(&numbered("lost", 7)).await;
        let path: String = sqlx::Row::get(&world.sql("select distinct raw_path from acme.logs").await[0], "raw_path");
        let kept = acme.stored(&numbered("kept", 5)).await;
        world.doors.archive.delete(&path).await.expect("the object store answers");
        world.sql("delete from acme.log_rows").await;
        let done = world.command(&["rebuild", "--tenant", "acme", "--into", "postgres"]).await;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains("5 made, 7 lacking"), "{said}");
        assert_eq!(world.in_stores("acme").await.rows, (0..5).map(|n| log_id(&kept, n)).collect::<Vec<_>>());
        assert_eq!(acme.batch(&lost).await["stored"], 7, "the receipt is not bent to what is left");

        let gone = world.tenant("gone").await;
        let receipt = gone.send(Sending::json(&json!({ "message": "m" }))).await.ok(202);
        gone.wait_until_indexed(&batch_id(&receipt)).await;
        world.operator().delete("/v1/tenants/gone").await.empty(204);
        for tenant in ["gone", "nobody"] {
            let refused = world.command(&["rebuild", "--tenant", tenant, "--into", "both"]).await;
            assert_eq!(refused.status.code(), Some(2), "{tenant}");
            assert!(String::from_utf8_lossy(&refused.stderr).contains("tenant"), "{refused:?}");
        }
    });
}
