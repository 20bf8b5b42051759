//! Stories over HTTP against the real engines: what a client, an operator and an outage see of Logger Hub.
//!
//! One binary. Each test runs in a world of its own (`harness`): fresh databases, Redis keys, indices and objects, and a hub in
//! this process. Tests wait on conditions with a deadline, never on time. Run them by `scripts/test`, which starts the engines.

mod harness;
mod stories;
