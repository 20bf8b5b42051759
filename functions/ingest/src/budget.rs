//! Bytes in flight: what all requests of this process may hold at once, so that no flood takes all memory.

use std::sync::Arc;
use std::time::Duration;

use shared::error::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that bodies may hold at once, on the wire and unpacked. Splitting and packing hold about as much again for a moment.
const IN_FLIGHT: usize = 96 * 1024 * 1024;
/// Bytes of one permit: permits are taken in such steps. Small, so that a thousand bodies that hardly begin do not hold all there is.
const STEP: usize = 4 * 1024;
/// How long a request waits for others to finish.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bytes that this process may hold.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(IN_FLIGHT / STEP)))
    }
}

impl Budget {
    /// A lease on nothing yet.
    pub(crate) fn lease(&self) -> Lease {
        Lease { budget: self.clone(), permit: None, bytes: 0 }
    }
}

/// Bytes that one request holds; given back when it ends.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Lease {
    /// Holds `more` bytes than before; waits a little where there is no room.
    ///
    /// # Errors
    /// [`Error::Busy`] `overloaded`.
    pub(crate) async fn grow(&mut self, more: usize) -> Result<()> {
        let missing = self.missing(more);
        if missing > 0 {
            let granted = tokio::time::timeout(PATIENCE, Arc::clone(&self.budget.0).acquire_many_owned(missing)).await;
            self.add(granted.map_err(|_| overloaded())?.map_err(|_| overloaded())?);
        }
        self.bytes += more;
        Ok(())
    }

    /// As [`Lease::grow`], without waiting: for code that must not.
    ///
    /// # Errors
    /// [`Error::Busy`] `overloaded`.
    pub(crate) fn try_grow(&mut self, more: usize) -> Result<()> {
        let missing = self.missing(more);
        if missing > 0 {
            self.add(Arc::clone(&self.budget.0).try_acquire_many_owned(missing).map_err(|_| overloaded())?);
        }
        self.bytes += more;
        Ok(())
    }

    fn missing(&self, more: usize) -> u32 {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from((self.bytes + more).div_ceil(STEP).saturating_sub(held)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
    }
}

fn overloaded() -> Error {
    Error::Busy { code: "overloaded", detail: "too many bytes are in flight here; send them again later", retry_after: Duration::from_secs(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_bounded_and_given_back() {
        let budget = Budget::default();
        let mut first = budget.lease();
        first.grow(IN_FLIGHT - STEP).await.expect("there is room");
        let mut second = budget.lease();
        assert!(second.try_grow(STEP).is_ok() && second.try_grow(1).is_err());
        drop(first);
        assert!(second.try_grow(1).is_ok());
    }
}
