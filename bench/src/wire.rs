//! Clients that do next to nothing: what they send was written before, and of what comes back they read how it ended. On two cores a client
//! that does more would be what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How requests are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speech {
    /// HTTP/1.1, by this status.
    Http(u16),
    /// RESP, by anything but an error.
    Redis,
}

/// A request as it goes over the wire.
pub(crate) fn post(authority: &str, path: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A command as it goes over the wire (RESP, "Sending commands to a Redis server").
pub(crate) fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Sends so many requests over so many connections, one at a time on each, the written ones in turn. Answers how long all took.
pub(crate) async fn send(authority: &str, speech: Speech, requests: Arc<Vec<Vec<u8>>>, count: usize, connections: usize) -> anyhow::Result<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(authority).await.with_context(|| format!("nothing answers at {authority}"))?;
        stream.set_nodelay(true)?;
        open.push(stream);
    }
    let began = Instant::now();
    let senders: Vec<_> = open.into_iter().map(|stream| tokio::spawn(drive(stream, speech, Arc::clone(&requests), Arc::clone(&next), count))).collect();
    for sender in senders {
        sender.await??;
    }
    Ok(began.elapsed())
}

async fn drive(mut stream: TcpStream, speech: Speech, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>, count: usize) -> anyhow::Result<()> {
    let mut read = Vec::with_capacity(16 * 1024);
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= count {
            return Ok(());
        }
        stream.write_all(&requests[at % requests.len()]).await?;
        read.clear();
        while !is_whole(&read, speech)? {
            if stream.read_buf(&mut read).await? == 0 {
                bail!("the connection ended within an answer: {}", String::from_utf8_lossy(&read));
            }
        }
    }
}

/// Whether an answer has come whole.
fn is_whole(read: &[u8], speech: Speech) -> anyhow::Result<bool> {
    match speech {
        Speech::Redis if read.starts_with(b"-") => bail!("Redis: {}", String::from_utf8_lossy(read)),
        // What is asked here is answered in one line, or in a line with a length and one with the text.
        Speech::Redis => Ok(read.ends_with(b"\r\n") && (!read.starts_with(b"$") || read.iter().filter(|b| **b == b'\n').count() == 2)),
        Speech::Http(status) => {
            let Some(head) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(false) };
            let text = std::str::from_utf8(&read[..head])?;
            if !text.starts_with(&format!("HTTP/1.1 {status} ")) {
                bail!("{}", String::from_utf8_lossy(read));
            }
            let length = text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))).map_or("0", |(_, value)| value.trim());
            Ok(read.len() >= head + 4 + length.parse::<usize>()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_all_of_it_came() {
        let http = |text: &str| is_whole(text.as_bytes(), Speech::Http(202));
        assert!(!http("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{").expect("a beginning"));
        assert!(http("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").expect("whole"));
        assert!(http("HTTP/1.1 429 Too Many Requests\r\n\r\n").is_err());
        let redis = |text: &str| is_whole(text.as_bytes(), Speech::Redis);
        assert!(redis("+OK\r\n").expect("whole") && redis("$3\r\n1-1\r\n").expect("whole") && !redis("$3\r\n").expect("a beginning"));
        assert!(redis("-OOM command not allowed\r\n").is_err());
        assert_eq!(command(&[b"GET", b"k"]), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
