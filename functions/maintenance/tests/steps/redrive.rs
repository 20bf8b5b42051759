//! Another try for dead letters: by two at once, after one that died, and while engines are down.

use maintenance::{Redriven, index_missed, redrive};
use shared::error::Engine;
use shared::ids::{BatchId, TenantId};
use shared::queue::Header;
use shared::rows::{Buried, DeadLetter, ENTRY_STAGE, KILLED_ITS_PROCESSORS, LetterFilter, LetterKind, Reach, Receipt, StoreBatch};
use uuid::Uuid;

use super::BUDGET;
use crate::fresh::{Fresh, fresh};

/// A letter of a batch that holds nothing else, for which a redrive was asked.
async fn asked(hub: &Fresh, tenant: &TenantId, letter: impl FnOnce(BatchId) -> DeadLetter) -> (BatchId, Uuid) {
    let batch = BatchId::new(hub.now_ms());
    let letter = DeadLetter { tenant: Some(tenant.clone()), batch: Some(batch), ..letter(batch) };
    let (id, records) = (letter.id, letter.records);
    let receipt = Receipt { accepted: records, dead: records, ..hub.receipt(tenant, batch) };
    hub.app.rows.store(&[&StoreBatch { receipt, rows: Vec::new(), dead: vec![letter] }]).await.expect("Postgres answers");
    hub.app.rows.ask_redrive(&Reach::All, &LetterFilter::default(), id).await.expect("it is there");
    (batch, id)
}

fn letter(id: Uuid, records: i32, stage: &'static str, code: &str, bytes: Vec<u8>) -> DeadLetter {
    DeadLetter { id, tenant: None, batch: None, records, stage, code: code.to_owned(), reason: "by hand".to_owned(), bytes }
}

