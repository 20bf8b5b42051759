//! The running server: one port, one drain loop, one maintenance schedule.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use shared::error::{Error, Result, chain};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Doors, Settings, descriptors, health, listener, schedule};

/// How long requests under way may take once the server stops.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(10);
/// How long drains and maintenance under way may take after that. What is not finished stays in the queue.
const WORK_ENDS_WITHIN: Duration = Duration::from_secs(20);

/// A running server. Dropping it leaves its tasks running: call [`Hub::stop`].
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    doors: Doors,
    stop_requests: watch::Sender<bool>,
    stop_work: watch::Sender<bool>,
    requests: JoinHandle<()>,
    work: Vec<JoinHandle<()>>,
}

impl Hub {
    /// Starts to serve on `listener`. Engines may be down: `/readyz` says so, and each part does what it can without them.
    ///
    /// # Errors
    /// [`Error::Internal`] for a setting that makes no sense, a listener that is none, or a Redis that would not keep what it takes.
    pub async fn start(settings: &Settings, listener: TcpListener) -> Result<Self> {
        let doors = Doors::open(settings)?;
        let _ = shared::telemetry::metrics();
        let address = listener.local_addr().map_err(|e| Error::internal("asking a listener for its address", e))?;
        match doors.queue.look_at_durability().await {
            Ok(Ok(())) => {}
            Ok(Err(not_durable)) => return Err(Error::internal("starting", not_durable)),
            // Looked at again before anything is accepted.
            Err(error) => tracing::warn!(cause = chain(&error), "starting without Redis"),
        }
        if let Err(error) = doors.queue.ask_clock().await {
            tracing::warn!(cause = chain(&error), "without the clock of Redis, ours is used");
        }
        let (stop_requests, requests_told) = watch::channel(false);
        let (stop_work, work_told) = watch::channel(false);
        let most = settings.max_connections.min(descriptors::ask_for_all());
        let requests = tokio::spawn(listener::serve(router(&doors), listener, most, settings.proxies.clone(), requests_told));
        let processor = doors.processor();
        let until = processor::Until::told(work_told.clone());
        let work = vec![
            tokio::spawn(async move { processor::serve(&processor, until).await }),
            tokio::spawn(schedule::index_missed(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::redrive(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::add_up_hours(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::apply_retention(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::tell_stream(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::tell_bus(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::keep_refusals(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::count_refusals(doors.clone(), work_told.clone())),
            tokio::spawn(schedule::tell_webhooks(doors.maintenance(), work_told.clone())),
            tokio::spawn(schedule::keep_metrics(work_told.clone())),
            tokio::spawn(schedule::upkeep(doors.maintenance(), work_told)),
        ];
        Ok(Self { address, doors, stop_requests, stop_work, requests, work })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its doors to the engines.
    #[must_use]
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Stops: no new requests, those under way are answered, drains and maintenance under way are finished, connections closed.
    pub async fn stop(self) {
        self.stop_requests.send_replace(true);
        if tokio::time::timeout(REQUESTS_END_WITHIN, self.requests).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        self.stop_work.send_replace(true);
        if tokio::time::timeout(WORK_ENDS_WITHIN, futures::future::join_all(self.work)).await.is_err() {
            tracing::warn!("a drain or a step of maintenance did not end in time; another takes it up again");
        }
        self.doors.searches.write().await;
        self.doors.rows.close().await;
        self.doors.drain_rows.close().await;
        self.doors.registry.close().await;
    }
}

fn router(doors: &Doors) -> Router {
    let functions = ingest::router(doors.ingest()).merge(search::router(doors.search())).merge(tenants::router(doors.tenants()));
    shared::http::dress(functions.merge(health::router(doors.clone())))
}

/// Waits for SIGINT or SIGTERM.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        _ = interrupt => {}
        () = terminate => {}
    }
}
