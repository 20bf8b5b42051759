//! A small Lambda: the Runtime API for functions that were built beside these tests, each in a process of its own, and the Invoke API
//! for those who call them (AWS Lambda Developer Guide, "Using the Lambda runtime API"; API Reference, "Invoke").
//!
//! As there: one invocation at a time for each process, started when there is something to do and kept for the next; an invocation whose
//! process ended is a failed one.

mod bell;
mod gateway;
mod sandbox;

pub(crate) use bell::BellQueue;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;

use super::World;
use sandbox::Sandbox;
pub(crate) use sandbox::Start;

/// How long an invocation of a function may take, as its deadline tells it: the processor's timeout in template.yaml.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The functions, until this is dropped.
pub(crate) struct Lambda {
    url: String,
    api: Api,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Api {
    sandboxes: Arc<BTreeMap<String, Arc<Sandbox>>>,
    /// What came over HTTP: function and event.
    invoked: Arc<Mutex<Vec<(String, Value)>>>,
}

/// What a function answered, or that it failed.
pub(crate) type Answered = Result<Value, Value>;

impl World {
    /// Lambda with these functions, which get the world's settings and `changed` ones.
    pub(crate) async fn lambda(&self, functions: &[&str], changed: &[(&str, &str)]) -> Lambda {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let settings = changed.iter().fold(self.env.clone(), |env, (name, value)| env.with(name, *value));
        let sandbox = |name: &&str| ((*name).to_owned(), Arc::new(Sandbox::new(name, settings.clone(), address)));
        let api = Api { sandboxes: Arc::new(functions.iter().map(sandbox).collect()), invoked: Arc::default() };
        let router = Router::new()
            .route("/{function}/{generation}/2018-06-01/runtime/invocation/next", get(next))
            .route("/{function}/{generation}/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/{function}/{generation}/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2015-03-31/functions/{function}/invocations", post(invoke))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(api.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Lambda { url: format!("http://{address}"), api, server }
    }
}

impl Lambda {
    /// Where functions are invoked.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Invokes a function.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Answered {
        self.api.sandboxes[function].invoke(Bytes::from(event.to_string()), TIMEOUT).await
    }

    /// How long a function takes from its start until it asks for work; what it makes of it is not waited for.
    pub(crate) async fn ready_after(&self, function: &str) -> Duration {
        let sandbox = &self.api.sandboxes[function];
        let ready = async {
            loop {
                if let Some(ready) = sandbox.last_start().ready {
                    return ready;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = sandbox.invoke(Bytes::from_static(b"{}"), TIMEOUT) => sandbox.last_start().ready.expect("it answered"),
            ready = ready => ready,
        }
    }

    /// Kills the function's process, as `kill -9` does. Answers whether one was running.
    pub(crate) fn kill(&self, function: &str) -> bool {
        self.api.sandboxes[function].kill()
    }

    /// How long the function's last process took to start, and to its first answer.
    pub(crate) fn last_start(&self, function: &str) -> Start {
        self.api.sandboxes[function].last_start()
    }

    /// Every event that somebody invoked this function with over HTTP.
    pub(crate) fn events_of(&self, function: &str) -> Vec<Value> {
        let invoked = self.api.invoked.lock().expect("no panic while held");
        invoked.iter().filter(|(name, _)| name == function).map(|(_, event)| event.clone()).collect()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.server.abort();
        for sandbox in self.api.sandboxes.values() {
            sandbox.kill();
        }
    }
}

async fn next(State(api): State<Api>, Path((function, generation)): Path<(String, u64)>) -> (HeaderMap, Bytes) {
    let given = api.sandboxes[&function].next(generation).await;
    let mut headers = HeaderMap::new();
    let mut say = |name: &'static str, value: String| headers.insert(HeaderName::from_static(name), value.parse().expect("plain text"));
    say("lambda-runtime-aws-request-id", given.id);
    say("lambda-runtime-deadline-ms", given.deadline_ms.to_string());
    say("lambda-runtime-invoked-function-arn", format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"));
    (headers, given.event)
}

async fn response(State(api): State<Api>, Path((function, _, id)): Path<(String, u64, String)>, body: Bytes) -> StatusCode {
    api.sandboxes[&function].answer(&id, Ok(json(&body)));
    StatusCode::ACCEPTED
}

async fn error(State(api): State<Api>, Path((function, _, id)): Path<(String, u64, String)>, body: Bytes) -> StatusCode {
    api.sandboxes[&function].answer(&id, Err(json(&body)));
    StatusCode::ACCEPTED
}

async fn invoke(State(api): State<Api>, Path(function): Path<String>, event: Bytes) -> (HeaderMap, String) {
    api.invoked.lock().expect("no panic while held").push((function.clone(), json(&event)));
    let mut headers = HeaderMap::new();
    let answer = api.sandboxes[&function].invoke(event, TIMEOUT).await.unwrap_or_else(|failure| {
        headers.insert("x-amz-function-error", "Unhandled".parse().expect("plain text"));
        failure
    });
    (headers, answer.to_string())
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}
