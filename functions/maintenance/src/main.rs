//! The maintenance function on Lambda: a schedule wakes it, every minute.

use lambda_runtime::{LambdaEvent, service_fn};
use shared::settings::Env;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    shared::telemetry::init(&env)?;
    let app = maintenance::App::connect(&maintenance::config::Settings::from_env(&env)?).await?;
    let handle = |_: LambdaEvent<serde_json::Value>| async {
        let report = maintenance::run_all(&app).await;
        if report.all_failed() { Err(lambda_runtime::Error::from("every step failed")) } else { Ok(()) }
    };
    lambda_runtime::run(service_fn(handle)).await.map_err(anyhow::Error::from_boxed)
}
