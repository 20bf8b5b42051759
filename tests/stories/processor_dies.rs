//! A processor that ends between two of its steps, whichever: another takes over, and each log is stored once.

use std::time::{Duration, Instant};

use processor::{Until, open, prepare, store, write};
use serde_json::Value;
use shared::queue::{LEFT_BEHIND_AFTER, TakeBudget};

use crate::harness::{Caller, SOON, World, log_id, numbered, sample, story_with};

/// Left-behind entries are taken over after half a minute; then they are stored within seconds.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(LEFT_BEHIND_AFTER.as_secs() + 30);
const ONE_ENTRY: TakeBudget = TakeBudget { bytes: usize::MAX, entries: 1 };

/// Where a processor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndsAfter {
    Take,
    SomeRaw,
    RawAndIndex,
    Rows,
    Ack,
}

/// Takes the oldest entry and goes as far as that with it, then drops everything, as a process that is killed would.
async fn work_and_die(world: &World, ends_after: EndsAfter) {
    let app = world.doors.processor();
    let until = Until::deadline(Instant::now() + Duration::from_secs(60));
    let taken = app.queue.take(&app.consumer, ONE_ENTRY).await.expect("Redis answers");
    assert_eq!(taken.len(), 1, "one entry for {ends_after:?}");
    if ends_after == EndsAfter::Take {
        return;
    }
    let (opened, lost) = open(taken);
    assert!(lost.is_empty());
    let prepared = prepare(&app.archive, &app.index, &opened).expect("good records");
    if ends_after == EndsAfter::SomeRaw {
        let (path, bytes) = prepared.objects.first().expect("an object");
        return app.archive.put(path, bytes.clone()).await.expect("the object store answers");
    }
    let written = write(&app, prepared, &until).await.expect("both stores answer");
    if ends_after == EndsAfter::RawAndIndex {
        return;
    }
    let stored = store(&app, &written).await.expect("Postgres answers");
    assert!(stored.rows > 0 && stored.parked.is_empty());
    if ends_after == EndsAfter::Ack {
        let done: Vec<_> = opened.iter().map(|entry| (&entry.entry.held, Some(&entry.header))).collect();
        app.queue.ack(&done).await.expect("Redis answers");
    }
}

/// One processor's end: whose logs it had in hand, and which.
struct End {
    tenant: Caller,
    batch: String,
    records: Vec<Value>,
}

impl End {
    fn ids(&self) -> Vec<String> {
        (0..).zip(&self.records).map(|(position, _)| log_id(&self.batch, position)).collect()
    }
}

#[test]
fn a_processor_may_end_after_any_step_and_each_log_is_stored_once() {
    const STEPS: [EndsAfter; 5] = [EndsAfter::Take, EndsAfter::SomeRaw, EndsAfter::RawAndIndex, EndsAfter::Rows, EndsAfter::Ack];
    // The first hub takes requests and never drains: its linger is an hour.
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let mut ends = Vec::new();
        for (n, step) in STEPS.into_iter().enumerate() {
            let tenant = world.tenant(&format!("tenant_{n}")).await;
            let records = sample("stack-traces")[n * 20..(n + 1) * 20].to_vec();
            let batch = tenant.accepted(&records).await;
            work_and_die(world, step).await;
            ends.push(End { tenant, batch, records });
        }
        // One that lives takes what is new at once, and over what they left.
        let living = world.another_hub(&[]).await;
        let fresh = ends[0].tenant.accepted(&numbered("fresh", 5)).await;
        ends[0].tenant.at(&living).wait_until_indexed(&fresh).await;
        // What others hold is theirs for half a minute.
        world.until_queue_holds(4, SOON).await;

        for end in &ends {
            let became = end.tenant.at(&living).wait_until(&end.batch, "indexed", TAKEN_OVER_WITHIN).await;
            assert_eq!((&became["stored"], &became["indexed"], &became["dead"]), (&20.into(), &20.into(), &0.into()), "{became}");
        }
        world.until_queue_holds(0, SOON).await;
        for (n, end) in ends.iter().enumerate() {
            let mut ids = end.ids();
            if n == 0 {
                ids.extend((0..5).map(|position| log_id(&fresh, position)));
            }
            world.in_stores(&end.tenant.tenant).await.hold_exactly(&ids);
            for (id, record) in end.ids().iter().zip(&end.records) {
                for source in ["auto", "raw"] {
                    assert_eq!(&end.tenant.get(&format!("/v1/logs/{id}"), &[("source", source)]).await.ok(200)["record"], record, "{:?}, {source}", STEPS[n]);
                }
            }
        }
    });
}

#[test]
fn many_entries_whose_processors_died_often_do_not_keep_what_is_new_waiting() {
    const DIED: usize = 40;
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let (crashed, well) = (world.tenant("crashed").await, world.tenant("well").await);
        let mut batches = Vec::new();
        for n in 0..DIED {
            batches.push(crashed.accepted(&numbered(&format!("crashed {n}"), 1)).await);
        }
        // Taken, and left behind by consumers that died three times over.
        let taken = world.doors.queue.take("a dead one", TakeBudget { bytes: usize::MAX, entries: DIED }).await.expect("Redis answers");
        assert_eq!(taken.len(), DIED);
        let mut redis = world.redis().await;
        let held: Vec<(String, String, u64, u64)> =
            redis::cmd("XPENDING").arg(world.redis_key("{p0}:queue")).arg("processor").arg("-").arg("+").arg(DIED).query_async(&mut redis).await.expect("Redis answers");
        let idle = u64::try_from(LEFT_BEHIND_AFTER.as_millis()).expect("some") + 1;
        for (id, ..) in &held {
            let mut claim = redis::cmd("XCLAIM");
            claim.arg(world.redis_key("{p0}:queue")).arg("processor").arg("a dead one").arg(0).arg(id).arg("IDLE").arg(idle).arg("RETRYCOUNT").arg(3).arg("JUSTID");
            claim.query_async::<Vec<String>>(&mut redis).await.expect("Redis answers");
        }
        // With a linger of a second, one after another would take as many seconds.
        let living = world.another_hub(&[("LOGGERHUB_LINGER_MS", "1000")]).await;
        let began = Instant::now();
        let fresh = well.at(&living).accepted(&numbered("fresh", 5)).await;
        well.at(&living).wait_until(&fresh, "indexed", SOON).await;
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(10), "what is new waited {waited:?}");
        for batch in &batches {
            crashed.at(&living).wait_until_indexed(batch).await;
        }
        world.until_queue_holds(0, SOON).await;
        assert!(began.elapsed() < Duration::from_secs(30), "all of them were stored after {:?}", began.elapsed());
    });
}
