//! The way of a request's bytes without the engines, for the fuzz targets of `fuzz/`. Built with `--cfg fuzzing` only.

use axum::body::Body;
use axum::http::HeaderMap;
use shared::error::{Fault, Result};
use shared::grant::{Allowed, DEFAULT_CLASS, Grant, Scope};
use shared::ids::TenantId;
use shared::limits::Limits;
use shared::queue::Payload;
use shared::retention::Retention;
use uuid::Uuid;

use crate::accept::{self, IdempotencyKey};
use crate::{Budget, body};

/// What came of a body.
#[derive(Debug)]
pub struct Taken {
    /// Records that would be pushed.
    pub accepted: u32,
    /// Records that would not.
    pub rejected: Vec<Fault>,
    /// The accepted ones, as they would lie in the queue.
    pub payload: Payload,
}

/// Reads a request as the route does, up to the push.
///
/// # Errors
/// What the client would be told.
pub async fn take(budget: &Budget, headers: &HeaderMap, wire: &[u8], tenant: &TenantId) -> Result<Taken> {
    let key = IdempotencyKey::read(headers)?;
    let received = body::receive(budget, headers, Body::from(wire.to_vec())).await?;
    let checked = accept::check(received, &grant(tenant), key.is_some()).map_err(|refused| refused.error)?;
    Ok(Taken { accepted: checked.accepted, rejected: checked.rejected, payload: checked.payload })
}

fn grant(tenant: &TenantId) -> Grant {
    Grant {
        version: 1,
        key_id: Uuid::nil(),
        tenant: tenant.clone(),
        scopes: vec![Scope::LogsWrite],
        class: DEFAULT_CLASS.to_owned(),
        revoked: false,
        suspended: false,
        expires_at: None,
        limits: Limits::default(),
        allowed: Allowed::default(),
        retention: Retention::default(),
    }
}
