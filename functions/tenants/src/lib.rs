//! Tenants: the registry of tenants and their API keys, for operators, and for tenants whose key may manage keys.
//!
//! Postgres holds the truth, and each change is written there first. A change of what a key allows is then published to the key
//! ring in Redis, before the answer: a key that was answered works, and one that was revoked has stopped, 5 s of other processes'
//! caches aside. Where Redis does not take it, the answer is 503, and maintenance publishes what is recorded within a minute.
//!
//! Beside them the dead letters of the logs database: who may read, redrive and discard them is decided as for keys.
//!
//! And where a tenant wants to be told what becomes of it; maintenance sends.
//!
//! And the searches that a tenant's people keep, for whoever may read its logs.
//!
//! And people: they are invited, log in, and may in a tenant what their role there says. A session is in Redis, what its person may do in
//! Postgres; a secret that is mailed is told to the operator's consumers as an event.
//!
//! And what tenants use, what plans ask for it, and their invoices.
//!
//! Each change is recorded with who asked for it: `GET /v1/audit`.
//!
//! Never on the path of a log. No answer holds a hash, nor a key but the one that was just made.

pub mod config;

mod accept_invitation;
mod access;
mod audit_routes;
mod change_key;
mod change_tenant;
mod create_key;
mod create_tenant;
mod credits;
mod delete_tenant;
mod fields;
mod invoice_routes;
mod invoices;
mod key_fields;
mod letter_routes;
mod letters;
mod limit_routes;
mod limits;
mod list_audit;
mod list_keys;
mod list_refused;
mod list_tenants;
mod log_in;
mod me;
mod member_routes;
mod members;
mod paging;
mod passwords;
mod people;
mod people_routes;
mod person_fields;
mod plan_routes;
mod plans;
mod publish;
mod reset_password;
mod restore_tenant;
mod retention;
mod retention_routes;
mod revoke_key;
mod routes;
mod saved_search_routes;
mod saved_searches;
mod usage;
mod usage_routes;
mod user_routes;
mod webhook_routes;
mod webhooks;

use std::time::Duration;

use shared::auth::Authenticator;
use shared::error::Result;
use shared::keys::KeyRing;
use shared::redis_link::RedisLink;
use shared::rows::Rows;
use shared::sessions::Sessions;
use shared::settings::WebhookKeeping;
use shared::tenants::Registry;

pub use people::People;
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
    /// Checks keys, sessions and the operator's token.
    pub auth: Authenticator,
    /// Lets people in.
    pub people: People,
    /// How long a tenant that is deleted can be restored.
    pub grace: Duration,
    /// Where webhooks may lead, and how their secrets lie in the database.
    pub webhooks: WebhookKeeping,
}

impl App {
    /// Opens the doors that tenants needs. Nothing is sent yet.
    ///
    /// # Errors
    /// [`shared::error::Error::Internal`] for a setting that makes no sense.
    pub fn connect(settings: &config::Settings) -> Result<Self> {
        let redis = RedisLink::open(&settings.redis, REDIS_TIMEOUT)?;
        let ring = KeyRing::new(redis.clone());
        let registry = Registry::open(&settings.control)?;
        let sessions = Sessions::new(redis.clone(), &settings.sessions);
        let auth = Authenticator::new(ring.clone(), settings.operator.clone()).or_ask(registry.clone());
        let auth = auth.with_sessions(sessions.clone(), registry.clone(), settings.sessions.clone());
        let people = People::new(redis, sessions, settings.people);
        Ok(Self { registry, rows: Rows::open(&settings.logs)?, ring, auth, people, grace: settings.grace, webhooks: settings.webhooks.clone() })
    }
}

impl axum::extract::FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.auth.clone()
    }
}
