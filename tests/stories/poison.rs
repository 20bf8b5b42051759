//! What can never be stored is buried, and what cannot be stored now stops nobody else.

use std::collections::BTreeMap;

use serde_json::json;
use shared::queue::LEFT_BEHIND_AFTER;
use sqlx::Row;

use crate::harness::{SOON, eventually, log_id, logs, numbered, plain, story, story_with, texts};

#[test]
fn a_poisoned_entry_is_buried_with_its_bytes_and_its_neighbours_are_stored() {
    // The first hub never drains, so that poison and good entries lie in the queue side by side.
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let acme = world.tenant("acme").await;
        let record = br#"{"message":"by hand"}"#.as_slice();
        let mut batches = vec![acme.accepted(&numbered("before", 5)).await];
        let (cut_off, cut_off_header) = acme.header_by_hand(|header| header["zstd"] = json!(true));
        let (short, short_header) = acme.header_by_hand(|header| header["accepted"] = json!(7));
        let (later, newer) = acme.header_by_hand(|header| header["v"] = json!(2));
        let (_, nobody) = acme.header_by_hand(|header| header["tenant"] = json!("Not An Id"));
        let (_, elsewhere) = acme.header_by_hand(|header| header["class"] = json!("../../x"));
        let (_, never) = acme.header_by_hand(|header| header["batch"] = json!("ffffffff-ffff-7fff-bfff-ffffffff0000"));
        let poison: [&[(&str, &[u8])]; 7] = [
            &[("u", b"20"), ("h", &elsewhere), ("p", record)],
            &[("u", b"20"), ("h", &never), ("p", record)],
            &[("u", b"20"), ("h", b"kanarienvogel"), ("p", b"kanarienvogel")],
            &[("u", b"20"), ("h", &cut_off_header), ("p", b"\x28\xb5\x2f\xfdkanarienvogel")],
            &[("u", b"20"), ("h", &short_header), ("p", record)],
            &[("u", b"20"), ("h", &newer), ("p", record)],
            &[("u", b"20"), ("h", &nobody), ("p", record)],
        ];
        for entry in poison {
            world.add_by_hand(entry).await;
            batches.push(acme.accepted(&numbered("between", 5)).await);
        }
        let (by_hand, good_header) = acme.header_by_hand(|_| {});
        world.add_by_hand(&[("u", b"20"), ("h", &good_header), ("p", record)]).await;

        let living = world.another_hub(&[]).await;
        let acme = acme.at(&living);
        for batch in batches.iter().chain([&by_hand]) {
            acme.wait_until_indexed(batch).await;
        }
        world.until_queue_holds(0, SOON).await;
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 8 * 5 + 1);
        assert_eq!(world.dead_letters().await, BTreeMap::from([(("open".to_owned(), "unreadable_entry".to_owned()), 7)]));
        assert_eq!(world.sql("select 1 from public.dead_letters where bytes = 'kanarienvogel\nkanarienvogel'").await.len(), 1, "its bytes are kept");
        // A batch whose header could be read has a receipt that says that it is dead.
        for (batch, dead) in [(&cut_off, 1), (&short, 7), (&later, 1)] {
            let became = acme.batch(batch).await;
            assert_eq!((&became["accepted"], &became["stored"], &became["dead"]), (&json!(dead), &json!(0), &json!(dead)), "{became}");
        }
    });
}

#[test]
fn a_record_whose_row_postgres_refuses_is_buried_alone() {
    story(async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        world.sql("alter table acme.log_rows add constraint no_poison check (message <> 'signal 13' and message <> 'signal 14')").await;
        let records = numbered("signal", 30);
        let neighbours = numbered("neighbour", 10);
        let (batch, neighbour, others) = tokio::join!(acme.accepted(&records), acme.accepted(&neighbours), other.accepted(&records));
        let became = acme.wait_until_indexed(&batch).await;
        assert_eq!((&became["accepted"], &became["stored"], &became["indexed"], &became["dead"]), (&json!(30), &json!(28), &json!(28), &json!(2)));
        acme.wait_until_indexed(&neighbour).await;
        other.wait_until_indexed(&others).await;
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 38);
        assert_eq!(logs(&other.list(&[("limit", "1000")]).await).len(), 30);
        let letters = world.sql("select id::text, stage, code, reason, bytes from public.dead_letters order by id").await;
        assert_eq!(letters.len(), 2);
        for (letter, position) in letters.iter().zip([13_u16, 14]) {
            assert_eq!(letter.get::<String, _>("id"), log_id(&batch, position));
            let sent: serde_json::Value = serde_json::from_slice(&letter.get::<Vec<u8>, _>("bytes")).expect("the record as sent");
            assert_eq!(sent, records[usize::from(position)]);
            assert!(letter.get::<String, _>("reason").contains("no_poison"));
        }
        world.until_queue_holds(0, SOON).await;
    });
}

#[test]
fn a_tenant_whose_table_refuses_all_is_parked_and_stops_nobody() {
    story(async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        world.sql("alter table acme.log_rows add constraint nothing_at_all check (message is null) not valid").await;
        let (refused, good) = (numbered("refused", 2000), numbered("good", 30));
        let (parked, others) = tokio::join!(acme.accepted(&refused), other.accepted(&good));
        other.wait_until_indexed(&others).await;
        assert_eq!(acme.batch(&parked).await["state"], "queued");
        world.sql("alter table acme.log_rows drop constraint nothing_at_all").await;
        acme.wait_until(&parked, "indexed", LEFT_BEHIND_AFTER + SOON).await;
        assert_eq!(world.dead_letters().await, BTreeMap::new(), "nothing of it was poison");
    });
}

