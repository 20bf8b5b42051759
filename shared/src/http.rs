//! What every HTTP function wears: a request id, one log line and two metrics for each request, and errors as problems.
//! Beside it the two ways in which handlers read what was sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, HeaderValue, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::{Error, Fault};
use crate::problem::Pending;

/// Carries the request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that we take from a client.
const MAX_REQUEST_ID: usize = 128;
/// Largest JSON body of the routes that are not ingest: a tenant, a key.
const MAX_SMALL_BODY: usize = 64 * 1024;

/// Dresses a function's routes. Call it once, last, on what is served.
pub fn dress(router: Router) -> Router {
    router
        .fallback(|| async { Error::NotFound("route") })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .layer(middleware::from_fn(attend))
}

/// The address that a request came from: of the client, or of the proxy before us. Whoever serves the routes knows it.
#[derive(Debug, Clone)]
pub struct ClientAddress(pub String);

/// A page in a browser that sends a request, and whether it may read the answer (Fetch Standard, section 3.2, "CORS protocol").
#[derive(Debug, Clone)]
pub struct Page {
    origin: HeaderValue,
    may_read: Arc<AtomicBool>,
}

impl Page {
    /// Lets it read the answer: its key names its origin.
    pub(crate) fn let_read(&self) {
        self.may_read.store(true, Ordering::Relaxed);
    }
}

/// Headers that a page may send.
const PAGE_HEADERS: &str = "authorization, content-encoding, content-type, idempotency-key, last-event-id, x-api-key, x-request-id";
/// How long a browser remembers what it was told of a route, in seconds.
const PAGE_ASKS_AGAIN_AFTER: &str = "600";

/// Answers a browser that asks whether a page may send a request. It may: what the page's key says of its origin is looked at when the
/// request comes, and no cookie goes with it, since that is not allowed here.
fn answer_preflight(request: &Request) -> Option<Response> {
    let headers = request.headers();
    let origin = headers.get(ORIGIN).filter(|_| request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))?;
    let told = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE")),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(PAGE_HEADERS)),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PAGE_ASKS_AGAIN_AFTER)),
        (VARY, HeaderValue::from_static("origin")),
    ];
    Some((StatusCode::NO_CONTENT, HeaderMap::from_iter(told)).into_response())
}

/// Where a request came from, for the audit trail.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The address.
    pub address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

#[derive(Debug, Clone)]
struct RequestId(String);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0.clone());
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        Ok(Self { address, request_id })
    }
}

async fn attend(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let sent = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = sent.filter(|id| is_sensible(id)).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();

    request.extensions_mut().insert(RequestId(id.clone()));
    let page = request.headers().get(ORIGIN).cloned().map(|origin| Page { origin, may_read: Arc::default() });
    if let Some(page) = page.clone() {
        request.extensions_mut().insert(page);
    }
    let span = tracing::info_span!("request", request_id = %id, method = %method, route, tenant = tracing::field::Empty);
    let mut response = match answer_preflight(&request) {
        Some(answer) => answer,
        None => next.run(request).instrument(span.clone()).await,
    };

    let pending = response.extensions_mut().remove::<Pending>();
    let cause = pending.as_ref().and_then(|pending| pending.cause.clone());
    if let Some(pending) = pending {
        let said_beside = std::mem::take(response.headers_mut());
        response = pending.into_response(&id);
        response.headers_mut().extend(said_beside);
    } else if is_bare_error(&response) {
        response = Pending::of_status(response.status()).into_response(&id);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Some(page) = page.filter(|page| page.may_read.load(Ordering::Relaxed)) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, page.origin);
        response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ratelimit, ratelimit-policy, retry-after, x-request-id"));
        response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
    }
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    report(&span, &method, route, response.status(), began, cause.as_deref());
    response
}

fn report(span: &tracing::Span, method: &Method, route: String, status: StatusCode, began: Instant, cause: Option<&str>) {
    let seconds = began.elapsed().as_secs_f64();
    let labels = [("method", known(method).to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::counter!("loggerhub_http_requests_total", &labels).increment(1);
    metrics::histogram!("loggerhub_http_request_seconds", &labels[..2]).record(seconds);
    let ms = seconds * 1000.0;
    let _inside = span.enter();
    match cause {
        Some(cause) => tracing::error!(status = status.as_u16(), ms, cause, "failed"),
        None if status.is_server_error() => tracing::warn!(status = status.as_u16(), ms, "refused"),
        None => tracing::debug!(status = status.as_u16(), ms, "answered"),
    }
}

/// Methods as labels of a metric: any token can be sent as a method, and each label lives for ever.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 8] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS, Method::TRACE];
    const NAMES: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];
    KNOWN.iter().position(|one| one == method).map_or("other", |at| NAMES[at])
}

fn is_sensible(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/=+".contains(&b))
}

/// What the router or a panic answers: a status that no [`Error`] chose.
fn is_bare_error(response: &Response) -> bool {
    let status = response.status();
    let own = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    (status.is_client_error() || status.is_server_error()) && !own
}

/// Reads the query of a URL, what follows its `?`. A parameter without a value counts as not sent, as an HTML form sends what nobody filled in;
/// one that cannot be empty, such as a number, says [`valued`].
///
/// # Errors
/// [`Error::Invalid`] naming what cannot be read.
pub fn read_params<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    serde_html_form::from_str(query).map_err(|e| unreadable("the query", &e))
}

/// For `deserialize_with`: hands on what was sent, also an empty text, to whoever then finds that it is no number, id or state.
///
/// # Errors
/// None of its own.
pub fn valued<'de, D: Deserializer<'de>>(sent: D) -> Result<Option<String>, D::Error> {
    String::deserialize(sent).map(Some)
}

/// The query parameters, read into `T`. Parameters may repeat; one that is not known is refused rather than ignored, where
/// `T` says `deny_unknown_fields`.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        read_params(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// A small JSON body, read into `T`.
#[derive(Debug)]
pub struct SmallJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SmallJson<T> {
    type Rejection = Error;
    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let body: Bytes = axum::body::to_bytes(request.into_body(), MAX_SMALL_BODY)
            .await
            .map_err(|_| Error::TooLarge { code: "body_too_large", detail: format!("the body has more than {MAX_SMALL_BODY} bytes, or broke off") })?;
        // Fields are named, never told by their place in a list: an empty list would be a request without any.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(unreadable("the body", &"it must be an object"));
        }
        serde_json::from_slice(&body).map(Self).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => unreadable("the body", &e),
            _ => Error::Malformed { code: "invalid_json", detail: format!("the body is not JSON: {e}") },
        })
    }
}

fn unreadable(what: &str, error: &dyn std::fmt::Display) -> Error {
    let detail = format!("{what} cannot be read: {error}");
    let fault = Fault { index: None, field: None, code: "invalid_parameter".to_owned(), detail: detail.clone(), place: None };
    Error::Invalid { code: "invalid_parameter", detail, faults: vec![fault] }
}
