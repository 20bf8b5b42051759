//! Removes a world's things from the engines: at its end, and for runs that crashed, an hour later.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use shared::archive::Archive;
use shared::aws::Identity;
use shared::settings::{ArchiveSettings, Env};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::name::Name;
use super::{connect, own_engine};

/// Past this no run is still using its worlds.
const CRASHED_AFTER: Duration = Duration::from_secs(3600);
/// Keys of Redis that are looked at in one go.
const KEYS_AT_ONCE: usize = 1000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Removes what crashed runs left behind. The first caller does it, all others wait for that.
pub(super) fn sweep_once(engines: &Env) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| {
        own_engine::remove_crashed(CRASHED_AFTER);
        super::runtime().block_on(async {
            for name in crashed(engines).await {
                remove(engines, &name).await;
            }
        });
    });
}

async fn crashed(engines: &Env) -> HashSet<Name> {
    let mut names = indexed(engines).await.unwrap_or_default();
    for setting in ["LOGGERHUB_CONTROL_DATABASE_URL", "LOGGERHUB_LOGS_DATABASE_URL"] {
        let Ok(mut server) = server(engines, setting).await else { continue };
        let rows = sqlx::query("select datname::text as name from pg_database where datname like $1").bind(format!("{}%", Name::PREFIX)).fetch_all(&mut server).await;
        names.extend(rows.unwrap_or_default().iter().filter_map(|row| Name::of_database(row.get("name"))));
    }
    names.retain(|name| name.is_older_than(CRASHED_AFTER));
    names
}

/// Worlds that OpenSearch knows of: a request that was on its way when its world ended may have left something.
async fn indexed(engines: &Env) -> Result<HashSet<Name>, Box<dyn std::error::Error>> {
    let url = engines.text("LOGGERHUB_OPENSEARCH_URL")?;
    let pattern = format!("{}*", Name::PREFIX.replace('_', "-"));
    let http = reqwest::Client::builder().no_proxy().build()?;
    let indices = http.get(format!("{url}/_cat/indices/{pattern}?h=index")).send().await?.text().await?;
    let templates = http.get(format!("{url}/_cat/templates/{pattern}?h=name")).send().await?.text().await?;
    Ok(indices.lines().chain(templates.lines()).filter_map(Name::of_index).collect())
}

/// Removes a world's things. Databases last: by them the sweep knows what is left.
pub(super) async fn remove(engines: &Env, name: &Name) {
    let (keys, indices, objects) = tokio::join!(remove_keys(engines, name), remove_indices(engines, name), remove_objects(engines, name));
    for (engine, outcome) in [("Redis", keys), ("OpenSearch", indices), ("the object store", objects)] {
        tell(engine, name, outcome);
    }
    tell("Postgres", name, remove_databases(engines, name).await);
}

/// A story is not failed by its broom; a later run sweeps again.
fn tell(engine: &str, name: &Name, outcome: Outcome) {
    if let Err(error) = outcome {
        // Not by `eprintln`, which nobody sees of a story that went well.
        let _ = writeln!(std::io::stderr(), "{} could not be removed from {engine}: {error}", name.as_str());
    }
}

async fn remove_keys(engines: &Env, name: &Name) -> Outcome {
    let mut redis = connect::redis(engines)?.get_multiplexed_async_connection().await?;
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}*", name.redis_prefix())).arg("COUNT").arg(KEYS_AT_ONCE);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut redis).await?;
        if !keys.is_empty() {
            let mut pipe = redis::pipe();
            for key in &keys {
                pipe.unlink(key);
            }
            pipe.query_async::<()>(&mut redis).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

async fn remove_indices(engines: &Env, name: &Name) -> Outcome {
    let url = engines.text("LOGGERHUB_OPENSEARCH_URL")?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let prefix = name.index_prefix();
    http.delete(format!("{url}/{prefix}-*?ignore_unavailable=true")).send().await?.error_for_status()?;
    http.delete(format!("{url}/_index_template/{prefix}*")).send().await?;
    Ok(())
}

async fn remove_objects(engines: &Env, name: &Name) -> Outcome {
    let archive = Archive::open(&ArchiveSettings::from_env(&name.settings(engines))?, &Identity::of_environment())?;
    for path in archive.list("").await? {
        archive.delete(&path).await?;
    }
    Ok(())
}

async fn remove_databases(engines: &Env, name: &Name) -> Outcome {
    // Side by side: Postgres makes a checkpoint for each, and one for all who ask at the same time.
    let drops = name.databases().map(|(setting, database)| async move {
        sqlx::query(AssertSqlSafe(format!("drop database if exists {database} with (force)"))).execute(&mut server(engines, setting).await?).await?;
        Ok(())
    });
    futures::future::join_all(drops).await.into_iter().collect()
}

async fn server(engines: &Env, setting: &'static str) -> Result<PgConnection, Box<dyn std::error::Error>> {
    Ok(connect::postgres(engines, setting).await?)
}
