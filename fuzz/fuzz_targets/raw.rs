//! A raw object that somebody damaged: its good frames are read, the rest is an error, and it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::ids::BatchId;
use shared::raw::{RawLine, find_record, frames};

fuzz_target!(|bytes: &[u8]| {
    let mut end = 0;
    for frame in frames(bytes) {
        let Ok(frame) = frame else { break };
        assert!(frame.offset >= end && frame.offset + frame.length <= bytes.len(), "frames follow each other");
        end = frame.offset + frame.length;
        for line in frame.text.split(|b| *b == b'\n').take(1000) {
            let _ = serde_json::from_slice::<RawLine<'_>>(line);
        }
        let _ = find_record(&frame.text, BatchId::new(1_795_000_000_000).log(0));
    }
});
