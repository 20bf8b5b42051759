//! One function's process and the invocations that it is given.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use serde_json::json;
use shared::settings::Env;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::Answered;
use crate::harness::process::built;

/// What a process is told of an invocation.
pub(super) struct Given {
    pub(super) id: String,
    pub(super) event: Bytes,
    pub(super) deadline_ms: u128,
}

/// How long a process took from its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    /// Until it asked for its first invocation.
    pub(crate) ready: Option<Duration>,
    /// Until its first answer.
    pub(crate) answered: Option<Duration>,
}

pub(super) struct Sandbox {
    function: String,
    settings: Env,
    runtime_api: SocketAddr,
    /// One invocation at a time.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Something to do has come.
    work: Notify,
}

#[derive(Default)]
struct State {
    process: Option<Child>,
    /// Which process it is: what an earlier one still asks for is not given to it.
    generation: u64,
    started: Option<Instant>,
    start: Start,
    waiting: Option<Given>,
    in_hand: HashMap<String, oneshot::Sender<Answered>>,
}

impl State {
    fn is_dead(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)))
    }
}

impl Sandbox {
    pub(super) fn new(function: &str, settings: Env, runtime_api: SocketAddr) -> Self {
        Self { function: function.to_owned(), settings, runtime_api, turn: tokio::sync::Mutex::default(), state: Mutex::default(), work: Notify::new() }
    }

    /// Gives the process an event and waits for its answer; starts it where there is none.
    pub(super) async fn invoke(self: &Arc<Self>, event: Bytes, timeout: Duration) -> Answered {
        let _turn = self.turn.lock().await;
        let (answer, answered) = oneshot::channel();
        let id = Uuid::new_v4().to_string();
        let deadline_ms = (SystemTime::now() + timeout).duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis();
        {
            let mut state = self.state.lock().expect("no panic while held");
            state.in_hand.insert(id.clone(), answer);
            state.waiting = Some(Given { id, event, deadline_ms });
            if state.is_dead() {
                self.start(&mut state);
            }
        }
        self.work.notify_waiters();
        tokio::select! {
            answer = answered => answer.unwrap_or_else(|_| Err(json!({ "errorType": "Runtime.ExitError" }))),
            () = self.has_ended() => Err(json!({ "errorType": "Runtime.ExitError" })),
            () = tokio::time::sleep(timeout) => {
                self.kill();
                Err(json!({ "errorType": "Sandbox.Timedout" }))
            }
        }
    }

    fn start(&self, state: &mut State) {
        let mut command = Command::new(built(&self.function));
        command.env_clear().envs(self.settings.pairs());
        state.generation += 1;
        command.env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/{}/{}", self.runtime_api, self.function, state.generation));
        command.env("AWS_LAMBDA_FUNCTION_NAME", &self.function).env("AWS_LAMBDA_FUNCTION_VERSION", "1").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        state.start = Start::default();
        state.started = Some(Instant::now());
        state.process = Some(command.spawn().expect("it can be run"));
    }

    /// Waits until the process is no more.
    async fn has_ended(&self) {
        loop {
            if self.state.lock().expect("no panic while held").is_dead() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the process is to do next. One that was ended meanwhile gets nothing.
    pub(super) async fn next(&self, generation: u64) -> Given {
        loop {
            let woken = self.work.notified();
            {
                let mut state = self.state.lock().expect("no panic while held");
                if state.generation == generation {
                    let took = state.started.map(|started| started.elapsed());
                    state.start.ready = state.start.ready.or(took);
                    if let Some(given) = state.waiting.take() {
                        return given;
                    }
                }
            }
            woken.await;
        }
    }

    /// What the process made of it.
    pub(super) fn answer(&self, id: &str, answer: Answered) {
        let mut state = self.state.lock().expect("no panic while held");
        let took = state.started.map(|started| started.elapsed());
        state.start.answered = state.start.answered.or(took);
        if let Some(waiting) = state.in_hand.remove(id) {
            let _ = waiting.send(answer);
        }
    }

    /// Ends the process. Answers whether there was one.
    pub(super) fn kill(&self) -> bool {
        let process = {
            let mut state = self.state.lock().expect("no panic while held");
            state.start = Start::default();
            // What it asked for just before is not heard any more: it would count as the start of the next.
            state.generation += 1;
            state.process.take()
        };
        process.is_some_and(|mut process| process.start_kill().is_ok())
    }

    pub(super) fn last_start(&self) -> Start {
        self.state.lock().expect("no panic while held").start
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("function", &self.function).finish_non_exhaustive()
    }
}
