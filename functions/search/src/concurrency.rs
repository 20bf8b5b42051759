//! How much of one tenant is worked on at once: a dashboard gone wild must leave the engines to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared::auth::{Authenticator, Caller, Read};
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::retention::Horizon;
use uuid::Uuid;

use crate::App;
use crate::config::Limits;

/// How often the key of a stream is looked up again.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// When to come again: most answers take less.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counts what each tenant asks at once, in this process.
#[derive(Debug, Clone)]
pub struct Concurrency {
    limits: Limits,
    running: Arc<Mutex<HashMap<TenantId, Running>>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Running {
    queries: usize,
    streams: usize,
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lists, searches, counts.
    Query,
    /// Tails and exports, which go on for long.
    Stream,
}

/// One that is worked on. Counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    running: Arc<Mutex<HashMap<TenantId, Running>>>,
    tenant: TenantId,
    kind: Kind,
}

impl Concurrency {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, running: Arc::default() }
    }

    /// A slot for one more of this kind.
    ///
    /// # Errors
    /// [`Error::OverLimit`].
    pub(crate) fn slot(&self, tenant: &TenantId, kind: Kind) -> Result<Slot> {
        let (most, code, what) = match kind {
            Kind::Query => (self.limits.queries, "too_many_queries", "queries"),
            Kind::Stream => (self.limits.streams, "too_many_streams", "tails and exports"),
        };
        let mut running = self.running.lock().expect("no panic while held");
        let count = running.entry(tenant.clone()).or_default().of(kind);
        if *count >= most {
            return Err(Error::OverLimit { code, detail: format!("{most} {what} of this tenant are at work already; come again when one has ended"), retry_after: RETRY_AFTER });
        }
        *count += 1;
        Ok(Slot { running: Arc::clone(&self.running), tenant: tenant.clone(), kind })
    }
}

impl Running {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Query => &mut self.queries,
            Kind::Stream => &mut self.streams,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut running = self.running.lock().expect("no panic while held");
        if let Some(counts) = running.get_mut(&self.tenant) {
            *counts.of(self.kind) -= 1;
            if *counts == Running::default() {
                running.remove(&self.tenant);
            }
        }
    }
}

/// A caller who reads, with a slot for one query.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) tenant: TenantId,
    /// The key; `None` for a person.
    pub(crate) key_id: Option<Uuid>,
    /// What of the tenant's logs is still there.
    pub(crate) horizon: Horizon,
    _slot: Slot,
}

impl FromRequestParts<App> for Reader {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = Caller::<Read>::from_request_parts(parts, app).await?;
        let horizon = caller.retention().horizon(app.queue.now_ms());
        Ok(Self { _slot: app.concurrency.slot(&caller.tenant, Kind::Query)?, key_id: caller.key_id(), horizon, tenant: caller.tenant })
    }
}

/// A caller who reads for long, with a slot for it.
#[derive(Debug)]
pub(crate) struct Streamer {
    caller: Caller<Read>,
    auth: Authenticator,
    checked: Instant,
    _slot: Slot,
}

impl Streamer {
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.caller.tenant
    }

    /// What of the tenant's logs is still there at this moment.
    pub(crate) fn horizon(&self, now_ms: u64) -> Horizon {
        self.caller.retention().horizon(now_ms)
    }

    pub(crate) fn key_id(&self) -> Option<Uuid> {
        self.caller.key_id()
    }

    /// Looks the key up again, now and then: one that was revoked must not read on. Where that cannot be told, it was good just now.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::Forbidden`].
    pub(crate) async fn check(&mut self) -> Result<()> {
        if self.checked.elapsed() < CHECK_EVERY {
            return Ok(());
        }
        self.checked = Instant::now();
        match self.caller.still_may(&self.auth).await {
            Err(error @ (Error::Unauthenticated | Error::Forbidden { .. })) => Err(error),
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<App> for Streamer {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = Caller::<Read>::from_request_parts(parts, app).await?;
        Ok(Self { _slot: app.concurrency.slot(&caller.tenant, Kind::Stream)?, caller, auth: app.auth.clone(), checked: Instant::now() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_so_many_slots_and_gets_them_back() {
        let concurrency = Concurrency::new(Limits { queries: 2, streams: 1 });
        let (a, b) = (TenantId::parse("tenant_a").expect("an id"), TenantId::parse("tenant_b").expect("an id"));
        let held: Vec<Slot> = (0..2).map(|_| concurrency.slot(&a, Kind::Query).expect("room")).collect();
        assert!(matches!(concurrency.slot(&a, Kind::Query), Err(Error::OverLimit { code: "too_many_queries", .. })));
        let others = (concurrency.slot(&a, Kind::Stream).expect("counted apart"), concurrency.slot(&b, Kind::Query).expect("another tenant"));
        drop(held);
        drop(concurrency.slot(&a, Kind::Query).expect("room again"));
        drop(others);
        assert!(concurrency.running.lock().expect("no panic").is_empty());
    }
}
