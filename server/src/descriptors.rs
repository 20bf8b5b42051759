//! File descriptors: each connection takes one, and many systems give a process 1,024 unless it asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Left for engines, files and whatever else.
const RESERVED: u64 = 256;

/// Asks for as many as this process may have, and answers for how many connections they suffice.
pub(crate) fn ask_for_all() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, all).is_ok() { limit.maximum } else { limit.current };
    current.map_or(usize::MAX, |current| usize::try_from(current.saturating_sub(RESERVED)).unwrap_or(usize::MAX)).max(1)
}
