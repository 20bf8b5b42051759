//! What waits, as alarms see it: the gauges of `/metrics`, and what the maintenance function tells CloudWatch.

use std::time::Duration;

use crate::harness::{NEVER_DRAINS, numbered, story_with};

#[test]
fn what_waits_and_what_is_dead_is_measured_by_maintenance() {
    story_with(&NEVER_DRAINS, async |world| {
        let app = world.doors.maintenance();
        let nothing = maintenance::measure(&app).await.expect("the engines answer");
        assert_eq!((nothing.oldest, nothing.bytes, nothing.dead_letters), (Duration::ZERO, 0, 0));

        let acme = world.tenant("acme").await;
        acme.accepted(&numbered("waiting", 20)).await;
        world.add_by_hand(&[("u", b"20"), ("h", b"no header"), ("p", b"no payload")]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let waiting = maintenance::measure(&app).await.expect("the engines answer");
        assert!((Duration::from_millis(50)..Duration::from_secs(60)).contains(&waiting.oldest), "{waiting:?}");
        assert_eq!(waiting.bytes, world.doors.queue.backlog_bytes().await.expect("Redis answers"));

        let living = world.another_hub(&[]).await;
        world.until_queue_holds(0, crate::harness::SOON).await;
        let after = maintenance::measure(&app).await.expect("the engines answer");
        assert_eq!((after.oldest, after.bytes, after.dead_letters), (Duration::ZERO, 0, 1), "one can never be stored");
        drop(living);
    });
}
