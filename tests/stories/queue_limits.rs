//! What the queue takes and what it does not: its own bounds, those of one tenant, what it remembers, and a Redis that keeps nothing.

use redis::AsyncCommands;
use serde_json::json;

use crate::harness::{Caller, Kind, OwnEngine, SOON, Seen, Sending, World, eventually, plain, story_on, story_with, texts};

/// So large, and so little alike, that a dozen fill a small queue however they are packed.
fn bulky(n: u32) -> serde_json::Value {
    let text: String = (0..500).map(|at| format!("{:x}", crc32fast::hash(format!("{n} {at}").as_bytes()))).collect();
    json!({ "message": format!("bulky {n}"), "full_log": text })
}

/// Sends until it is refused, with this code. Answers how many were taken.
async fn until_refused(caller: &Caller, code: &str) -> u32 {
    for n in 0..100 {
        let answer = caller.send(Sending::json(&bulky(n))).await;
        if answer.status != 202 {
            answer.problem(503, code);
            return n;
        }
    }
    panic!("100 were taken, and none refused");
}

#[test]
fn one_tenants_flood_is_refused_before_the_queue_is_full_for_all() {
    // Nobody drains: the linger is an hour.
    let settings = [("LOGGERHUB_LINGER_MS", "3600000"), ("LOGGERHUB_QUEUE_CAP_BYTES", "50000"), ("LOGGERHUB_QUEUE_TENANT_CAP_BYTES", "20000")];
    story_with(&settings, async |world| {
        let (flood, quiet, third) = (world.tenant("flood").await, world.tenant("quiet").await, world.tenant("third").await);
        let taken = until_refused(&flood, "tenant_queue_full").await;
        assert!(taken > 2, "{taken}");
        assert_eq!(until_refused(&quiet, "tenant_queue_full").await, taken, "another has as much room as the first");
        assert!(until_refused(&third, "queue_full").await < taken, "and all together no more than there is");

        let living = world.another_hub(&[]).await;
        world.until_queue_holds(0, SOON).await;
        for caller in [&flood, &quiet] {
            assert_eq!(texts(&caller.at(&living).list(&[("limit", "1000")]).await, "message").len(), taken as usize);
            caller.send(Sending::json(&bulky(0))).await.ok(202);
        }
        let backlog: Vec<(String, i64)> = until_drained(world).await;
        assert!(backlog.iter().all(|(_, bytes)| *bytes == 0), "{backlog:?}");
    });
}

/// The backlog's counters once nothing waits.
async fn until_drained(world: &World) -> Vec<(String, i64)> {
    world.until_queue_holds(0, SOON).await;
    world.redis().await.hgetall(world.redis_key("{p0}:backlog")).await.expect("Redis answers")
}

#[test]
fn one_tenants_idempotency_keys_leave_room_for_those_of_others() {
    story_with(&[("LOGGERHUB_IDEMPOTENCY_TENANT_CAP_BYTES", "1500")], async |world| {
        let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
        let sending = |n: usize| Sending::json(&plain("keyed")).idempotency_key(&format!("key-{n}"));
        let mut n = 0;
        let refused = loop {
            let answer = acme.send(sending(n)).await;
            if answer.status != 202 {
                break answer;
            }
            n += 1;
        };
        refused.problem(503, "idempotency_full");
        // An hour's keys are let go together, once the last of them is a day old.
        let after: u64 = refused.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("seconds");
        assert!((24 * 3600..=25 * 3600).contains(&after), "{after} s");
        other.send(sending(n)).await.ok(202);
        acme.send(sending(0)).await.ok(202);
    });
}

