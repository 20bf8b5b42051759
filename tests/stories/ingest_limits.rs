//! How much a request may hold: at the limit, and one past it.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Caller, Encoding, Sending, World, eventually, logs, numbered, plain, story};

const MEBIBYTE: usize = 1024 * 1024;
const MAX_WIRE: usize = 4 * MEBIBYTE;
const MAX_UNPACKED: usize = 20 * MEBIBYTE;

/// One record and white space after it, so many bytes in all.
fn padded(bytes: usize) -> Vec<u8> {
    let mut body = plain("padded").to_string().into_bytes();
    body.resize(bytes, b'\n');
    body
}

async fn expect_nothing_stored(acme: &Caller) {
    // What was accepted last is stored last: had anything come before it, it would be there by now.
    acme.stored(&[plain("the only one")]).await;
    assert_eq!(logs(&acme.list(&[("limit", "1000")]).await).len(), 1);
}

#[test]
fn five_thousand_logs_are_a_batch_and_one_more_is_none() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let records = numbered("many", 5001);
        for (shape, sending) in [("NDJSON", Sending::ndjson(&records)), ("array", Sending::json(&json!(records))), ("wrapped", Sending::json(&json!({ "logs": records })))] {
            let problem = acme.send(sending.packed(Encoding::Gzip)).await.problem(413, "too_many_logs");
            assert!(problem["detail"].as_str().is_some_and(|text| text.contains("5000")), "{shape}: {problem}");
        }
        expect_nothing_stored(&acme).await;
        let batch = acme.stored(&records[..5000]).await;
        assert_eq!(acme.batch(&batch).await["indexed"], 5000);
        assert_eq!(acme.all_pages("/v1/logs", &[("limit", "1000")]).await.len(), 5001);
    });
}

#[test]
fn four_mebibytes_come_over_the_wire_and_not_one_byte_more() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        assert_eq!(acme.send(Sending::bytes(padded(MAX_WIRE))).await.ok(202)["accepted"], 1);
        let problem = too_long_is_told(world, &acme, &format!("content-length: {}", MAX_WIRE + 1)).await;
        assert!(problem.contains(r#""code":"body_too_large""#), "{problem}");
        let problem = too_long_is_told(world, &acme, "transfer-encoding: chunked").await;
        assert!(problem.contains(r#""code":"body_too_large""#), "{problem}");
    });
}

/// Sends a body of one byte too many by hand, and reads the answer: whatever the client's library makes of an early answer.
async fn too_long_is_told(world: &World, acme: &Caller, length_header: &str) -> String {
    let address = world.anyone().url().trim_start_matches("http://").to_owned();
    let (mut read, mut write) = TcpStream::connect(&address).await.expect("the hub listens").into_split();
    let head = format!("POST /v1/logs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n{length_header}\r\nconnection: close\r\n\r\n", acme.key);
    let chunked = length_header.starts_with("transfer-encoding");
    let writing = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await?;
        let body = padded(MAX_WIRE + 1);
        if chunked {
            write.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await?;
        }
        write.write_all(&body).await?;
        write.write_all(if chunked { b"\r\n0\r\n\r\n" } else { b"" }).await
    });
    let mut answer = Vec::new();
    // The connection may be reset after the answer: what came before that counts.
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = read.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..length]);
    }
    drop(writing);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{length_header}: {answer}");
    answer
}

#[test]
fn twenty_mebibytes_unpack_and_not_one_byte_more() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
            let sending = |bytes: usize| Sending::bytes(encoding.pack(&padded(bytes))).header("content-encoding", encoding.name());
            assert_eq!(acme.send(sending(MAX_UNPACKED)).await.ok(202)["accepted"], 1, "{encoding:?}");
            acme.send(sending(MAX_UNPACKED + 1)).await.problem(413, "body_too_large");
        }
    });
}

#[test]
fn a_bomb_is_refused_before_it_unpacks() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let zeros = vec![0; MEBIBYTE];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut zstd = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
        for _ in 0..1024 {
            gzip.write_all(&zeros).and_then(|()| zstd.write_all(&zeros)).expect("memory takes everything");
        }
        let (gzip, zstd) = (gzip.finish().expect("gzip"), zstd.finish().expect("zstd"));
        assert!(gzip.len() < 2 * MEBIBYTE && zstd.len() < MEBIBYTE, "bombs are small");
        for (bomb, encoding) in [(&gzip, "gzip"), (&zstd, "zstd")] {
            let answer = acme.send(Sending::bytes(bomb.clone()).header("content-encoding", encoding)).await;
            answer.problem(413, "body_too_large");
            assert!(answer.took < Duration::from_secs(5), "{encoding}: {:?}", answer.took);
        }
        // Many at once: memory is bounded, and each is told so.
        let answers = futures::future::join_all((0..16).map(|_| acme.send(Sending::bytes(gzip.clone()).header("content-encoding", "gzip")))).await;
        for answer in answers {
            if answer.status == 503 {
                answer.problem(503, "overloaded");
            } else {
                answer.problem(413, "body_too_large");
            }
        }
        expect_nothing_stored(&acme).await;
    });
}

#[test]
fn a_body_that_dawdles_is_given_up() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        let address = world.anyone().url().trim_start_matches("http://").to_owned();
        let mut slow = TcpStream::connect(&address).await.expect("the hub listens");
        let began = Instant::now();
        let head = format!("POST /v1/logs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{", acme.key);
        slow.write_all(head.as_bytes()).await.expect("it takes the head");
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":"too_slow""#), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    });
}

#[test]
fn a_full_queue_refuses_more_until_it_is_drained() {
    // The first hub never drains: its linger is an hour.
    let settings = [("LOGGERHUB_LINGER_MS", "3600000"), ("LOGGERHUB_QUEUE_CAP_BYTES", "3000")];
    crate::harness::story_with(&settings, async |world| {
        let acme = world.tenant("acme").await;
        let sending = |n: u32| Sending::json(&plain(&format!("{n} {}", "random enough ".repeat(20)))).idempotency_key(&format!("key {n}"));
        let mut accepted = Vec::new();
        let refused = loop {
            let n = u32::try_from(accepted.len()).expect("a few");
            let answer = acme.send(sending(n)).await;
            if answer.status != 202 {
                break answer;
            }
            accepted.push(answer.ok(202)["batch_id"].clone());
        };
        refused.problem(503, "queue_full");
        assert_eq!(refused.header("retry-after"), Some("10"));
        assert!((2..10).contains(&accepted.len()), "{accepted:?}");
        assert_eq!(acme.send(sending(0)).await.ok(202)["batch_id"], accepted[0], "who sends again what is in the queue is told so");

        let draining = world.another_hub(&[]).await;
        for batch in &accepted {
            acme.at(&draining).wait_until_indexed(batch.as_str().expect("an id")).await;
        }
        let what = "there is room again";
        let again = async || Some(acme.send(sending(99)).await).filter(|answer| answer.status == 202).ok_or("503");
        eventually(crate::harness::SOON, what, again).await;
        let (stored, waiting): (i64, bool) = redis::pipe()
            .hget(world.redis_key("{p0}:backlog"), "stored")
            .hexists(world.redis_key("{p0}:backlog"), "w:acme")
            .query_async(&mut world.redis().await)
            .await
            .expect("Redis answers");
        assert!(stored >= 0, "{stored} {waiting}");
    });
}
