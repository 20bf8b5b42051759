//! `loggerhub queue`: what waits to be stored, how long it has, and who holds it.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use shared::queue::{PartitionState, Queue};
use shared::redis_link::RedisLink;
use shared::settings::{Env, RedisSettings};

/// How long Redis may take for one answer: nobody else waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tenants and consumers of a partition that are shown to people; `--json` holds all of them.
const SHOWN: usize = 20;

/// Arguments of `loggerhub queue`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Everything as a JSON array, an object for each partition.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A sentence that says what went wrong.
pub async fn run(arguments: &Arguments, env: &Env) -> anyhow::Result<()> {
    let queue = Queue::without_pushes(RedisLink::open(&RedisSettings::from_env(env)?, PATIENCE)?);
    let partitions = queue.inspect().await?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&partitions)?)?);
    }
    partitions.iter().try_for_each(|partition| tell(&mut out, partition)).map_err(Into::into)
}

fn tell(out: &mut impl Write, partition: &PartitionState) -> std::io::Result<()> {
    let PartitionState { partition: number, entries, bytes, oldest_ms, idempotency_bytes, lanes, tenants } = partition;
    writeln!(out, "partition {number}: {entries} entries, {}, the oldest {}; Idempotency-Keys {}", size(*bytes), age(*oldest_ms), size(*idempotency_bytes))?;
    for lane in lanes {
        writeln!(out, "  lane {:<6} {:>8} entries, {:>8} in hand, the oldest {}", lane.lane, lane.entries, lane.held, age(lane.oldest_ms))?;
        for consumer in lane.consumers.iter().take(SHOWN) {
            writeln!(out, "    consumer {} holds {}, last heard of {} ago", consumer.consumer, consumer.held, age(Some(consumer.idle_ms)))?;
        }
        more(out, lane.consumers.len())?;
    }
    for tenant in tenants.iter().take(SHOWN) {
        writeln!(out, "  tenant {:<30} {:>8} batches {:>12}, the oldest {}", tenant.tenant.as_str(), tenant.batches, size(tenant.bytes), age(tenant.oldest_ms))?;
    }
    more(out, tenants.len())
}

fn more(out: &mut impl Write, all: usize) -> std::io::Result<()> {
    if all > SHOWN { writeln!(out, "    and {} more: --json tells all", all - SHOWN) } else { Ok(()) }
}

fn age(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100))
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes < MIB { format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024) } else { format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_with_one_digit_more() {
        assert_eq!([size(0), size(1536), size(5 * 1024 * 1024 + 600_000)], ["0.0 KiB", "1.5 KiB", "5.5 MiB"]);
        assert_eq!([age(None), age(Some(999)), age(Some(61_250))], ["-", "0.9 s", "61.2 s"]);
    }
}
