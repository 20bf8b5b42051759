//! Leases: work that one process does at a time, and that nobody is kept from by one that died.

use std::time::Duration;

use uuid::Uuid;

use crate::harness::{SOON, eventually, story};

#[test]
fn one_holds_a_lease_renews_it_and_hands_it_on() {
    story(async |world| {
        let (queue, one, other) = (&world.doors.patient_queue, Uuid::new_v4(), Uuid::new_v4());
        let lease = async |holder: Uuid, ms: u64| queue.lease("a test", holder, Duration::from_millis(ms)).await.expect("Redis answers");
        assert!(lease(one, 60_000).await);
        assert!(!lease(other, 60_000).await && !lease(other, 0).await, "another can neither take nor end it");
        assert!(lease(one, 60_000).await, "the holder renews it");
        assert!(lease(one, 0).await && lease(other, 300).await, "ended, it is free");
        // Whoever died does not come to renew it.
        eventually(SOON, "it is free again", async || if lease(one, 60_000).await { Ok(()) } else { Err("it is held") }).await;
    });
}

#[test]
fn while_one_process_makes_up_for_the_index_another_leaves_it_alone() {
    story(async |world| {
        world.stop_hub().await;
        let app = world.doors.maintenance();
        let holder = Uuid::new_v4();
        // A hub that stops in the middle of it leaves the lease to run out.
        let take = async || if app.queue.lease("index_missed", holder, Duration::from_secs(60)).await.expect("Redis answers") { Ok(()) } else { Err("it is held") };
        eventually(SOON, "the lease is free", take).await;
        assert!(maintenance::index_missed(&app, Duration::from_secs(1)).await.expect("no mistake of ours").elsewhere);
        app.queue.lease("index_missed", holder, Duration::ZERO).await.expect("Redis answers");
        assert!(!maintenance::index_missed(&app, Duration::from_secs(1)).await.expect("no mistake of ours").elsewhere);
        assert!(!maintenance::index_missed(&app, Duration::from_secs(1)).await.expect("no mistake of ours").elsewhere, "the one before has ended its lease");
    });
}
