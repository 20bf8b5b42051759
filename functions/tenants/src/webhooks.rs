//! Webhooks: whose a caller may touch, what is sent of one, and how answers show them.

mod access;
mod body;
mod list;

pub(crate) use access::{DeliveryInPath, WebhookAdmin, WebhookInPath};
pub(crate) use body::{CreatedWebhook, RotatedSecret, WebhookPatch, WebhookRequest, change, new};
pub(crate) use list::{DeliveryPage, DeliveryQuery, WebhookList, deliveries, webhooks};

use serde::Serialize;

/// How many deliveries are tried again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Redriven {
    /// Deliveries that were dead.
    pub(crate) requested: u64,
}
