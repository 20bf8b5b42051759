//! Metrics of a function on Lambda: lines in CloudWatch's embedded metric format on standard output, from which CloudWatch makes
//! metrics by itself (its specification: "CloudWatch embedded metric format", Amazon CloudWatch user guide).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::error::{Error, Result};

/// The namespace of all metrics.
const NAMESPACE: &str = "LoggerHub";
/// The dimension that tells functions apart; what a metric is labelled with are further ones.
const DIMENSION: &str = "function";

/// A line for each request would cost more than the requests: CloudWatch charges for bytes. What a function that is put away holds
/// back is lost, at most these seconds of it.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// A line holds 100 values of a histogram, and this many requests come before it is written.
const REQUESTS_A_LINE: u32 = 50;

/// The metrics of this process. Clones are the same metrics.
#[derive(Clone)]
pub struct Embedded {
    collector: &'static Collector,
    pace: Arc<Pace>,
}

impl Embedded {
    /// Begins to count, in the name of `function`. For `main`, once, on a tokio runtime: what an invocation counts that takes long is
    /// written now and then.
    ///
    /// # Errors
    /// [`Error::Internal`] where something counts already.
    pub fn count(function: &'static str) -> Result<Self> {
        let builder = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension(DIMENSION, function);
        let collector = builder.with_auto_flush_interval(WRITE_EVERY).init().map_err(|e| Error::internal("counting for CloudWatch", e))?;
        describe();
        Ok(Self { collector, pace: Arc::new(Pace::new()) })
    }

    /// Writes what was counted since it was last written: at the end of an invocation that works for all.
    pub fn write(&self) {
        // Nothing is to be done about a closed standard output.
        let _ = self.collector.flush(std::io::stdout());
    }

    /// Routes that count for CloudWatch. For what is served, dressed already.
    pub fn dress(self, router: Router) -> Router {
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let metrics = self.clone();
            async move {
                let response = next.run(request).await;
                if metrics.pace.is_due(Instant::now()) {
                    metrics.write();
                }
                response
            }
        }))
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

/// When requests are written.
#[derive(Debug)]
struct Pace {
    requests: AtomicU32,
    written: Mutex<Option<Instant>>,
}

impl Pace {
    /// The first request is written at once: it may be the only one.
    fn new() -> Self {
        Self { requests: AtomicU32::new(0), written: Mutex::new(None) }
    }

    /// Counts a request, and says whether it is time to write.
    fn is_due(&self, now: Instant) -> bool {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = written.is_some_and(|written| now.duration_since(written) < WRITE_EVERY);
        if lately && requests < REQUESTS_A_LINE {
            return false;
        }
        *written = Some(now);
        self.requests.store(0, Ordering::Relaxed);
        true
    }
}

fn describe() {
    for counter in ["loggerhub_http_requests_total", "loggerhub_logs_accepted_total", "loggerhub_logs_rejected_total", "loggerhub_logs_stored_total"] {
        describe_counter!(counter, Unit::Count, "");
    }
    for histogram in ["loggerhub_http_request_seconds", "loggerhub_drain_seconds", "loggerhub_drain_step_seconds"] {
        describe_histogram!(histogram, Unit::Seconds, "");
    }
    describe_gauge!("loggerhub_queue_oldest_seconds", Unit::Seconds, "");
    describe_gauge!("loggerhub_queue_bytes", Unit::Bytes, "");
    describe_gauge!("loggerhub_dead_letters", Unit::Count, "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_is_written_and_then_each_fiftieth_or_what_five_seconds_brought() {
        let pace = Pace::new();
        let began = Instant::now();
        let due: Vec<bool> = (0..REQUESTS_A_LINE * 2).map(|_| pace.is_due(began)).collect();
        let written: Vec<usize> = due.iter().enumerate().filter_map(|(number, due)| due.then_some(number)).collect();
        assert_eq!(written, [0, REQUESTS_A_LINE as usize]);
        assert!(pace.is_due(began + WRITE_EVERY), "a quiet function holds nothing back for long");
        assert!(!pace.is_due(began + WRITE_EVERY));
    }
}
