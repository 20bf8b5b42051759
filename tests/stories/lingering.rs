//! The linger: what came in while a processor was at work has waited already, and waits only for the rest of it.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use shared::queue::TakeBudget;

use crate::harness::{Caller, NEVER_DRAINS, SOON, Wire, World, eventually, numbered, plain, story_with};

const LINGER: Duration = Duration::from_secs(3);
/// What is looked at is how long something has waited: nothing but time can be waited for.
const PAUSE: Duration = Duration::from_millis(200);
/// Redis tells time in whole milliseconds here.
const CLOCK: Duration = Duration::from_millis(2);

#[test]
fn what_came_in_during_a_long_drain_does_not_wait_a_whole_linger_after_it() {
    story_with(&NEVER_DRAINS, async |world| {
        let (wire, url) = Wire::over(&world.setting("LOGGERHUB_OPENSEARCH_URL")).await;
        let linger = LINGER.as_millis().to_string();
        let hub = world.another_hub(&[("LOGGERHUB_OPENSEARCH_URL", &url), ("LOGGERHUB_LINGER_MS", &linger)]).await;
        let acme = world.tenant("acme").await.at(&hub);
        wire.hold();
        let first = acme.accepted(&[plain("first")]).await;
        eventually(LINGER + SOON, "the first drain is at work", async || if held(world).await == 1 { Ok(()) } else { Err("nothing is held") }).await;
        let second = acme.accepted(&[plain("second")]).await;
        // It waits for as long as it would have to, by the time that the first drain ends.
        tokio::time::sleep(LINGER).await;
        assert_eq!(acme.batch(&first).await["state"], "queued");
        wire.mend();
        let mended = Instant::now();
        let stored = async || if acme.batch(&second).await["state"] == "queued" { Err("it waits") } else { Ok(()) };
        eventually(SOON, "the second is stored", stored).await;
        assert!(mended.elapsed() < LINGER, "{:?}", mended.elapsed());
    });
}

/// Entries that a consumer has in hand.
async fn held(world: &World) -> u64 {
    let partitions = world.doors.queue.inspect().await.expect("Redis answers");
    partitions.iter().flat_map(|partition| &partition.lanes).map(|lane| lane.held).sum()
}

#[test]
fn whoever_leaves_the_queue_is_told_for_how_long_the_oldest_that_nobody_took_has_waited() {
    story_with(&NEVER_DRAINS, async |world| {
        let (acme, queue) = (world.tenant("acme").await, &world.doors.patient_queue);
        let leave = async || queue.leave().await.expect("Redis answers");
        let take_one = async || queue.take("somebody", TakeBudget { bytes: usize::MAX, entries: 1 }).await.expect("Redis answers").len();
        assert_eq!(leave().await, None, "before anybody sent anything");

        let older = send_one(&acme).await;
        tokio::time::sleep(PAUSE).await;
        let newer = send_one(&acme).await;
        tokio::time::sleep(PAUSE).await;
        let waited = leave().await.expect("two wait");
        assert!(waited >= 2 * PAUSE && waited <= older.elapsed() + CLOCK, "{waited:?}");
        assert_eq!(take_one().await, 1);
        let waited = leave().await.expect("one waits");
        assert!(waited >= PAUSE && waited <= newer.elapsed() + CLOCK, "the older one does not count any more: {waited:?}");
        assert_eq!(take_one().await, 1);
        assert_eq!(leave().await, None, "what somebody holds does not wait");

        let newest = send_one(&acme).await;
        let waited = leave().await.expect("one waits");
        assert!(waited <= newest.elapsed() + CLOCK, "what is held and older does not count: {waited:?}");
        assert_eq!(take_one().await, 1);

        // One in the slow lane, by a clock that was ahead: whoever leaves must be called for it all the same.
        let ahead = format!("{}-0", (time::OffsetDateTime::now_utc() + time::Duration::HOUR).unix_timestamp() * 1000);
        let mut redis = world.redis().await;
        let _: String = redis.xadd(world.redis_key("{p0}:slow"), ahead, &[("u", "1"), ("h", "{}"), ("p", "")]).await.expect("Redis answers");
        assert_eq!(leave().await, Some(Duration::ZERO));
        let is_set: bool = redis.exists(world.redis_key("{p0}:bell")).await.expect("Redis answers");
        assert!(is_set, "nobody else need ring");
    });
}

/// Sends a batch; answers a moment before it.
async fn send_one(acme: &Caller) -> Instant {
    let before = Instant::now();
    acme.accepted(&numbered("waits", 1)).await;
    before
}
