//! The processor function on Lambda.

use lambda_runtime::{LambdaEvent, service_fn};
use shared::settings::Env;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    shared::telemetry::init(&env)?;
    let app = processor::App::connect(&processor::config::Settings::from_env(&env)?).await?;
    let app = &app;
    let handler = service_fn(move |event: LambdaEvent<serde_json::Value>| processor::handle(app, event));
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed)
}
