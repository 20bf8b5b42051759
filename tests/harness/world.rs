//! A world: a migrated pair of databases, a running hub, and the means to speak with it and to look behind it.

use std::sync::Mutex;
use std::time::Duration;

use loggerhub::{Doors, Hub, Settings};
use serde_json::json;
use shared::settings::Env;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::net::TcpListener;

use super::Caller;
use super::name::Name;

/// How long an HTTP answer may take: nothing here takes nearly as long.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);

/// What a story lives in.
pub(crate) struct World {
    pub(super) env: Env,
    pub(super) http: reqwest::Client,
    name: Name,
    url: String,
    /// The doors of the world's hub, also once that has stopped.
    pub(crate) doors: Doors,
    hub: Mutex<Option<Running>>,
}

/// A hub that runs.
pub(crate) struct Running {
    hub: Hub,
}

impl Running {
    /// Starts a hub on a free port.
    async fn start(env: &Env) -> Self {
        let settings = Settings::from_env(env).expect("settings");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { hub: Hub::start(&settings, listener).await.expect("a hub") }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.hub.address())
    }

    pub(crate) fn doors(&self) -> &Doors {
        self.hub.doors()
    }

    /// Stops it as SIGTERM would.
    pub(crate) async fn stop(self) {
        self.hub.stop().await;
    }
}

impl World {
    /// Makes the world, with `changed` settings for its hub.
    pub(super) async fn make(engines: &Env, name: &Name, changed: &[(&str, &str)]) -> Self {
        futures::future::join_all(name.databases().map(|(setting, database)| create_database(engines, setting, database))).await;
        let env = name.settings(engines);
        loggerhub::migrate(&Settings::from_env(&env).expect("settings")).await.expect("fresh databases can be migrated");
        let hub = Running::start(&with(&env, changed)).await;
        let http = reqwest::Client::builder().no_proxy().timeout(HTTP_TIMEOUT).build().expect("an HTTP client");
        Self { env, http, name: name.clone(), url: hub.url(), doors: hub.doors().clone(), hub: Mutex::new(Some(hub)) }
    }

    /// Starts one more hub on the same names, with `changed` settings.
    pub(crate) async fn another_hub(&self, changed: &[(&str, &str)]) -> Running {
        Running::start(&with(&self.env, changed)).await
    }

    /// Stops the world's first hub, as SIGTERM would.
    pub(crate) async fn stop_hub(&self) {
        let hub = self.hub.lock().expect("no panic while held").take();
        hub.expect("it was not stopped before").stop().await;
    }

    /// A setting of the world.
    pub(crate) fn setting(&self, name: &'static str) -> String {
        self.env.text(name).expect("it is set")
    }

    pub(crate) fn operator_token(&self) -> String {
        self.name.operator_token()
    }

    /// Somebody without any credential.
    pub(crate) fn anyone(&self) -> Caller {
        Caller::anyone(self.http.clone(), &self.url)
    }

    pub(crate) fn operator(&self) -> Caller {
        self.anyone().bearing(&self.operator_token())
    }

    /// Makes a tenant with a key that sends and reads.
    pub(crate) async fn tenant(&self, id: &str) -> Caller {
        self.operator().post("/v1/tenants", &json!({ "id": id, "name": format!("Tenant {id}") })).await.ok(201);
        self.key_of(id, &["logs:write", "logs:read"]).await
    }

    /// Makes a key of a tenant with these scopes.
    pub(crate) async fn key_of(&self, tenant: &str, scopes: &[&str]) -> Caller {
        self.anyone().of(tenant).key_made_by(&self.operator(), &json!({ "name": "a story's", "scopes": scopes })).await
    }
}

async fn create_database(engines: &Env, setting: &'static str, database: String) {
    let mut server = PgConnection::connect(&engines.text(setting).expect("checked at start")).await.expect("Postgres answers");
    sqlx::query(AssertSqlSafe(format!("create database {database}"))).execute(&mut server).await.expect("the role may create databases");
}

fn with(env: &Env, changed: &[(&str, &str)]) -> Env {
    changed.iter().fold(env.clone(), |env, (name, value)| env.with(name, *value))
}
