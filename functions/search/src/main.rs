//! The search function on Lambda.

use shared::http;
use shared::settings::Env;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    shared::telemetry::init(&env)?;
    let app = search::App::connect(&search::config::Settings::from_env(&env)?).await?;
    lambda_http::run(http::dress(search::router(app))).await.map_err(anyhow::Error::from_boxed)
}
