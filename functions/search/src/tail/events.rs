//! A tail as server-sent events (HTML Living Standard, 9.2): `log`, `gap`, `heartbeat`, `waiting`. The id of an event is the place behind
//! it, so a client that comes again with `Last-Event-ID` goes on there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use serde_json::json;
use shared::error::{Engine, Error, chain};

use super::{Asked, Follower, LOOK_EVERY, Step, ms_of};
use crate::concurrency::Streamer;
use crate::page::received_at;
use crate::{App, Host};

/// A stream says something at least so often: proxies close what is silent (nginx, `proxy_read_timeout`, after 60 s).
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// When a client should come again after a stream ended.
const COME_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// When an answer ends that is collected before it is sent: the gateway gives up after 29 s (API Gateway's integration timeout), and the last
/// look takes some more.
const COLLECT_FOR: Duration = Duration::from_secs(15);
/// Asks nginx not to hold the stream back (`proxy_buffering`).
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A stream of events.
struct Events {
    follower: Follower,
    streamer: Streamer,
    ready: VecDeque<Event>,
    /// `None` before the first word: that comes at once, for its place.
    said_something: Option<Instant>,
    /// What is waited for, once that was said.
    waiting_for: Option<Engine>,
    /// Ends with the first logs, or at that time.
    ends_at: Option<Instant>,
    has_ended: bool,
    /// Whether logs came, or a gap.
    has_shown: bool,
}

/// Whether a client asks for events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")))
}

/// Follows a tenant's logs for as long as the client reads, or where the host collects answers until there is something.
pub(crate) fn events(app: &App, streamer: Streamer, asked: Asked) -> Response {
    let follower = Follower::new(app, streamer.tenant().clone(), asked);
    let events = Events {
        follower,
        streamer,
        ready: VecDeque::from([Event::default().retry(COME_AGAIN_AFTER).comment("following")]),
        said_something: None,
        waiting_for: None,
        ends_at: (app.host == Host::CollectsAnswers).then(|| Instant::now() + COLLECT_FOR),
        has_ended: false,
        has_shown: false,
    };
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store")), (NO_BUFFERING, HeaderValue::from_static("no"))]);
    (headers, Sse::new(stream::unfold(events, Events::next))).into_response()
}

impl Events {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.has_ended {
                return None;
            }
            self.look().await;
        }
    }

    /// Looks once; where there was nothing, waits for a moment.
    async fn look(&mut self) {
        if self.streamer.check().await.is_err() {
            self.has_ended = true;
            return;
        }
        let caught_up = match self.follower.step().await {
            Ok(step) => {
                self.waiting_for = None;
                self.show(&step);
                step.caught_up
            }
            Err(Error::Unavailable { engine, source }) => {
                tracing::warn!(%engine, cause = chain(&*source), "a tail waits");
                if self.waiting_for.replace(engine) != Some(engine) {
                    let event = Event::default().event("waiting").json_data(json!({ "for": engine.to_string() }));
                    self.ready.extend(event);
                }
                true
            }
            Err(error) => {
                tracing::error!(cause = chain(&error), "a tail ended");
                self.has_ended = true;
                true
            }
        };
        let is_over = self.ends_at.is_some_and(|at| self.has_shown || Instant::now() >= at);
        if self.ready.is_empty() && (is_over || self.said_something.is_none_or(|at| at.elapsed() > HEARTBEAT_EVERY)) {
            self.beat();
        }
        self.has_ended |= is_over;
        if caught_up && self.ready.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Says what came in.
    fn show(&mut self, step: &Step) {
        if let Some(gap) = &step.gap {
            self.say("gap", gap.place, gap);
        }
        for (place, log) in &step.logs {
            match self.follower.fields.of(log) {
                Ok(log) => self.say("log", *place, &log),
                Err(error) => tracing::error!(cause = chain(&error), "a log could not be shown"),
            }
        }
        self.has_shown |= step.gap.is_some() || !step.logs.is_empty();
    }

    /// Says that it is there, and how far it has come, once that is known.
    fn beat(&mut self) {
        match self.follower.position {
            Some(place) => {
                let up_to = ms_of(place);
                let lag_s = self.follower.queue.now_ms().saturating_sub(up_to) as f64 / 1000.0;
                self.say("heartbeat", place, &json!({ "up_to": received_at(up_to), "lag_s": lag_s }));
            }
            None => {
                self.ready.push_back(Event::default().comment("nothing could be looked at yet"));
                self.said_something = Some(Instant::now());
            }
        }
    }

    fn say(&mut self, name: &'static str, place: uuid::Uuid, data: &impl Serialize) {
        match Event::default().event(name).id(place.to_string()).json_data(data) {
            Ok(event) => {
                self.ready.push_back(event);
                self.said_something = Some(Instant::now());
            }
            Err(error) => tracing::error!(%error, "an event could not be written"),
        }
    }
}
