//! A cursor of anybody's making, its tag right: read as what it says, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = search::fuzz::cursor(body);
});
