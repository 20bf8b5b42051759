//! The way of a request's bytes without the engines, for the fuzz targets of `fuzz/`. Built with `--cfg fuzzing` only.

use axum::body::Body;
use axum::http::HeaderMap;
use shared::error::{Fault, Result};
use shared::ids::TenantId;
use shared::queue::Payload;

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
    let checked = accept::check(received, tenant, key.is_some())?;
    Ok(Taken { accepted: checked.accepted, rejected: checked.rejected, payload: checked.payload })
}
