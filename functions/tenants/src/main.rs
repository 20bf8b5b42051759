//! The tenants function on Lambda.

use axum::middleware;
use shared::http;
use shared::settings::Env;
use shared::telemetry::{self, Embedded};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    telemetry::init(&env)?;
    let app = tenants::App::connect(&tenants::config::Settings::from_env(&env)?)?;
    let metrics = Embedded::count("tenants")?;
    let router = http::dress(tenants::router(app)).layer(middleware::from_fn(shared::lambda::note_address));
    lambda_http::run(metrics.dress(router)).await.map_err(anyhow::Error::from_boxed)
}
