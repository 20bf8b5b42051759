//! How much of one tenant is worked on at once: a dashboard gone wild must leave the engines to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared::auth::{Caller, Read};
use shared::error::{Error, Result};
use shared::ids::TenantId;

use crate::App;
use crate::config::Limits;

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
pub(crate) struct Place {
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

    /// A place for one more of this kind.
    ///
    /// # Errors
    /// [`Error::OverLimit`].
    pub(crate) fn place(&self, tenant: &TenantId, kind: Kind) -> Result<Place> {
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
        Ok(Place { running: Arc::clone(&self.running), tenant: tenant.clone(), kind })
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

impl Drop for Place {
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

/// A caller who reads, with a place for one query.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) tenant: TenantId,
    _place: Place,
}

impl FromRequestParts<App> for Reader {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = Caller::<Read>::from_request_parts(parts, app).await?;
        Ok(Self { _place: app.concurrency.place(&caller.tenant, Kind::Query)?, tenant: caller.tenant })
    }
}

/// A caller who reads for long, with a place for it.
#[derive(Debug)]
pub(crate) struct Streamer {
    pub(crate) caller: Caller<Read>,
    pub(crate) place: Place,
}

impl FromRequestParts<App> for Streamer {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = Caller::<Read>::from_request_parts(parts, app).await?;
        Ok(Self { place: app.concurrency.place(&caller.tenant, Kind::Stream)?, caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_so_many_places_and_gets_them_back() {
        let concurrency = Concurrency::new(Limits { queries: 2, streams: 1 });
        let (a, b) = (TenantId::parse("tenant_a").expect("an id"), TenantId::parse("tenant_b").expect("an id"));
        let held: Vec<Place> = (0..2).map(|_| concurrency.place(&a, Kind::Query).expect("room")).collect();
        assert!(matches!(concurrency.place(&a, Kind::Query), Err(Error::OverLimit { code: "too_many_queries", .. })));
        let others = (concurrency.place(&a, Kind::Stream).expect("counted apart"), concurrency.place(&b, Kind::Query).expect("another tenant"));
        drop(held);
        drop(concurrency.place(&a, Kind::Query).expect("room again"));
        drop(others);
        assert!(concurrency.running.lock().expect("no panic").is_empty());
    }
}
