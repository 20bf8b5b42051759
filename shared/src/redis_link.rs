//! One connection to Redis, or to a cluster of them, that mends itself, with the names of keys. The queue and the key ring speak
//! through it.
//!
//! In a cluster a script or a pipeline must keep to the keys of one hash tag, so that one node has them all.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClientBuilder, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult, TlsCertificates, Value};

use crate::error::{Engine, Error, Result};
use crate::settings::RedisSettings;

/// How long a connection may take: on one network it is there in milliseconds, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Slots of a cluster.
const SLOTS: u16 = 16_384;
/// How often a command is tried again in a cluster: nodes answer that another has the keys once or twice while slots move.
const CLUSTER_RETRIES: u32 = 3;
/// How long what was sent may stay unconfirmed before the connection counts as dead and is made anew: a host that vanished confirms
/// nothing, and the kernel alone would wait for a quarter of an hour. A Redis that is paused confirms.
#[cfg(target_os = "linux")]
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// A connection that is shared by all who clone it: commands are pipelined, and it is made anew when it breaks.
#[derive(Clone)]
pub struct RedisLink {
    pub(crate) connection: Connection,
    pub(crate) prefix: String,
    pub(crate) partitions: u16,
}

impl RedisLink {
    /// Prepares the connection; nothing is sent before the first command, but to a cluster. An answer may take `response_timeout`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URL that is none.
    pub fn open(settings: &RedisSettings, response_timeout: Duration) -> Result<Self> {
        let connection = if settings.cluster { cluster(settings, response_timeout) } else { single(settings, response_timeout) };
        let connection = connection.map_err(|e| Error::internal("reading LOGGERHUB_REDIS_URL or LOGGERHUB_CA_FILE", e))?;
        Ok(Self { connection, prefix: settings.prefix.clone(), partitions: settings.partitions })
    }

    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        redis::cmd("PING").query_async(&mut self.connection.clone()).await.map_err(failed)
    }

    /// What the node that holds a key answers to a command without keys.
    pub(crate) async fn ask_node_of<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> RedisResult<T> {
        match self.connection.clone() {
            Connection::Single(mut redis) => command.query_async(&mut redis).await,
            Connection::Cluster(mut redis) => {
                let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(Route::new(slot_of(key), SlotAddr::Master)));
                Ok(T::from_redis_value(redis.route_command(command.clone(), route).await?)?)
            }
        }
    }
}

/// In which of a cluster's slots a key lies: by what stands between its first braces, if anything does (Redis cluster specification,
/// "Hash tags").
fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
    crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(key).as_bytes()) % SLOTS
}

/// One Redis, or several that share the keys by their hash tags.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

fn single(settings: &RedisSettings, response_timeout: Duration) -> RedisResult<Connection> {
    let config = ConnectionManagerConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(response_timeout)).set_number_of_retries(0);
    let info = settings.url.reveal().into_connection_info()?.set_tcp_settings(tcp_settings());
    let client = match certificates(settings) {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    };
    ConnectionManager::new_lazy_with_config(client, config).map(Connection::Single)
}

/// Connections to the nodes are made in the background, from now on. A command whose connection breaks is sent again by the client:
/// every script of ours may run twice (a second push is known by its batch, a second take leaves the first one's entries behind).
fn cluster(settings: &RedisSettings, response_timeout: Duration) -> RedisResult<Connection> {
    let nodes: Vec<&str> = settings.url.reveal().split(',').collect();
    let builder = ClusterClientBuilder::new(nodes).retries(CLUSTER_RETRIES).overall_response_timeout(Some(response_timeout)).tcp_settings(tcp_settings());
    let builder = match certificates(settings) {
        Some(certificates) => builder.certs(certificates),
        None => builder,
    };
    let config = ClusterConfig::new().set_connection_timeout(CONNECT_TIMEOUT).set_response_timeout(response_timeout);
    Ok(Connection::Cluster(builder.build()?.get_pending_async_connection_with_config(config)))
}

fn certificates(settings: &RedisSettings) -> Option<TlsCertificates> {
    settings.authorities.as_ref().map(|authorities| TlsCertificates { client_tls: None, root_cert: Some(authorities.pem().to_vec()) })
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(redis) => Box::pin(async move {
                match redis.req_packed_command(command).await {
                    Err(error) if was_not_sent(&error) => redis.req_packed_command(command).await,
                    answer => answer,
                }
            }),
            Self::Cluster(redis) => redis.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(redis) => Box::pin(async move {
                match redis.req_packed_commands(pipeline, offset, count).await {
                    Err(error) if was_not_sent(&error) => redis.req_packed_commands(pipeline, offset, count).await,
                    answer => answer,
                }
            }),
            Self::Cluster(redis) => redis.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(redis) => redis.get_db(),
            Self::Cluster(redis) => redis.get_db(),
        }
    }
}

/// Whether a command failed because there was no connection. The client keeps the outcome of its last try to connect for the next command,
/// however long ago that was: of a Redis that is back, each idle process would else refuse its first request.
fn was_not_sent(error: &RedisError) -> bool {
    error.is_connection_refusal()
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
    failed_for_all(&Arc::new(error))
}

/// As [`failed`], of a command that was sent for several.
pub(crate) fn failed_for_all(error: &Arc<RedisError>) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig | ErrorKind::Client => Error::internal("speaking with Redis", Arc::clone(error)),
        _ => Error::unavailable(Engine::Redis, Arc::clone(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_the_same_tag_lie_in_one_slot() {
        // `redis-cli cluster keyslot`, Redis 7.0.15.
        for (key, slot) in [("lh:{p0}:queue", 15_882), ("p0", 15_882), ("123456789", 12_739), ("lh:{}:queue", 5_173), ("foo", 12_182)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }
}
