//! A hub that ends at any point on the way of a log, as in a power cut: another finishes what it began, and each log is stored once.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use redis::AsyncCommands;
use serde_json::{Value, json};
use shared::fault::POINTS;
use shared::queue::LEFT_BEHIND_AFTER;

use crate::harness::{Caller, NEVER_DRAINS, NOWHERE, SOON, Sending, World, eventually, log_id, plain, sample, story, story_with};

/// Left-behind entries are taken over after half a minute; then they are stored within seconds.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(LEFT_BEHIND_AFTER.as_secs() + 60);

fn points_of<'a>(room: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    POINTS.iter().copied().filter(move |point| point.starts_with(room))
}

/// What was accepted, and must be found once in every store.
#[derive(Default)]
struct Accepted(Vec<(String, Vec<Value>)>);

impl Accepted {
    /// Sends some of the sample to the world's first hub.
    async fn some(&mut self, tenant: &Caller) {
        let from = self.0.len() * 5;
        let records = sample("stack-traces")[from..from + 5].to_vec();
        self.0.push((tenant.accepted(&records).await, records));
    }

    fn ids(&self) -> Vec<String> {
        self.0.iter().flat_map(|(batch, records)| (0..).zip(records).map(|(position, _)| log_id(batch, position))).collect()
    }

    async fn is_stored_once(&self, world: &World, tenant: &Caller) {
        for (batch, records) in &self.0 {
            let became = tenant.wait_until(batch, "indexed", TAKEN_OVER_WITHIN).await;
            assert_eq!((&became["stored"], &became["indexed"], &became["dead"]), (&records.len().into(), &records.len().into(), &0.into()), "{became}");
        }
        world.in_stores(&tenant.tenant).await.hold_exactly(&self.ids());
    }
}

#[test]
fn a_processor_may_end_at_any_point() {
    story_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        let mut accepted = Accepted::default();
        let burials = ["processor.before_bury", "processor.after_bury"];
        for point in points_of("processor.").chain(points_of("rows.")).filter(|point| !burials.contains(point)) {
            accepted.some(&acme).await;
            world.process(&[("LOGGERHUB_ABORT_AT", point), ("LOGGERHUB_LINGER_MS", "10")]).await.ended_at(point).await;
        }
        let living = world.another_hub(&[]).await;
        accepted.is_stored_once(world, &acme.at(&living)).await;
        world.until_queue_holds(0, SOON).await;
    });
}

#[test]
fn a_burial_may_break_off_and_there_is_one_grave() {
    story_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        for point in ["processor.before_bury", "processor.after_bury"] {
            let _: String = world.redis().await.xadd(world.redis_key("{p0}:queue"), "*", &[("u", "1"), ("h", "no header"), ("p", point)]).await.expect("Redis answers");
            world.process(&[("LOGGERHUB_ABORT_AT", point), ("LOGGERHUB_LINGER_MS", "10")]).await.ended_at(point).await;
        }
        let living = world.another_hub(&[]).await;
        acme.at(&living).stored(&[plain("the living go on")]).await;
        world.until_queue_holds(0, TAKEN_OVER_WITHIN).await;
        assert_eq!(world.dead_letters().await.values().sum::<i64>(), 2);
    });
}

#[test]
fn a_request_whose_answer_never_came_is_sent_again_and_stored_once() {
    story_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        let mut accepted = Accepted::default();
        for (n, point) in points_of("ingest.").enumerate() {
            let mut dying = world.process(&[("LOGGERHUB_ABORT_AT", point), NEVER_DRAINS[0]]).await;
            let records = sample("stack-traces")[n * 20..(n + 1) * 20].to_vec();
            let sending = || Sending::ndjson(&records).idempotency_key(point);
            let answer = acme.at_url(dying.url()).try_call(reqwest::Method::POST, "/v1/logs", &[], sending()).await;
            assert!(answer.is_err(), "the connection broke: {answer:?}");
            dying.ended_at(point).await;
            let batches: Vec<String> =
                futures::future::join_all((0..2).map(|_| acme.send(sending()))).await.iter().map(|answer| crate::harness::batch_id(&answer.ok(202))).collect();
            assert_eq!(batches[0], batches[1]);
            accepted.0.push((batches[0].clone(), records));
        }
        let living = world.another_hub(&[]).await;
        accepted.is_stored_once(world, &acme.at(&living)).await;
        assert_eq!(world.sql("select 1 from public.receipts").await.len(), accepted.0.len());
    });
}

