//! The tenants function on Lambda.

use shared::http;
use shared::settings::Env;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    shared::telemetry::init(&env)?;
    let app = tenants::App::connect(&tenants::config::Settings::from_env(&env)?)?;
    lambda_http::run(http::dress(tenants::router(app))).await.map_err(anyhow::Error::from_boxed)
}
