//! A query: what is understood is printed, and reads as the same query again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| search::fuzz::language(text));
