//! A hub of its own for a test: databases, key prefix, index prefix and object prefix that nobody else uses, gone after it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use maintenance::App;
use maintenance::config::Settings;
use reqwest::Method;
use shared::grant::DEFAULT_CLASS;
use shared::ids::{BatchId, TenantId};
use shared::limits::Limits;
use shared::queue::{Header, NewBatch, Payload, Queue};
use shared::raw::RawObject;
use shared::record::Level;
use shared::redis_link::RedisLink;
use shared::rows::{IndexState, NewRow, Receipt, StoreBatch};
use shared::settings::{Env, QueueSettings};
use shared::tenants::By;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use time::OffsetDateTime;
use uuid::Uuid;

/// The hub of one test.
pub(crate) struct Fresh {
    /// What the steps take.
    pub(crate) app: App,
    env: Env,
    name: String,
    /// A database that every server has, to make others from.
    server: PgPool,
    logs: PgPool,
}

/// Runs a test on a fresh hub, and removes that after, whatever came of it.
pub(crate) async fn fresh(test: impl AsyncFnOnce(&Fresh)) {
    let hub = Fresh::make().await;
    let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(test(&hub))).await;
    hub.remove().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Fresh {
    async fn make() -> Self {
        let name = format!("lh_steps_{}", Uuid::new_v4().simple());
        let env = Env::from_process();
        let options: PgConnectOptions = env.text("LOGGERHUB_LOGS_DATABASE_URL").expect("scripts/engines env").parse().expect("a URL");
        let server = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone().database("postgres"));
        let mut env = env.with("LOGGERHUB_REDIS_PREFIX", format!("{name}:")).with("LOGGERHUB_INDEX_PREFIX", name.replace('_', "-")).with("LOGGERHUB_S3_PREFIX", format!("{name}/"));
        for (variable, kind) in [("LOGGERHUB_CONTROL_DATABASE_URL", "control"), ("LOGGERHUB_LOGS_DATABASE_URL", "logs")] {
            sqlx::query(AssertSqlSafe(format!("create database {name}_{kind}"))).execute(&server).await.expect("a database");
            let url = env.text(variable).expect("scripts/engines env");
            let (head, _) = url.rsplit_once('/').expect("a database in the URL");
            env = env.with(variable, format!("{head}/{name}_{kind}"));
        }
        let app = App::connect(&Settings::from_env(&env).expect("settings")).await.expect("settings that make sense");
        app.registry.migrate().await.expect("it migrates");
        app.rows.migrate(|_, _| {}).await.expect("it migrates");
        let logs = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.database(&format!("{name}_logs")));
        Self { app, env, name, server, logs }
    }

    async fn remove(self) {
        self.wipe_redis().await;
        self.app.registry.close().await;
        self.app.rows.close().await;
        self.logs.close().await;
        for kind in ["control", "logs"] {
            self.drop_database(&format!("{}_{kind}", self.name)).await;
        }
        for path in self.app.archive.list("").await.expect("the store answers") {
            self.app.archive.delete(&path).await.expect("the store answers");
        }
        let prefix = self.name.replace('_', "-");
        let names = self.opensearch(Method::GET, &format!("_cat/indices/{prefix}-*?h=index")).await;
        for index in names.lines() {
            self.opensearch(Method::DELETE, index.trim()).await;
        }
        self.opensearch(Method::DELETE, &format!("_index_template/{prefix}")).await;
    }

    /// An autovacuum in the database belongs to the server's own role, which only a superuser may end or even see at work: it is soon over.
    async fn drop_database(&self, name: &str) {
        const INSUFFICIENT_PRIVILEGE: &str = "42501";
        const TRIES: u32 = 20;
        const PAUSE: Duration = Duration::from_millis(500);
        for tries_left in (0..TRIES).rev() {
            match sqlx::query(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&self.server).await {
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) && tries_left > 0 => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => {
                    outcome.expect("the database was ours");
                    return;
                }
            }
        }
    }

    /// The same hub with an OpenSearch that is not there.
    pub(crate) async fn without_opensearch(&self) -> App {
        let env = self.env.clone().with("LOGGERHUB_OPENSEARCH_URL", "http://127.0.0.1:1");
        App::connect(&Settings::from_env(&env).expect("settings")).await.expect("settings that make sense")
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.app.queue.now_ms()
    }

    /// The same hub with an object store that is not there.
    pub(crate) async fn without_object_store(&self) -> App {
        let env = self.env.clone().with("LOGGERHUB_S3_ENDPOINT", "http://127.0.0.1:1");
        App::connect(&Settings::from_env(&env).expect("settings")).await.expect("settings that make sense")
    }

    /// A tenant that works.
    pub(crate) async fn tenant(&self, id: &str) -> TenantId {
        let id = TenantId::parse(id).expect("an id");
        self.app.registry.register(&id, "a tenant", &By::SYSTEM).await.expect("Postgres answers");
        self.app.rows.ensure_schema(&id).await.expect("Postgres answers");
        self.app.registry.activate(&id, &By::SYSTEM).await.expect("Postgres answers");
        id
    }

    /// A batch that is stored, and that the index missed.
    pub(crate) async fn missed(&self, tenant: &TenantId, logs: u16) -> BatchId {
        self.missed_at(tenant, logs, self.now_ms()).await
    }

    pub(crate) async fn missed_at(&self, tenant: &TenantId, logs: u16, unix_ms: u64) -> BatchId {
        let batch = BatchId::new(unix_ms);
        let mut object = RawObject::default();
        object.begin(tenant);
        for n in 0..logs {
            let record =
                format!(r#"{{"message":"log {n} of {batch}","service":"steps","level":"ERROR","full_log":"{}","user":{{"id":{n}}}}}"#, "some words of a trace; ".repeat(16));
            object.line(batch.log(n), DEFAULT_CLASS, true, record.as_bytes()).expect("zstd works");
        }
        object.end().expect("zstd works");
        let object = object.finish().expect("small");
        let path = self.app.archive.fresh_path(DEFAULT_CLASS, OffsetDateTime::now_utc(), Some(tenant));
        self.app.archive.put(&path, Bytes::from(object.bytes)).await.expect("the store answers");
        let row = |(n, (raw_offset, raw_length)): (u16, &(i32, i32))| NewRow {
            id: batch.log(n),
            timestamp: i64::try_from(unix_ms).expect("a time"),
            raw_path: path.as_str().into(),
            raw_offset: *raw_offset,
            raw_length: *raw_length,
            level: Level::Error,
            index_state: IndexState::Pending,
            service: "steps".to_owned(),
            language: None,
            message: format!("log {n}"),
            bytes: 500,
        };
        let receipt = Receipt { accepted: logs.into(), unpacked_bytes: i64::from(logs) * 500, stored: logs.into(), pending: logs.into(), ..self.receipt(tenant, batch) };
        let batch_to_store = StoreBatch { receipt, rows: (0..logs).zip(&object.places).map(row).collect(), dead: Vec::new() };
        self.app.rows.store(&[&batch_to_store]).await.expect("Postgres answers");
        batch
    }

    /// The receipt of a batch that holds nothing yet.
    pub(crate) fn receipt(&self, tenant: &TenantId, batch: BatchId) -> Receipt {
        Receipt {
            batch,
            tenant: tenant.clone(),
            key_id: Uuid::nil(),
            class: DEFAULT_CLASS.to_owned(),
            accepted: 0,
            rejected: Vec::new(),
            wire_bytes: 1,
            unpacked_bytes: 1,
            stored: 0,
            dead: 0,
            indexed: 0,
            pending: 0,
            refused: 0,
            not_wanted: 0,
            relaxed: false,
            stored_at: OffsetDateTime::now_utc(),
        }
    }

    /// The raw object of a batch.
    pub(crate) async fn path_of(&self, tenant: &TenantId, batch: BatchId) -> String {
        self.app.rows.by_id(tenant, batch.log(0)).await.expect("Postgres answers").expect("it is stored").raw_path
    }

    /// Documents of a tenant that can be found.
    pub(crate) async fn documents(&self, tenant: &TenantId) -> u64 {
        let prefix = self.name.replace('_', "-");
        self.opensearch(Method::POST, &format!("{prefix}-*/_refresh")).await;
        let answer = self.opensearch(Method::GET, &format!("{prefix}-*/_count?q=tenant:{tenant}&routing={tenant}")).await;
        serde_json::from_str::<serde_json::Value>(&answer).expect("JSON")["count"].as_u64().expect("a number")
    }

    /// Rows of a tenant.
    pub(crate) async fn rows(&self, tenant: &TenantId) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {tenant}.log_rows"))).fetch_one(&self.logs).await.expect("Postgres answers")
    }

    pub(crate) async fn opensearch(&self, method: Method, path: &str) -> String {
        let url = format!("{}/{path}", self.env.text("LOGGERHUB_OPENSEARCH_URL").expect("scripts/engines env"));
        let answer = reqwest::Client::new().request(method, url).send().await.expect("OpenSearch answers");
        answer.text().await.expect("OpenSearch answers")
    }

    pub(crate) async fn logs_sql(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.logs).await.expect("it is SQL");
    }

    async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.env.text("LOGGERHUB_REDIS_URL").expect("scripts/engines env")).expect("a URL");
        client.get_multiplexed_async_connection().await.expect("Redis answers")
    }

    /// All that this hub has in Redis is lost.
    pub(crate) async fn wipe_redis(&self) {
        let mut redis = self.redis().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}:*", self.name)).query_async(&mut redis).await.expect("Redis answers");
        for key in keys {
            redis::cmd("DEL").arg(key).query_async::<()>(&mut redis).await.expect("Redis answers");
        }
    }

    /// Names of the consumers that the main lane knows.
    pub(crate) async fn consumers(&self) -> Vec<String> {
        let mut ask = redis::cmd("XINFO");
        ask.arg("CONSUMERS").arg(format!("{}:{{p0}}:queue", self.name)).arg("processor");
        let consumers: Vec<std::collections::HashMap<String, redis::Value>> = ask.query_async(&mut self.redis().await).await.expect("Redis answers");
        consumers.iter().map(|consumer| redis::from_redis_value_ref(&consumer["name"]).expect("a name")).collect()
    }

    /// A batch that waits.
    pub(crate) async fn queue_something(&self, tenant: &TenantId) {
        let redis = Settings::from_env(&self.env).expect("settings").redis;
        let settings = QueueSettings::from_env(&self.env).expect("settings");
        let queue = Queue::new(RedisLink::open(&redis, std::time::Duration::from_secs(5)).expect("a URL"), &settings);
        let payload = Payload::pack(b"{}\n".to_vec()).expect("zstd works");
        let header = Header {
            v: Header::VERSION,
            tenant: tenant.clone(),
            key_id: Uuid::nil(),
            batch: BatchId::new(self.now_ms()),
            class: DEFAULT_CLASS.to_owned(),
            index: true,
            wire_bytes: 3,
            unpacked_bytes: 3,
            accepted: 1,
            rejected: Vec::new(),
            zstd: payload.is_compressed(),
            relaxed: false,
        };
        let (limits, services) = (Limits::default(), BTreeMap::new());
        let batch = NewBatch { header: &header, payload: &payload, idempotency: None, limits: &limits, services: &services, deadline_ms: u64::MAX / 2 };
        queue.push(&batch).await.expect("Redis answers");
    }
}
