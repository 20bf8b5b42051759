//! Whose webhooks a request may manage: those of the tenant in the path, for the operator, or for who holds `tenant:admin` there.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared::auth::Administer;
use shared::error::{Error, Result};
use uuid::Uuid;

use crate::access::{Steward, id_in_path};

/// Whoever may manage the webhooks of the tenant in the path.
pub(crate) type WebhookAdmin = Steward<Administer>;

/// The webhook that the path names. What is no id is a 404, as what is not there.
#[derive(Debug)]
pub(crate) struct WebhookInPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for WebhookInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "webhook_id", "webhook").await.map(Self)
    }
}

/// The delivery that the path names.
#[derive(Debug)]
pub(crate) struct DeliveryInPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for DeliveryInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "delivery_id", "delivery").await.map(Self)
    }
}