#[test]
fn making_up_for_the_index_may_break_off_at_any_point() {
    story_with(&[("LOGGERHUB_OPENSEARCH_URL", &format!("http://{NOWHERE}"))], async |world| {
        let acme = world.tenant("acme").await;
        let mut accepted = Accepted::default();
        for point in points_of("maintenance.") {
            accepted.some(&acme).await;
            acme.wait_until(&accepted.0.last().expect("one").0, "stored", SOON).await;
            world.process(&[("LOGGERHUB_ABORT_AT", point)]).await.ended_at(point).await;
        }
        let living = world.another_hub(&[]).await;
        accepted.is_stored_once(world, &acme.at(&living)).await;
    });
}

/// Runs a command that must end at a fault point.
async fn ends_at(world: &World, point: &str, arguments: &[&str]) {
    let done = world.command_with(&[("LOGGERHUB_ABORT_AT", point)], arguments).await;
    assert_eq!(done.status.signal(), Some(6), "SIGABRT at {point}: {done:?}");
}

#[test]
fn a_redrive_may_break_off_at_any_point() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut batches = Vec::new();
        for point in points_of("redrive.") {
            let (batch, header) = acme.header_by_hand(|header| header["accepted"] = json!(2));
            world.add_by_hand(&[("u", b"60"), ("h", &header), ("p", b"{\"message\":\"good\"}\n{\"message\":bad}\n")]).await;
            eventually(SOON, "the good one is stored", async || if acme.get(&format!("/v1/batches/{batch}"), &[]).await.json()["stored"] == 1 { Ok(()) } else { Err("not yet") })
                .await;
            batches.push((point, batch));
        }
        world.until_queue_holds(0, SOON).await;
        world.sql("update public.dead_letters set bytes = '{\"message\":\"mended\"}'").await;
        // Whoever does maintenance would be quicker than who breaks off.
        world.stop_hub().await;
        for (point, batch) in &batches {
            ends_at(world, point, &["dead-letters", "redrive", &log_id(batch, 1), "--now"]).await;
        }
        // What was taken up is due again a minute later: as if that were over.
        world.sql("update public.dead_letters set redrive_at = now() where redrive_at is not null").await;
        let living = world.another_hub(&[]).await;
        for (_, batch) in &batches {
            let look = async || {
                let seen = acme.at(&living).batch(batch).await;
                if seen["state"] == "indexed" && seen["stored"] == 2 && seen["dead"] == 0 { Ok(()) } else { Err(seen.to_string()) }
            };
            eventually(SOON, "what broke off is finished", look).await;
        }
        world.in_stores("acme").await.hold_exactly(&batches.iter().flat_map(|(_, batch)| (0..2).map(|n| log_id(batch, n))).collect::<Vec<_>>());
        assert_eq!(world.dead_letters().await.values().sum::<i64>(), 0);
    });
}

#[test]
fn a_rebuild_may_break_off_at_any_point() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let mut accepted = Accepted::default();
        for _ in 0..4 {
            accepted.some(&acme).await;
        }
        accepted.is_stored_once(world, &acme).await;
        world.until_queue_holds(0, SOON).await;
        world.sql("delete from acme.log_rows").await;
        let rebuild = ["rebuild", "--tenant", "acme", "--into", "both"];
        ends_at(world, "rebuild.after_rows", &rebuild).await;
        assert!(world.command(&["rebuild", "--tenant", "acme", "--into", "postgres"]).await.status.success());
        for (batch, _) in &accepted.0 {
            acme.wait_until(batch, "indexed", SOON).await;
        }
        let index = format!("{}-*", world.setting("LOGGERHUB_INDEX_PREFIX"));
        world.opensearch(reqwest::Method::POST, &format!("{index}/_delete_by_query?refresh=true"), &json!({ "query": { "match_all": {} } })).await;
        ends_at(world, "rebuild.after_pending", &rebuild).await;
        assert!(world.command(&rebuild).await.status.success());
        accepted.is_stored_once(world, &acme).await;
    });
}
