//! A gate for floods: who was refused by a limit a moment ago is refused again unread, without a call of Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::error::Error;
use shared::grant::Grant;
use shared::ids::TenantId;
use shared::queue::Limiter;
use uuid::Uuid;

/// How long the gate stays closed at most: rates let more in all the time, and a smaller request may pass sooner.
const CLOSED_FOR: Duration = Duration::from_millis(100);
/// Past so many closed gates those that are open again are tidied up.
const TIDY_PAST: usize = 10_000;

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// A rate.
    Rate {
        /// Whose.
        limiter: Limiter,
        /// When to come again.
        retry_after: Duration,
    },
    /// The quota of the month.
    Quota,
}

impl Over {
    /// The stable word for it.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Rate { limiter: Limiter::Tenant, .. } => "tenant_rate_limited",
            Self::Rate { limiter: Limiter::Key, .. } => "key_rate_limited",
            Self::Rate { limiter: Limiter::Service(_), .. } => "service_rate_limited",
            Self::Rate { limiter: Limiter::Quota, .. } => "quota_throttled",
            Self::Quota => "quota_exceeded",
        }
    }

    /// What the client is told.
    pub(crate) fn to_error(&self) -> Error {
        let Self::Rate { limiter, retry_after } = self else {
            return Error::OverQuota { code: self.code(), detail: "the quota of this month is used up; what is stored can be read as before".to_owned() };
        };
        let detail = match limiter {
            Limiter::Tenant => "this tenant sends more than its rate; nothing of this request was taken".to_owned(),
            Limiter::Key => "this key sends more than its rate; nothing of this request was taken".to_owned(),
            Limiter::Service(name) => format!("the service {name:?} sends more than its rate; nothing of this request was taken, so send other services apart"),
            Limiter::Quota => "the quota of this month is used up, and less is taken; nothing of this request was".to_owned(),
        };
        Error::OverLimit { code: self.code(), detail, retry_after: *retry_after }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Tenant(TenantId),
    Key(Uuid),
}

/// The gates of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<HashMap<Who, (Instant, Over)>>>);

impl Gate {
    /// Why this key's request is not even read, if it is not.
    pub(crate) fn closed_to(&self, grant: &Grant) -> Option<Over> {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.is_empty() {
            return None;
        }
        let now = Instant::now();
        [Who::Tenant(grant.tenant.clone()), Who::Key(grant.key_id)].iter().find_map(|who| closed.get(who).filter(|(until, _)| now < *until).map(|(_, over)| over.clone()))
    }

    /// Closes for whoever was refused. A service is told by reading only.
    pub(crate) fn close(&self, grant: &Grant, over: &Over) {
        let (who, wait) = match over {
            Over::Rate { limiter: Limiter::Service(_), .. } => return,
            Over::Rate { limiter: Limiter::Key, retry_after } => (Who::Key(grant.key_id), *retry_after),
            Over::Rate { retry_after, .. } => (Who::Tenant(grant.tenant.clone()), *retry_after),
            Over::Quota => (Who::Tenant(grant.tenant.clone()), CLOSED_FOR),
        };
        let now = Instant::now();
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.len() > TIDY_PAST {
            closed.retain(|_, (until, _)| now < *until);
        }
        closed.insert(who, (now + wait.min(CLOSED_FOR), over.clone()));
    }
}
