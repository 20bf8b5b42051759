//! Leases: for work that does no harm when two processes do it, and is a waste.

use std::time::Duration;

use uuid::Uuid;

use super::{Queue, millis};
use crate::error::Result;
use crate::redis_link::failed;

impl Queue {
    /// Whether `holder` may do this kind of work alone from now on for `length`. Asked again, it lasts longer; `Duration::ZERO` ends it.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn lease(&self, work: &str, holder: Uuid, length: Duration) -> Result<bool> {
        let mut call = self.scripts.lease.key(self.partition(0).lease(work));
        call.arg(holder.to_string()).arg(millis(length));
        call.invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }
}
