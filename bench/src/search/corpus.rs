//! The logs that are read: the events over and over, with times of their own, and a rare one now and then.

use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Value};
use shared::timestamp::{self, UnixMs};

use super::vocabulary::Vocabulary;
use crate::data::Event;

/// One log in so many is of a service and a level that no other log has together.
const RARE_EVERY: usize = 10_000;
pub(super) const RARE_SERVICE: &str = "rare";
pub(super) const RARE_LEVEL: &str = "FATAL";
pub(super) const DAY_MS: UnixMs = 86_400_000;
/// The time over which the logs are spread.
pub(super) const SPAN_MS: UnixMs = 30 * DAY_MS;

/// All logs, made when they are needed.
pub(crate) struct Corpus<'a> {
    events: Vec<Map<String, Value>>,
    logs: usize,
    until: UnixMs,
    pub(super) words: Vocabulary<'a>,
}

impl<'a> Corpus<'a> {
    /// So many logs of the time before `until`, in its order.
    pub(super) fn new(events: &'a [Event], logs: usize, until: UnixMs) -> anyhow::Result<Self> {
        let parsed = events.iter().map(|event| serde_json::from_str(event)).collect::<Result<Vec<Map<String, Value>>, _>>().context("an event is no object")?;
        Ok(Self { words: Vocabulary::of(events)?, events: parsed, logs, until })
    }

    pub(super) fn logs(&self) -> usize {
        self.logs
    }

    /// The log at this place in time, as it is sent.
    pub(super) fn log(&self, n: usize) -> Event {
        let mut log = self.events[n % self.events.len()].clone();
        log.insert("timestamp".to_owned(), timestamp::format(self.time_of(n)).into());
        if n % RARE_EVERY == RARE_EVERY / 2 {
            log.insert("service".to_owned(), RARE_SERVICE.into());
            log.insert("level".to_owned(), RARE_LEVEL.into());
        }
        Value::Object(log).to_string()
    }

    fn time_of(&self, n: usize) -> UnixMs {
        let before = SPAN_MS * i64::try_from(self.logs - n).unwrap_or_default() / i64::try_from(self.logs).unwrap_or(1);
        self.until - before
    }

    /// A log that went wrong: its time, its service and its text.
    pub(super) fn error(&self, rng: &mut StdRng) -> (UnixMs, &str, &str) {
        loop {
            let n = rng.random_range(0..self.logs);
            let text = |name: &str| self.events[n % self.events.len()].get(name).and_then(Value::as_str);
            if let (Some("ERROR" | "FATAL"), Some(service), Some(message)) = (text("level"), text("service"), text("message")) {
                return (self.time_of(n), service, message);
            }
        }
    }

    /// A moment in the later part of the span: so many days before its end at most.
    pub(super) fn moment(&self, rng: &mut StdRng, days: UnixMs) -> UnixMs {
        self.until - rng.random_range(0..days * DAY_MS)
    }
}
