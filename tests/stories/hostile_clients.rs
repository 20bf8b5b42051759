//! Clients that dawdle, fall silent, talk without end, or come by the thousand: others are served, and memory stays bounded.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Caller, SOON, Sending, numbered, plain, story, story_with};

/// What one hub may need while it is molested: the bodies in flight (96 MiB and about as much again), what is read ahead of each
/// connection, and itself (docs/guarantees.md).
const MEMORY_MIB: u64 = 256;
/// A head that goes on for so many bytes has no end.
const ENDLESS: usize = 4 * 1024 * 1024;
/// How long an honest client may wait meanwhile.
const PROMPT: Duration = Duration::from_secs(2);

async fn connect(caller: &Caller) -> TcpStream {
    let address = caller.url().strip_prefix("http://").expect("plain HTTP");
    TcpStream::connect(address).await.expect("it listens")
}

/// A connection that has sent this much, and no more.
async fn having_sent(caller: &Caller, text: &str) -> TcpStream {
    let mut stream = connect(caller).await;
    stream.write_all(text.as_bytes()).await.expect("it takes what is sent");
    stream
}

fn head_of_a_body(caller: &Caller, length: usize) -> String {
    format!("POST /v1/logs HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n", caller.key)
}

/// Sends a few batches, each on a connection of its own, and answers how long the slowest took.
async fn honest_requests(caller: &Caller) -> Duration {
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let began = Instant::now();
        caller.on_a_fresh_connection().send(Sending::ndjson(&numbered(&format!("honest {n}"), 20))).await.ok(202);
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

#[test]
fn a_thousand_idle_connections_and_hundreds_that_dawdle_keep_nobody_waiting() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let process = world.process(&[]).await;
        let acme = acme.at_url(process.url());
        let idle = join_all((0..1000).map(|_| connect(&acme))).await;
        let slow_heads = join_all((0..200).map(|_| having_sent(&acme, "POST /v1/logs HTTP/1.1\r\nHost: h"))).await;
        let body = format!("{}[{{\"message\":\"", head_of_a_body(&acme, 4_000_000));
        let slow_bodies = join_all((0..300).map(|_| having_sent(&acme, &body))).await;
        // Broken off half-way, again and again.
        for _ in 0..10 {
            drop(join_all((0..50).map(|_| having_sent(&acme, &body))).await);
        }
        let slowest = honest_requests(&acme).await;
        assert!(slowest < PROMPT, "{slowest:?}");
        assert!(process.peak_memory_mib() < MEMORY_MIB, "{} MiB", process.peak_memory_mib());
        drop((idle, slow_heads, slow_bodies));
        assert!(honest_requests(&acme).await < PROMPT);
        let listed = acme.list(&[("limit", "1000")]).await;
        assert!(listed["logs"].as_array().expect("a list").iter().all(|log| log["message"].as_str().is_some_and(|message| message.starts_with("honest"))), "{listed}");
    });
}

#[test]
fn with_all_seats_taken_the_longest_quiet_makes_room() {
    story_with(&[("LOGGERHUB_MAX_CONNECTIONS", "40")], async |world| {
        let acme = world.tenant("acme").await;
        let quiet = join_all((0..200).map(|_| connect(&acme))).await;
        assert!(honest_requests(&acme).await < PROMPT);
        let mut closed = 0;
        for mut stream in quiet {
            let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut [0; 16])).await;
            closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
        }
        assert!(closed >= 160, "only {closed} of 200 went");
        // Whoever is at work is not sent away: a body that comes slowly, but comes.
        let body = plain("slow, and there").to_string();
        let head = head_of_a_body(&acme, body.len()).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        let mut slow = having_sent(&acme, &head).await;
        // Told to go on, it is at work; before that it is only one of those who sent nothing yet.
        let mut go_on = [0; 25];
        tokio::time::timeout(SOON, slow.read_exact(&mut go_on)).await.expect("in time").expect("an answer");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        let (first, rest) = body.split_at(10);
        slow.write_all(first.as_bytes()).await.expect("it takes what is sent");
        let crowd = join_all((0..100).map(|_| connect(&acme))).await;
        assert!(honest_requests(&acme).await < PROMPT);
        slow.write_all(rest.as_bytes()).await.expect("it is still there");
        let mut answer = [0; 12];
        tokio::time::timeout(SOON, slow.read_exact(&mut answer)).await.expect("in time").expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 202");
        drop(crowd);
    });
}

#[test]
fn a_head_without_end_and_a_client_that_never_reads_are_cut_off() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let process = world.process(&[]).await;
        let acme = acme.at_url(process.url());
        let endless = async || {
            let mut stream = having_sent(&acme, "GET /v1/logs HTTP/1.1\r\n").await;
            let mut sent = 0;
            while sent < ENDLESS && stream.write_all(format!("x-{sent}: {}\r\n", "y".repeat(4000)).as_bytes()).await.is_ok() {
                sent += 4000;
            }
            // The kernel may have taken all of it: what counts is that the hub does not wait for the rest.
            let mut answer = Vec::new();
            let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("it is closed");
        };
        join_all((0..50).map(|_| endless())).await;
        let ask = "GET /openapi.json HTTP/1.1\r\nHost: hub\r\n\r\n".repeat(200);
        let deaf = join_all((0..20).map(|_| having_sent(&acme, &ask))).await;
        let slowest = honest_requests(&acme).await;
        assert!(slowest < PROMPT, "{slowest:?}");
        assert!(process.peak_memory_mib() < MEMORY_MIB, "{} MiB", process.peak_memory_mib());
        drop(deaf);
    });
}
