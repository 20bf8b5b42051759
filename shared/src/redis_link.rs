//! One connection to Redis that mends itself, with the names of keys. The queue and the key ring speak through it.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{ErrorKind, IntoConnectionInfo, RedisError};

use crate::error::{Engine, Error, Result};
use crate::settings::RedisSettings;

/// How long a connection may take: on one network it is there in milliseconds, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long what was sent may stay unconfirmed before the connection counts as dead and is made anew: a host that vanished confirms
/// nothing, and the kernel alone would wait for a quarter of an hour. A Redis that is paused confirms.
#[cfg(target_os = "linux")]
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// A connection that is shared by all who clone it: commands are pipelined, and it is made anew when it breaks.
#[derive(Clone)]
pub struct RedisLink {
    pub(crate) connection: ConnectionManager,
    pub(crate) prefix: String,
    pub(crate) partitions: u16,
}

impl RedisLink {
    /// Prepares the connection; nothing is sent before the first command. An answer may take `response_timeout`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URL that is none.
    pub fn open(settings: &RedisSettings, response_timeout: Duration) -> Result<Self> {
        let config = ConnectionManagerConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(response_timeout)).set_number_of_retries(0);
        let connection = settings
            .url
            .reveal()
            .into_connection_info()
            .map(|info| info.set_tcp_settings(tcp_settings()))
            .and_then(redis::Client::open)
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, config))
            .map_err(|e| Error::internal("reading LOGGERHUB_REDIS_URL", e))?;
        Ok(Self { connection, prefix: settings.prefix.clone(), partitions: settings.partitions })
    }

    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        redis::cmd("PING").query_async(&mut self.connection.clone()).await.map_err(failed)
    }
}

/// Small commands go out at once; on Linux a connection whose bytes nobody confirms is given up.
fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(DEAD_AFTER);
    settings
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLink").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Weather, unless Redis says that what we sent it makes no sense.
pub(crate) fn failed(error: RedisError) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig | ErrorKind::Client => Error::internal("speaking with Redis", error),
        _ => Error::unavailable(Engine::Redis, error),
    }
}
