//! Maintenance on its schedule, for a process that stays.

use std::time::Duration;

use tokio::sync::watch;

/// How often what the index missed is looked for: it starts to be indexed within ten seconds of the index's return.
const INDEX_EVERY: Duration = Duration::from_secs(5);
/// How often all the rest is done, as the rule on AWS does it.
const ALL_EVERY: Duration = Duration::from_secs(60);

/// How long one run takes up work before it looks at the clock again.
const INDEX_BUDGET: Duration = Duration::from_secs(60);

/// Indexes what was missed, again and again, until told to stop.
pub(crate) async fn index_missed(app: maintenance::App, mut told: watch::Receiver<bool>) {
    let mut ticker = ticker(INDEX_EVERY);
    loop {
        tokio::select! {
            _ = told.wait_for(|told| *told) => return,
            _ = ticker.tick() => {}
        }
        tokio::select! {
            // What it had not finished stays pending.
            _ = told.wait_for(|told| *told) => return,
            done = maintenance::index_missed(&app, INDEX_BUDGET) => {
                if let Err(error) = done {
                    tracing::error!(cause = shared::error::chain(&error), "what the index missed has to wait");
                }
            }
        }
    }
}

/// How often the metrics' recorder tidies up what it holds of histograms.
const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Tidies up metrics until told to stop: without it every request leaves a sample behind until somebody scrapes.
pub(crate) async fn keep_metrics(mut told: watch::Receiver<bool>) {
    let mut ticker = ticker(METRICS_UPKEEP_EVERY);
    loop {
        tokio::select! {
            _ = told.wait_for(|told| *told) => return,
            _ = ticker.tick() => shared::telemetry::metrics().run_upkeep(),
        }
    }
}

/// Does all other upkeep until told to stop; what is under way is finished.
pub(crate) async fn upkeep(app: maintenance::App, mut told: watch::Receiver<bool>) {
    let mut ticker = ticker(ALL_EVERY);
    loop {
        tokio::select! {
            _ = told.wait_for(|told| *told) => return,
            _ = ticker.tick() => {}
        }
        maintenance::upkeep(&app).await;
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = tokio::time::interval(every);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticker
}
