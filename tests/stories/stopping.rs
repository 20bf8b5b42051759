//! Stopping a hub: what was accepted is stored, by it or by the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::harness::{Caller, Sending, log_id, logs, numbered, story};

/// A hub that has nothing in hand stops in no time; one that drains finishes that first.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Sends batches one after the other until the hub is gone. Answers those that were accepted.
async fn send_until(caller: &Caller, word: &str, over: &AtomicBool) -> Vec<String> {
    let mut accepted = Vec::new();
    for n in 0.. {
        let records = numbered(&format!("{word} {n}"), 20);
        match caller.try_call(Method::POST, "/v1/logs", &[], Sending::ndjson(&records)).await {
            Ok(answer) => accepted.push(answer.ok(202)["batch_id"].as_str().expect("an id").to_owned()),
            // No answer, no promise: it may be stored or not.
            Err(_) if over.load(Ordering::Relaxed) => return accepted,
            Err(_) => {}
        }
    }
    accepted
}

#[test]
fn a_hub_that_is_stopped_under_load_loses_nothing_that_it_accepted() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let over = AtomicBool::new(false);
        let stopping = async {
            // In the middle of things: some batches are through.
            acme.stored(&numbered("first", 1)).await;
            let began = Instant::now();
            world.stop_hub().await;
            over.store(true, Ordering::Relaxed);
            began.elapsed()
        };
        let senders = futures::future::join_all(["a", "b", "c", "d"].map(|word| send_until(&acme, word, &over)));
        let (took, accepted) = tokio::join!(stopping, senders);
        assert!(took < STOPS_WITHIN, "{took:?}");
        let accepted = accepted.concat();
        assert!(accepted.len() > 4, "there was load: {}", accepted.len());

        let next = world.another_hub(&[]).await;
        let acme = acme.at(&next);
        for batch in &accepted {
            acme.wait_until_indexed(batch).await;
        }
        let stores = world.in_stores("acme").await;
        for id in accepted.iter().flat_map(|batch| (0..20).map(move |position| log_id(batch, position))) {
            assert!(stores.rows.binary_search(&id).is_ok(), "{id} was accepted");
        }
        stores.hold_exactly(&stores.rows);
    });
}

#[test]
fn what_was_accepted_just_before_the_stop_is_there_after_it() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let batch = acme.accepted(&numbered("last words", 100)).await;
        let began = Instant::now();
        world.stop_hub().await;
        assert!(began.elapsed() < STOPS_WITHIN, "{:?}", began.elapsed());
        assert!(acme.try_call(Method::GET, "/healthz", &[], Sending::default()).await.is_err(), "it listens no more");
        let next = world.another_hub(&[]).await;
        let acme = acme.at(&next);
        acme.wait_until_indexed(&batch).await;
        assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 100);
        world.in_stores("acme").await.hold_exactly(&(0..100).map(|position| log_id(&batch, position)).collect::<Vec<_>>());
    });
}
