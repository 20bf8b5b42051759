//! The demo: a tenant on a running server, a few thousand real events, and what comes back by list, by search and in detail.
//!
//! It speaks HTTP only, as an SDK or a person with curl would.

mod client;
mod sample;
mod show;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use shared::settings::Env;

use client::Client;

/// The demo's tenant.
const TENANT: &str = "demo";
/// How long the sample may take to become searchable.
const SEARCHABLE_WITHIN: Duration = Duration::from_secs(180);

/// Arguments of `loggerhub demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the server is.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Folder with the sample, `*.ndjson.gz`.
    #[arg(long, default_value = "samples")]
    sample: PathBuf,
    /// Where URL, API key and operator token are kept for `source`.
    #[arg(long, default_value = ".loggerhub/demo.env")]
    env_file: PathBuf,
}

/// Runs the demo.
///
/// # Errors
/// A sentence that says what went wrong.
pub async fn run(arguments: &Arguments, env: &Env) -> anyhow::Result<()> {
    let operator = env.text("LOGGERHUB_OPERATOR_TOKEN").context("the demo makes a tenant, and that takes the operator's token")?;
    let mut client = Client::new(&arguments.url, operator)?;
    let known = kept_key(&arguments.env_file);
    let (key, was_known) = match known {
        Some(key) if client.opens(&key).await? => (key, true),
        _ => (client.make_tenant(TENANT).await?, false),
    };
    client.use_key(&key);
    let sent_before = was_known && marker(&arguments.env_file).exists();
    keep(&arguments.env_file, &client, &key)?;
    if sent_before {
        println!("The sample was sent by an earlier run; the logs are still here.");
    } else {
        send_sample(&client, arguments).await?;
        std::fs::write(marker(&arguments.env_file), "")?;
    }
    show::everything(&client).await?;
    show::by_hand(&client, &key, &arguments.env_file);
    Ok(())
}

async fn send_sample(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    // Shifted to a moment that stays the same from run to run, so that a run which broke off can be done again under the same keys.
    let requests = sample::requests(&arguments.sample, &client.tenant_created_at(TENANT).await?)?;
    let began = Instant::now();
    let mut batches = Vec::new();
    let mut accepted = 0;
    for request in &requests {
        let receipt = client.send(&request.body, &request.idempotency_key).await?;
        accepted += receipt.accepted;
        batches.push(receipt.batch_id);
    }
    println!("Sent {accepted} real log events in {} requests, {:.1} s. Waiting until they are searchable ...", requests.len(), began.elapsed().as_secs_f64());
    let accepted_at = Instant::now();
    for batch in &batches {
        while client.batch_state(batch).await? != "indexed" {
            if accepted_at.elapsed() > SEARCHABLE_WITHIN {
                bail!("the sample is not searchable after {} s: GET {}/readyz says which engine is in trouble", SEARCHABLE_WITHIN.as_secs(), client.url());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    println!("All of them are searchable, {:.1} s after the last was accepted.", accepted_at.elapsed().as_secs_f64());
    Ok(())
}

/// Says that the whole sample was sent with the key beside it.
fn marker(env_file: &std::path::Path) -> PathBuf {
    env_file.with_extension("sent")
}

fn kept_key(env_file: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(env_file).ok()?;
    let line = text.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix("LOGGERHUB_API_KEY="))?;
    Some(line.trim_matches('\'').to_owned()).filter(|key| !key.is_empty())
}

/// Keeps what a shell needs, readable by its owner only.
fn keep(env_file: &std::path::Path, client: &Client, key: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let text = format!(
        "# Written by scripts/run, for: source {}\nexport LOGGERHUB_URL='{}'\nexport LOGGERHUB_API_KEY='{key}'\nexport LOGGERHUB_OPERATOR_TOKEN='{}'\n",
        env_file.display(),
        client.url(),
        client.operator()
    );
    if let Some(folder) = env_file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let fresh = env_file.with_extension("env.new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).with_context(|| format!("cannot write {}", fresh.display()))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&fresh, env_file).with_context(|| format!("cannot write {}", env_file.display()))
}
