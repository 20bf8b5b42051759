//! The way through Lambda: gateway events, the bell in SQS, the bridge, and functions that start, are killed and start again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::queue::LEFT_BEHIND_AFTER;
use sqlx::Connection;

use crate::harness::{BellQueue, Caller, Encoding, Lambda, NEVER_DRAINS, SOON, Seen, Sending, World, eventually, log_id, numbered, plain, sample, story_alone_with, story_with};

/// A batch that went through the gateway, and how many logs it holds.
type Sent = (String, u16);

/// Sends records through the gateway and the ingest function.
async fn send(lambda: &Lambda, caller: &Caller, sending: Sending) -> Sent {
    let receipt = lambda.request("ingest", caller, "POST", "/v1/logs", sending).await.ok(202);
    let count = receipt["accepted"].as_u64().and_then(|count| u16::try_from(count).ok()).expect("a number");
    assert_eq!(receipt["rejected"], 0, "{receipt}");
    (receipt["batch_id"].as_str().expect("an id").to_owned(), count)
}

/// The ids of everything that was sent.
fn ids_of(sent: &[Sent]) -> Vec<String> {
    sent.iter().flat_map(|(batch, count)| (0..*count).map(move |position| log_id(batch, position))).collect()
}

async fn rows_of(world: &World, tenant: &str) -> usize {
    world.sql(&format!("select 1 from \"{tenant}\".log_rows")).await.len()
}

async fn until_there_are_rows(world: &World, tenant: &str, rows: usize, within: Duration) {
    let look = async || -> Result<(), Seen> {
        let seen = rows_of(world, tenant).await;
        if seen == rows { Ok(()) } else { Err(format!("{seen} rows")) }
    };
    eventually(within, &format!("{rows} rows of {tenant}"), look).await;
}

/// Rings as the minute's rule does, but more often, until the work is done.
async fn with_the_minute(bell: &BellQueue, work: impl Future<Output = ()>) {
    let minutes = async {
        loop {
            bell.let_the_minute_ring().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = minutes => {}
    }
}

#[test]
fn two_thousand_logs_through_gateway_bell_bridge_and_processor_are_there_once_though_the_processor_is_killed_half_way() {
    story_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        let bell = world.bell_queue().await;
        let lambda = world.lambda(&["ingest", "processor", "search"], &bell.settings()).await;
        let mut bridge = bell.bridge(world, &lambda);
        let records: Vec<Value> = ["kafka", "stack-traces"].into_iter().flat_map(sample).cycle().take(2000).cloned().collect();
        let mut sent = Vec::new();
        let mut chunks = records.chunks(100);
        // As the gateway hands them over: text, and what is no text as base64.
        for (n, chunk) in chunks.by_ref().take(10).enumerate() {
            let packed = [Encoding::Gzip, Encoding::Zstd].get(n % 3).copied();
            let sending = Sending::ndjson(chunk);
            sent.push(send(&lambda, &acme, packed.map_or(sending.clone(), |packed| sending.packed(packed))).await);
        }
        until_there_are_rows(world, "acme", 1000, SOON).await;

        // The rest is taken, and held up while it is written; then the processor is killed.
        let mut locked = world.rows_connection().await;
        let mut lock = locked.begin().await.expect("Postgres answers");
        sqlx::query("lock table acme.log_rows in access exclusive mode").execute(&mut *lock).await.expect("a lock");
        for chunk in chunks {
            sent.push(send(&lambda, &acme, Sending::ndjson(chunk)).await);
        }
        let taken = async || -> Result<(), Seen> {
            let held: u64 = world.doors.queue.inspect().await.expect("Redis answers").iter().flat_map(|partition| &partition.lanes).map(|lane| lane.held).sum();
            if held > 0 { Ok(()) } else { Err("nothing is held".to_owned()) }
        };
        eventually(SOON, "the processor has taken some", taken).await;
        assert!(lambda.kill("processor"), "it was running");
        lock.rollback().await.expect("Postgres answers");

        let within = 2 * LEFT_BEHIND_AFTER + SOON;
        with_the_minute(&bell, until_there_are_rows(world, "acme", 2000, within)).await;
        for (batch, _) in &sent {
            acme.wait_until(batch, "indexed", SOON).await;
        }
        world.in_stores("acme").await.hold_exactly(&ids_of(&sent));
        let page = lambda.request("search", &acme, "GET", "/v1/logs?limit=1000", Sending::default()).await.ok(200);
        assert_eq!(page["logs"].as_array().map(Vec::len), Some(1000), "the search function lists them");
        assert!(bridge.is_running());
        bell.remove().await;
    });
}

