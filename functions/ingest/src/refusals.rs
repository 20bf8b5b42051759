//! What was refused, counted in the process and handed to Redis together: a flood must not cost a call for each request.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::error::{Error, Result, chain};
use shared::grant::Grant;
use shared::ids::TenantId;
use shared::queue::{Payload, Queue, Refusal, RefusedCount};
use shared::record::Claims;

/// How much was refused, by service and reason.
pub(crate) type Counts = BTreeMap<(String, &'static str), RefusedCount>;

/// A request that is not taken: what the client is told, and what is counted.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: Error,
    pub(crate) counts: Counts,
}

impl Refused {
    /// One whose records were not read.
    pub(crate) fn unread(error: Error, bytes: usize) -> Self {
        let count = RefusedCount { requests: 1, logs: 0, bytes: bytes as u64 };
        Self { counts: Counts::from([((String::new(), error.code()), count)]), error }
    }

    /// One whose records were good, by their services.
    pub(crate) fn read(error: Error, payload: &Payload) -> Self {
        let mut counts = Counts::new();
        for line in payload.unpack().unwrap_or_default().split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let service = Claims::read(line).map_or_else(|_| String::new(), |record| record.service().to_owned());
            let count = counts.entry((service, error.code())).or_default();
            count.requests = 1;
            count.logs += 1;
            count.bytes += line.len() as u64 + 1;
        }
        Self { error, counts }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::unread(error, 0)
    }
}

/// How long a client waits for what was refused to be counted.
const WAIT_FOR: Duration = Duration::from_millis(200);
/// Most kinds that are counted apart until they are handed over: services are named by whoever sends.
const MOST_KINDS: usize = 10_000;

/// Counts of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Refusals {
    counted: Arc<Mutex<Counted>>,
    at_once: bool,
}

#[derive(Debug, Default)]
struct Counted(HashMap<(TenantId, Refusal), RefusedCount>);

impl Refusals {
    /// For a function that is frozen between its requests: each hands over what it counted.
    #[must_use]
    pub fn at_once() -> Self {
        Self { counted: Arc::default(), at_once: true }
    }

    /// For a process that stays: whoever runs it calls [`Refusals::hand_over`], again and again and at its end.
    #[must_use]
    pub fn kept() -> Self {
        Self { counted: Arc::default(), at_once: false }
    }

    /// Counts what was refused of a key's requests.
    pub(crate) fn add(&self, grant: &Grant, counts: &Counts) {
        if counts.is_empty() {
            return;
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for ((service, reason), count) in counts {
            let kind = Refusal { key_id: grant.key_id, service: service.clone(), reason: (*reason).to_owned() };
            counted.add((grant.tenant.clone(), kind), *count);
        }
    }

    /// Hands over what a request left, where that is to be at once. A client does not wait for it for long: it goes on with the next request then.
    pub(crate) async fn after_request(&self, queue: &Queue) {
        if !self.at_once || self.counted.lock().unwrap_or_else(PoisonError::into_inner).0.is_empty() {
            return;
        }
        let (refusals, queue) = (self.clone(), queue.clone());
        let handing_over = tokio::spawn(async move {
            if let Err(error) = refusals.hand_over(&queue).await {
                tracing::warn!(cause = chain(&error), "what was refused could not be counted in Redis; it is kept");
            }
        });
        let _ = tokio::time::timeout(WAIT_FOR, handing_over).await;
    }

    /// Hands over what was counted; where Redis does not take it, it is kept for the next time, and may then be counted twice.
    ///
    /// # Errors
    /// [`shared::error::Error::Unavailable`].
    pub async fn hand_over(&self, queue: &Queue) -> Result<()> {
        let mut by_tenant: HashMap<TenantId, Vec<(Refusal, RefusedCount)>> = HashMap::new();
        for ((tenant, kind), count) in std::mem::take(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner).0) {
            by_tenant.entry(tenant).or_default().push((kind, count));
        }
        let mut trouble = Ok(());
        for (tenant, counts) in by_tenant {
            if let Err(error) = queue.count_refused(&tenant, &counts).await {
                let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
                for (kind, count) in counts {
                    counted.add((tenant.clone(), kind), count);
                }
                trouble = Err(error);
            }
        }
        trouble
    }
}

impl Counted {
    fn add(&mut self, (tenant, kind): (TenantId, Refusal), count: RefusedCount) {
        let key = (tenant, kind);
        let key = if self.0.len() >= MOST_KINDS && !self.0.contains_key(&key) { (key.0, Refusal { service: String::new(), ..key.1 }) } else { key };
        *self.0.entry(key).or_default() += count;
    }
}
