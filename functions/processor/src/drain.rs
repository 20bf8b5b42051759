//! Draining: take, prepare, write, store, acknowledge. The loop is outside, the steps can be called alone.

use std::future::Future;
use std::time::{Duration, Instant};

use shared::error::{Engine, Error, Result, chain};
use shared::fault;
use shared::ids::TenantId;
use shared::queue::{Header, Held, TakeBudget, Taken};
use shared::rows::StoreBatch;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::App;
use crate::prepare::{Lost, open, prepare_apart};
use crate::store::{store, write};

/// What one drain takes: one `_bulk` and one transaction. Of the shared sample (602 bytes a log) some 7,000 logs, a `_bulk` of some
/// 9 MiB; larger ones were no faster, and held twice the memory.
const BUDGET: TakeBudget = TakeBudget { bytes: 4 * 1024 * 1024, entries: 2000 };
/// Drains under way at once: while one waits for the stores, the next is unpacked and compressed.
const SIDE_BY_SIDE: usize = 2;
/// How often a consumer says that it is still at work: a third of the time after which it counts as dead.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// First and longest pause between tries in bad weather.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long one try of a write may take. Postgres' client has no timeout of its own, and a host that vanished answers nothing.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(60);
/// The least that one try gets, however little time is left.
const ATTEMPT_AT_LEAST: Duration = Duration::from_secs(1);
/// How often an idle processor looks whether another process left something behind.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When to stop: at a deadline, or when told to. What is in hand is finished, if the stores let it.
#[derive(Debug, Clone)]
pub struct Until {
    deadline: Option<Instant>,
    give_up: Option<Instant>,
    told: watch::Receiver<bool>,
}

impl Until {
    /// Until that moment.
    #[must_use]
    pub fn deadline(at: Instant) -> Self {
        let (_, told) = watch::channel(false);
        Self { deadline: Some(at), give_up: None, told }
    }

    /// Until the channel says so.
    #[must_use]
    pub fn told(told: watch::Receiver<bool>) -> Self {
        Self { deadline: None, give_up: None, told }
    }

    /// The same, but a write that hangs is given up at `at`, while there is still time to say so.
    #[must_use]
    pub fn giving_up_at(self, at: Instant) -> Self {
        Self { give_up: Some(at), ..self }
    }

