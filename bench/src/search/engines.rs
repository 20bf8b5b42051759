//! The engines asked straight, by the same bodies and statements as ours asks them, and nothing around them.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use shared::archive::Archive;
use shared::aws::Identity;
use shared::ids::{LogId, TenantId};
use shared::query::{Bars, Scope};
use shared::rows::{ListQuery, Position, Rows};
use shared::settings::{ArchiveSettings, Env, OpenSearchSettings, PostgresSettings};
use shared::timestamp::{self, UnixMs};
use sqlx::postgres::PgRow;
use sqlx::types::time::OffsetDateTime;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};

use crate::drive;

/// How long the engines may take to come to rest after all was stored.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
/// Bars of whole hours are counted by hours.
const HOUR_MS: i64 = 3_600_000;
/// The line of a facets statement that counts all logs says that it is of this field.
const ALL_LOGS: i32 = 3;

/// One request to an engine.
#[derive(Debug)]
pub(crate) enum Straight {
    /// To OpenSearch: which indices, and the body.
    Index(String, Value),
    /// A page of rows, of this many and one more, after this one.
    List { scope: Scope, after: Option<Position>, limit: usize },
    /// Rows counted in bars.
    Bars(Scope, Bars),
    /// Values of fields of rows, so many of each.
    Facets(Scope, usize),
    /// A row, then so many on each of its sides.
    Around { id: LogId, scope: Scope, lines: usize },
    /// Bytes of an object: its path, the first of them and how many.
    Range(String, u64, u64),
}

/// Plain clients, each with connections of its own.
pub(crate) struct Engines {
    pub(super) tenant: TenantId,
    http: reqwest::Client,
    /// OpenSearch, up to the prefix of index names.
    indices: String,
    rows: PgConnection,
    /// For the other side of a context.
    other_rows: PgConnection,
    archive: Archive,
}

impl Engines {
    pub(super) async fn open(env: &Env, tenant: TenantId) -> anyhow::Result<Self> {
        let (opensearch, postgres) = (OpenSearchSettings::from_env(env)?, PostgresSettings::logs_from_env(env)?);
        Ok(Self {
            tenant,
            http: drive::client()?,
            indices: format!("{}/{}", opensearch.url.reveal().trim_end_matches('/'), opensearch.prefix),
            rows: PgConnection::connect(postgres.url.reveal()).await?,
            other_rows: PgConnection::connect(postgres.url.reveal()).await?,
            archive: Archive::open(&ArchiveSettings::from_env(env)?, &Identity::of_environment())?,
        })
    }

    /// How many logs an engine found, if it looked at all of them, and how long its answer took to come in whole.
    pub(super) async fn ask(&mut self, question: &Straight) -> anyhow::Result<(Option<u64>, Duration)> {
        let (found, took) = match question {
            Straight::Index(indices, body) => return self.index(indices, body).await,
            Straight::List { scope, after, limit } => {
                let (rows, took) = self.list(scope, *after, *limit).await?;
                (rows.len().min(*limit) as u64, took)
            }
            Straight::Bars(scope, bars) => {
                let mut statement = Rows::histogram_statement(&self.tenant, scope, bars, bars.interval_ms % HOUR_MS == 0);
                let began = Instant::now();
                let rows = statement.build().fetch_all(&mut self.rows).await?;
                let took = began.elapsed();
                (rows.iter().map(|row| row.get::<i64, _>("logs").unsigned_abs()).sum(), took)
            }
            Straight::Facets(scope, limit) => {
                let mut statement = Rows::facets_statement(&self.tenant, scope, *limit, true);
                let began = Instant::now();
                let rows = statement.build().fetch_all(&mut self.rows).await?;
                let took = began.elapsed();
                let of_all = rows.iter().find(|row| row.get::<i32, _>("field") == ALL_LOGS);
                (of_all.map_or(0, |row| row.get::<i64, _>("logs").unsigned_abs()), took)
            }
            Straight::Around { id, scope, lines } => self.around(*id, scope, *lines).await?,
            Straight::Range(path, offset, length) => {
                let began = Instant::now();
                let bytes = self.archive.range(path, *offset, *length).await?;
                (u64::from(bytes.len() as u64 == *length), began.elapsed())
            }
        };
        Ok((Some(found), took))
    }

    async fn index(&self, indices: &str, body: &Value) -> anyhow::Result<(Option<u64>, Duration)> {
        // With the parameters that ours sends.
        let url = format!("{}{indices}/_search?routing={}&ignore_unavailable=true&allow_no_indices=true", self.indices, self.tenant);
        let request = self.http.post(url).header("content-type", "application/json").body(body.to_string());
        let began = Instant::now();
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        let took = began.elapsed();
        let answer: Value = serde_json::from_slice(&answer)?;
        let size = body["size"].as_u64().unwrap_or_default();
        let bars = answer["aggregations"]["bars"]["buckets"].as_array();
        let found = match bars {
            Some(bars) => bars.iter().filter_map(|bar| bar["doc_count"].as_u64()).sum(),
            None if size == 0 => answer["hits"]["total"]["value"].as_u64().unwrap_or_default(),
            // One hit more than the page holds says that there is a next page.
            None => (answer["hits"]["hits"].as_array().map_or(0, Vec::len) as u64).min(size.max(2) - 1),
        };
        Ok(((answer["timed_out"] == false).then_some(found), took))
    }

