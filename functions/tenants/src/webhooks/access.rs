//! Whose webhooks a request may manage: those of the tenant in the path, for the operator, or for a key of that tenant with `tenant:admin`.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use shared::auth::{Administer, Authenticator, Caller, Operator};
use shared::error::{Error, Result};
use shared::http::Origin;
use shared::ids::TenantId;
use shared::tenants::{Actor, By};
use uuid::Uuid;

use crate::access::{TenantInPath, in_path};

/// Whoever may manage the webhooks of the tenant in the path.
#[derive(Debug)]
pub(crate) struct WebhookAdmin {
    /// The tenant in the path: the caller's own, where the caller is not the operator.
    pub(crate) tenant: TenantId,
    actor: Actor,
}

impl WebhookAdmin {
    /// Who this is, for what is recorded of changes.
    pub(crate) fn by(&self, origin: Origin) -> By {
        By::new(self.actor, origin)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebhookAdmin
where
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if Operator::from_request_parts(parts, state).await.is_ok() {
            let TenantInPath(tenant) = TenantInPath::from_request_parts(parts, state).await?;
            return Ok(Self { tenant, actor: Actor::Operator });
        }
        let caller = Caller::<Administer>::from_request_parts(parts, state).await?;
        let TenantInPath(named) = TenantInPath::from_request_parts(parts, state).await?;
        if named == caller.tenant { Ok(Self { tenant: caller.tenant, actor: Actor::Key(caller.grant.key_id) }) } else { Err(Error::NotFound("tenant")) }
    }
}

/// The webhook that the path names. What is no id is a 404, as what is not there.
#[derive(Debug)]
pub(crate) struct WebhookInPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for WebhookInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let id = in_path(parts, state, "webhook_id").await.and_then(|id| Uuid::parse_str(&id).ok());
        id.map(Self).ok_or(Error::NotFound("webhook"))
    }
}

/// The delivery that the path names.
#[derive(Debug)]
pub(crate) struct DeliveryInPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for DeliveryInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let id = in_path(parts, state, "delivery_id").await.and_then(|id| Uuid::parse_str(&id).ok());
        id.map(Self).ok_or(Error::NotFound("delivery"))
    }
}
