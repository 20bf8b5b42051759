//! A pool of connections to one Postgres database, and which of its errors are weather.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::error::{Engine, Error, Result};
use crate::settings::PostgresSettings;

/// How long a request waits for a connection: below the time in which clients want an answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that nobody used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// A connection that nobody used for so long is asked whether it lives. One that just answered is not: that would be a message more for
/// each statement. No Postgres is away and back within that time.
const ASK_AFTER: Duration = Duration::from_millis(50);

/// Prepares a pool; nothing is sent before the first statement.
///
/// # Errors
/// [`Error::Internal`] for a URL that is none.
pub(crate) fn pool(settings: &PostgresSettings) -> Result<PgPool> {
    let mut options: PgConnectOptions = settings.url.reveal().parse().map_err(|e: sqlx::Error| Error::internal("reading a Postgres URL", e))?;
    if let Some(authorities) = &settings.authorities {
        options = options.ssl_root_cert_from_pem(authorities.pem().to_vec());
    }
    let pool = PgPoolOptions::new().max_connections(settings.max_connections).acquire_timeout(ACQUIRE_TIMEOUT).idle_timeout(IDLE_TIMEOUT);
    let pool = pool.test_before_acquire(false).before_acquire(|connection, used| {
        Box::pin(async move {
            if used.idle_for > ASK_AFTER {
                connection.ping().await?;
            }
            Ok(true)
        })
    });
    Ok(pool.connect_lazy_with(options))
}

/// Begins a transaction that waits for a lock for so long, in one message. Somebody who makes an index by hand on one tenant's table, or
/// forgets a transaction, must not keep the rows of all others from being written.
pub(crate) const BEGIN_WRITING: &str = "begin; set local lock_timeout = '5s'";
/// What Postgres says where a lock was not to be had in time (`lock_not_available`).
const LOCKED: &str = "55P03";

/// Maps what Postgres says, by SQLSTATE class (Postgres manual, appendix A): 08 connection, 53 resources, 57 operator
/// intervention (shutdown, statement timeout), 40 and 55 (deadlock, object in use), 58 system error, 25006 read-only, 28 and 3D
/// (a password or a database that operators are changing): weather. A lock that is not to be had is not: it befalls one tenant's
/// table, whose batches are put aside while the others go on.
pub(crate) fn failed(engine: Engine, doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| if is_weather(&error) { Error::unavailable(engine, error) } else { Error::internal(doing, error) }
}

pub(crate) fn is_weather(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(said) => {
            said.code().is_some_and(|code| code != LOCKED && ["08", "53", "57", "40", "55", "58", "25006", "28", "3D"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// The SQLSTATE of an error, where Postgres itself raised it.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|said| said.code()).map(std::borrow::Cow::into_owned)
}