#[test]
fn a_lock_on_one_tenants_table_keeps_nobody_else_waiting() {
    story(async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        let mut somebody = world.rows_connection().await;
        let mut transaction = sqlx::Connection::begin(&mut somebody).await.expect("Postgres answers");
        sqlx::query("lock table acme.log_rows in access exclusive mode").execute(&mut *transaction).await.expect("a lock");
        let records = numbered("record", 30);
        let (waiting, others) = tokio::join!(acme.accepted(&records), other.accepted(&records));
        other.wait_until_indexed(&others).await;
        assert_eq!(acme.batch(&waiting).await["state"], "queued");
        transaction.rollback().await.expect("Postgres answers");
        acme.wait_until(&waiting, "indexed", LEFT_BEHIND_AFTER + SOON).await;
        assert_eq!(world.dead_letters().await, BTreeMap::new());
    });
}

#[test]
fn an_entry_of_another_shape_stops_nobody() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[plain("before")]).await;
        let shapes: [&[(&str, &[u8])]; 4] =
            [&[("garbage", b"yes")], &[("u", b"not a number"), ("h", b"x"), ("p", b"y")], &[("h", b"x"), ("u", b"20"), ("p", b"y")], &[("u", b"0"), ("h", b""), ("p", b"")]];
        for shape in shapes {
            world.add_by_hand(shape).await;
        }
        // Taken over a second time by then, if it was not buried the first time.
        let within = LEFT_BEHIND_AFTER + SOON;
        let batch = acme.accepted(&[plain("after")]).await;
        acme.wait_until(&batch, "indexed", within).await;
        world.until_queue_holds(0, within).await;
        let batch = acme.accepted(&[plain("long after")]).await;
        acme.wait_until(&batch, "indexed", within).await;
        assert_eq!(world.dead_letters().await.values().sum::<i64>(), 4);
    });
}

#[test]
fn a_record_that_cannot_be_read_any_more_is_a_dead_letter_and_its_batch_is_stored() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let (batch, header) = acme.header_by_hand(|header| header["accepted"] = json!(3));
        let lines = b"{\"message\":\"first\"}\n{\"message\":kanarienvogel}\n{\"message\":\"third\"}\n".as_slice();
        world.add_by_hand(&[("u", b"60"), ("h", &header), ("p", lines)]).await;
        let became = eventually(SOON, "the batch is indexed", async || {
            Some(acme.get(&format!("/v1/batches/{batch}"), &[]).await)
                .filter(|answer| answer.status == 200)
                .map(|answer| answer.json())
                .filter(|state| state["state"] == "indexed")
                .ok_or("not yet")
        })
        .await;
        assert_eq!((&became["accepted"], &became["stored"], &became["indexed"], &became["dead"]), (&json!(3), &json!(2), &json!(2), &json!(1)));
        for (position, message) in [(0, "first"), (2, "third")] {
            let detail = acme.get(&format!("/v1/logs/{}", log_id(&batch, position)), &[("source", "raw")]).await.ok(200);
            assert_eq!(detail["message"], message);
        }
        acme.get(&format!("/v1/logs/{}", log_id(&batch, 1)), &[]).await.problem(404, "not_found");
        assert_eq!(world.dead_letters().await, BTreeMap::from([(("parse".to_owned(), "invalid_json".to_owned()), 1)]));
    });
}

#[test]
fn a_tenant_whose_schema_is_gone_stops_nobody_and_loses_nothing_if_it_comes_back() {
    story(async |world| {
        let (broken, dropped, well) = (world.tenant("broken").await, world.tenant("dropped").await, world.tenant("well").await);
        broken.stored(&[plain("before")]).await;
        world.sql("alter schema broken rename to hidden").await;
        world.sql("drop schema dropped cascade").await;
        let mut waiting = Vec::new();
        for round in 0..3 {
            let (records, lost) = (numbered(&format!("round {round}"), 10), [plain("lost with its schema")]);
            let (of_broken, of_dropped, of_well) = tokio::join!(broken.accepted(&records), dropped.accepted(&lost), well.accepted(&records));
            well.wait_until_indexed(&of_well).await;
            assert_eq!((&broken.batch(&of_broken).await["state"], &dropped.batch(&of_dropped).await["state"]), (&json!("queued"), &json!("queued")));
            waiting.push(of_broken);
        }
        assert_eq!(logs(&well.list(&[]).await).len(), 30);
        world.sql("alter schema hidden rename to broken").await;
        for batch in &waiting {
            broken.wait_until(batch, "indexed", 2 * LEFT_BEHIND_AFTER + SOON).await;
        }
        let stores = world.in_stores("broken").await;
        assert_eq!(stores.rows.len(), 31);
        stores.hold_exactly(&stores.rows);
        assert_eq!(texts(&well.search("\"round 2\"").await, "id").len(), 10);
        // What is the dropped one's waits for somebody to mend it.
        world.until_queue_holds(3, SOON).await;
    });
}
