//! Making, bringing forward and dropping schemas.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Rows, hourly, on, refusals};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::postgres::failed;

/// What each version of a tenant's schema adds: numbered from 1, forward only.
const TENANT_MIGRATIONS: &[&str] = &[include_str!("../../migrations/tenant/0001_log_rows.sql"), include_str!("../../migrations/tenant/0002_rare_rows.sql")];

static LOGS_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/logs");

/// Schemas that are brought forward at the same time: more keep a small Postgres from its other work.
const MIGRATED_AT_ONCE: usize = 8;
/// How long a migration waits for a lock on a tenant's tables: whoever holds it longer must not keep the other tenants behind.
const LOCKED_FOR: &str = "set local lock_timeout = '30s'";

/// What is known of a tenant's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Nothing: it has not been made yet.
    Unknown,
    /// It is there.
    Present,
    /// Its tenant is gone, and so is it.
    Dropped,
}

/// What became of the tenants' schemas.
#[derive(Debug)]
pub struct Migrated {
    /// The version that they are to have.
    pub version: i32,
    /// Schemas that were behind, and have it now.
    pub brought: usize,
    /// Those that could not be brought there, and why.
    pub failed: Vec<(TenantId, Error)>,
}

/// How much a tenant has in the logs database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// Batches that have a receipt.
    pub batches: u64,
    /// Logs that were stored.
    pub logs: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

