//! Draining: take, prepare, write, store, acknowledge. The loop is outside, the steps can be called alone.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use shared::error::{Error, Result, chain};
use shared::queue::{Held, TakeBudget, Taken};
use shared::rows::StoreBatch;
use tokio::sync::watch;

use crate::App;
use crate::prepare::{Lost, Opened, open, prepare};
use crate::store::{store, write};

/// What one drain takes: about 13,000 logs of 600 bytes, one `_bulk` of some 20 MB, one transaction.
const BUDGET: TakeBudget = TakeBudget { bytes: 8 * 1024 * 1024, entries: 2000 };
/// Drains under way at once: while one waits for the stores, the next is unpacked and compressed.
const SIDE_BY_SIDE: usize = 2;
/// How often a consumer says that it is still at work: a third of the time after which it counts as dead.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// First and longest pause between tries in bad weather.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often an idle processor looks whether another process left something behind.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When to stop: at a deadline, or when told to. What is in hand is finished, if the stores let it.
#[derive(Debug, Clone)]
pub struct Until {
    deadline: Option<Instant>,
    told: watch::Receiver<bool>,
}

impl Until {
    /// Until that moment.
    #[must_use]
    pub fn deadline(at: Instant) -> Self {
        let (_, told) = watch::channel(false);
        Self { deadline: Some(at), told }
    }

    /// Until the channel says so.
    #[must_use]
    pub fn told(told: watch::Receiver<bool>) -> Self {
        Self { deadline: None, told }
    }

