//! Searches are counted in the process, and written down together some seconds later: counting costs a search nothing that it would wait for.
//!
//! A process that dies loses what it had not written, at most ten seconds of searches, or what its sandbox had not on Lambda, where time stands
//! still between requests. What could not be written is dropped, since it may have been: a search is counted too seldom rather than twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::error::chain;
use shared::ids::TenantId;
use shared::rows::{Rows, Searched};
use uuid::Uuid;

/// How long what was counted waits to be written: usage is shown within a minute.
const WRITE_AFTER: Duration = Duration::from_secs(10);
/// What an hour has of milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Counts searches by tenant, key and hour.
#[derive(Debug, Clone)]
pub struct Searches {
    rows: Rows,
    counted: Arc<Mutex<Counted>>,
}

#[derive(Debug, Default)]
struct Counted {
    searches: HashMap<(TenantId, Option<Uuid>, i64), i64>,
    is_awaited: bool,
}

impl Searches {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(rows: Rows) -> Self {
        Self { rows, counted: Arc::default() }
    }

    /// Counts one, at this moment in milliseconds since 1970.
    pub(crate) fn count(&self, tenant: &TenantId, key_id: Option<Uuid>, now_ms: u64) {
        let hour = i64::try_from(now_ms).unwrap_or_default() / HOUR_MS * HOUR_MS;
        let mut counted = self.counted.lock().expect("no panic while held");
        *counted.searches.entry((tenant.clone(), key_id, hour)).or_default() += 1;
        if !std::mem::replace(&mut counted.is_awaited, true) {
            let all = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(WRITE_AFTER).await;
                all.write().await;
            });
        }
    }

    /// Writes down what was counted: soon after it was, and when a process ends.
    pub async fn write(&self) {
        let counted = std::mem::take(&mut *self.counted.lock().expect("no panic while held"));
        let searched: Vec<Searched> = counted.searches.into_iter().map(|((tenant, key_id, hour), searches)| Searched { tenant, key_id, hour, searches }).collect();
        if searched.is_empty() {
            return;
        }
        if let Err(error) = self.rows.add_searches(&searched).await {
            tracing::warn!(cause = chain(&error), searches = searched.iter().map(|one| one.searches).sum::<i64>(), "searches are not counted");
        }
    }
}
