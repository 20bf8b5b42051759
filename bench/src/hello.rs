//! The least that a server can do: axum, and an answer without a word. A process of its own, so that it is accounted for as ours is.

use std::process::{Child, Stdio};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;

/// Serves until it is killed.
pub(crate) async fn serve(listen: &str) -> anyhow::Result<()> {
    let router = Router::new().route("/v1/logs", post(async |_: axum::body::Bytes| StatusCode::ACCEPTED)).route("/", get(async || StatusCode::OK));
    axum::serve(TcpListener::bind(listen).await?, router).await?;
    Ok(())
}

/// The same as a process. Ended when dropped.
pub(crate) struct Hello(pub(crate) Child);

impl Hello {
    pub(crate) fn start(listen: &str) -> anyhow::Result<Self> {
        let process = std::process::Command::new(std::env::current_exe()?).args(["hello", listen]).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self(process))
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
