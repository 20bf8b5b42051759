//! Tenants: the registry of tenants and their API keys, for operators, and for tenants whose key may manage keys.
//!
//! Postgres holds the truth, and each change is written there first. A change of what a key allows is then published to the key
//! ring in Redis, before the answer: a key that was answered works, and one that was revoked has stopped, 5 s of other processes'
//! caches aside. Where Redis does not take it, the answer is 503, and maintenance publishes what is recorded within a minute.
//!
//! Beside them the dead letters of the logs database: who may read, redrive and discard them is decided as for keys.
//!
//! And the searches that a tenant's people keep, for whoever may read its logs.
//!
//! And what tenants use, what plans ask for it, and their invoices.
//!
//! Each change is recorded with who asked for it: `GET /v1/audit`.
//!
//! Never on the path of a log. No answer holds a hash, nor a key but the one that was just made.

pub mod config;

mod access;
mod audit_routes;
mod change_tenant;
mod client_address;
mod create_key;
mod create_tenant;
mod credits;
mod delete_tenant;
mod fields;
mod invoice_routes;
mod invoices;
mod letter_routes;
mod letters;
mod list_audit;
mod list_keys;
mod list_tenants;
mod paging;
mod plan_routes;
mod plans;
mod publish;
mod restore_tenant;
mod revoke_key;
mod routes;
mod saved_search_routes;
mod saved_searches;
mod usage;
mod usage_routes;

use std::time::Duration;

use shared::auth::Authenticator;
use shared::error::Result;
use shared::keys::KeyRing;
use shared::redis_link::RedisLink;
use shared::rows::Rows;
use shared::tenants::Registry;

pub use client_address::note_address;
pub use routes::{openapi, router};

/// How long Redis may take: nobody's log waits for it here, but a person does.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// What tenants needs.
#[derive(Clone)]
pub struct App {
    /// Tenants and keys.
    pub registry: Registry,
    /// Where each tenant has a schema, and where dead letters are.
    pub rows: Rows,
    /// Where keys are looked up.
    pub ring: KeyRing,
    /// Checks keys and the operator's token.
    pub auth: Authenticator,
    /// How long a tenant that is deleted can be restored.
    pub grace: Duration,
}

impl App {
    /// Opens the doors that tenants needs. Nothing is sent yet.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub fn connect(settings: &config::Settings) -> Result<Self> {
        let ring = KeyRing::new(RedisLink::open(&settings.redis, REDIS_TIMEOUT)?);
        let registry = Registry::open(&settings.control)?;
        let auth = Authenticator::new(ring.clone(), settings.operator.clone()).or_ask(registry.clone());
        Ok(Self { registry, rows: Rows::open(&settings.logs)?, ring, auth, grace: settings.grace })
    }
}

impl axum::extract::FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.auth.clone()
    }
}