    /// How long a try may take that begins now.
    fn attempt_within(&self) -> Duration {
        let left = self.give_up.map_or(ATTEMPT_WITHIN, |at| at.saturating_duration_since(Instant::now()));
        left.clamp(ATTEMPT_AT_LEAST, ATTEMPT_WITHIN)
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
    let mut rest = None;
    while !until.is_over() {
        if rest.is_none() {
            let mut told = until.told.clone();
            tokio::select! {
                () = app.bell.wait(LOOK_EVERY) => {}
                _ = told.wait_for(|told| *told) => return,
            }
        }
        until.pause(rest.unwrap_or(app.linger)).await;
        rest = match drain_and_leave(app, &until).await {
            Ok((_, rest)) => rest,
            Err(error) => {
                tracing::error!(cause = chain(&error), "draining failed; it goes on");
                until.pause(BACK_OFF.1).await;
                None
            }
        };
    }
}

/// Drains while takes come back full, and until it is time to stop. Then, if something has come in meanwhile, somebody is called
/// to take it.
///
/// # Errors
/// Weather that did not pass: what was taken stays in the queue.
pub async fn drain_queue(app: &App, until: &Until) -> Result<Drained> {
    let (drained, rest) = drain_and_leave(app, until).await?;
    if let Some(rest) = rest {
        app.bell.ring(rest).await?;
    }
    Ok(drained)
}

/// Answers also, where something has come in meanwhile, what is left of its linger: going on at once would store steady traffic in ever
/// smaller pieces, and a whole linger more would let it wait while the engines are idle.
async fn drain_and_leave(app: &App, until: &Until) -> Result<(Drained, Option<Duration>)> {
    let drained = drain_burst(app, until).await?;
    let waited = app.queue.leave().await?;
    // Where nothing could be taken, to try again at once would be to do so for ever.
    let rest = waited.map(|waited| if drained.entries == 0 { app.linger } else { app.linger.saturating_sub(waited) });
    Ok((drained, rest))
}

/// Takes while there is something to take, a few drains side by side.
async fn drain_burst(app: &App, until: &Until) -> Result<Drained> {
    let mut total = Drained::default();
    let mut under_way = JoinSet::new();
    let (mut some_left, mut had_suspect) = (true, false);
    let mut outcome = Ok(());
    loop {
        let go_on = some_left && outcome.is_ok() && !until.is_over();
        if go_on && under_way.len() < SIDE_BY_SIDE {
            match app.queue.take(&app.consumer, BUDGET).await {
                Ok(taken) => {
                    // One that is taken alone says nothing of what waits behind it.
                    let is_suspect = matches!(taken.as_slice(), [only] if only.held.is_suspect());
                    some_left = is_full(&taken) || is_suspect || had_suspect;
                    had_suspect = is_suspect;
                    if !taken.is_empty() {
                        under_way.spawn(drain_owned(app.clone(), taken, until.clone()));
                        keep_bell(app).await;
                    }
                }
                Err(error) => outcome = Err(error),
            }
            continue;
        }
        match under_way.join_next().await {
            Some(Ok(Ok(drained))) => total.add(drained),
            Some(Ok(Err(error))) => outcome = Err(error),
            Some(Err(panic)) => outcome = Err(Error::internal("draining", panic)),
            None if go_on => {}
            None => return outcome.map(|()| total),
        }
    }
}

/// Whether a take ended because it held enough. One that did not found all there was: the next round comes after what is left of the linger.
fn is_full(taken: &[Taken]) -> bool {
    let bytes: usize = taken.iter().map(|entry| entry.held.unpacked_bytes).sum();
    bytes >= BUDGET.bytes / 2 || taken.len() >= BUDGET.entries / 2
}

/// A bell that cannot be kept set is rung once too often, or once a minute: no reason to let go of what was taken.
async fn keep_bell(app: &App) {
    if let Err(error) = app.queue.keep_bell().await {
        tracing::warn!(cause = chain(&error), "could not keep the bell set");
    }
}

async fn drain_owned(app: App, taken: Vec<Taken>, until: Until) -> Result<Drained> {
    drain_once(&app, taken, until).await
}

/// Moves what was taken into the stores and acknowledges it. Retries weather until it is time to stop.
///
/// # Errors
/// Weather that did not pass, or our own mistake: what was taken stays in the queue, and is taken again.
pub async fn drain_once(app: &App, taken: Vec<Taken>, until: Until) -> Result<Drained> {
    let began = Instant::now();
    let held: Vec<Held> = taken.iter().map(|entry| entry.held.clone()).collect();
    let mut drained = Drained { entries: held.len(), bytes: held.iter().map(|held| held.unpacked_bytes).sum(), ..Drained::default() };
    let outcome = tokio::select! {
        outcome = move_on(app, taken, until, &mut drained) => outcome,
        () = renew(app, &held) => Ok(()),
    };
    if outcome.is_err() {
        // A failure that this process survives is no death: without this, five of them would bury what is well.
        park(app, &held).await;
    }
    metrics::counter!("loggerhub_logs_stored_total").increment(drained.stored as u64);
    metrics::histogram!("loggerhub_drain_seconds").record(began.elapsed().as_secs_f64());
    tracing::debug!(entries = drained.entries, stored = drained.stored, parked = drained.parked, buried = drained.buried, "drained");
    outcome.map(|()| drained)
}

async fn move_on(app: &App, taken: Vec<Taken>, until: Until, drained: &mut Drained) -> Result<()> {
    fault::point("processor.taken");
    let taken = set_aside(app, taken, &until, drained).await?;
    let (archive, index) = (app.archive.clone(), app.index.clone());
    let work = tokio::task::spawn_blocking(move || {
        let (opened, mut lost) = open(taken);
        let (opened, unprepared, prepared) = prepare_apart(&archive, &index, opened)?;
        lost.extend(unprepared);
        let holds: Vec<(Held, Header)> = opened.into_iter().map(|entry| (entry.entry.held, entry.header)).collect();
        Ok::<_, Error>((holds, lost, prepared))
    });
    let (holds, lost, prepared) = timed("prepare", work).await.map_err(|e| Error::internal("preparing a drain", e))??;
    for one in &lost {
        bury(app, one, &until).await?;
        drained.buried += 1;
    }
    let batches = write(app, prepared, &until).await?;
    fault::point("processor.before_rows");
    let stored = timed("rows", in_any_weather(until.clone(), Engine::Rows, || store(app, &batches))).await?;
    fault::point("processor.after_rows");
    drained.stored += stored.rows;
    let (aside, done): (Vec<_>, Vec<_>) = holds.iter().partition(|(_, header)| stored.parked.contains(&header.tenant));
    let aside: Vec<Held> = aside.into_iter().map(|(held, _)| held.clone()).collect();
    park(app, &aside).await;
    drained.parked += aside.len();
    let done: Vec<(&Held, Option<&Header>)> = done.into_iter().map(|(held, header)| (held, Some(header))).collect();
    timed("acknowledge", app.queue.ack(&done)).await?;
    fault::point("processor.after_ack");
    Ok(())
}

/// Ends what belongs to tenants that are gone, and parks what belongs to those whose rows cannot be written just now. Asks Postgres
/// before anything is written, so that an outage of it does not fill the object store with copies.
async fn set_aside(app: &App, taken: Vec<Taken>, until: &Until, drained: &mut Drained) -> Result<Vec<Taken>> {
    let taken: Vec<(Option<Header>, Taken)> = taken.into_iter().map(|entry| (entry.header().ok(), entry)).collect();
    let tenants: Vec<&str> = taken.iter().filter_map(|(header, _)| Some(header.as_ref()?.tenant.as_str())).collect();
    let dropped = in_any_weather(until.clone(), Engine::Rows, || app.rows.dropped_of(&tenants)).await?;
    let (gone, taken): (Vec<_>, Vec<_>) =
        taken.into_iter().partition(|(header, _)| header.as_ref().is_some_and(|header| dropped.iter().any(|tenant| tenant == header.tenant.as_str())));
    if !gone.is_empty() {
        tracing::warn!(tenants = dropped.join(","), batches = gone.len(), "what arrived for tenants that are gone is not stored");
        let gone: Vec<(&Held, Option<&Header>)> = gone.iter().map(|(header, entry)| (&entry.held, header.as_ref())).collect();
        app.queue.ack(&gone).await?;
    }
    let (aside, taken): (Vec<_>, Vec<_>) = taken.into_iter().partition(|(header, _)| header.as_ref().is_some_and(|header| app.parked.holds(&header.tenant)));
    let aside: Vec<Held> = aside.into_iter().map(|(_, entry)| entry.held).collect();
    park(app, &aside).await;
    drained.parked += aside.len();
    Ok(taken.into_iter().map(|(_, entry)| entry).collect())
}

/// Leaves entries for later. Where Redis does not take that, they are left behind all the same.
async fn park(app: &App, held: &[Held]) {
    if let Err(error) = app.queue.park(&app.consumer, held).await {
        tracing::warn!(cause = chain(&error), "could not park entries");
    }
}

/// Writes a dead letter, with the receipt of the batch that it was, and ends its entry. One that cannot be written is parked: it must
/// not keep the rest of its drain from the stores.
///
/// # Errors
/// Weather.
async fn bury(app: &App, one: &Lost, until: &Until) -> Result<()> {
    let letter = &one.letter;
    let letters = [letter];
    // The reason may quote what the entry holds, and is kept with it alone.
    tracing::error!(letter = %letter.id, stage = letter.stage, code = letter.code, tenant = letter.tenant.as_ref().map(TenantId::as_str), "burying an entry");
    fault::point("processor.before_bury");
    let written = match one.receipt() {
        Some(receipt) => {
            let batch = StoreBatch { receipt, rows: Vec::new(), dead: vec![letter.clone()] };
            let batches = [&batch];
            in_any_weather(until.clone(), Engine::Rows, || app.rows.store(&batches)).await.map(drop)
        }
        None => in_any_weather(until.clone(), Engine::Rows, || app.rows.bury(&letters)).await,
    };
    match written {
        Ok(()) => {
            fault::point("processor.after_bury");
            app.queue.ack(&[(&one.held, one.header.as_ref())]).await
        }
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::error!(cause = chain(&error), "a dead letter cannot be written; its entry is parked");
            park(app, std::slice::from_ref(&one.held)).await;
            Ok(())
        }
    }
}

/// Does a step of a drain, and counts how long it took: which of the engines holds up the others is seen there.
pub(crate) async fn timed<T>(step: &'static str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let outcome = work.await;
    metrics::histogram!("loggerhub_drain_step_seconds", "step" => step).record(began.elapsed().as_secs_f64());
    outcome
}

/// Tries until it works, fails for something else than weather, or it is time to stop.
pub(crate) async fn in_any_weather<T, F: Future<Output = Result<T>>>(mut until: Until, engine: Engine, attempt: impl Fn() -> F) -> Result<T> {
    let mut pause = BACK_OFF.0;
    loop {
        let outcome = tokio::time::timeout(until.attempt_within(), attempt()).await;
        match outcome.unwrap_or_else(|_| Err(Error::unavailable(engine, "no answer in time"))) {
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
