//! Maintenance on its schedule, for a process that stays.

use std::time::Duration;

use futures::TryFutureExt;
use futures::future::BoxFuture;
use shared::error::{Result, chain};
use tokio::sync::watch;

use crate::Doors;

/// How often work that waits is looked for: what the index missed starts to be indexed within ten seconds of the index's return.
const WORK_EVERY: Duration = Duration::from_secs(5);
/// How often events that wait to be told are looked for: two small statements where there are none.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often Redis is told what was refused: a process that is killed loses the counts of that time.
const COUNT_REFUSALS_EVERY: Duration = Duration::from_secs(1);
/// How often all the rest is done, as the rule on AWS does it.
const ALL_EVERY: Duration = Duration::from_secs(60);

/// How long one run takes up work before it looks at the clock again.
const WORK_BUDGET: Duration = Duration::from_secs(60);

/// Indexes what was missed, again and again, until told to stop.
pub(crate) async fn index_missed(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, WORK_EVERY, "what the index missed has to wait", || Box::pin(maintenance::index_missed(&app, WORK_BUDGET).map_ok(drop))).await;
}

/// Redrives dead letters that somebody asked for, again and again, until told to stop.
pub(crate) async fn redrive(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, WORK_EVERY, "dead letters have to wait", || Box::pin(maintenance::redrive(&app, WORK_BUDGET).map_ok(drop))).await;
}

/// Adds up the counts of hours, again and again, until told to stop.
pub(crate) async fn add_up_hours(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, ALL_EVERY, "counts of hours have to wait", || Box::pin(maintenance::add_up_hours(&app, WORK_BUDGET).map_ok(drop))).await;
}

/// Removes what is over, again and again, until told to stop.
pub(crate) async fn apply_retention(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, ALL_EVERY, "what is over has to wait to be removed", || {
        Box::pin(async { maintenance::apply_retention(&app, app.queue.now_ms(), WORK_BUDGET).await.map(drop) })
    })
    .await;
}

/// Tells the stream what becomes of tenants, again and again, until told to stop.
pub(crate) async fn tell_stream(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, TELL_EVERY, "the stream of events has to wait", || Box::pin(maintenance::tell_stream(&app, WORK_BUDGET).map_ok(drop))).await;
}

/// Tells the event bus, as [`tell_stream`].
pub(crate) async fn tell_bus(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, TELL_EVERY, "the event bus has to wait", || Box::pin(maintenance::tell_bus(&app, WORK_BUDGET).map_ok(drop))).await;
}

/// Tells webhooks what becomes of their tenants, again and again, until told to stop; what is under way is finished, so that it is not sent again.
pub(crate) async fn tell_webhooks(app: maintenance::App, mut told: watch::Receiver<bool>) {
    let mut ticker = ticker(TELL_EVERY);
    loop {
        tokio::select! {
            _ = told.wait_for(|told| *told) => return,
            _ = ticker.tick() => {}
        }
        let stopping = told.clone();
        if let Err(error) = maintenance::tell_webhooks(&app, move || !*stopping.borrow()).await {
            tracing::error!(cause = chain(&error), "webhooks have to wait");
        }
    }
}

/// Keeps what was refused, again and again, until told to stop.
pub(crate) async fn keep_refusals(app: maintenance::App, told: watch::Receiver<bool>) {
    again_and_again(told, WORK_EVERY, "counts of what was refused have to wait", || Box::pin(maintenance::keep_refusals(&app).map_ok(drop))).await;
}

/// Tells Redis what ingest refused, until told to stop, and then once more: by then no request is left.
pub(crate) async fn count_refusals(doors: Doors, mut told: watch::Receiver<bool>) {
    let mut ticker = ticker(COUNT_REFUSALS_EVERY);
    loop {
        let stopped = tokio::select! {
            _ = told.wait_for(|told| *told) => true,
            _ = ticker.tick() => false,
        };
        if let Err(error) = doors.refusals.hand_over(&doors.queue).await {
            tracing::warn!(cause = chain(&error), "what was refused could not be counted in Redis; it is kept");
        }
        if stopped {
            return;
        }
    }
}

/// Does work that may be dropped anywhere: what it had not finished is found again. Boxed, as in `maintenance`.
async fn again_and_again<'a>(mut told: watch::Receiver<bool>, every: Duration, complaint: &'static str, work: impl Fn() -> BoxFuture<'a, Result<()>>) {
    let mut ticker = ticker(every);
    loop {
        tokio::select! {
            _ = told.wait_for(|told| *told) => return,
            _ = ticker.tick() => {}
        }
        tokio::select! {
            _ = told.wait_for(|told| *told) => return,
            done = work() => {
                if let Err(error) = done {
                    tracing::error!(cause = chain(&error), "{complaint}");
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
