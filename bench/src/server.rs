//! The server under measurement: a process of its own, with its CPU time and memory as the kernel counts them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::process;

/// Operator token of the measured server; it lives on loopback for a minute.
pub(crate) const OPERATOR: &str = "bench-operator-token";
/// How long the server may take to answer.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A running `loggerhub serve`. Ended when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    http: reqwest::Client,
}

impl Server {
    /// Migrates and starts the server that was built beside this program.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with these settings.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("loggerhub");
        let migrated = command(&program).arg("migrate").status().with_context(|| format!("cannot run {}: build it first", program.display()))?;
        if !migrated.success() {
            bail!("`loggerhub migrate` failed");
        }
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process =
            command(&program).arg("serve").env("LOGGERHUB_LISTEN", listen.to_string()).env("LOGGERHUB_OPERATOR_TOKEN", OPERATOR).envs(settings.iter().copied()).spawn()?;
        let server = Self { process, url: format!("http://{listen}"), http: reqwest::Client::builder().no_proxy().build()? };
        let began = Instant::now();
        while server.http.get(format!("{}/healthz", server.url)).send().await.is_err() {
            if began.elapsed() > STARTS_WITHIN {
                bail!("the server does not answer");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// Makes a tenant and a key for it.
    pub(crate) async fn tenant(&self, id: &str) -> anyhow::Result<String> {
        self.make_tenant(id).await?;
        self.key(id).await
    }

    /// Makes a tenant.
    pub(crate) async fn make_tenant(&self, id: &str) -> anyhow::Result<()> {
        self.as_operator("/v1/tenants", &json!({ "id": id, "name": id })).await.map(drop)
    }

    /// Makes a key for a tenant that is there.
    pub(crate) async fn key(&self, id: &str) -> anyhow::Result<String> {
        let key = self.as_operator(&format!("/v1/tenants/{id}/keys"), &json!({ "name": "bench" })).await?;
        key["key"].as_str().map(str::to_owned).context("no key in the answer")
    }

    /// As a script would: what comes while an engine is too busy is sent again.
    async fn as_operator(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let answer = self.http.post(format!("{}{path}", self.url)).bearer_auth(OPERATOR).json(body).send().await?;
            if answer.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE || began.elapsed() > STARTS_WITHIN {
                return Ok(answer.error_for_status()?.json().await?);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// CPU seconds used so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        process::cpu_seconds(self.pid())
    }

    /// Most memory held so far, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<f64> {
        process::peak_mib(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command of the program's, which says nothing but what is wrong.
pub(crate) fn command(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.env("LOGGERHUB_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
    command
}
