//! Measurements against the engines' own limits, side by side. `scripts/bench` starts engines of its own and calls this.

mod baseline;
mod data;
mod door;
mod drain;
mod drive;
mod end_to_end;
mod figures;
mod flood;
mod function;
mod growth;
mod hello;
mod indexing;
mod lag;
mod outage;
mod pace;
mod plot;
mod process;
mod reading;
mod search;
mod server;
mod stage;
mod tenants;
mod verify;
mod wire;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use shared::settings::Env;

/// Measures Logger Hub beside the engines that it stands on. The engines are named by the settings, and should hold nothing else.
#[derive(Parser)]
struct Arguments {
    /// Folder with the events, `*.ndjson.gz`; else the shared ones, or where they are not at hand the bundled sample.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// Seed of every random choice.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Times that ours and the baseline are run, in turn.
    #[arg(long, global = true, default_value_t = 3)]
    rounds: usize,
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// The door alone, with nobody behind it: requests a second, CPU, memory and start, beside Redis and a server that does nothing.
    Door(door::Door),
    /// From 202 to being found at a steady rate, and the memory that it takes.
    Lag(lag::Lag),
    /// The processor's part in Postgres, beside COPY of the same rows.
    Stage(stage::Stage),
    /// The processor's CPU beside what its parts take, and raw beside gzip.
    Drain,
    /// The rate by partitions, processes, tenants, and by what is stored already.
    Growth(growth::Growth),
    /// What a document costs OpenSearch, beside a plain mapping.
    Indexing,
    /// Every case that has a baseline, in little: that they run and that nothing is lost, not what comes out.
    Quick,
    /// All events through HTTP into all three stores, beside raw `_bulk` of the same documents; then every log is looked for.
    EndToEnd,
    /// A steady rate while an engine is away for a while; then every log is looked for.
    Outage(outage::Outage),
    /// Fifty tenants, one of which sends a hundred times what all others send: how long the others wait.
    Flood(flood::Flood),
    /// Two thousand logs a second for a minute, three tails, and OpenSearch restarted in between: each log once, or a gap that is told.
    Tail(reading::Tailing),
    /// A hundred thousand logs page by page, by list and by search, while others come in: each once.
    Paging(reading::Paging),
    /// A thousand tenants: the time to make each, ingest and search beside them, and a migration of all with one schema broken.
    Tenants(tenants::Tenants),
    /// What readers wait for over many logs, beside the same requests sent straight to the engines.
    Search(search::Search),
    /// Answers everything at once, for `door`.
    #[command(hide = true)]
    Hello {
        /// Where.
        listen: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let env = Env::from_process();
    if let Case::Hello { listen } = &arguments.case {
        return hello::serve(listen).await;
    }
    let events = data::load(arguments.data.as_deref(), arguments.seed)?;
    match arguments.case {
        Case::Hello { .. } => Ok(()),
        Case::Door(door) => door::run(&env, &events, arguments.rounds, door).await,
        Case::Lag(lag) => lag::run(&events, lag).await,
        Case::Stage(stage) => stage::run(&env, &events, arguments.rounds, stage).await,
        Case::Drain => drain::run(&env, &events, arguments.rounds).await,
        Case::Growth(growth) => growth::run(&env, &events, arguments.rounds, arguments.seed, growth).await,
        Case::Indexing => indexing::run(&env, &events, arguments.rounds).await,
        Case::Quick => quick(&env, &events, arguments.seed).await,
        Case::EndToEnd => end_to_end::run(&env, &events, arguments.rounds, arguments.seed).await,
        Case::Outage(outage) => outage::run(&env, &events, outage).await,
        Case::Flood(flood) => flood::run(&env, &events, flood).await,
        Case::Tail(tailing) => reading::tail(&env, &events, tailing).await,
        Case::Paging(paging) => reading::paging(&env, &events, paging).await,
        Case::Tenants(tenants) => tenants::run(&env, &events, tenants).await,
        Case::Search(search) => search::run(&env, &events, search, arguments.seed).await,
    }
}

/// Logs of a case of [`Case::Quick`].
const QUICK_LOGS: usize = 10_000;

async fn quick(env: &Env, events: &[data::Event], seed: u64) -> anyhow::Result<()> {
    let few = &events[..events.len().min(QUICK_LOGS)];
    door::run(env, few, 1, door::Door { logs: 2 * QUICK_LOGS, singles: QUICK_LOGS }).await?;
    stage::run(env, few, 1, stage::Stage { rows: QUICK_LOGS }).await?;
    drain::run(env, few, 1).await?;
    indexing::run(env, few, 1).await?;
    lag::run(few, lag::Lag { rate: 1_000, seconds: 5, warm_up: 1 }).await?;
    end_to_end::run(env, few, 1, seed).await
}
