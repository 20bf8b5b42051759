//! Every real record of `samples/`, in and out again.

use std::collections::HashMap;

use futures::StreamExt;
use serde_json::Value;

use crate::harness::{Caller, Encoding, Sending, log_id, sample_files, story};

/// Requests at once.
const SIDE_BY_SIDE: usize = 8;
/// Records of one request.
const AT_ONCE: usize = 400;

/// Sends everything, every way there is. Answers each record by the id it was given.
async fn send_everything(acme: &Caller) -> HashMap<String, &'static Value> {
    let chunks = sample_files().iter().flat_map(|(_, records)| records.chunks(AT_ONCE));
    let sent = futures::stream::iter(chunks.zip(Encoding::ALL.into_iter().cycle())).map(|(records, encoding)| async move {
        let receipt = acme.send(Sending::ndjson(records).packed(encoding)).await.ok(202);
        assert_eq!((&receipt["accepted"], &receipt["rejected"]), (&records.len().into(), &0.into()), "{receipt}");
        let batch = receipt["batch_id"].as_str().expect("an id").to_owned();
        acme.wait_until_indexed(&batch).await;
        (0..).zip(records).map(|(position, record)| (log_id(&batch, position), record)).collect::<Vec<_>>()
    });
    sent.buffer_unordered(SIDE_BY_SIDE).concat().await.into_iter().collect()
}

#[test]
fn every_real_record_is_in_every_store_once_and_comes_back_equal_from_both() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let sent = send_everything(&acme).await;
        assert_eq!(sent.len(), 3214, "samples/README.md says so");
        world.in_stores("acme").await.hold_exactly(&sent.keys().cloned().collect::<Vec<_>>());
        for (id, line) in world.raw_lines().await {
            assert_eq!(&serde_json::from_str::<Value>(line.log.get()).expect("JSON"), sent[&id], "raw");
        }

        let (acme, sent) = (&acme, &sent);
        let asked = sent.keys().flat_map(|id| [("auto", "opensearch", id), ("raw", "raw", id)]);
        let compared = futures::stream::iter(asked).for_each_concurrent(SIDE_BY_SIDE, |(source, from, id)| async move {
            let detail = acme.get(&format!("/v1/logs/{id}"), &[("source", source)]).await.ok(200);
            assert_eq!(&detail["record"], sent[id]);
            assert_eq!((&detail["source"], &detail["full_log"], &detail["message"]), (&from.into(), &sent[id]["full_log"], &sent[id]["message"]));
        });
        compared.await;
    });
}
