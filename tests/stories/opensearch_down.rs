//! OpenSearch stopped and started again, really: nothing is refused, nothing is lost, and nobody has to help.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Caller, Kind, OwnEngine, SOON, Seen, eventually, ids, log_id, logs, numbered, plain, sample, story_on, texts};

/// How soon all must be searchable once OpenSearch answers again.
const MADE_UP_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn without_opensearch_logs_are_taken_listed_and_read_and_later_found_with_no_ones_help() {
    let opensearch = OwnEngine::start(Kind::OpenSearch);
    story_on(&opensearch, async |world| {
        let acme = world.tenant("acme").await;
        let before = acme.stored(&numbered("signal", 10)).await;
        let first_page = acme.get("/v1/search", &[("q", "signal"), ("limit", "4")]).await.ok(200);
        assert_eq!((&first_page["source"], &first_page["complete"]), (&json!("opensearch"), &json!(true)));

        tokio::task::block_in_place(|| opensearch.stop());
        let traces = &sample("stack-traces")[..40];
        let batches = [acme.accepted(traces).await, acme.accepted(&[plain("signal in the dark")]).await];
        for batch in &batches {
            let stored = acme.wait_until(batch, "stored", SOON).await;
            assert_eq!((&stored["indexed"], &stored["pending"], &stored["dead"]), (&json!(0), &stored["accepted"], &json!(0)));
        }
        expect_readable(&acme, &batches[0], traces).await;
        let old = acme.detail(&log_id(&before, 3)).await;
        assert_eq!((&old["message"], &old["source"], &old["indexed"]), (&json!("signal 3"), &json!("raw"), &json!(true)));

        let dark = acme.search("signal dark").await;
        assert_eq!((texts(&dark, "message"), &dark["source"], &dark["complete"]), (vec!["signal in the dark".to_owned()], &json!("postgres"), &json!(false)));
        assert_eq!(logs(&dark)[0]["highlights"], json!({}));
        // A search that began with the index goes on in the rows where it was.
        let rest = acme.pages_from("/v1/search", &[("q", "signal"), ("limit", "4")], first_page["next_cursor"].as_str()).await;
        let messages: Vec<&str> = rest.iter().filter_map(|log| log["message"].as_str()).collect();
        assert_eq!(messages, ["signal 5", "signal 4", "signal 3", "signal 2", "signal 1", "signal 0"]);
        let ready = world.anyone().get("/readyz", &[]).await.ok(200);
        assert_eq!((&ready["status"], &ready["engines"]["opensearch"]["ok"], &ready["engines"]["redis"]["ok"]), (&json!("degraded"), &json!(false), &json!(true)));

        tokio::task::block_in_place(|| opensearch.start_again());
        for batch in &batches {
            let indexed = acme.wait_until(batch, "indexed", MADE_UP_WITHIN).await;
            assert_eq!((&indexed["indexed"], &indexed["pending"]), (&indexed["accepted"], &json!(0)));
        }
        let whole = async || -> Result<Value, Seen> {
            let found = acme.search("signal").await;
            if found["source"] == "opensearch" && found["complete"] == true { Ok(found) } else { Err(found.to_string()) }
        };
        let found = eventually(SOON, "searches are whole again", whole).await;
        assert_eq!(logs(&found).len(), 11);
        let by_text: HashSet<String> =
            acme.all_pages("/v1/search", &[("q", "-signal"), ("limit", "100")]).await.iter().map(|log| log["id"].as_str().expect("an id").to_owned()).collect();
        assert_eq!(by_text, (0..40).map(|position| log_id(&batches[0], position)).collect());
        let every: Vec<String> = by_text.into_iter().chain(ids(&found)).collect();
        assert!(acme.list(&[("limit", "1000")]).await["logs"].as_array().expect("logs").iter().all(|log| log["indexed"] == true));
        assert_eq!(acme.detail(&log_id(&batches[0], 0)).await["source"], "opensearch");
        world.in_stores("acme").await.hold_exactly(&every);
    });
}

/// All of a batch is listed, and each of its logs comes back whole from raw.
async fn expect_readable(acme: &Caller, batch: &str, records: &[Value]) {
    let listed: HashSet<String> = ids(&acme.list(&[("limit", "1000")]).await).into_iter().collect();
    for (position, record) in (0..).zip(records) {
        let id = log_id(batch, position);
        assert!(listed.contains(&id), "{id} is listed");
        let detail = acme.detail(&id).await;
        assert_eq!((&detail["record"], &detail["source"], &detail["indexed"]), (record, &json!("raw"), &json!(false)));
    }
}
