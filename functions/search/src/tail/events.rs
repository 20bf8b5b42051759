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
use shared::auth::{Authenticator, Caller, Read};
use shared::error::{Engine, Error, chain};

use super::{Asked, Follower, LOOK_EVERY, ms_of};
use crate::concurrency::{Place, Streamer};
use crate::page::received_at;
use crate::{App, Host};

/// A stream says something at least so often: proxies close what is silent (nginx, `proxy_read_timeout`, after 60 s).
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// How often the key is looked up again: one that was revoked must not read on.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// When a client should come again after a stream ended.
const COME_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// When an answer ends that is collected before it is sent.
const COLLECT_FOR: Duration = Duration::from_secs(20);
/// Asks nginx not to hold the stream back (`proxy_buffering`).
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A stream of events.
struct Events {
    follower: Follower,
    caller: Caller<Read>,
    auth: Authenticator,
    ready: VecDeque<Event>,
    said_something: Instant,
    checked: Instant,
    /// What is waited for, once that was said.
    waiting_for: Option<Engine>,
    /// Ends with the first logs, or at that time.
    ends_at: Option<Instant>,
    has_ended: bool,
    _place: Place,
}

/// Whether a client asks for events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| value.split(',').any(|kind| kind.trim_start().starts_with("text/event-stream")))
}

/// Follows a tenant's logs for as long as the client reads, or where the host collects answers until there is something.
pub(crate) fn events(app: &App, streamer: Streamer, asked: Asked) -> Response {
    let follower = Follower::new(app, streamer.caller.tenant.clone(), asked);
    let now = Instant::now();
    let events = Events {
        follower,
        caller: streamer.caller,
        auth: app.auth.clone(),
        ready: VecDeque::from([Event::default().retry(COME_AGAIN_AFTER).comment("following")]),
        said_something: now,
        checked: now,
        waiting_for: None,
        ends_at: (app.host == Host::CollectsAnswers).then(|| now + COLLECT_FOR),
        has_ended: false,
        _place: streamer.place,
    };
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store")), (NO_BUFFERING, HeaderValue::from_static("no"))]);
    (headers, Sse::new(stream::unfold(events, Events::next))).into_response()
}

impl Events {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.said_something = Instant::now();
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
        if self.checked.elapsed() > CHECK_EVERY {
            self.checked = Instant::now();
            // Where it cannot be told, the key was good just now.
            if let Err(Error::Unauthenticated | Error::Forbidden { .. }) = self.caller.still_may(&self.auth).await {
                self.has_ended = true;
                return;
            }
        }
        let caught_up = match self.follower.step().await {
            Ok(step) => {
                self.waiting_for = None;
                if let Some(gap) = &step.gap {
                    self.say("gap", gap.place, gap);
                }
                for (place, log) in &step.logs {
                    match self.follower.fields.of(log) {
                        Ok(log) => self.say("log", *place, &log),
                        Err(error) => tracing::error!(cause = chain(&error), "a log could not be shown"),
                    }
                }
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
        let is_over = self.ends_at.is_some_and(|at| !self.ready.is_empty() || Instant::now() >= at);
        if self.said_something.elapsed() > HEARTBEAT_EVERY || (is_over && self.ready.is_empty()) {
            let up_to = ms_of(self.follower.position());
            let lag_s = self.follower.queue.now_ms().saturating_sub(up_to) as f64 / 1000.0;
            self.say("heartbeat", self.follower.position(), &json!({ "up_to": received_at(up_to), "lag_s": lag_s }));
        }
        self.has_ended |= is_over;
        if caught_up && self.ready.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn say(&mut self, name: &'static str, place: uuid::Uuid, data: &impl Serialize) {
        match Event::default().event(name).id(place.to_string()).json_data(data) {
            Ok(event) => self.ready.push_back(event),
            Err(error) => tracing::error!(%error, "an event could not be written"),
        }
    }
}
