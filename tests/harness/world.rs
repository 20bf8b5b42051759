//! A world: a migrated pair of databases, a running hub, and the means to speak with it and to look behind it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loggerhub::{Doors, Hub, Settings};
use serde_json::json;
use shared::settings::Env;
use sqlx::AssertSqlSafe;
use tokio::net::TcpListener;

use super::name::Name;
use super::{Caller, connect};

/// How long an HTTP answer may take: nothing here takes nearly as long.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a world's hubs may take to end: some have no engine left to end their work with.
const HUBS_END_WITHIN: Duration = Duration::from_secs(10);

/// What a story lives in.
pub(crate) struct World {
    pub(super) env: Env,
    pub(super) http: reqwest::Client,
    name: Name,
    url: String,
    /// Doors of the world's own, which no hub closes.
    pub(crate) doors: Doors,
    /// Every hub of the world, the first one first.
    hubs: Mutex<Vec<Running>>,
}

/// A hub that runs, until it is stopped or its world ends.
#[derive(Clone)]
pub(crate) struct Running {
    url: String,
    hub: Arc<Mutex<Option<Hub>>>,
}

impl Running {
    /// Starts a hub on a free port.
    async fn start(env: &Env) -> Self {
        let settings = Settings::from_env(env).expect("settings");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let hub = Hub::start(&settings, listener).await.expect("a hub");
        Self { url: format!("http://{}", hub.address()), hub: Arc::new(Mutex::new(Some(hub))) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops it as SIGTERM would. One that was stopped before is left alone.
    pub(crate) async fn stop(&self) {
        let hub = self.hub.lock().expect("no panic while held").take();
        if let Some(hub) = hub {
            hub.stop().await;
        }
    }
}

impl World {
    /// Makes the world, with `changed` settings for its hub.
    pub(super) async fn make(engines: &Env, name: &Name, changed: &[(&str, &str)]) -> Self {
        futures::future::join_all(name.databases().map(|(setting, database)| create_database(engines, setting, database))).await;
        let env = name.settings(engines);
        loggerhub::migrate(&Settings::from_env(&env).expect("settings")).await.expect("fresh databases can be migrated");
        let doors = Doors::open(&Settings::from_env(&env).expect("settings")).expect("settings that make sense");
        // As on every day but the first: the indices are there before the hub is. One that is being made does not answer searches yet.
        maintenance::keep_partitions(&doors.maintenance()).await.expect("the engines answer");
        let hub = Running::start(&with(&env, changed)).await;
        let http = http_client();
        Self { env, http, name: name.clone(), url: hub.url.clone(), doors, hubs: Mutex::new(vec![hub]) }
    }

    /// Starts one more hub on the same names, with `changed` settings.
    pub(crate) async fn another_hub(&self, changed: &[(&str, &str)]) -> Running {
        let hub = Running::start(&with(&self.env, changed)).await;
        self.hubs.lock().expect("no panic while held").push(hub.clone());
        hub
    }

    /// Doors with `changed` settings.
    pub(crate) fn doors_with(&self, changed: &[(&str, &str)]) -> Doors {
        Doors::open(&Settings::from_env(&with(&self.env, changed)).expect("settings")).expect("settings that make sense")
    }

    /// What a hub says that does not start with these settings.
    pub(crate) async fn refused_start(&self, changed: &[(&str, &str)]) -> String {
        let settings = Settings::from_env(&with(&self.env, changed)).expect("settings");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let error = Hub::start(&settings, listener).await.expect_err("a hub that should not start");
        shared::error::chain(&error)
    }

    /// Stops the world's first hub, as SIGTERM would.
    pub(crate) async fn stop_hub(&self) {
        let first = self.hubs.lock().expect("no panic while held")[0].clone();
        first.stop().await;
    }

    /// Stops all hubs that still run, so that nobody writes behind the broom; what does not end in time is ended with its runtime.
    pub(super) async fn end(&self) {
        let hubs = self.hubs.lock().expect("no panic while held").clone();
        let _ = tokio::time::timeout(HUBS_END_WITHIN, futures::future::join_all(hubs.iter().map(Running::stop))).await;
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
    let mut server = connect::postgres(engines, setting).await.expect("Postgres answers");
    sqlx::query(AssertSqlSafe(format!("create database {database}"))).execute(&mut server).await.expect("the role may create databases");
}

fn with(env: &Env, changed: &[(&str, &str)]) -> Env {
    changed.iter().fold(env.clone(), |env, (name, value)| env.with(name, *value))
}

/// A client with connections of its own.
pub(super) fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(HTTP_TIMEOUT).build().expect("an HTTP client")
}
