//! The linger: what came in while a processor was at work has waited already, and waits only for the rest of it.

use std::time::{Duration, Instant};

use shared::queue::TakeBudget;

use crate::harness::{Caller, NEVER_DRAINS, numbered, story_with};

const PAUSE: Duration = Duration::from_millis(200);
/// Redis tells time in whole milliseconds here.
const CLOCK: Duration = Duration::from_millis(2);

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
    });
}

/// Sends a batch; answers a moment before it.
async fn send_one(acme: &Caller) -> Instant {
    let before = Instant::now();
    acme.accepted(&numbered("waits", 1)).await;
    before
}
