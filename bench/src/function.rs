//! The ingest function by itself, as Lambda runs it: a process that asks the Runtime API for one event at a time (AWS Lambda Developer Guide,
//! "Using the Lambda runtime API") and gets requests as API Gateway hands them on ("Create AWS Lambda proxy integrations for HTTP APIs",
//! payload format 2.0).

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::door::NEVER_DRAINS;
use crate::process;
use crate::server::command;

/// How long an event may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// A bell that nobody hears. It is rung where Redis does not say that it was: every half minute.
const NOBODY_TO_WAKE: [(&str, &str); 5] = [
    ("LOGGERHUB_BELL_URL", "http://127.0.0.1:9/000000000000/bell"),
    ("LOGGERHUB_SQS_ENDPOINT", "http://127.0.0.1:9"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

/// A running `ingest`. Ended when dropped.
pub(crate) struct Function {
    process: Child,
    api: tokio::task::JoinHandle<()>,
    events: mpsc::Sender<Bytes>,
    answers: mpsc::Receiver<Bytes>,
}

#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::Receiver<Bytes>>>,
    answers: mpsc::Sender<Bytes>,
}

impl Function {
    /// Starts the function that was built beside this program.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let ((events, given), (answer, answers)) = (mpsc::channel(1), mpsc::channel(1));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let listen = listener.local_addr()?.to_string();
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .layer(DefaultBodyLimit::disable())
            .with_state(Api { events: Arc::new(Mutex::new(given)), answers: answer });
        let api = tokio::spawn(async move { axum::serve(listener, router).await.unwrap_or_default() });
        let mut function = command(&std::env::current_exe()?.with_file_name("ingest"));
        function.env("AWS_LAMBDA_RUNTIME_API", listen).env("AWS_LAMBDA_FUNCTION_NAME", "ingest").env("AWS_LAMBDA_FUNCTION_VERSION", "1");
        function.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024").envs(NEVER_DRAINS).envs(NOBODY_TO_WAKE).stderr(Stdio::null());
        let process = function.spawn().context("cannot run the function: build it first")?;
        Ok(Self { process, api, events, answers })
    }

    /// Hands it an event, and waits until it answered 202.
    pub(crate) async fn take(&mut self, event: Bytes) -> anyhow::Result<()> {
        self.events.send(event).await?;
        let answer = tokio::time::timeout(ANSWERS_WITHIN, self.answers.recv()).await.context("no answer in time")?.context("no answer")?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["statusCode"] == 202, "{answer}");
        Ok(())
    }

    /// CPU seconds used so far, and most memory held, in MiB.
    pub(crate) fn used(&self) -> anyhow::Result<(f64, f64)> {
        Ok((process::cpu_seconds(self.process.id())?, process::peak_mib(self.process.id())?))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.api.abort();
    }
}

/// A request with these logs.
pub(crate) fn event(key: &str, body: &str) -> Bytes {
    let headers = json!({ "authorization": format!("Bearer {key}"), "content-type": "application/x-ndjson", "host": "hub.example.com" });
    let http = json!({ "method": "POST", "path": "/v1/logs", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "bench" });
    let event = json!({
        "version": "2.0", "routeKey": "POST /v1/logs", "rawPath": "/v1/logs", "rawQueryString": "", "headers": headers, "body": body, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "000000000000", "apiId": "hub", "domainName": "hub.example.com", "domainPrefix": "hub", "http": http, "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /v1/logs", "stage": "$default", "time": "25/Nov/2026:02:00:00 +0000", "timeEpoch": 1_795_572_000_000_u64
        }
    });
    event.to_string().into()
}

async fn next(State(api): State<Api>) -> Result<([(&'static str, String); 3], Bytes), StatusCode> {
    let event = api.events.lock().await.recv().await.ok_or(StatusCode::GONE)?;
    let deadline = std::time::SystemTime::now() + ANSWERS_WITHIN;
    let deadline_ms = deadline.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let headers = [
        ("lambda-runtime-aws-request-id", uuid::Uuid::new_v4().to_string()),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:ingest".to_owned()),
    ];
    Ok((headers, event))
}

async fn response(State(api): State<Api>, answer: Bytes) -> StatusCode {
    let _ = api.answers.send(answer).await;
    StatusCode::ACCEPTED
}
