//! The query of a list's or a search's URL: understood, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| search::fuzz::query(text));