    fn is_over(&self) -> bool {
        *self.told.borrow() || self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// Waits, but not past the end.
    async fn pause(&mut self, pause: Duration) {
        let left = self.deadline.map_or(pause, |at| pause.min(at.saturating_duration_since(Instant::now())));
        let told = async {
            if self.told.wait_for(|told| *told).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(left, told).await;
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Entries taken.
    pub entries: usize,
    /// Their unpacked bytes.
    pub bytes: usize,
    /// Rows written for the first time.
    pub stored: usize,
    /// Entries put aside for later.
    pub parked: usize,
    /// Entries buried whole.
    pub buried: usize,
}

impl Drained {
    fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.stored += other.stored;
        self.parked += other.parked;
        self.buried += other.buried;
    }
}

/// Drains for as long as the process lives: woken by the bell, then after the linger, until nothing is left.
pub async fn serve(app: &App, mut until: Until) {
    while !until.is_over() {
        let mut told = until.told.clone();
        tokio::select! {
            () = app.bell.wait(LOOK_EVERY) => {}
            _ = told.wait_for(|told| *told) => return,
        }
        until.pause(app.linger).await;
        if let Err(error) = drain_queue(app, &until).await {
            tracing::error!(cause = chain(&error), "draining failed; it goes on");
            until.pause(BACK_OFF.1).await;
        }
    }
}

/// Drains while takes come back full, and until it is time to stop. Then, if something has come in meanwhile, somebody is called
/// to take it after another linger: going on at once would store steady traffic in ever smaller pieces.
///
/// # Errors
/// Weather that did not pass: what was taken stays in the queue.
pub async fn drain_queue(app: &App, until: &Until) -> Result<Drained> {
    let drained = drain_burst(app, until).await?;
    if app.queue.leave().await? {
        app.bell.ring(app.linger).await?;
    }
    Ok(drained)
}

/// Takes while there is something to take, a few drains side by side.
async fn drain_burst(app: &App, until: &Until) -> Result<Drained> {
    let mut total = Drained::default();
    let mut under_way = FuturesUnordered::new();
    let mut some_left = true;
    let mut outcome = Ok(());
    while (some_left && outcome.is_ok() && !until.is_over()) || !under_way.is_empty() {
        if some_left && outcome.is_ok() && !until.is_over() && under_way.len() < SIDE_BY_SIDE {
            match app.queue.take(&app.consumer, BUDGET).await {
                Ok(taken) if taken.is_empty() => some_left = false,
                Ok(taken) => {
                    app.queue.keep_bell().await?;
                    // A take that is far from full found all there was: the next round comes after the linger.
                    some_left = taken.iter().map(|entry| entry.held.unpacked_bytes).sum::<usize>() >= BUDGET.bytes / 2;
                    under_way.push(drain_once(app, taken, until.clone()));
                    continue;
                }
                Err(error) => outcome = Err(error),
            }
        }
        match under_way.next().await {
            Some(Ok(drained)) => total.add(drained),
            Some(Err(error)) => outcome = Err(error),
            None => {}
        }
    }
    outcome.map(|()| total)
}

/// Moves what was taken into the stores and acknowledges it. Retries weather until it is time to stop.
///
/// # Errors
/// Weather that did not pass, or our own mistake: what was taken stays in the queue, and is taken again.
pub async fn drain_once(app: &App, taken: Vec<Taken>, until: Until) -> Result<Drained> {
    let began = Instant::now();
    let held: Vec<Held> = taken.iter().map(|entry| entry.held.clone()).collect();
    let mut drained = Drained { entries: held.len(), bytes: held.iter().map(|held| held.unpacked_bytes).sum(), ..Drained::default() };
    tokio::select! {
        done = move_on(app, taken, until, &mut drained) => done?,
        () = renew(app, &held) => {}
    }
    metrics::counter!("loggerhub_logs_stored_total").increment(drained.stored as u64);
    metrics::histogram!("loggerhub_drain_seconds").record(began.elapsed().as_secs_f64());
    tracing::debug!(entries = drained.entries, stored = drained.stored, parked = drained.parked, buried = drained.buried, "drained");
    Ok(drained)
}

async fn move_on(app: &App, taken: Vec<Taken>, until: Until, drained: &mut Drained) -> Result<()> {
    let (archive, index) = (app.archive.clone(), app.index.clone());
    let parked = app.parked.clone();
    let work = tokio::task::spawn_blocking(move || {
        let (opened, lost) = open(taken);
        let (aside, opened): (Vec<Opened>, Vec<Opened>) = opened.into_iter().partition(|entry| parked.holds(&entry.header.tenant));
        prepare(&archive, &index, &opened).map(|prepared| (aside, opened, lost, prepared))
    });
    let (aside, opened, lost, prepared) = work.await.map_err(|e| Error::internal("preparing a drain", e))??;
    park(app, &aside).await?;
    drained.parked += aside.len();

    bury(app, &lost, &until).await?;
    drained.buried += lost.len();

    // Asked before raw is put, so that an outage of Postgres does not fill the object store with copies.
    in_any_weather(until.clone(), || app.rows.ping()).await?;
    let written = write(app, prepared, &until).await?;
    let stored = in_any_weather(until.clone(), || store(app, &written)).await?;
    drained.stored += stored.rows;
    let (aside, done): (Vec<Opened>, Vec<Opened>) = opened.into_iter().partition(|entry| stored.parked.contains(&entry.header.tenant));
    park(app, &aside).await?;
    drained.parked += aside.len();
    let done: Vec<_> = done.iter().map(|entry| (&entry.held, Some(&entry.header))).collect();
    app.queue.ack(&done).await
}

async fn park(app: &App, aside: &[Opened]) -> Result<()> {
    let held: Vec<Held> = aside.iter().map(|entry| entry.held.clone()).collect();
    app.queue.park(&app.consumer, &held).await
}

/// Writes dead letters, with the receipts of the batches that they were, and ends their entries.
async fn bury(app: &App, lost: &[Lost], until: &Until) -> Result<()> {
    for one in lost {
        let letter = &one.letter;
        let letters = [letter];
        tracing::error!(stage = letter.stage, code = letter.code, reason = letter.reason, tenant = letter.tenant.as_ref().map(shared::ids::TenantId::as_str), "buried an entry");
        match one.receipt() {
            Some(receipt) => {
                let batch = StoreBatch { receipt, rows: Vec::new(), dead: vec![letter.clone()] };
                let batches = [&batch];
                in_any_weather(until.clone(), || app.rows.store(&batches)).await?;
            }
            None => in_any_weather(until.clone(), || app.rows.bury(&letters)).await?,
        }
        app.queue.ack(&[(&one.held, one.header.as_ref())]).await?;
    }
    Ok(())
}

/// Tries until it works, fails for something else than weather, or it is time to stop.
pub(crate) async fn in_any_weather<T, F: Future<Output = Result<T>>>(mut until: Until, attempt: impl Fn() -> F) -> Result<T> {
    let mut pause = BACK_OFF.0;
    loop {
        match attempt().await {
            Err(error) if error.is_retryable() && !until.is_over() => {
                tracing::warn!(cause = chain(&error), "trying again");
                until.pause(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
            outcome => return outcome,
        }
    }
}

/// Says again and again that this consumer is at work, so that nobody takes over what it holds. Never ends by itself.
async fn renew(app: &App, held: &[Held]) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = app.queue.renew(&app.consumer, held).await {
            tracing::warn!(cause = chain(&error), "could not renew the hold on entries");
        }
    }
}
