//! The processor function on Lambda.

use lambda_runtime::{LambdaEvent, service_fn};
use shared::settings::Env;
use shared::telemetry::{self, Embedded};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    telemetry::init(&env)?;
    let app = processor::App::connect(&processor::config::Settings::from_env(&env)?).await?;
    let metrics = Embedded::count("processor")?;
    let handle = async |event: LambdaEvent<serde_json::Value>| {
        let answer = processor::handle(&app, event).await;
        metrics.write();
        answer
    };
    lambda_runtime::run(service_fn(handle)).await.map_err(anyhow::Error::from_boxed)
}
