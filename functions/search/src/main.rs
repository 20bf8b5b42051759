//! The search function on Lambda.

use axum::middleware;
use shared::http;
use shared::settings::Env;
use shared::telemetry::{self, Embedded};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    telemetry::init(&env)?;
    let app = search::App::connect(&search::config::Settings::from_env(&env)?).await?;
    let metrics = Embedded::count("search")?;
    let router = http::dress(search::router(app)).layer(middleware::from_fn(shared::lambda::note_address));
    lambda_http::run(metrics.dress(router)).await.map_err(anyhow::Error::from_boxed)
}
