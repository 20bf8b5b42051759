//! How the rate grows, or does not: with partitions, processes, tenants and with what is stored already. All of it on the cores that there are.

use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use shared::settings::{Env, PostgresSettings};
use sqlx::{Connection, PgConnection};

use crate::data::Event;
use crate::drive;
use crate::figures::{Figures, Goal, median, real};
use crate::flood::{batches_stored, until_stored};
use crate::plot;
use crate::server::Server;

/// How far.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Growth {
    /// Partitions of the queue.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    partitions: Vec<usize>,
    /// `loggerhub` processes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4])]
    processes: Vec<usize>,
    /// Tenants, whose shares of what is sent follow Zipf's law.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 50, 1_000])]
    tenants: Vec<usize>,
    /// Logs that are stored already, in millions.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 5])]
    stored: Vec<usize>,
    /// File for the plot.
    #[arg(long)]
    svg: Option<std::path::PathBuf>,
}

/// Tenants that share what is sent where partitions are told apart.
const TENANTS_OF_PARTITIONS: usize = 50;

/// One curve: what grows, and the rate at each of its values.
pub(crate) struct Curve {
    pub(crate) of: &'static str,
    pub(crate) points: Vec<(usize, f64)>,
}

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize, seed: u64, asked: Growth) -> anyhow::Result<()> {
    let mut rows = PgConnection::connect(PostgresSettings::logs_from_env(env)?.url.reveal()).await?;
    let mut curves = Vec::new();
    // First, as all that follows stores more.
    let hub = Hub::start(0, 1, 1, 1).await?;
    let mut points = Vec::new();
    for millions in &asked.stored {
        hub.fill(&mut rows, events, millions * 1_000_000).await?;
        let rate = median(&hub.rates(&mut rows, events, rounds, seed).await?);
        println!("{millions} million stored: {rate:.0} logs/s stored and indexed");
        points.push((*millions, rate));
    }
    curves.push(Curve { of: "million logs stored before", points });
    drop(hub);
    let mut nth = 0;
    for (of, values) in [("partitions", &asked.partitions), ("processes", &asked.processes), ("tenants", &asked.tenants)] {
        let mut points = Vec::new();
        for value in values {
            let (mut partitions, mut processes, mut tenants) = (1, 1, 1);
            match of {
                "partitions" => partitions = *value,
                "processes" => processes = *value,
                _ => tenants = *value,
            }
            // Partitions are told apart by tenants.
            let tenants = if of == "partitions" { TENANTS_OF_PARTITIONS } else { tenants };
            nth += 1;
            let hub = Hub::start(nth, partitions, processes, tenants).await?;
            let rate = median(&hub.rates(&mut rows, events, rounds, seed).await?);
            println!("{of} {value}: {rate:.0} logs/s stored and indexed");
            points.push((*value, rate));
        }
        curves.push(Curve { of, points });
    }
    let mut figures = Figures::new("growth");
    for Curve { of, points } in &curves {
        let Some((_, first)) = points.first() else { continue };
        for (value, rate) in points {
            let goal = (*of == "tenants" && *value >= 1_000).then_some(Goal::AtLeast(0.5));
            figures.compare(format!("logs/s stored in all three, {value} {of}"), "the first of these", goal, vec![*first], vec![*rate]);
        }
    }
    if let Some(path) = &asked.svg {
        std::fs::write(path, plot::svg(&curves)?)?;
    }
    figures.tell()
}

/// Some processes that share everything, and tenants.
struct Hub {
    servers: Vec<Server>,
    keys: Vec<String>,
}

impl Hub {
    async fn start(nth: usize, partitions: usize, processes: usize, tenants: usize) -> anyhow::Result<Self> {
        let (prefix, partitions) = (format!("growth{nth}:"), partitions.to_string());
        let settings = [("LOGGERHUB_REDIS_PREFIX", prefix.as_str()), ("LOGGERHUB_PARTITIONS", partitions.as_str())];
        let mut servers = Vec::new();
        for _ in 0..processes {
            servers.push(Server::start_with(&settings).await?);
        }
        let mut keys = Vec::new();
        for tenant in 0..tenants {
            keys.push(servers[0].tenant(&format!("growth_{nth}_{tenant}")).await?);
        }
        Ok(Self { servers, keys })
    }

    /// Logs a second from the first request until all is stored and indexed, after a round that is not counted.
    async fn rates(&self, rows: &mut PgConnection, events: &[Event], rounds: usize, seed: u64) -> anyhow::Result<Vec<f64>> {
        let bodies = zipf(events, self.keys.len(), drive::PER_REQUEST, seed);
        let logs: usize = bodies.iter().map(|(_, logs)| logs.len()).sum();
        let mut rates = Vec::new();
        for round in 0..=rounds {
            let before = batches_stored(rows).await?;
            let began = Instant::now();
            let sending = self.servers.iter().enumerate().map(|(nth, server)| {
                let mine = bodies.iter().skip(nth).step_by(self.servers.len()).map(|(tenant, logs)| (self.keys[*tenant].clone(), logs.join("\n")));
                drive::send_all(&server.url, mine.collect())
            });
            futures::future::try_join_all(sending).await?;
            until_stored(rows, before + bodies.len()).await?;
            if round > 0 {
                rates.push(real(logs) / began.elapsed().as_secs_f64());
            }
        }
        Ok(rates)
    }

    /// Sends until so many are stored.
    async fn fill(&self, rows: &mut PgConnection, events: &[Event], most: usize) -> anyhow::Result<()> {
        loop {
            let (batches, logs): (i64, i64) = sqlx::query_as("select count(*), coalesce(sum(stored), 0)::int8 from public.receipts").fetch_one(&mut *rows).await?;
            if usize::try_from(logs)? >= most {
                return Ok(());
            }
            let sent = drive::post(&self.servers[0].url, &self.keys[0], events).await?;
            until_stored(rows, usize::try_from(batches)? + sent.len()).await?;
        }
    }
}

/// Requests of so many tenants, with at most `per_request` logs each: the n-th tenant sends in proportion to 1/n (Zipf's law, exponent 1), and each sends
/// something. Their order is random.
fn zipf(events: &[Event], tenants: usize, per_request: usize, seed: u64) -> Vec<(usize, &[Event])> {
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let all: f64 = (1..=u32::try_from(tenants).unwrap_or(u32::MAX)).map(|n| 1.0 / f64::from(n)).sum();
    let mut requests = Vec::new();
    let mut rest = events;
    for tenant in 0..tenants {
        let share = real(events.len()) / all / real(tenant + 1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is positive, and no more than there are")]
        let logs = if tenant + 1 == tenants { rest.len() } else { (share.round() as usize).max(1).min(rest.len()) };
        let (mine, others) = rest.split_at(logs);
        requests.extend(mine.chunks(per_request).map(|logs| (tenant, logs)));
        rest = others;
    }
    requests.shuffle(&mut rng);
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_share_all_events_by_zipfs_law() {
        let events: Vec<Event> = (0..10_000).map(|n| n.to_string()).collect();
        let requests = zipf(&events, 50, 100, 1);
        let of = |tenant: usize| requests.iter().filter(|(of, _)| *of == tenant).map(|(_, logs)| logs.len()).sum::<usize>();
        assert_eq!((0..50).map(of).sum::<usize>(), 10_000);
        assert!(of(0).abs_diff(2 * of(1)) < 3 && of(49) >= 1, "{} {} {}", of(0), of(1), of(49));
        assert!(requests.iter().all(|(_, logs)| (1..=100).contains(&logs.len())));
    }
}
