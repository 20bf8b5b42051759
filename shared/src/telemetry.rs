//! What we say of ourselves: JSON log lines on standard error, and metrics for Prometheus.
//!
//! On Lambda, where nobody scrapes, metrics are log lines too: [`Embedded`].
//! Neither ever holds a key or a record's text. A failure is logged once, where it is handled.

mod embedded;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Env, SettingError};

pub use embedded::Embedded;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Seconds, from a key check in memory to a deep page of search.
const DURATION_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// Starts logging, and chooses the one provider of TLS. For `main`, once; more calls do nothing.
///
/// # Errors
/// [`SettingError`] for directives in `LOGGERHUB_LOG` that make no sense.
pub fn init(env: &Env) -> Result<(), SettingError> {
    // What Postgres says in passing, such as that a schema is there already. Directives that come later win.
    let directives = format!("sqlx::postgres::notice=warn,{}", env.text("LOGGERHUB_LOG")?);
    let filter: Targets = directives.parse().map_err(|e: ParseError| SettingError::Unreadable { name: "LOGGERHUB_LOG", reason: e.to_string() })?;
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false).with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    // The crates that speak TLS could each bring a provider; naming it here leaves nothing to chance.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(())
}

/// The metrics of this process, in Prometheus' text format. Counted from the first call on, by a process that serves them and calls
/// `run_upkeep` now and then; without a call nothing is counted, nor kept.
#[must_use]
pub fn metrics() -> &'static PrometheusHandle {
    METRICS.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets(&DURATION_BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}
