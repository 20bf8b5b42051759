//! `loggerhub`: the server, and the operator's commands.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use loggerhub::{Hub, Settings, audit, bridge, cost, dead_letters, demo, documents, export, index_later, isolation_check, queue, rebuild};
use shared::error::chain;
use shared::rows::Migrated;
use shared::settings::Env;

/// Memory that was freed is given back. glibc keeps some for each thread: at 10,000 logs/s with OpenSearch away for 20 s its peak was
/// 322 MiB, with this 162 (`scripts/bench outage`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A multi-tenant log hub: all functions in one process.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the HTTP interface, drain the queue, and do maintenance, until SIGINT or SIGTERM.
    Serve,
    /// Bring both databases and every tenant's schema to this version; ends 1 if some schema could not be brought there.
    Migrate,
    /// Account for every accepted log in all stores; ends 1 if something is missing or doubled.
    Audit(audit::Arguments),
    /// Show on every route that no tenant sees or changes what another has; ends 1 if one does.
    IsolationCheck(isolation_check::Arguments),
    /// Make a tenant's lost rows and documents again from raw; ends 1 if some are lacking still.
    Rebuild(rebuild::Arguments),
    /// Index what a quota kept out of a tenant's index; ends 1 if some is left.
    Index(index_later::Arguments),
    /// Show what waits to be stored, how long it has, and who holds it.
    Queue(queue::Arguments),
    /// List, show, redrive or discard what could not be stored, of all tenants.
    DeadLetters(dead_letters::Arguments),
    /// Reckon what a hub of some size costs on AWS, with the arithmetic, beside what hosted services ask.
    Cost(cost::Arguments),
    /// Export a tenant's logs into a file, or print them; an export that broke off goes on where it was.
    Export(export::Arguments),
    /// Feed functions from SQS as AWS does, on a machine with LocalStack and `cargo lambda watch`.
    Bridge(bridge::Arguments),
    /// Make a demo tenant on a running server, send it the sample, and show what comes back.
    Demo(demo::Arguments),
    /// Print the OpenAPI document.
    Openapi,
    /// Print every setting: as the README's table, or as `.env.example`.
    Settings {
        /// As `.env.example`.
        #[arg(long)]
        env_example: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        // For a person: the sentence and its causes, never a backtrace.
        Err(error) => {
            eprintln!("loggerhub: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let env = Env::from_process();
    shared::telemetry::init(&env)?;
    if let Some(point) = env.optional("LOGGERHUB_ABORT_AT") {
        anyhow::ensure!(shared::fault::arm(&point), "LOGGERHUB_ABORT_AT is none of {}", shared::fault::POINTS.join(", "));
        tracing::warn!(point, "this process will end at a fault point");
    }
    match command {
        Command::Audit(arguments) => return Ok(audit::run(&arguments, &env).await),
        Command::IsolationCheck(arguments) => return Ok(isolation_check::run(&arguments, &env).await),
        Command::Rebuild(arguments) => return Ok(rebuild::run(&arguments, &env).await),
        Command::Index(arguments) => return Ok(index_later::run(&arguments, &env).await),
        Command::Export(arguments) => return export::run(&arguments).await,
        Command::Serve => serve(&env).await,
        Command::Migrate => return migrate(&env).await,
        Command::DeadLetters(arguments) => dead_letters::run(arguments, &env).await,
        Command::Queue(arguments) => queue::run(&arguments, &env).await,
        Command::Cost(arguments) => cost::run(&arguments),
        Command::Bridge(arguments) => bridge::run(&arguments, &env).await,
        Command::Demo(arguments) => demo::run(&arguments, &env).await,
        Command::Openapi => print_line(&documents::openapi()?),
        Command::Settings { env_example: true } => print_line(documents::env_example().trim_end()),
        Command::Settings { env_example: false } => print_line(documents::settings_table().trim_end()),
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(env: &Env) -> anyhow::Result<()> {
    let settings = Settings::from_env(env)?;
    let listen: std::net::SocketAddr = env.parsed("LOGGERHUB_LISTEN")?;
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}: set LOGGERHUB_LISTEN to a free address"))?;
    let hub = Hub::start(&settings, listener).await?;
    tracing::info!(address = %hub.address(), "serving");
    loggerhub::stop_signal().await;
    tracing::info!("stopping: finishing what is in hand");
    hub.stop().await;
    Ok(())
}

/// Says how many schemas were brought forward, and names those that were not.
async fn migrate(env: &Env) -> anyhow::Result<ExitCode> {
    let began = std::time::Instant::now();
    let migrated = loggerhub::migrate(&Settings::from_env(env)?).await.context("migrating")?;
    let Migrated { version, brought, failed } = migrated;
    if brought + failed.len() > 0 {
        print_line(&format!("{brought} schemas are at version {version} now, after {:.1} s", began.elapsed().as_secs_f64()))?;
    }
    for (tenant, error) in &failed {
        eprintln!("loggerhub: the schema of {tenant} is not at version {version}: {}", chain(error));
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("loggerhub: {} schemas could not be brought forward; the others work. Mend them, and run it again", failed.len());
    Ok(ExitCode::FAILURE)
}

fn print_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
