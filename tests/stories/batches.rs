//! What became of a batch: queued, stored, indexed, with its counts.

use reqwest::Method;
use serde_json::{Value, json};
use shared::grant::DEFAULT_CLASS;
use shared::ids::{BatchId, TenantId};
use shared::record::Record;
use shared::rows::{IndexState, NewRow, Receipt, StoreBatch};
use shared::timestamp;
use sqlx::{Connection, Row};

use crate::harness::{NOWHERE, SOON, Seen, Sending, eventually, log_id, logs, plain, sample, story, story_with, texts};

#[test]
fn a_batch_is_queued_then_stored_then_indexed() {
    // The first hub never drains, as its linger is an hour, and does not reach the index.
    let nowhere = format!("http://{NOWHERE}");
    let index_is_away = ("LOGGERHUB_OPENSEARCH_URL", nowhere.as_str());
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000"), index_is_away], async |world| {
        let acme = world.tenant("acme").await;
        let receipt = acme.send(Sending::json(&json!([plain("one"), 7, plain("two")]))).await.ok(202);
        let batch = receipt["batch_id"].as_str().expect("an id");
        let queued = acme.batch(batch).await;
        assert_eq!((&queued["batch_id"], &queued["state"]), (&json!(batch), &json!("queued")));
        assert!(queued["received_at"].as_str().is_some_and(|at| shared::timestamp::parse(at).is_ok()), "{queued}");
        for count in ["received", "accepted", "rejected", "stored", "indexed", "dead", "errors"] {
            assert_eq!(queued[count], Value::Null, "{count}: nothing is known of it yet");
        }
        acme.get(&format!("/v1/logs/{}", log_id(batch, 0)), &[]).await.problem(404, "not_found");
        assert_eq!(logs(&acme.list(&[]).await), [] as [Value; 0]);

        // One that drains brings it as far as the index.
        let draining = world.another_hub(&[index_is_away]).await;
        let stored = acme.wait_until(batch, "stored", SOON).await;
        let counts =
            |state: &Value| ["received", "accepted", "rejected", "stored", "indexed", "pending", "refused", "not_wanted", "dead"].map(|count| state[count].as_i64().unwrap_or(-1));
        assert_eq!(counts(&stored), [3, 2, 1, 2, 0, 2, 0, 0, 0]);
        assert_eq!(stored["errors"], receipt["errors"]);
        let page = acme.list(&[]).await;
        assert_eq!((logs(&page).len(), &logs(&page)[0]["indexed"]), (2, &json!(false)));
        draining.stop().await;

        // Maintenance of one that reaches the index does the rest.
        let whole = world.another_hub(&[]).await;
        let acme = acme.at(&whole);
        let indexed = acme.wait_until_indexed(batch).await;
        assert_eq!(counts(&indexed), [3, 2, 1, 2, 2, 0, 0, 0, 0]);
        assert_eq!(indexed["received_at"], queued["received_at"]);
        assert_eq!(texts(&acme.search("one").await, "message"), ["one"]);
    });
}

#[test]
fn whatever_is_said_to_be_indexed_is_found_at_once() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for round in 0..25 {
            let word = format!("unique{round}word");
            let batch = acme.accepted(&[plain(&word), plain("other")]).await;
            acme.wait_until_indexed(&batch).await;
            let found = acme.search(&word).await;
            assert_eq!((texts(&found, "id"), &found["complete"]), (vec![log_id(&batch, 0)], &json!(true)), "round {round}");
        }
    });
}

#[test]
fn an_accepted_batch_is_never_unknown() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for records in sample("openstack").chunks(40) {
            let batch = acme.accepted(records).await;
            let mut states = Vec::new();
            while states.last().is_none_or(|state| state != "indexed") {
                // `batch` panics on anything but a 200.
                states.push(acme.batch(&batch).await["state"].as_str().expect("a state").to_owned());
                assert!(states.len() < 10_000, "{batch} never ends");
            }
            states.dedup();
            let order = ["queued", "stored", "indexed"];
            let places: Vec<usize> = states.iter().map(|state| order.iter().position(|known| known == state).expect("a known state")).collect();
            assert!(places.is_sorted(), "it never goes back: {states:?}");
        }
    });
}

#[test]
fn what_is_no_batch_of_ours_is_not_there() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.stored(&[plain("m")]).await;
        let nobody = shared::ids::BatchId::new(1_790_000_000_000).to_string();
        for id in [nobody.as_str(), &log_id(&batch, 1), &batch.replace('-', ""), "x", "%00"] {
            acme.get(&format!("/v1/batches/{id}"), &[]).await.problem(404, "not_found");
        }
        assert_eq!(acme.call(Method::GET, &format!("/v1/batches/{}", batch.to_uppercase()), &[], Sending::default()).await.ok(200)["batch_id"], batch);
    });
}

/// A batch of `count` records whose raw lies at one place, whoever stores it.
fn raw_at(path: &str, count: u16) -> StoreBatch {
    let batch = BatchId::new(u64::try_from(timestamp::from_datetime(time::OffsetDateTime::now_utc())).expect("after 1970"));
    let line = br#"{"message":"found"}"#;
    let record = Record::parse(line).expect("a record");
    let rows = (0..count).map(|position| NewRow::new(batch.log(position), &record, line, path.into(), IndexState::NotWanted)).collect();
    let count = count.into();
    let receipt = Receipt {
        batch,
        tenant: TenantId::parse("acme").expect("an id"),
        key_id: uuid::Uuid::nil(),
        class: DEFAULT_CLASS.to_owned(),
        accepted: count,
        rejected: Vec::new(),
        wire_bytes: 0,
        unpacked_bytes: 0,
        stored: count,
        dead: 0,
        indexed: 0,
        pending: 0,
        refused: 0,
        not_wanted: count,
        relaxed: false,
        stored_at: time::OffsetDateTime::now_utc(),
    };
    StoreBatch { receipt, rows, dead: Vec::new() }
}

#[test]
fn rows_find_their_raw_object_where_another_transaction_makes_it_known_at_the_same_time() {
    story(async |world| {
        world.tenant("acme").await;
        // Few rows and many go into Postgres in different ways.
        for (path, count) in [("raw/few", 3), ("raw/many", 1000)] {
            let mut connection = world.rows_connection().await;
            let mut other = connection.begin().await.expect("Postgres answers");
            sqlx::query("insert into acme.objects (path) values ($1)").bind(path).execute(&mut *other).await.expect("it is new");
            let rows = &world.doors.rows;
            let storing = async { rows.store(&[&raw_at(path, count)]).await.expect("it finds the object") };
            let waits = async || -> Result<(), Seen> {
                let waiting = world.sql("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").await;
                if waiting.is_empty() { Err("nobody waits".to_owned()) } else { Ok(()) }
            };
            let committing = async {
                eventually(SOON, "the second waits for the first", waits).await;
                other.commit().await.expect("Postgres answers");
            };
            tokio::join!(storing, committing);
            let found = world.sql(&format!("select count(*) as found from acme.log_rows r join acme.objects o on o.id = r.object_id where o.path = '{path}'")).await;
            assert_eq!(found[0].get::<i64, _>("found"), i64::from(count), "{path}");
        }
    });
}
