//! Telling others what became of tenants: from the outbox to the stream in Redis and to the event bus, each for itself, so that one that is away
//! does not keep the other waiting. `tell_webhooks` is the third.

use std::time::{Duration, Instant};

use shared::error::Result;
use shared::events::MOST_AT_ONCE;
use shared::fault;
use shared::tenants::Told;

use crate::App;

/// Events that the stream gets at once.
const STREAMED_AT_ONCE: usize = 200;

/// Tells the stream what waits in the outbox, for at most `budget`, and answers how many events that were.
///
/// # Errors
/// Weather of Postgres or Redis; what was told by then is remembered, and the rest waits.
pub async fn tell_stream(app: &App, budget: Duration) -> Result<u64> {
    let until = Instant::now() + budget;
    let mut told = 0;
    while Instant::now() < until {
        let Some(telling) = app.registry.begin_telling(Told::Stream, STREAMED_AT_ONCE).await? else { break };
        app.stream.append(&telling.events).await?;
        let positions: Vec<i64> = telling.events.iter().map(|event| event.position).collect();
        fault::point("events.after_append");
        telling.done(&positions).await?;
        told += positions.len() as u64;
    }
    Ok(told)
}

/// Tells the event bus, as [`tell_stream`]; nothing where there is no bus.
///
/// # Errors
/// Weather of Postgres or EventBridge; what was told by then is remembered, and the rest waits.
pub async fn tell_bus(app: &App, budget: Duration) -> Result<u64> {
    let Some(bus) = &app.bus else { return Ok(0) };
    let until = Instant::now() + budget;
    let mut told = 0;
    while Instant::now() < until {
        let Some(telling) = app.registry.begin_telling(Told::Bus, MOST_AT_ONCE).await? else { break };
        let taken = bus.put(&telling.events).await?;
        let positions: Vec<i64> = telling.events.iter().zip(taken).filter(|(_, taken)| *taken).map(|(event, _)| event.position).collect();
        fault::point("events.after_put");
        telling.done(&positions).await?;
        told += positions.len() as u64;
        if positions.is_empty() {
            break;
        }
    }
    Ok(told)
}

/// Forgets events that all were told long ago, and deliveries of them to webhooks, and answers how many.
///
/// # Errors
/// Weather of Postgres.
pub async fn forget_told(app: &App) -> Result<u64> {
    let events = app.registry.forget_told(app.bus.is_some()).await?;
    Ok(events + app.registry.forget_deliveries().await?)
}
