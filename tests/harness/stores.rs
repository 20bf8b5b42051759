//! What lies behind the hub: the three stores and the queue, looked at by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::raw::RawLine;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::{Seen, World, connect, eventually};

/// A line of raw.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) tenant: String,
    pub(crate) log: Box<RawValue>,
}

/// Ids of a tenant's logs in each store, in order. In raw an id may stand twice, as readers drop doubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InStores {
    pub(crate) rows: Vec<String>,
    pub(crate) documents: Vec<String>,
    pub(crate) raw: Vec<String>,
}

impl InStores {
    /// # Panics
    /// If any store lacks one of these ids, has another, or (raw aside) has one twice.
    #[track_caller]
    pub(crate) fn hold_exactly(&self, ids: &[String]) {
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        assert_eq!(self.rows.len(), wanted.len(), "rows");
        assert!(self.rows == wanted, "rows are not what was sent");
        assert_eq!(self.documents.len(), wanted.len(), "documents");
        assert!(self.documents == wanted, "documents are not what was sent");
        let mut raw = self.raw.clone();
        raw.dedup();
        assert_eq!(raw.len(), wanted.len(), "raw lines");
        assert!(raw == wanted, "raw is not what was sent");
    }
}

impl World {
    /// One statement on the logs database.
    pub(crate) async fn sql(&self, statement: &str) -> Vec<PgRow> {
        let mut connection = self.rows_connection().await;
        sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// One statement on the control database.
    pub(crate) async fn control_sql(&self, statement: &str) -> Vec<PgRow> {
        let mut connection = connect::postgres(&self.env, "LOGGERHUB_CONTROL_DATABASE_URL").await.expect("Postgres answers");
        sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// Whether the control database refuses a statement, as a restriction of ours.
    pub(crate) async fn is_refused(&self, statement: &str) -> bool {
        const RESTRICT_VIOLATION: &str = "23001";
        let mut connection = connect::postgres(&self.env, "LOGGERHUB_CONTROL_DATABASE_URL").await.expect("Postgres answers");
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await;
        done.is_err_and(|error| error.as_database_error().and_then(|said| said.code()).is_some_and(|code| code == RESTRICT_VIOLATION))
    }

    /// A connection to the logs database.
    pub(crate) async fn rows_connection(&self) -> PgConnection {
        connect::postgres(&self.env, "LOGGERHUB_LOGS_DATABASE_URL").await.expect("Postgres answers")
    }

    /// What all three stores hold of a tenant.
    pub(crate) async fn in_stores(&self, tenant: &str) -> InStores {
        let rows = self.sql(&format!("select id::text as id from \"{tenant}\".log_rows order by 1")).await.iter().map(|row| row.get("id")).collect();
        let raw = self.raw_lines().await.into_iter().filter(|(_, line)| line.tenant == tenant).map(|(id, _)| id).collect();
        InStores { rows, documents: self.document_ids(tenant).await, raw }
    }

    /// One call to OpenSearch.
    pub(crate) async fn opensearch(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/{path}", self.setting("LOGGERHUB_OPENSEARCH_URL"));
        self.http.request(method, url).json(body).send().await.expect("OpenSearch answers").json().await.expect("JSON")
    }

    /// The words that the index makes of a text.
    pub(crate) async fn words_of_index(&self, text: &str) -> Vec<String> {
        let prefix = self.setting("LOGGERHUB_INDEX_PREFIX");
        let indices = self.opensearch(reqwest::Method::GET, &format!("{prefix}-*"), &json!({})).await;
        let index = indices.as_object().and_then(|all| all.keys().next()).expect("an index of ours").clone();
        let answer = self.opensearch(reqwest::Method::POST, &format!("{index}/_analyze"), &json!({ "analyzer": "log_text", "text": text })).await;
        answer["tokens"].as_array().expect("words").iter().filter_map(|word| word["token"].as_str().map(str::to_owned)).collect()
    }

    async fn document_ids(&self, tenant: &str) -> Vec<String> {
        let prefix = self.setting("LOGGERHUB_INDEX_PREFIX");
        self.opensearch(reqwest::Method::POST, &format!("{prefix}-*/_refresh"), &json!({})).await;
        // A page holds 10,000 at most (`index.max_result_window`).
        let mut query = json!({ "size": 10_000, "_source": false, "query": { "term": { "tenant": tenant } }, "sort": ["id"] });
        let mut ids: Vec<String> = Vec::new();
        loop {
            let found = self.opensearch(reqwest::Method::POST, &format!("{prefix}-*/_search?allow_no_indices=true"), &query).await;
            let hits = found["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
            ids.extend(hits.iter().filter_map(|hit| hit["_id"].as_str().map(str::to_owned)));
            let Some(last) = hits.last() else { break };
            query["search_after"] = last["sort"].clone();
        }
        ids.sort_unstable();
        ids
    }

    /// Every line of every raw object, by id; doubles side by side.
    pub(crate) async fn raw_lines(&self) -> Vec<(String, Line)> {
        let mut lines = Vec::new();
        for path in self.doors.archive.list("").await.expect("the object store answers") {
            let object = self.doors.archive.whole(&path).await.expect("it was listed");
            let text = zstd::decode_all(object.as_ref()).expect("an object is plain zstd");
            for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let line: RawLine<'_> = serde_json::from_slice(line).expect("a line of raw");
                lines.push((line.id.to_string(), Line { tenant: line.tenant.to_string(), log: line.log.to_owned() }));
            }
        }
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        lines
    }

    /// A connection to Redis.
    pub(crate) async fn redis(&self) -> MultiplexedConnection {
        let client = connect::redis(&self.env).expect("a URL");
        client.get_multiplexed_async_connection().await.expect("Redis answers")
    }

    /// The name of a key in Redis.
    pub(crate) fn redis_key(&self, name: &str) -> String {
        format!("{}{name}", self.setting("LOGGERHUB_REDIS_PREFIX"))
    }

    /// Entries of the queue that nobody has acknowledged.
    pub(crate) async fn queue_length(&self) -> u64 {
        let (main, slow): (u64, u64) =
            redis::pipe().xlen(self.redis_key("{p0}:queue")).xlen(self.redis_key("{p0}:slow")).query_async(&mut self.redis().await).await.expect("Redis answers");
        main + slow
    }

    /// Waits until so many entries are left: a batch is acknowledged a moment after it is stored.
    pub(crate) async fn until_queue_holds(&self, entries: u64, within: Duration) {
        let look = async || -> Result<(), Seen> {
            let left = self.queue_length().await;
            if left == entries { Ok(()) } else { Err(format!("{left} entries")) }
        };
        eventually(within, &format!("the queue holds {entries} entries"), look).await;
    }

    /// Loses the key ring, as a Redis that comes back empty would.
    pub(crate) async fn lose_key_ring(&self) {
        let mut redis = self.redis().await;
        let keys: Vec<String> = redis.keys(self.redis_key("{k*")).await.expect("Redis answers");
        assert!(!keys.is_empty(), "there was a ring");
        let _: u64 = redis.del(keys).await.expect("Redis answers");
    }

    /// Dead letters: how many of each stage and code.
    pub(crate) async fn dead_letters(&self) -> BTreeMap<(String, String), i64> {
        let rows = self.sql("select stage, code, count(*) as letters from public.dead_letters group by 1, 2").await;
        rows.iter().map(|row| ((row.get("stage"), row.get("code")), row.get("letters"))).collect()
    }
}
