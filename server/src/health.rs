//! `/healthz`, `/readyz`, `/metrics`, `/openapi.json`: for those who run the server. Keep them off the public gateway.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use shared::error::{Engine, Error, Result, chain};
use shared::queue::Queue;

use crate::{Doors, documents};

/// How long an engine may take to answer: below the 5 s after which probes commonly give up.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// How this process does.
#[derive(Debug, Serialize)]
struct Readiness {
    /// `ready`; `degraded`: it takes logs and the queue holds, but an engine behind it is down; `unready`: it cannot take logs.
    status: &'static str,
    engines: BTreeMap<String, EngineState>,
}

#[derive(Debug, Serialize)]
struct EngineState {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Result<()>> for EngineState {
    fn from(outcome: Result<()>) -> Self {
        Self { ok: outcome.is_ok(), reason: outcome.err().map(|error| chain(&error)) }
    }
}

/// The routes.
pub(crate) fn router(doors: Doors) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(serde_json::json!({ "status": "alive" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .with_state(doors)
}

/// 503 only without Redis: a server that is taken out of service because the index is down would refuse logs that it can take.
async fn ready(State(doors): State<Doors>) -> (StatusCode, Json<Readiness>) {
    let (redis, control, rows, index, archive) = tokio::join!(
        in_time(Engine::Redis, keeps_what_it_takes(&doors.queue)),
        in_time(Engine::Control, doors.registry.ping()),
        in_time(Engine::Rows, doors.rows.ping()),
        in_time(Engine::OpenSearch, doors.index.ping()),
        in_time(Engine::ObjectStore, doors.archive.ping()),
    );
    let takes_logs = redis.is_ok();
    let states = [(Engine::Redis, redis), (Engine::Control, control), (Engine::Rows, rows), (Engine::OpenSearch, index), (Engine::ObjectStore, archive)];
    let engines: BTreeMap<String, EngineState> = states.into_iter().map(|(engine, outcome)| (engine.to_string(), outcome.into())).collect();
    let status = match (takes_logs, engines.values().all(|state| state.ok)) {
        (true, true) => "ready",
        (true, false) => "degraded",
        (false, _) => "unready",
    };
    let code = if takes_logs { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { status, engines }))
}

/// Redis takes what it is given, and is still set up as the queue needs it.
async fn keeps_what_it_takes(queue: &Queue) -> Result<()> {
    queue.try_a_write().await?;
    queue.look_at_durability().await?.map_err(|not_durable| Error::unavailable(Engine::Redis, not_durable))
}

/// An engine that hangs must not make those who ask believe that this process hangs.
async fn in_time(engine: Engine, ping: impl Future<Output = Result<()>>) -> Result<()> {
    let outcome = tokio::time::timeout(PING_WITHIN, ping).await;
    outcome.unwrap_or_else(|_| Err(Error::unavailable(engine, format!("no answer within {} s", PING_WITHIN.as_secs()))))
}

async fn metrics(State(doors): State<Doors>) -> Response {
    if let Ok(bytes) = doors.queue.backlog_bytes().await {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; bytes past 2^53 do not wait in Redis")]
        metrics::gauge!("loggerhub_queue_bytes").set(bytes as f64);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], shared::telemetry::metrics().render()).into_response()
}

async fn openapi() -> Result<Response> {
    // Made once: it takes milliseconds, and whoever asks again and again must not keep requests with logs waiting.
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = match DOCUMENT.get() {
        Some(document) => document.clone(),
        None => {
            let text = documents::openapi().map_err(|e| Error::internal("writing the OpenAPI document", e))?;
            DOCUMENT.get_or_init(|| text.into()).clone()
        }
    };
    Ok(([(CONTENT_TYPE, "application/json")], document).into_response())
}
