//! Engines as they are in a cloud: over TLS, on several servers, and Redis as a cluster.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;

use crate::harness::{Certificates, Kind, OwnCluster, OwnEngine, SOON, Seen, Sending, eventually, log_id, logs, plain, sample, story, story_with_engines};

#[test]
fn redis_rows_and_raw_may_speak_tls_and_rows_lie_on_another_server_than_tenants() {
    let certificates = Certificates::make();
    let engines = [Kind::Redis, Kind::Postgres, Kind::ObjectStore].map(|kind| OwnEngine::start_with_tls(kind, &certificates));
    let mut settings: Vec<(&'static str, String)> = engines.iter().map(OwnEngine::setting).collect();
    settings.push(("LOGGERHUB_CA_FILE", certificates.authority()));
    story_with_engines(&settings, async |world| {
        let acme = world.tenant("acme").await;
        let records = &sample("stack-traces")[..50];
        let batch = acme.stored(records).await;
        assert_eq!(logs(&acme.list(&[("limit", "100")]).await).len(), 50);
        let raw = acme.get(&format!("/v1/logs/{}", log_id(&batch, 7)), &[("source", "raw")]).await.ok(200);
        assert_eq!(raw["record"], records[7]);
        acme.get("/readyz", &[]).await.ok(200);
        let encrypted = world.sql("select bool_and(ssl) as ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'loggerhub'").await;
        assert!(sqlx::Row::get::<bool, _>(&encrypted[0], "ssl"), "every connection to rows is encrypted");

        // Whom nobody vouches for is not spoken with.
        let stranger = Certificates::make();
        let hub = world.another_hub(&[("LOGGERHUB_CA_FILE", &stranger.authority())]).await;
        let acme = acme.at(&hub);
        acme.send(Sending::json(&plain("to a stranger"))).await.problem(503, "redis_unavailable");
        let ready = acme.get("/readyz", &[]).await;
        assert_eq!(ready.status, 503, "{}", ready.text);
        let engines = ready.json()["engines"].clone();
        let unwell = engines.as_object().expect("an object").values().filter(|state| state["ok"] == false).count();
        assert_eq!(unwell, 3, "Redis, rows and raw, and no other: {engines}");
    });
}

/// A tenant for each of four partitions, by the CRC-32 of its name.
const A_TENANT_OF_EACH_PARTITION: [&str; 4] = ["ada", "sofia", "edsger", "grace"];

#[test]
fn a_cluster_of_redis_holds_the_partitions_and_a_node_that_dies_keeps_up_its_own_only() {
    let mut cluster = OwnCluster::start();
    let settings = [("LOGGERHUB_REDIS_URL", cluster.url()), ("LOGGERHUB_REDIS_CLUSTER", "true".to_owned()), ("LOGGERHUB_PARTITIONS", "4".to_owned())];
    story_with_engines(&settings, async |world| {
        let mut callers = Vec::new();
        for (partition, tenant) in (0..).zip(A_TENANT_OF_EACH_PARTITION) {
            assert_eq!(crc32fast::hash(tenant.as_bytes()) % 4, partition, "{tenant}");
            callers.push(world.tenant(tenant).await);
        }
        let nodes: Vec<usize> = (0..4).map(|partition| cluster.node_of(&world.redis_key(&format!("{{p{partition}}}:queue")))).collect();
        assert!(nodes.iter().any(|node| *node != nodes[0]), "the partitions lie on several nodes: {nodes:?}");
        let records = &sample("kafka")[..20];
        let mut sent: Vec<Vec<String>> = vec![Vec::new(); 4];
        for (caller, sent) in callers.iter().zip(&mut sent) {
            let batch = caller.stored(records).await;
            sent.extend((0..20).map(|position| log_id(&batch, position)));
        }
        callers[0].get("/readyz", &[]).await.ok(200);

        // The node of the first partition dies. Keys lie on other nodes than partitions may: those that were seen lately are known.
        let dead = nodes[0];
        cluster.kill(dead);
        let away = |partition: usize| nodes[partition] == dead;
        let lives = (0..4).find(|partition| !away(*partition)).expect("some partition lives elsewhere");
        let refused = callers[0].send(Sending::json(&plain("refused"))).await;
        assert_eq!(refused.status, 503, "{}", refused.text);
        assert!(refused.took < Duration::from_secs(4), "{:?}", refused.took);
        let goes_on = async || -> Result<String, Seen> {
            let answer = callers[lives].send(Sending::json(&plain("while another's node is away"))).await;
            if answer.status == 202 { Ok(answer.json()["batch_id"].as_str().expect("an id").to_owned()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
        };
        let batch = eventually(SOON, "the others go on", goes_on).await;
        callers[lives].wait_until(&batch, "indexed", 2 * SOON).await;

        cluster.start_again(dead);
        for (caller, sent) in callers.iter().zip(&mut sent) {
            let taken = async || -> Result<String, Seen> {
                let answer = caller.send(Sending::json(&plain("afterwards"))).await;
                if answer.status == 202 { Ok(answer.json()["batch_id"].as_str().expect("an id").to_owned()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
            };
            let batch = eventually(2 * SOON, "logs are taken again", taken).await;
            caller.wait_until(&batch, "indexed", 3 * SOON).await;
            let stores = world.in_stores(&caller.tenant).await;
            sent.push(log_id(&batch, 0));
            assert!(sent.iter().all(|id| stores.rows.contains(id) && stores.documents.contains(id)), "nothing of {} is lost", caller.tenant);
            assert_eq!(stores.rows, stores.documents);
        }
        let state = world.doors.queue.inspect().await.expect("every node answers");
        assert_eq!(state.iter().map(|partition| partition.entries).sum::<u64>(), 0, "{state:?}");
    });
}

#[test]
fn requests_to_opensearch_are_signed_for_aws_where_that_is_set() {
    story(async |world| {
        // Takes note of what comes, in OpenSearch's place: the engine itself knows no such signatures.
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let note = async |State(seen): State<Arc<Mutex<Vec<HeaderMap>>>>, headers: HeaderMap| {
            seen.lock().expect("no panic while held").push(headers);
            axum::Json(json!({ "status": "green" }))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let server = tokio::spawn(axum::serve(listener, axum::Router::new().fallback(note).with_state(seen.clone())).into_future());
        let signs = [
            ("LOGGERHUB_OPENSEARCH_URL", url.as_str()),
            ("LOGGERHUB_OPENSEARCH_SIGV4", "true"),
            ("LOGGERHUB_S3_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "kanarienvogel"),
        ];
        let hub = world.process(&signs).await;
        let asked = async || -> Result<(), Seen> {
            world.anyone().at_url(hub.url()).get("/readyz", &[]).await;
            if seen.lock().expect("no panic while held").is_empty() { Err("nothing came".to_owned()) } else { Ok(()) }
        };
        eventually(SOON, "OpenSearch is asked", asked).await;
        server.abort();
        for headers in seen.lock().expect("no panic while held").iter() {
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let authorization = header("authorization");
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
            assert!(authorization.contains("/eu-central-1/es/aws4_request, SignedHeaders=") && authorization.contains("Signature="), "{authorization}");
            assert!(!header("x-amz-date").is_empty() && header("x-amz-content-sha256").len() == 64, "{headers:?}");
        }
        assert!(!hub.own_log().contains("kanarienvogel"));
    });
}