impl Rows {
    /// Brings what belongs to no tenant to this version, then each tenant's schema that is behind, several at a time. One that fails stops no other, stays
    /// at its version, and is tried again by the next call; so is what an end in between left. `told` hears of each that is done: how many of how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Internal`] for a migration of what belongs to no tenant that fails.
    pub async fn migrate(&self, told: impl Fn(usize, usize)) -> Result<Migrated> {
        self.ping().await?;
        LOGS_MIGRATIONS.run(&self.pool).await.map_err(|e| Error::internal("migrating the logs database", e))?;
        self.ensure_receipt_partitions().await?;
        let behind: Vec<String> = sqlx::query_scalar("select tenant from public.schemas where dropped_at is null and version < $1 order by tenant")
            .bind(latest_version())
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "looking for old schemas"))?;
        let behind: Vec<TenantId> = behind.iter().filter_map(|tenant| TenantId::parse(tenant).ok()).collect();
        let all = behind.len();
        // Each takes one connection at a time.
        let at_once = usize::try_from(self.pool.options().get_max_connections()).unwrap_or(1).clamp(1, MIGRATED_AT_ONCE);
        let mut migrating = stream::iter(behind).map(|tenant| async move { (self.ensure_schema_within(&tenant, Some(LOCKED_FOR)).await, tenant) }).buffer_unordered(at_once);
        let mut migrated = Migrated { version: latest_version(), brought: 0, failed: Vec::new() };
        while let Some((outcome, tenant)) = migrating.next().await {
            match outcome {
                // Deleted meanwhile: there is nothing to be brought forward.
                Ok(()) | Err(Error::NotFound(_)) => migrated.brought += 1,
                Err(error) => {
                    // Where Postgres itself is away, none of the others can be tried.
                    self.ping().await?;
                    migrated.failed.push((tenant, error));
                }
            }
            told(migrated.brought + migrated.failed.len(), all);
        }
        migrated.failed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(migrated)
    }

    /// Makes a tenant's schema, or brings it to this version; with the partitions of this month and the next. Doing it twice
    /// does no harm.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it was dropped: its tenant is gone; [`Error::Unavailable`], or [`Error::Internal`].
    pub async fn ensure_schema(&self, tenant: &TenantId) -> Result<()> {
        self.ensure_schema_within(tenant, None).await
    }

    async fn ensure_schema_within(&self, tenant: &TenantId, locked_for: Option<&'static str>) -> Result<()> {
        let fail = failed(Engine::Rows, "making a tenant's schema");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        if let Some(statement) = locked_for {
            sqlx::query(statement).execute(&mut *tx).await.map_err(&fail)?;
        }
        lock(&mut tx, tenant).await.map_err(&fail)?;
        // A schema that was lost since, by somebody's hand, is made from its beginning.
        let known: Option<(i32, bool)> =
            sqlx::query_as("select case when to_regnamespace(quote_ident(tenant)) is null then 0 else version end, dropped_at is not null from public.schemas where tenant = $1")
                .bind(tenant.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(&fail)?;
        let (version, dropped) = known.unwrap_or_default();
        if dropped {
            return Err(Error::NotFound("tenant"));
        }
        if version == 0 {
            hourly::forget(&mut tx, tenant).await.map_err(&fail)?;
        }
        sqlx::query(on(tenant, "create schema if not exists {schema}")).execute(&mut *tx).await.map_err(&fail)?;
        let done = usize::try_from(version).unwrap_or(0);
        for migration in &TENANT_MIGRATIONS[done.min(TENANT_MIGRATIONS.len())..] {
            sqlx::raw_sql(on(tenant, migration)).execute(&mut *tx).await.map_err(&fail)?;
        }
        sqlx::query("insert into public.schemas (tenant, version) values ($1, $2) on conflict (tenant) do update set version = greatest(schemas.version, excluded.version)")
            .bind(tenant.as_str())
            .bind(latest_version())
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
        tx.commit().await.map_err(&fail)?;
        self.ensure_row_partitions(tenant).await
    }

    /// How many batches, logs and dead letters a tenant has. Logs are counted by the receipts of their batches.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn holdings(&self, tenant: &TenantId) -> Result<Holdings> {
        let statement = "select (select count(*) from public.receipts where tenant = $1), (select coalesce(sum(stored), 0)::bigint from public.receipts where tenant = $1), \
             (select count(*) from public.dead_letters where tenant = $1)";
        let counts: (i64, i64, i64) = sqlx::query_as(statement).bind(tenant.as_str()).fetch_one(&self.pool).await.map_err(failed(Engine::Rows, "counting what a tenant has"))?;
        let [batches, logs, dead_letters] = <[i64; 3]>::from(counts).map(|count| u64::try_from(count).unwrap_or_default());
        Ok(Holdings { batches, logs, dead_letters })
    }

    /// Drops a tenant's schema with all its rows, its receipts and its dead letters, and remembers that it is gone. Answers how long
    /// ago it was dropped first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Internal`].
    pub async fn drop_schema(&self, tenant: &TenantId) -> Result<Duration> {
        let fail = failed(Engine::Rows, "dropping a tenant's schema");
        let mut tx = self.pool.begin().await.map_err(&fail)?;
        lock(&mut tx, tenant).await.map_err(&fail)?;
        sqlx::query(on(tenant, "drop schema if exists {schema} cascade")).execute(&mut *tx).await.map_err(&fail)?;
        for table in ["receipts", "dead_letters"] {
            sqlx::query(AssertSqlSafe(format!("delete from public.{table} where tenant = $1"))).bind(tenant.as_str()).execute(&mut *tx).await.map_err(&fail)?;
        }
        hourly::forget(&mut tx, tenant).await.map_err(&fail)?;
        refusals::forget(&mut tx, tenant).await.map_err(&fail)?;
        let seconds: f64 = sqlx::query_scalar(
            "insert into public.schemas as s (tenant, version, dropped_at) values ($1, 0, now()) \
             on conflict (tenant) do update set dropped_at = coalesce(s.dropped_at, now()) returning extract(epoch from now() - s.dropped_at)::float8",
        )
        .bind(tenant.as_str())
        .fetch_one(&mut *tx)
        .await
        .map_err(&fail)?;
        tx.commit().await.map_err(&fail)?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// Which of these tenants are gone: what still arrives for them is not to be stored.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn dropped_of(&self, tenants: &[&str]) -> Result<Vec<String>> {
        sqlx::query_scalar("select tenant from public.schemas where tenant = any($1) and dropped_at is not null")
            .bind(tenants)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "looking for tenants that are gone"))
    }

    /// What is known of a tenant's schema.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn schema_state(&self, tenant: &TenantId) -> Result<SchemaState> {
        let dropped: Option<bool> = sqlx::query_scalar("select dropped_at is not null from public.schemas where tenant = $1")
            .bind(tenant.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(Engine::Rows, "looking for a schema"))?;
        Ok(match dropped {
            None => SchemaState::Unknown,
            Some(false) => SchemaState::Present,
            Some(true) => SchemaState::Dropped,
        })
    }
}

/// Of those who make or drop the same schema at once, each waits for the one before it.
async fn lock(tx: &mut PgConnection, tenant: &TenantId) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))").bind(tenant.as_str()).execute(tx).await.map(drop)
}

fn latest_version() -> i32 {
    i32::try_from(TENANT_MIGRATIONS.len()).expect("a handful")
}