fn record(batch: BatchId) -> DeadLetter {
    letter(batch.log(0).uuid(), 1, "parse", "invalid_json", br#"{"message":"good by now"}"#.to_vec())
}

/// An entry of so many records, as it lay in the queue.
fn entry(tenant: &TenantId, batch: BatchId, records: u32, code: &str) -> DeadLetter {
    let lines: String = (0..records).map(|n| format!("{{\"message\":\"log {n}\"}}\n")).collect();
    let header = Header {
        v: Header::VERSION,
        tenant: tenant.clone(),
        key_id: Uuid::nil(),
        batch,
        class: "standard".to_owned(),
        index: true,
        wire_bytes: 1,
        unpacked_bytes: lines.len() as u64,
        accepted: records,
        rejected: Vec::new(),
        zstd: false,
        relaxed: false,
    };
    let bytes = [serde_json::to_vec(&header).expect("JSON"), b"\n".to_vec(), lines.into_bytes()].concat();
    letter(Uuid::now_v7(), i32::try_from(records).expect("few"), ENTRY_STAGE, code, bytes)
}

async fn counts(hub: &Fresh, tenant: &TenantId, batch: BatchId) -> (i32, i32, i32, i32) {
    let receipt = hub.app.rows.receipt(tenant, batch).await.expect("Postgres answers").expect("it is stored");
    assert_eq!((receipt.accepted, receipt.stored), (receipt.stored + receipt.dead, receipt.indexed + receipt.pending + receipt.refused + receipt.not_wanted));
    (receipt.stored, receipt.indexed, receipt.pending, receipt.dead)
}

async fn letters(hub: &Fresh) -> Vec<Buried> {
    hub.app.rows.dead_letters(&Reach::All, &LetterFilter::default(), None, 1000).await.expect("Postgres answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_redriven_once_by_two_runs_at_once() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let mut batches = Vec::new();
        for n in 0..40 {
            batches.push(match n % 10 {
                0 => (asked(hub, &a, |batch| entry(&a, batch, 30, "unreadable_entry")).await.0, 30),
                _ => (asked(hub, &a, record).await.0, 1),
            });
        }
        let (one, other) = tokio::join!(redrive(&hub.app, BUDGET), redrive(&hub.app, BUDGET));
        let (one, other) = (one.expect("it runs"), other.expect("it runs"));
        assert_eq!((one.letters + other.letters, one.records + other.records, one.refused + other.refused), (40, 36 + 4 * 30, 0), "{one:?} {other:?}");
        for (batch, records) in batches {
            assert_eq!(counts(hub, &a, batch).await, (records, records, 0, 0));
        }
        assert_eq!(hub.documents(&a).await, 36 + 4 * 30);
        assert_eq!(hub.rows(&a).await, 36 + 4 * 30);
        assert!(letters(hub).await.is_empty());
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs"), Redriven::default(), "nothing is left");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_two_have_in_hand_is_stored_by_the_first() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (batch, id) = asked(hub, &a, record).await;
        let taken = hub.app.rows.take_redrives(LetterKind::Record, 10).await.expect("Postgres answers");
        assert_eq!((taken.len(), taken[0].letter.id), (1, id));
        // Whoever took it died: nobody else has it before its minute is over, and then anybody.
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs"), Redriven::default());
        hub.logs_sql("update public.dead_letters set redrive_at = redrive_at - interval '61 s'").await;
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs").letters, 1);
        assert_eq!(counts(hub, &a, batch).await, (1, 1, 0, 0));
        // The first was only slow.
        let late = StoreBatch { receipt: Receipt { stored: 1, pending: 1, ..hub.receipt(&a, batch) }, rows: Vec::new(), dead: Vec::new() };
        let restored = hub.app.rows.store_redriven(&taken[0].letter, &late).await.expect("Postgres answers");
        assert_eq!(restored, shared::rows::Restored::Gone);
        assert_eq!(counts(hub, &a, batch).await, (1, 1, 0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_killed_its_processors_is_taken_up_once_for_each_time_it_is_asked_for() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (batch, id) = asked(hub, &a, |batch| entry(&a, batch, 3, KILLED_ITS_PROCESSORS)).await;
        assert_eq!(hub.app.rows.take_redrives(LetterKind::Entry, 10).await.expect("Postgres answers").len(), 1);
        hub.logs_sql("update public.dead_letters set redrive_at = redrive_at - interval '61 s'").await;
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs"), Redriven::default(), "it could kill this process, too");
        assert_eq!(letters(hub).await[0].attempts, 1);
        hub.app.rows.ask_redrive(&Reach::All, &LetterFilter::default(), id).await.expect("it is there");
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs").records, 3);
        assert_eq!(counts(hub, &a, batch).await, (3, 3, 0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_opensearch_rows_are_pending_and_made_up_for() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (batch, _) = asked(hub, &a, |batch| entry(&a, batch, 5, "unreadable_entry")).await;
        assert_eq!(redrive(&hub.without_opensearch().await, BUDGET).await.expect("it runs").records, 5);
        assert_eq!(counts(hub, &a, batch).await, (5, 0, 5, 0));
        assert_eq!(index_missed(&hub.app, BUDGET).await.expect("it runs").indexed, 5);
        assert_eq!((counts(hub, &a, batch).await, hub.documents(&a).await), ((5, 5, 0, 0), 5));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_object_store_nothing_is_written_and_the_letter_stays_asked_for() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (batch, _) = asked(hub, &a, record).await;
        let report = redrive(&hub.without_object_store().await, BUDGET).await.expect("it runs");
        assert_eq!(report, Redriven { stopped_by: Some(Engine::ObjectStore), ..Redriven::default() });
        assert_eq!(counts(hub, &a, batch).await, (0, 0, 0, 1));
        let left = letters(hub).await;
        assert!(left.len() == 1 && left[0].redrive_at.is_some() && left[0].reason == "by hand", "{left:?}");
        hub.logs_sql("update public.dead_letters set redrive_at = redrive_at - interval '6 s'").await;
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs").records, 1, "once it is back");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_batch_came_in_by_another_way_is_not_stored_twice() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let stored = hub.missed(&a, 3).await;
        // Its header could not be read when it was buried: no receipt counts it.
        let of_nobody = entry(&a, stored, 3, "unreadable_entry");
        hub.app.rows.bury(&[&of_nobody]).await.expect("Postgres answers");
        hub.app.rows.ask_redrive(&Reach::All, &LetterFilter::default(), of_nobody.id).await.expect("it is there");
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs").letters, 1);
        assert_eq!((counts(hub, &a, stored).await, hub.rows(&a).await), ((3, 0, 3, 0), 3));
        assert!(letters(hub).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_holds_less_than_was_accepted_is_refused() {
    fresh(async |hub: &Fresh| {
        let a = hub.tenant("tenant_a").await;
        let (fewer, _) = asked(hub, &a, |batch| DeadLetter { records: 7, ..entry(&a, batch, 3, "unreadable_entry") }).await;
        let (empty, _) = asked(hub, &a, |batch| DeadLetter { bytes: Vec::new(), ..record(batch) }).await;
        let (other, _) = asked(hub, &a, |_| entry(&a, fewer, 7, "unreadable_entry")).await;
        assert_eq!(redrive(&hub.app, BUDGET).await.expect("it runs"), Redriven { refused: 3, ..Redriven::default() });
        assert_eq!((counts(hub, &a, fewer).await.3, counts(hub, &a, empty).await.3, counts(hub, &a, other).await.3), (7, 1, 7));
        assert!(letters(hub).await.iter().all(|letter| letter.redrive_at.is_none() && letter.attempts == 1 && letter.reason != "by hand"));
    })
    .await;
}
