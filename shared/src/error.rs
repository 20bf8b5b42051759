//! What can go wrong, by kind: weather (an engine is in trouble; retry), the caller's mistakes, and our own. Knows nothing
//! of HTTP: `problem.rs` chooses the status.

use std::fmt;
use std::time::Duration;

use crate::query::{Place, QueryError};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The engines that Logger Hub stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The queue and the key ring.
    Redis,
    /// The control database: tenants, keys.
    Control,
    /// The logs database: rows and receipts.
    Rows,
    /// The search index.
    OpenSearch,
    /// The object store that holds raw.
    ObjectStore,
    /// The queue that carries the bell on AWS.
    Sqs,
    /// The event bus.
    EventBus,
}

impl Engine {
    /// The stable word for its trouble.
    fn unavailable(self) -> &'static str {
        match self {
            Self::Redis => "redis_unavailable",
            Self::Control | Self::Rows => "postgres_unavailable",
            Self::OpenSearch => "opensearch_unavailable",
            Self::ObjectStore => "object_store_unavailable",
            Self::Sqs => "sqs_unavailable",
            Self::EventBus => "event_bus_unavailable",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Control => "postgres_control",
            Self::Rows => "postgres_logs",
            Self::OpenSearch => "opensearch",
            Self::ObjectStore => "object_store",
            Self::Sqs => "sqs",
            Self::EventBus => "event_bus",
        })
    }
}

/// What is wrong with one thing of a request: a record, a field, a parameter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Fault {
    /// Position of the record in the request, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<u32>,
    /// Name of the field or parameter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// A stable word.
    pub code: String,
    /// A sentence for people. Never repeats a record's text.
    pub detail: String,
    /// Of a query: where it is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Weather: the engine did not answer, or answered that it cannot now. Worth a retry.
    #[error("{engine} is not available")]
    Unavailable {
        /// Which one.
        engine: Engine,
        /// What it, or the way to it, said.
        source: Source,
    },
    /// Weather: we hold as much as we may. Worth a retry after that time.
    #[error("{detail}")]
    Busy {
        /// A stable word, such as `queue_full`.
        code: &'static str,
        /// A sentence for the caller.
        detail: &'static str,
        /// When to come again.
        retry_after: Duration,
    },
    /// The caller is over what it may have at once. Worth a retry after that time.
    #[error("{detail}")]
    OverLimit {
        /// A stable word, such as `too_many_queries`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
        /// When to come again.
        retry_after: Duration,
    },
    /// What was paid for is used up: it is not worth a retry before there is more.
    #[error("{detail}")]
    OverQuota {
        /// A stable word, such as `quota_exceeded`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// No key and no session, or one that is not known, has expired or was revoked.
    #[error("no valid API key or session was given")]
    Unauthenticated,
    /// Whoever tries to log in is not known by this password, is not known at all, or must not: the caller cannot tell which.
    #[error("e-mail address or password is wrong")]
    WrongLogin,
    /// Known, but not allowed to.
    #[error("{detail}")]
    Forbidden {
        /// A stable word, such as `missing_scope`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// There is no such thing, or it belongs to another: the caller cannot tell which.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It is so already, or is something else already.
    #[error("{detail}")]
    Conflict {
        /// A stable word, such as `tenant_exists`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// The request cannot be read at all.
    #[error("{detail}")]
    Malformed {
        /// A stable word, such as `invalid_json`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// The body is larger than is taken.
    #[error("{detail}")]
    TooLarge {
        /// A stable word, such as `body_too_large`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// The body is in a form that we do not read.
    #[error("{detail}")]
    Unsupported {
        /// A stable word, such as `unsupported_encoding`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// The body did not arrive in time.
    #[error("the request did not arrive in time")]
    TooSlow,
    /// Readable, but wrong: each fault named.
    #[error("{detail}")]
    Invalid {
        /// A stable word, such as `invalid_parameter`.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
        /// What is wrong, one by one.
        faults: Vec<Fault>,
    },
    /// Our own mistake, or an engine that answers what it must not.
    #[error("{doing} failed")]
    Internal {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: Source,
    },
}

impl Error {
    /// Weather at this engine.
    pub fn unavailable(engine: Engine, source: impl Into<Source>) -> Self {
        Self::Unavailable { engine, source: source.into() }
    }

    /// Our own mistake in doing this.
    pub fn internal(doing: &'static str, source: impl Into<Source>) -> Self {
        Self::Internal { doing, source: source.into() }
    }

    /// One wrong parameter or field.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let fault = Fault { index: None, field: Some(field.to_owned()), code: "invalid_parameter".to_owned(), detail: detail.clone(), place: None };
        Self::Invalid { code: "invalid_parameter", detail: format!("`{field}`: {detail}"), faults: vec![fault] }
    }

    /// A query that cannot be read.
    #[must_use]
    pub fn invalid_query(field: &str, error: QueryError) -> Self {
        let detail = format!("`{field}`: {error}\n{}", error.place.caret);
        let fault = Fault { index: None, field: Some(field.to_owned()), code: "invalid_query".to_owned(), detail: error.detail, place: Some(error.place) };
        Self::Invalid { code: "invalid_query", detail, faults: vec![fault] }
    }

    /// The stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { engine, .. } => engine.unavailable(),
            Self::Busy { code, .. }
            | Self::OverLimit { code, .. }
            | Self::OverQuota { code, .. }
            | Self::Forbidden { code, .. }
            | Self::Conflict { code, .. }
            | Self::Malformed { code, .. }
            | Self::TooLarge { code, .. }
            | Self::Unsupported { code, .. }
            | Self::Invalid { code, .. } => code,
            Self::Unauthenticated => "unauthenticated",
            Self::WrongLogin => "wrong_login",
            Self::NotFound(_) => "not_found",
            Self::TooSlow => "too_slow",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the same call may succeed later with nobody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Busy { .. } | Self::OverLimit { .. } | Self::TooSlow)
    }
}

/// An error with its sources in one line, for our own logs: never sent to a client.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        line.push_str(": ");
        line.push_str(&source.to_string());
        next = source.source();
    }
    line
}
