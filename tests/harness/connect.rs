//! Connections to engines by hand, trusting whom the hub trusts.

use shared::settings::Env;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

/// A connection to the database that a setting leads to.
pub(super) async fn postgres(env: &Env, setting: &'static str) -> sqlx::Result<PgConnection> {
    let url = env.text(setting).expect("checked at start");
    let mut options: PgConnectOptions = url.parse()?;
    if let Some(authority) = env.optional("LOGGERHUB_CA_FILE") {
        options = options.ssl_root_cert(authority);
    }
    options.connect().await
}

/// A client of Redis.
pub(super) fn redis(env: &Env) -> redis::RedisResult<redis::Client> {
    // Of a cluster, one node.
    let urls = env.text("LOGGERHUB_REDIS_URL").expect("checked at start");
    let url = urls.split(',').next().unwrap_or_default();
    match env.optional("LOGGERHUB_CA_FILE") {
        Some(authority) => redis::Client::build_with_tls(url, redis::TlsCertificates { client_tls: None, root_cert: Some(std::fs::read(authority)?) }),
        None => redis::Client::open(url),
    }
}
