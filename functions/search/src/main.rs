//! The search function on Lambda.

use shared::http;
use shared::settings::Env;
use shared::telemetry::{self, Embedded};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    telemetry::init(&env)?;
    let app = search::App::connect(&search::config::Settings::from_env(&env)?).await?;
    let metrics = Embedded::count("search")?;
    lambda_http::run(metrics.dress(http::dress(search::router(app)))).await.map_err(anyhow::Error::from_boxed)
}
