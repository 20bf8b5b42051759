//! Keys, ids and times as they are typed: each that is taken says what was typed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::ids::{ApiKey, BatchId, LogId, TenantId};
use shared::range::Range;
use shared::timestamp;

fuzz_target!(|text: &str| {
    if let Ok(key) = ApiKey::parse(text) {
        assert_eq!(key.reveal(), text);
        let _ = (key.prefix().len(), key.hash());
    }
    if let Ok(tenant) = TenantId::parse(text) {
        assert_eq!(tenant.as_str(), text);
    }
    if let Ok(log) = LogId::parse(text) {
        assert_eq!(log.batch().log(log.position()), log);
    }
    if let Ok(batch) = BatchId::parse(text) {
        assert_eq!(batch.log(0).batch(), batch);
    }
    if let Ok(at) = timestamp::parse(text) {
        assert_eq!(timestamp::parse(&timestamp::format(at)), Ok(at), "milliseconds survive");
    }
    let _ = Range::parse(Some(text), Some("now"), 1_795_000_000_000);
});
