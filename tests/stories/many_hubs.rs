//! More than one: hubs that drain the same queue, partitions of it, and lanes.

use serde_json::{Value, json};

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
