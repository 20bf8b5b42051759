//! The only file that chooses status codes: errors as RFC 9457 `application/problem+json`.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{Error, Fault, chain};

/// When to come again after weather of an engine, in seconds: an engine that restarts needs a few.
const RETRY_AFTER_WEATHER: u64 = 5;

/// An error as clients see it (RFC 9457, section 3).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is, `code` which one.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for people.
    pub detail: String,
    /// A stable word for programs.
    pub code: &'static str,
    /// The id of the request, as in the `x-request-id` header and in our logs.
    pub request_id: String,
    /// What is wrong, one by one, where it can be told apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// A problem on its way out: `http::dress` adds the request's id and writes the body.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    problem: Problem,
    retry_after: Option<u64>,
    /// What our own log says, where it is our trouble and not the caller's.
    pub(crate) cause: Option<String>,
}

impl Pending {
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let problem = Problem { request_id: request_id.to_owned(), ..self.problem };
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))]);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(axum::http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let mut response = (status, Json(problem)).into_response();
        response.headers_mut().extend(headers);
        response
    }

    /// A problem that has no [`Error`]: what the router itself refuses.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is no such route"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this route does not know that method"),
            _ if status.is_client_error() => ("bad_request", "the request cannot be read"),
            _ => ("internal", "something went wrong here; it has been logged"),
        };
        Self { problem: problem(status, code, detail.to_owned(), Vec::new()), retry_after: None, cause: None }
    }
}

fn problem(status: StatusCode, code: &'static str, detail: String, errors: Vec<Fault>) -> Problem {
    let title = status.canonical_reason().unwrap_or("Error");
    Problem { kind: "about:blank", title, status: status.as_u16(), detail, code, request_id: String::new(), errors }
}

impl From<Error> for Pending {
    fn from(error: Error) -> Self {
        let cause = matches!(error, Error::Unavailable { .. } | Error::Internal { .. }).then(|| chain(&error));
        let said = error.to_string();
        let code = error.code();
        let (status, errors, retry_after) = match error {
            Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, Vec::new(), Some(RETRY_AFTER_WEATHER)),
            Error::Busy { retry_after, .. } => (StatusCode::SERVICE_UNAVAILABLE, Vec::new(), Some(whole_seconds(retry_after))),
            Error::OverLimit { retry_after, .. } => (StatusCode::TOO_MANY_REQUESTS, Vec::new(), Some(whole_seconds(retry_after))),
            Error::OverQuota { .. } => (StatusCode::PAYMENT_REQUIRED, Vec::new(), None),
            Error::Unauthenticated => (StatusCode::UNAUTHORIZED, Vec::new(), None),
            Error::WrongLogin => (StatusCode::UNAUTHORIZED, Vec::new(), None),
            Error::Forbidden { .. } => (StatusCode::FORBIDDEN, Vec::new(), None),
            Error::NotFound(_) => (StatusCode::NOT_FOUND, Vec::new(), None),
            Error::Conflict { .. } => (StatusCode::CONFLICT, Vec::new(), None),
            Error::Malformed { .. } => (StatusCode::BAD_REQUEST, Vec::new(), None),
            Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Vec::new(), None),
            Error::Unsupported { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Vec::new(), None),
            Error::TooSlow => (StatusCode::REQUEST_TIMEOUT, Vec::new(), None),
            Error::Invalid { faults, .. } => (StatusCode::UNPROCESSABLE_ENTITY, faults, None),
            Error::Internal { .. } => return Self { cause, ..Self::of_status(StatusCode::INTERNAL_SERVER_ERROR) },
        };
        Self { problem: problem(status, code, said, errors), retry_after, cause }
    }
}

/// Rounded up: whoever comes earlier than that is refused once more.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let pending = Pending::from(self);
        let status = StatusCode::from_u16(pending.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(pending);
        response
    }
}