#[test]
fn no_idempotency_key_is_forgotten_early_to_make_room_for_another() {
    story_with(&[("LOGGERHUB_IDEMPOTENCY_CAP_BYTES", "1500")], async |world| {
        let acme = world.tenant("acme").await;
        let sending = |n: usize| Sending::json(&plain(&format!("number {n}"))).idempotency_key(&format!("key-{n}"));
        let mut taken = Vec::new();
        let refused = loop {
            let answer = acme.send(sending(taken.len())).await;
            if answer.status != 202 {
                break answer;
            }
            taken.push(answer.ok(202));
        };
        refused.problem(503, "idempotency_full");
        assert!((2..10).contains(&taken.len()), "{}", taken.len());
        for (n, first) in taken.iter().enumerate() {
            assert_eq!(acme.send(sending(n)).await.ok(202), *first, "all are still known");
        }
        acme.send(Sending::json(&plain("other")).idempotency_key("key-0")).await.problem(409, "idempotency_conflict");
        acme.stored(&[plain("without a key there is room")]).await;

        // A day later its keys have expired, and their hour counts no more.
        let (redis_key, day) = (world.redis_key("{p0}:idem-bytes"), 24 + 1);
        let mut redis = world.redis().await;
        let hours: Vec<(i64, i64)> = redis.hgetall(&redis_key).await.expect("Redis answers");
        for (hour, bytes) in hours {
            let _: () = redis.hset(&redis_key, hour - day, bytes).await.expect("Redis answers");
            let _: () = redis.hdel(&redis_key, hour).await.expect("Redis answers");
        }
        acme.send(sending(taken.len())).await.ok(202);
        let hours: Vec<(i64, i64)> = redis.hgetall(&redis_key).await.expect("Redis answers");
        assert_eq!(hours.len(), 1, "{hours:?}");
    });
}

async fn set(redis: &mut redis::aio::MultiplexedConnection, name: &str, value: &str) {
    let _: () = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(redis).await.expect("Redis answers");
}

#[test]
fn a_redis_that_would_not_keep_what_it_takes_is_refused_unless_that_is_accepted() {
    let own = OwnEngine::start(Kind::Redis);
    story_on(&own, async |world| {
        let acme = world.tenant("acme").await;
        let durable = acme.send(Sending::json(&plain("on disk"))).await.ok(202);
        assert_eq!(durable["durability"], "durable");
        let mut redis = world.redis().await;

        for (name, weak, strong) in [("appendfsync", "everysec", "always"), ("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")] {
            set(&mut redis, name, weak).await;
            let why = world.refused_start(&[]).await;
            assert!(why.contains(name), "{why}");
            let ready = acme.get("/readyz", &[]).await;
            assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("unready")));
            assert!(ready.json()["engines"]["redis"]["reason"].as_str().is_some_and(|reason| reason.contains(name)), "{}", ready.text);
            // The one that runs finds out by itself.
            let look = async || -> Result<(), Seen> {
                let answer = acme.send(Sending::json(&plain("not on disk"))).await;
                if answer.status == 503 { answer.problem(503, "queue_not_durable").as_object().map(drop).ok_or_else(String::new) } else { Err(answer.text) }
            };
            eventually(SOON, "it takes nothing in any more", look).await;
            set(&mut redis, name, strong).await;
            acme.send(Sending::json(&plain("on disk again"))).await.ok(202);
        }

        set(&mut redis, "appendfsync", "everysec").await;
        let relaxed = acme.at(&world.another_hub(&[("LOGGERHUB_REDIS_DURABILITY", "relaxed")]).await);
        let taken = relaxed.send(Sending::json(&plain("maybe on disk"))).await.ok(202);
        assert_eq!(taken["durability"], "relaxed");
        let batch = taken["batch_id"].as_str().expect("an id");
        assert_eq!(relaxed.wait_until_indexed(batch).await["durability"], "relaxed");
        assert_eq!(relaxed.wait_until_indexed(durable["batch_id"].as_str().expect("an id")).await["durability"], "durable");
        set(&mut redis, "maxmemory-policy", "allkeys-lru").await;
        let why = world.refused_start(&[("LOGGERHUB_REDIS_DURABILITY", "relaxed")]).await;
        assert!(why.contains("maxmemory-policy"), "{why}");
    });
}
