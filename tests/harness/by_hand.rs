//! Entries of the queue that no ingest would write, and those that it would, changed in one place.

use redis::AsyncCommands;
use serde_json::{Value, json};
use shared::ids::BatchId;
use shared::queue::Header;

use super::{Caller, World};

impl World {
    /// Puts an entry into the queue.
    pub(crate) async fn add_by_hand(&self, fields: &[(&str, &[u8])]) {
        let _: String = self.redis().await.xadd(self.redis_key("{p0}:queue"), "*", fields).await.expect("Redis answers");
    }
}

impl Caller {
    /// The id of a fresh batch of this tenant's, and a header as ingest would write it, changed in one place.
    pub(crate) fn header_by_hand(&self, change: impl FnOnce(&mut Value)) -> (String, Vec<u8>) {
        let batch = BatchId::new(u64::try_from(shared::timestamp::from_datetime(time::OffsetDateTime::now_utc())).expect("after 1970"));
        let mut header = json!({
            "v": Header::VERSION, "tenant": self.tenant, "key_id": self.key_id, "batch": batch, "class": "standard", "index": true,
            "wire_bytes": 20, "unpacked_bytes": 20, "accepted": 1, "rejected": [], "zstd": false,
        });
        change(&mut header);
        (batch.to_string(), header.to_string().into_bytes())
    }
}
