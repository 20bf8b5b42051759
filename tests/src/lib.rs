//! The crate is its tests: see `system.rs`.
