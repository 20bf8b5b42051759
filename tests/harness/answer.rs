//! What the hub answered, and what every answer of its kind must look like.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// What was asked, for messages.
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A value that was seen where another was hoped for, for `eventually`.
pub(crate) type Seen = String;

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of an answer that must have this status and be JSON.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        self.expect_status(status);
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        self.json()
    }

    /// An answer that must have this status and no body.
    #[track_caller]
    pub(crate) fn empty(&self, status: u16) {
        self.expect_status(status);
        assert_eq!(self.text, "", "{self:?}");
    }

    /// The body of an error that must have this status and code, and all that RFC 9457 and the design ask of one.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        self.expect_status(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        assert_eq!(problem["type"], "about:blank", "{self:?}");
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {self:?}");
        }
        let id = self.header("x-request-id");
        assert!(id.is_some_and(|id| !id.is_empty()) && problem["request_id"].as_str() == id, "request_id of {self:?}");
        let come_again = self.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert_eq!(come_again.is_some_and(|seconds| seconds > 0), matches!(status, 429 | 503), "Retry-After of {self:?}");
        problem
    }

    /// The code of the one thing that is wrong with a request, and which field it is about.
    #[track_caller]
    pub(crate) fn fault(&self, status: u16, code: &str) -> (String, String) {
        let problem = self.problem(status, code);
        let [fault] = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("not one fault: {self:?}") };
        (text(fault, "field"), text(fault, "code"))
    }

    #[track_caller]
    fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// The logs of a list or a search.
#[track_caller]
pub(crate) fn logs(page: &Value) -> &[Value] {
    page["logs"].as_array().unwrap_or_else(|| panic!("no page of logs: {page}"))
}

/// Their ids, in order.
#[track_caller]
pub(crate) fn ids(page: &Value) -> Vec<String> {
    texts(page, "id")
}

/// One text field of each, in order.
#[track_caller]
pub(crate) fn texts(page: &Value, field: &str) -> Vec<String> {
    logs(page).iter().map(|log| text(log, field)).collect()
}

fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}
