//! More than one: hubs that drain the same queue, partitions of it, and lanes.

use serde_json::{Value, json};
use shared::queue::TakeBudget;

use crate::harness::{Caller, Encoding, SOON, Sending, World, log_id, logs, numbered, plain, sample, story_with};

/// The ids that a batch of so many records was given.
fn ids_of(batch: &str, count: u16) -> impl Iterator<Item = String> {
    (0..count).map(|position| log_id(batch, position))
}

/// Sends real records of several tenants through all of these hubs at once, and looks for each in every store.
async fn expect_each_stored_once(world: &World, through: &[Caller]) {
    let chunks: Vec<&[Value]> = sample("kafka").chunks(16).collect();
    let sent = chunks.iter().enumerate().map(|(n, chunk)| async move {
        let caller = &through[n % through.len()];
        (caller.tenant.clone(), caller.accepted(chunk).await, u16::try_from(chunk.len()).expect("few"))
    });
    let sent = futures::future::join_all(sent).await;
    for (tenant, batch, _) in &sent {
        let caller = through.iter().find(|caller| caller.tenant == *tenant).expect("one of them");
        caller.wait_until_indexed(batch).await;
    }
    let mut tenants: Vec<&String> = through.iter().map(|caller| &caller.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let ids: Vec<String> = sent.iter().filter(|(of, ..)| of == tenant).flat_map(|(_, batch, count)| ids_of(batch, *count)).collect();
        world.in_stores(tenant).await.hold_exactly(&ids);
    }
}

#[test]
fn three_hubs_that_drain_one_queue_store_each_log_once() {
    crate::harness::story(async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let (second, third) = (world.another_hub(&[]).await, world.another_hub(&[("LOGGERHUB_LINGER_MS", "10")]).await);
        let through = [acme.clone(), globex.at(&second), acme.at(&third), globex.clone(), acme.at(&second), globex.at(&third)];
        expect_each_stored_once(world, &through).await;
        world.until_queue_holds(0, SOON).await;
    });
}

#[test]
fn several_partitions_do_what_one_does() {
    story_with(&[("LOGGERHUB_PARTITIONS", "3")], async |world| {
        let mut through = Vec::new();
        for tenant in ["ada", "grace", "edsger", "barbara", "donald", "tony"] {
            through.push(world.tenant(tenant).await);
        }
        expect_each_stored_once(world, &through).await;
        let queues: Vec<String> = redis::AsyncCommands::keys(&mut world.redis().await, world.redis_key("{p*}:queue")).await.expect("Redis answers");
        assert_eq!(queues.len(), 3, "{queues:?}");
    });
}

#[test]
fn a_slow_lane_of_large_batches_leaves_the_main_lane_its_part_of_every_drain() {
    // No hub drains here but by hand.
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let flood: Vec<Value> = (0..10).map(|n| json!({ "message": format!("flood {n}"), "full_log": "drop after drop ".repeat(40_000) })).collect();
        for _ in 0..8 {
            acme.send(Sending::ndjson(&flood).packed(Encoding::Zstd)).await.ok(202);
        }
        let of_globex = globex.accepted(&numbered("a drop", 3)).await;
        let slow: u64 = redis::AsyncCommands::xlen(&mut world.redis().await, world.redis_key("{p0}:slow")).await.expect("Redis answers");
        assert!(slow >= 4, "{slow} batches of 6 MB are in the slow lane");
        // What the processor takes at once is less than one of those batches.
        let budget = TakeBudget { bytes: 4 * 1024 * 1024, entries: 2000 };
        let main = world.queue_length().await - slow;
        let mut takes = 0;
        loop {
            takes += 1;
            let taken = world.doors.queue.take("by hand", budget).await.expect("Redis answers");
            if taken.iter().any(|entry| entry.header().is_ok_and(|header| header.batch.to_string() == of_globex)) {
                break;
            }
            assert!(takes < main, "after {takes} takes there is no place for a small batch of another tenant behind {main} in its lane");
        }
    });
}

#[test]
fn a_backlog_in_one_partition_does_not_keep_another_from_its_part() {
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000"), ("LOGGERHUB_PARTITIONS", "2")], async |world| {
        let mut callers = Vec::new();
        for tenant in ["ada", "grace", "edsger", "barbara", "donald", "tony"] {
            callers.push(world.tenant(tenant).await);
        }
        let queue = world.doors_with(&[("LOGGERHUB_PARTITIONS", "2")]).queue;
        let small = json!({ "message": "small" });
        for caller in &callers {
            for _ in 0..40 {
                caller.accepted(std::slice::from_ref(&small)).await;
            }
        }
        // Each take has room for a part of either lane only.
        let budget = TakeBudget { bytes: 4 * 1024 * 1024, entries: 20 };
        for _ in 0..2 {
            let taken = queue.take("by hand", budget).await.expect("Redis answers");
            let tenants: std::collections::BTreeSet<u32> =
                taken.iter().filter_map(|entry| entry.header().ok()).map(|header| crc32fast::hash(header.tenant.as_str().as_bytes()) % 2).collect();
            assert_eq!(tenants.len(), 2, "both partitions have their part");
        }
    });
}

#[test]
fn a_flood_of_one_tenant_goes_to_the_slow_lane_and_is_stored_like_the_rest() {
    // The first hub never drains: its linger is an hour.
    story_with(&[("LOGGERHUB_LINGER_MS", "3600000")], async |world| {
        let (acme, globex) = (world.tenant("acme").await, world.tenant("globex").await);
        let heavy = |word: &str| json!({ "message": word, "full_log": format!("{word} {}", "drop after drop ".repeat(40_000)) });
        let flood: Vec<Value> = (0..14).map(|n| heavy(&format!("flood {n}"))).collect();
        let mut batches = Vec::new();
        for _ in 0..3 {
            let receipt = acme.send(Sending::ndjson(&flood).packed(Encoding::Zstd)).await.ok(202);
            batches.push(receipt["batch_id"].as_str().expect("an id").to_owned());
        }
        let slow = async || redis::AsyncCommands::xlen::<_, u64>(&mut world.redis().await, world.redis_key("{p0}:slow")).await.expect("Redis answers");
        assert_eq!(slow().await, 1, "two batches of 9 MB are the main lane's, the third is past 16 MiB");
        let of_globex = globex.accepted(&numbered("a drop", 3)).await;
        let late = acme.accepted(&[plain("the last drop")]).await;
        assert_eq!((slow().await, world.queue_length().await), (2, 5));

        let draining = world.another_hub(&[]).await;
        globex.at(&draining).wait_until_indexed(&of_globex).await;
        for batch in batches.iter().chain([&late]) {
            acme.at(&draining).wait_until(batch, "indexed", SOON).await;
        }
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 3 * 14 + 1);
        world.until_queue_holds(0, SOON).await;
        let waiting: Option<i64> = redis::AsyncCommands::hget(&mut world.redis().await, world.redis_key("{p0}:backlog"), "w:acme").await.expect("Redis answers");
        assert_eq!(waiting, None, "nothing of it counts any more");
        let ids: Vec<String> = batches.iter().flat_map(|batch| ids_of(batch, 14)).chain(ids_of(&late, 1)).collect();
        world.in_stores("acme").await.hold_exactly(&ids);
    });
}
