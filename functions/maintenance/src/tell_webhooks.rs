//! Telling webhooks what becomes of their tenants: events are handed out from the outbox, and of each webhook the first that waits is sent, then the
//! next, so that they come in order.
//!
//! A receiver that is slow or dead keeps nobody else waiting: webhooks are told side by side, a few of each tenant, and those that fail have places
//! of their own. Ending anywhere loses nothing: what was not written down as delivered is sent again, by whoever claims the webhook next.

mod resolver;
mod sender;

pub use sender::Sender;

use std::time::Duration;

use shared::error::{Result, chain};
use shared::fault;
use shared::tenants::{Claim, DeliveryAttempt, Patience, Registry, Settled};
use tokio::task::JoinSet;

use crate::App;

/// Events that are handed out at once.
const HANDED_OUT_AT_ONCE: i64 = 500;
/// Webhooks that are told at once: those that do well, and those that fail, which mostly wait.
const PLACES: usize = 32;
const PLACES_OF_FAILING: usize = 16;
/// Webhooks of one tenant that are told at once.
const PLACES_OF_TENANT: usize = 4;
/// Deliveries to one webhook until others have a turn.
const IN_A_ROW: usize = 50;
/// How often to look for more while some are told.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A claim outlives the receiver's time by so much: what is written down after it takes less.
const LEASE_BEYOND: Duration = Duration::from_secs(10);

/// What a run told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Events that were handed out.
    pub events: u64,
    /// Deliveries that receivers took.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.delivered += other.delivered;
        self.failed += other.failed;
    }
}

/// What is told to one webhook, and by which place.
struct Turn {
    tenant: String,
    is_failing: bool,
    told: Told,
}

/// The webhooks that are told now.
#[derive(Default)]
struct UnderWay {
    turns: JoinSet<Turn>,
    /// Whose they are, and whether they fail.
    places: Vec<(String, bool)>,
}

impl UnderWay {
    fn free(&self, failing: bool) -> usize {
        let most = if failing { PLACES_OF_FAILING } else { PLACES };
        most.saturating_sub(self.places.iter().filter(|(_, is_failing)| *is_failing == failing).count())
    }

    /// Tenants that have all places which one may have.
    fn busy(&self) -> Vec<String> {
        let count = |tenant: &String| self.places.iter().filter(|(of, _)| of == tenant).count();
        let mut busy: Vec<String> = self.places.iter().map(|(tenant, _)| tenant).filter(|tenant| count(tenant) >= PLACES_OF_TENANT).cloned().collect();
        busy.dedup();
        busy
    }

    fn begin(&mut self, app: &App, claim: Claim, failing: bool, go_on: impl Fn() -> bool + Send + 'static) {
        self.places.push((claim.tenant.clone(), failing));
        let (registry, sender) = (app.registry.clone(), app.webhooks.clone());
        self.turns.spawn(async move {
            let told = deliver(&registry, &sender, &claim, go_on).await;
            Turn { tenant: claim.tenant, is_failing: failing, told }
        });
    }

    /// Waits for one to end; `None` where there is none.
    async fn next(&mut self) -> Option<Told> {
        let turn = match self.turns.join_next().await? {
            Ok(turn) => turn,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let place = self.places.iter().position(|(tenant, is_failing)| (tenant, *is_failing) == (&turn.tenant, turn.is_failing));
        if let Some(place) = place {
            self.places.swap_remove(place);
        }
        Some(turn.told)
    }
}

/// Tells webhooks what waits for them, until nothing is due. Takes up nothing new once `go_on` says no; what is under way then is finished, within
/// the time that receivers have.
///
/// # Errors
/// Weather of Postgres; what was told by then is remembered, and the rest waits.
pub async fn tell_webhooks(app: &App, go_on: impl Fn() -> bool + Clone + Send + 'static) -> Result<Told> {
    let (mut told, mut under_way) = (Told::default(), UnderWay::default());
    let mut outcome = Ok(());
    while go_on() {
        match take_up(app, &mut under_way, &go_on).await {
            Ok(events) => told.events += events,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
        if under_way.places.is_empty() {
            break;
        }
        tokio::select! {
            ended = under_way.next() => told.add(ended.unwrap_or_default()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    while let Some(ended) = under_way.next().await {
        told.add(ended);
    }
    outcome.map(|()| told)
}

/// Hands out events and begins to tell whom something is due to, as far as there are places. Answers how many events were handed out.
async fn take_up(app: &App, under_way: &mut UnderWay, go_on: &(impl Fn() -> bool + Clone + Send + 'static)) -> Result<u64> {
    let lease = app.webhooks.timeout() + LEASE_BEYOND;
    let events = app.registry.hand_out(HANDED_OUT_AT_ONCE).await?;
    for failing in [false, true] {
        while under_way.free(failing) > 0 {
            let claims = app.registry.claim_webhooks(failing, under_way.free(failing), &under_way.busy(), lease).await?;
            if claims.is_empty() {
                break;
            }
            for claim in claims {
                under_way.begin(app, claim, failing, go_on.clone());
            }
        }
    }
    Ok(events)
}

/// Tells one webhook what waits for it, in order, until one attempt fails. Trouble with Postgres is logged: the claim ends by itself.
async fn deliver(registry: &Registry, sender: &Sender, claim: &Claim, go_on: impl Fn() -> bool) -> Told {
    let mut told = Told::default();
    if let Err(error) = try_to_deliver(registry, sender, claim, go_on, &mut told).await {
        tracing::warn!(cause = chain(&error), "what became of a webhook's delivery could not be written down; it is tried again");
    }
    told
}

async fn try_to_deliver(registry: &Registry, sender: &Sender, claim: &Claim, go_on: impl Fn() -> bool, told: &mut Told) -> Result<()> {
    let patience = Patience { lease: sender.timeout() + LEASE_BEYOND, disable_after: sender.disable_after() };
    for _ in 0..IN_A_ROW {
        let Some(due) = registry.next_delivery(claim).await?.filter(|_| go_on()) else { break };
        fault::point("webhooks.before_send");
        let attempt = sender.send(&due).await;
        fault::point("webhooks.after_send");
        let is_taken = matches!(attempt, DeliveryAttempt::Taken { .. });
        told.delivered += u64::from(is_taken);
        told.failed += u64::from(!is_taken);
        metrics::counter!("loggerhub_webhook_attempts_total", "outcome" => if is_taken { "delivered" } else { "failed" }).increment(1);
        if registry.settle_delivery(claim, &due, &attempt, patience).await? == Settled::Ended {
            return Ok(());
        }
    }
    registry.release_webhook(claim).await
}