#[test]
fn a_bell_that_is_lost_doubled_or_late_delays_and_changes_nothing_else() {
    story_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        let bell = world.bell_queue().await;
        let lambda = world.lambda(&["ingest", "processor"], &bell.settings()).await;
        let mut sent = Vec::new();

        // Lost: nobody hears it, and the minute finds what waits.
        sent.push(send(&lambda, &acme, Sending::ndjson(&numbered("lost", 10))).await);
        assert_eq!(bell.lose_rings().await, 1, "one ring for what came while nobody was awake");
        let mut bridge = bell.bridge(world, &lambda);
        bell.let_the_minute_ring().await;
        until_there_are_rows(world, "acme", 10, SOON).await;

        // Doubled: as SQS may deliver it, and as two requests at once would.
        for round in 0..5 {
            sent.push(send(&lambda, &acme, Sending::ndjson(&numbered(&format!("doubled {round}"), 10))).await);
            bell.put(&bell.bell, "ring").await;
            bell.put(&bell.bell, "ring").await;
        }
        until_there_are_rows(world, "acme", 60, SOON).await;

        // Late: what it calls for is stored already. And one that says nothing that anybody knows.
        for body in ["ring", "", "{\"ring\":\"schedule\"}", "\u{1F514}"] {
            bell.put(&bell.bell, if body.is_empty() { " " } else { body }).await;
        }
        let empty = async || -> Result<(), Seen> {
            let left = bell.holds(&bell.bell).await;
            if left == 0 { Ok(()) } else { Err(format!("{left} rings are left")) }
        };
        eventually(SOON, "every ring is heard", empty).await;
        for (batch, _) in &sent {
            acme.wait_until(batch, "indexed", SOON).await;
        }
        world.in_stores("acme").await.hold_exactly(&ids_of(&sent));
        assert_eq!(bell.holds(&bell.dead).await, 0, "no ring failed");
        assert!(bridge.is_running());
        bell.remove().await;
    });
}

#[test]
fn rings_that_fail_come_again_and_end_as_dead_letters_of_the_bell() {
    story_with(&NEVER_DRAINS, async |world| {
        let bell = world.bell_queue().await;
        // A processor without its Redis: it answers, and says that each message failed.
        let settings = [bell.settings()[0], ("LOGGERHUB_REDIS_URL", "redis://127.0.0.1:9/0")];
        let lambda = world.lambda(&["processor"], &settings).await;
        let _bridge = bell.bridge(world, &lambda);
        bell.put(&bell.bell, "ring").await;
        let dead = async || -> Result<(), Seen> {
            let dead = bell.holds(&bell.dead).await;
            if dead == 1 { Ok(()) } else { Err(format!("{dead} dead rings, {} events", lambda.events_of("processor").len())) }
        };
        eventually(2 * SOON, "the ring is dead", dead).await;
        let events = lambda.events_of("processor");
        assert_eq!(events.len(), 3, "as often as the queue lets it be received: {events:?}");
        let counts: Vec<&Value> = events.iter().map(|event| &event["Records"][0]["attributes"]["ApproximateReceiveCount"]).collect();
        assert_eq!(counts, [&json!("1"), &json!("2"), &json!("3")]);
        let record = &events[0]["Records"][0];
        assert_eq!((&record["eventSource"], &record["awsRegion"], &record["body"]), (&json!("aws:sqs"), &json!("us-east-1"), &json!("ring")));
        assert!(record["eventSourceARN"].as_str().is_some_and(|arn| arn.ends_with("-bell")), "{record}");
        bell.remove().await;
    });
}

#[test]
fn rings_are_few_however_many_requests_come() {
    story_with(&NEVER_DRAINS, async |world| {
        const REQUESTS: u32 = 1000;
        const A_SECOND: u32 = 100;
        let acme = world.tenant("acme").await;
        let bell = world.bell_queue().await;
        let settings = [bell.settings()[0], ("LOGGERHUB_LINGER_MS", "1000")];
        let lambda = world.lambda(&["ingest", "processor"], &settings).await;
        let _bridge = bell.bridge(world, &lambda);
        let records: Vec<Value> = sample("kafka")[..100].to_vec();
        let began = Instant::now();
        for n in 0..REQUESTS {
            send(&lambda, &acme, Sending::ndjson(&records)).await;
            tokio::time::sleep((began + Duration::from_secs(1) / A_SECOND * n).saturating_duration_since(Instant::now())).await;
        }
        let took = began.elapsed().as_secs_f64();
        until_there_are_rows(world, "acme", 100_000, 2 * SOON).await;
        let heard: usize = lambda.events_of("processor").iter().filter_map(|event| event["Records"].as_array().map(Vec::len)).sum();
        assert!(heard > 0, "somebody rang");
        let rings = heard + usize::try_from(bell.holds(&bell.bell).await).expect("few");
        #[expect(clippy::cast_precision_loss, reason = "a few rings")]
        let a_second = rings as f64 / took;
        assert!(a_second <= 5.0, "{rings} rings in {took:.1} s");
        bell.remove().await;
    });
}