    async fn list(&mut self, scope: &Scope, after: Option<Position>, limit: usize) -> anyhow::Result<(Vec<PgRow>, Duration)> {
        let mut statement = ListQuery { scope, ascending: false, after, limit: limit + 1 }.statement(&self.tenant);
        let began = Instant::now();
        let rows = statement.build().fetch_all(&mut self.rows).await?;
        Ok((rows, began.elapsed()))
    }

    async fn around(&mut self, id: LogId, scope: &Scope, lines: usize) -> anyhow::Result<(u64, Duration)> {
        let began = Instant::now();
        let row = self.row(id).await?;
        let after = Some(Position { timestamp: timestamp::from_datetime(row.get::<OffsetDateTime, _>("timestamp")), id: id.uuid() });
        let side = |ascending| ListQuery { scope, ascending, after, limit: lines + 1 }.statement(&self.tenant);
        let (mut before, mut later) = (side(false), side(true));
        let (before, later) = tokio::try_join!(before.build().fetch_all(&mut self.rows), later.build().fetch_all(&mut self.other_rows))?;
        let took = began.elapsed();
        Ok(((before.len().min(lines) + later.len().min(lines)) as u64 + 1, took))
    }

    /// The row of a log.
    pub(super) async fn row(&mut self, id: LogId) -> anyhow::Result<PgRow> {
        Ok(sqlx::query(Rows::by_ids_statement(&self.tenant)).bind(vec![id.uuid()]).fetch_one(&mut self.rows).await?)
    }

    /// The last log before a moment.
    pub(super) async fn log_before(&mut self, moment: UnixMs) -> anyhow::Result<LogId> {
        let statement = format!(r#"select id from "{}".log_rows where "timestamp" < $1 order by "timestamp" desc limit 1"#, self.tenant);
        let id: sqlx::types::Uuid = sqlx::query_scalar(AssertSqlSafe(statement)).bind(timestamp::to_datetime(moment)).fetch_one(&mut self.rows).await?;
        Ok(LogId::try_from(id)?)
    }

    /// The time of the latest log.
    pub(super) async fn latest(&mut self) -> anyhow::Result<UnixMs> {
        let statement = format!(r#"select max("timestamp") from "{}".log_rows"#, self.tenant);
        let latest: Option<OffsetDateTime> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut self.rows).await?;
        latest.map(timestamp::from_datetime).context("nothing is stored yet")
    }

    pub(super) async fn rows(&mut self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(AssertSqlSafe(format!(r#"select count(*) from "{}".log_rows"#, self.tenant))).fetch_one(&mut self.rows).await?)
    }

    /// Bytes on disk for each row, indexes and all.
    pub(super) async fn bytes_of_a_row(&mut self) -> anyhow::Result<f64> {
        let statement = format!(
            r#"select (select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = '"{0}".log_rows'::regclass)::float8 / count(*) from "{0}".log_rows"#,
            self.tenant
        );
        Ok(sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut self.rows).await?)
    }

    pub(super) async fn documents(&self) -> anyhow::Result<u64> {
        let answer: Value = self.http.get(format!("{}-*/_count", self.indices)).send().await?.error_for_status()?.json().await?;
        answer["count"].as_u64().context("no count")
    }

    /// Waits until everything can be found and nothing is being tidied up: what else autovacuum and merges would do while it is measured.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        for table in [format!("\"{}\".log_rows", self.tenant), format!("\"{}\".objects", self.tenant), "public.receipts".to_owned()] {
            sqlx::raw_sql(AssertSqlSafe(format!("vacuum (analyze) {table}"))).execute(&mut self.rows).await?;
        }
        self.http.post(format!("{}-*/_refresh", self.indices)).send().await?.error_for_status()?;
        let began = Instant::now();
        loop {
            let stats: Value = self.http.get(format!("{}-*/_stats/merge", self.indices)).send().await?.error_for_status()?.json().await?;
            match stats["_all"]["total"]["merges"]["current"].as_u64() {
                Some(0) => return Ok(()),
                _ if began.elapsed() > SETTLED_WITHIN => bail!("OpenSearch still merges after {} s", SETTLED_WITHIN.as_secs()),
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }
}

/// The time now.
pub(super) fn now_ms() -> anyhow::Result<UnixMs> {
    Ok(i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?)
}
