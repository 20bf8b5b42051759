//! Somebody who follows logs: server-sent events as they come, read as the HTML standard says.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

/// How long an event may take: a heartbeat comes every ten seconds.
const EVENT_WITHIN: Duration = Duration::from_secs(30);

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    answer: Response,
    text: Vec<u8>,
}

impl Events {
    pub(super) fn new(answer: Response) -> Self {
        Self { answer, text: Vec::new() }
    }

    /// The next event; `None` where the stream has ended, or broke.
    ///
    /// # Panics
    /// If none comes for long.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                match event(std::str::from_utf8(&block).expect("UTF-8")) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let piece = tokio::time::timeout(EVENT_WITHIN, self.answer.chunk()).await.expect("a heartbeat, at least");
            self.text.extend_from_slice(&piece.ok().flatten()?);
        }
    }

    /// The next event of this name; others are passed over.
    pub(crate) async fn next_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended without a {name}"));
            if event.name == name {
                return event;
            }
        }
    }

    /// The next logs.
    pub(crate) async fn logs(&mut self, count: usize) -> Vec<Event> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.next_named("log").await);
        }
        all
    }
}

/// What a block of lines says; `None` for a comment.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned());
    let data = field("data:")?;
    Some(Event { id: field("id:").unwrap_or_default(), name: field("event:").unwrap_or_default(), data: serde_json::from_str(&data).expect("JSON") })
}