const FUNCTIONS: [&str; 5] = ["ingest", "processor", "search", "tenants", "maintenance"];
/// How soon a function asks for its first invocation.
const READY: Duration = Duration::from_millis(25);
/// Starts of which the quickest counts: the machine does other things as well.
const STARTS: usize = 7;

/// The quickest of some starts.
fn quickest(starts: &[Duration]) -> Duration {
    starts.iter().copied().min().expect("some")
}

#[test]
fn functions_are_ready_in_milliseconds_and_answer_soon_after() {
    const FIRST_ANSWER: Duration = Duration::from_millis(60);
    story_alone_with(&NEVER_DRAINS, async |world| {
        let acme = world.tenant("acme").await;
        let operator = world.operator();
        let bell = world.bell_queue().await;
        let lambda = world.lambda(&FUNCTIONS, &[bell.settings()[0], ("LOGGERHUB_POSTGRES_MAX_CONNECTIONS", "1")]).await;
        for function in FUNCTIONS {
            let (mut ready, mut answered) = (Vec::new(), Vec::new());
            for _ in 0..STARTS {
                match function {
                    "ingest" => drop(send(&lambda, &acme, Sending::ndjson(&[plain("first")])).await),
                    "search" => drop(lambda.request("search", &acme, "GET", "/v1/logs", Sending::default()).await.ok(200)),
                    "tenants" => drop(lambda.request("tenants", &operator, "GET", "/v1/tenants", Sending::default()).await.ok(200)),
                    _ => drop(lambda.invoke(function, &json!({})).await.expect("an answer")),
                }
                let start = lambda.last_start(function);
                ready.push(start.ready.expect("it asked for work"));
                answered.push(start.answered.expect("it answered"));
                assert!(lambda.kill(function));
            }
            println!("{function}: ready after {ready:?}, first answer after {answered:?}");
            assert!(quickest(&ready) < READY, "{function} was ready after {ready:?}");
            // What comes at the first invocation of the others is work for a minute's event, which nobody waits for.
            if ["ingest", "search", "tenants"].contains(&function) {
                assert!(quickest(&answered) < FIRST_ANSWER, "the first answer of {function} came after {answered:?}");
            }
        }
        bell.remove().await;
    });
}

#[test]
fn functions_are_ready_without_any_network() {
    story_alone_with(&NEVER_DRAINS, async |world| {
        // Somebody who takes connections and never says a word: as silent as a network that swallows what is sent.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let silent = silent.local_addr().expect("it is bound").to_string();
        let urls = ["redis://{}/0", "postgres://u:p@{}/c", "postgres://u:p@{}/l", "http://{}", "http://{}", "http://{}/000000000000/bell", "http://{}"]
            .map(|url| url.replace("{}", &silent));
        let settings = [
            "LOGGERHUB_REDIS_URL",
            "LOGGERHUB_CONTROL_DATABASE_URL",
            "LOGGERHUB_LOGS_DATABASE_URL",
            "LOGGERHUB_OPENSEARCH_URL",
            "LOGGERHUB_S3_ENDPOINT",
            "LOGGERHUB_BELL_URL",
            "LOGGERHUB_SQS_ENDPOINT",
        ];
        let nowhere: Vec<(&str, &str)> = settings.into_iter().zip(urls.iter().map(String::as_str)).collect();
        let lambda = world.lambda(&FUNCTIONS, &nowhere).await;
        for function in FUNCTIONS {
            let mut ready = Vec::new();
            for _ in 0..STARTS {
                ready.push(lambda.ready_after(function).await);
                assert!(lambda.kill(function));
            }
            println!("{function}: ready without network after {ready:?}");
            assert!(quickest(&ready) < READY, "{function} was ready after {ready:?}");
        }
    });
}

#[test]
fn a_function_that_lacks_a_setting_says_which_at_init() {
    let lacking = [
        ("ingest", "LOGGERHUB_REDIS_URL"),
        ("ingest", "LOGGERHUB_BELL_URL"),
        ("processor", "LOGGERHUB_LOGS_DATABASE_URL"),
        ("search", "LOGGERHUB_CONTROL_DATABASE_URL"),
        ("tenants", "LOGGERHUB_LOGS_DATABASE_URL"),
        ("maintenance", "LOGGERHUB_OPENSEARCH_URL"),
    ];
    story_with(&NEVER_DRAINS, async |world| {
        for (function, setting) in lacking {
            let output = world.run_function(function, &[("LOGGERHUB_BELL_URL", "http://127.0.0.1:9/bell"), (setting, "")]).await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(setting), "{function} without {setting}: {} {said}", output.status);
        }
    });
}
