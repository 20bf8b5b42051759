//! All functions of Logger Hub in one process: for a laptop, for tests, and for servers.
//!
//! The same routers and the same drain as on Lambda; what differs is who calls them. [`Hub::start`] mounts the routers on one
//! port, drains the queue in a loop and does maintenance on its schedule; [`Hub::stop`] finishes what is in hand.

pub mod audit;
pub mod bridge;
pub mod cost;
pub mod dead_letters;
pub mod demo;
pub mod documents;
pub mod export;
pub mod index_later;
pub mod isolation_check;
pub mod proxies;
pub mod queue;
pub mod rebuild;

mod config;
mod descriptors;
mod doors;
mod health;
mod hub;
mod listener;
mod looking;
mod schedule;

pub use config::Settings;
pub use doors::Doors;
pub use hub::{Hub, stop_signal};

use shared::error::Result;
use shared::rows::Migrated;

/// Brings both databases and every tenant's schema to this version, and publishes what the key ring lacks. A schema that fails stops nothing:
/// the answer names it.
///
/// # Errors
/// [`shared::error::Error::Unavailable`], or [`shared::error::Error::Internal`] for a migration of what belongs to no tenant that fails.
pub async fn migrate(settings: &Settings) -> Result<Migrated> {
    let doors = Doors::open(settings)?;
    doors.registry.migrate().await?;
    let migrated = doors.rows.migrate(|done, all| looking::progress(&format!("{done} of {all} schemas"))).await;
    looking::end_progress();
    let migrated = migrated?;
    maintenance::republish_keys(&doors.maintenance()).await?;
    Ok(migrated)
}
