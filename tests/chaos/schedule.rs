//! What goes wrong, and when: a matter of the seed alone.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Time between the beginnings of two steps, in seconds.
const EVERY: std::ops::Range<u64> = 18..28;
/// How long a fault lasts, in seconds.
const LASTS: std::ops::Range<u64> = 2..14;
/// No step begins in the last seconds: what it left behind shall meet traffic.
const CALM_AT_THE_END: Duration = Duration::from_secs(25);
/// One step in so many has two faults at once.
const TWO_IN: u32 = 3;

/// Whom a fault befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Hub(usize),
    Redis,
    Postgres,
    OpenSearch,
    ObjectStore,
}

/// What befalls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `kill -9`, and started again when the fault is over.
    Kill,
    /// Stopped in its tracks, and let go on.
    Pause,
    /// Stopped as its operator would, and started again.
    Restart,
    /// Its disk is full.
    FullDisk,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    pub(crate) lasts: Duration,
}

/// One or two faults that begin together.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Counted from the first record.
    pub(crate) at: Duration,
    pub(crate) faults: Vec<Fault>,
}

/// The schedule of a run that takes so long. `disks`: disks can be filled.
pub(crate) fn make(seed: u64, length: Duration, disks: bool) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut steps, mut at) = (Vec::new(), Duration::from_secs(10));
    while at + CALM_AT_THE_END < length {
        let mut faults = vec![fault(&mut rng, disks)];
        if rng.random_ratio(1, TWO_IN) {
            let other = fault(&mut rng, disks);
            if other.target != faults[0].target {
                faults.push(other);
            }
        }
        steps.push(Step { at, faults });
        at += Duration::from_secs(rng.random_range(EVERY));
    }
    steps
}

fn fault(rng: &mut StdRng, disks: bool) -> Fault {
    const TARGETS: [Target; 6] = [Target::Hub(0), Target::Hub(1), Target::Redis, Target::Postgres, Target::OpenSearch, Target::ObjectStore];
    let target = *TARGETS.choose(rng).expect("there are some");
    let has_disk = disks && matches!(target, Target::Postgres | Target::ObjectStore);
    let kinds: &[Kind] = if has_disk { &[Kind::Kill, Kind::Pause, Kind::Restart, Kind::FullDisk] } else { &[Kind::Kill, Kind::Pause, Kind::Restart] };
    Fault { kind: *kinds.choose(rng).expect("there are some"), target, lasts: Duration::from_secs(rng.random_range(LASTS)) }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:>4} s: ", self.at.as_secs())?;
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{} {} for {} s", if n > 0 { ", " } else { "" }, fault.kind, fault.target, fault.lasts.as_secs())?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::FullDisk => "fill the disk of",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(number) => write!(f, "hub {number}"),
            engine => f.write_str(engine.engine()),
        }
    }
}

impl Target {
    /// What `scripts/engines` calls it.
    pub(crate) fn engine(self) -> &'static str {
        match self {
            Self::Hub(_) => "",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::OpenSearch => "opensearch",
            Self::ObjectStore => "object-store",
        }
    }
}
