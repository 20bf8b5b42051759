//! `loggerhub queue`: what waits, of whom, for how long, and who holds it.

use serde_json::{Value, json};
use shared::queue::TakeBudget;

use crate::harness::{NEVER_DRAINS, SOON, World, numbered, story, story_with};

async fn looked_at(world: &World) -> Value {
    let done = world.command(&["queue", "--json"]).await;
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn what_waits_is_counted_by_partition_lane_tenant_and_holder() {
    story_with(&NEVER_DRAINS, async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        assert_eq!(looked_at(world).await[0]["oldest_ms"], Value::Null, "before anybody sent anything");
        for n in 0..3 {
            acme.accepted(&numbered(&format!("batch {n}"), 50)).await;
        }
        other.accepted(&numbered("other", 1)).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let taken = world.doors.patient_queue.take("somebody", TakeBudget { bytes: usize::MAX, entries: 2 }).await.expect("Redis answers");
        assert_eq!(taken.len(), 2);

        let all = looked_at(world).await;
        let bytes = world.doors.queue.backlog_bytes().await.expect("Redis answers");
        let [partition] = all.as_array().expect("a list").as_slice() else { panic!("one partition: {all}") };
        assert_eq!((&partition["entries"], &partition["bytes"]), (&json!(4), &json!(bytes)));
        assert!(partition["oldest_ms"].as_u64().is_some_and(|ms| (50..60_000).contains(&ms)), "{partition}");
        let lane = &partition["lanes"][0];
        assert_eq!(json!([lane["lane"], lane["entries"], lane["held"]]), json!(["queue", 4, 2]));
        assert_eq!(json!([lane["consumers"][0]["consumer"], lane["consumers"][0]["held"]]), json!(["somebody", 2]));
        assert_eq!(json!([partition["lanes"][1]["lane"], partition["lanes"][1]["entries"]]), json!(["slow", 0]));
        let tenants: Vec<_> = partition["tenants"].as_array().expect("a list").iter().map(|tenant| json!([tenant["tenant"], tenant["batches"]])).collect();
        assert_eq!(tenants, [json!(["acme", 3]), json!(["other", 1])], "the most bytes first");
        assert!(partition["tenants"][0]["oldest_ms"].as_u64() >= partition["tenants"][1]["oldest_ms"].as_u64(), "{partition}");

        let said = String::from_utf8(world.command(&["queue"]).await.stdout).expect("text");
        for word in ["partition 0: 4 entries", "consumer somebody holds 2", "tenant acme"] {
            assert!(said.contains(word), "{word} in {said}");
        }
    });
}

#[test]
fn a_queue_that_was_drained_is_told_to_be_empty_and_one_that_is_away_is_an_error() {
    story(async |world| {
        world.tenant("acme").await.stored(&numbered("stored", 10)).await;
        world.until_queue_holds(0, SOON).await;
        let partition = looked_at(world).await[0].clone();
        assert_eq!(json!([partition["entries"], partition["bytes"], partition["oldest_ms"], partition["tenants"]]), json!([0, 0, null, []]));
        let away = world.command_with(&[("LOGGERHUB_REDIS_URL", &format!("redis://{}", crate::harness::NOWHERE))], &["queue"]).await;
        assert!(!away.status.success() && String::from_utf8_lossy(&away.stderr).contains("redis is not available"), "{away:?}");
    });
}
