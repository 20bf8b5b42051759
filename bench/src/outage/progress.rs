//! How many logs are in every store, as receipts tell it, all along.

use std::time::{Duration, Instant};

use anyhow::bail;
use shared::ids::TenantId;
use shared::settings::{Env, PostgresSettings};
use sqlx::{Connection, PgConnection};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);
/// How long all may take to be stored and indexed.
const DONE_WITHIN: Duration = Duration::from_secs(600);

/// What receipts said at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) at: Instant,
    /// Logs in all three stores.
    pub(crate) done: i64,
    /// Logs whose document is missing.
    pub(crate) pending: i64,
}

/// Looks until all logs are done. While Postgres is away there is nothing to see.
pub(crate) async fn watch(env: Env, tenant: TenantId, all: i64) -> anyhow::Result<Vec<Progress>> {
    let url = PostgresSettings::logs_from_env(&env)?.url;
    let (began, mut seen) = (Instant::now(), Vec::<Progress>::new());
    let mut connection: Option<PgConnection> = None;
    while seen.last().is_none_or(|last| last.done < all) {
        if began.elapsed() > DONE_WITHIN {
            bail!("not all of {all} logs are done after {} s: {:?}", DONE_WITHIN.as_secs(), seen.last());
        }
        tokio::time::sleep(EVERY).await;
        connection = match connection {
            None => PgConnection::connect(url.reveal()).await.ok(),
            Some(mut open) => look(&mut open, &tenant).await.ok().map(|progress| {
                seen.push(progress);
                open
            }),
        };
    }
    Ok(seen)
}

async fn look(connection: &mut PgConnection, tenant: &TenantId) -> sqlx::Result<Progress> {
    let statement = "select coalesce(sum(stored - pending), 0)::bigint, coalesce(sum(pending), 0)::bigint from public.receipts where tenant = $1";
    let (done, pending) = sqlx::query_as(statement).bind(tenant.as_str()).fetch_one(connection).await?;
    Ok(Progress { at: Instant::now(), done, pending })
}
