//! The maintenance function on Lambda: a schedule wakes it, every minute.

use lambda_runtime::{LambdaEvent, service_fn};
use shared::settings::Env;
use shared::telemetry::{self, Embedded};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let env = Env::from_process();
    telemetry::init(&env)?;
    let app = maintenance::App::connect(&maintenance::config::Settings::from_env(&env)?).await?;
    let metrics = Embedded::count("maintenance")?;
    let handle = |_: LambdaEvent<serde_json::Value>| async {
        let report = maintenance::run_all(&app).await;
        metrics.write();
        if report.all_failed() { Err(lambda_runtime::Error::from("every step failed")) } else { Ok(()) }
    };
    lambda_runtime::run(service_fn(handle)).await.map_err(anyhow::Error::from_boxed)
}
