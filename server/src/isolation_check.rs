//! `loggerhub isolation-check`: shows that no tenant sees or changes what another has, on every route that the hub's own description lists.
//!
//! It makes throw-away tenants with things of every kind, and asks each route as each kind of caller, with the caller's own ids and with another
//! tenant's. What must come of it follows from what the description says of the route. So a route is covered when it is born, and one that
//! the check cannot judge is a finding.

mod callers;
mod client;
mod document;
mod judge;
mod people;
mod plant;
mod show;
mod state;
mod values;
mod walk;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use shared::settings::Env;
use tokio::net::TcpListener;

use self::client::Client;
use self::walk::Walk;
use crate::looking::{FOUND_NOTHING_OUT, end_progress};
use crate::{Doors, Hub, Settings};

/// Arguments of `loggerhub isolation-check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A running hub; without it one is started for the check, with the settings of the environment.
    #[arg(long)]
    url: Option<String>,
    /// Seconds that the check may take, the removal of its tenants aside.
    #[arg(long, default_value_t = 120)]
    within: u64,
    /// Everything as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command. Ends 0 where all is as it must be, 1 where something is wrong, 2 where that could not be found out.
pub async fn run(arguments: &Arguments, env: &Env) -> ExitCode {
    match check(arguments, env).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loggerhub: {error:#}");
            ExitCode::from(FOUND_NOTHING_OUT)
        }
    }
}

async fn check(arguments: &Arguments, env: &Env) -> anyhow::Result<bool> {
    let operator = env.text("LOGGERHUB_OPERATOR_TOKEN").context("the check makes tenants, and that takes the operator's token")?;
    let Some(url) = &arguments.url else {
        let hub = start(env, Duration::from_secs(arguments.within)).await?;
        let client = Client::new(&format!("http://{}", hub.address()), operator)?;
        let outcome = with_removal(arguments, &client, Ok(hub.doors())).await;
        hub.stop().await;
        return outcome;
    };
    // No request makes a dead letter, an invoice or a token that was mailed: the check needs the engines, too.
    let doors = match Settings::from_env(env) {
        Ok(settings) => Ok(Doors::open(&settings)?),
        Err(error) => Err(format!("no request makes this: it takes the settings of the hub's engines, and {error}")),
    };
    with_removal(arguments, &Client::new(url, operator)?, doors.as_ref().map_err(Clone::clone)).await
}

/// A hub of the check's own: its tenants can be restored as long as the check may take, and are erased soon after by whoever does maintenance.
async fn start(env: &Env, within: Duration) -> anyhow::Result<Hub> {
    let grace = within.as_secs().to_string();
    let settings = Settings::from_env(&env.clone().with("LOGGERHUB_DELETION_GRACE_SECONDS", grace))?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port is free")?;
    Ok(Hub::start(&settings, listener).await?)
}

/// Walks, and removes the tenants whatever comes of it.
async fn with_removal(arguments: &Arguments, client: &Client, doors: Result<&Doors, String>) -> anyhow::Result<bool> {
    let outcome = tokio::select! {
        outcome = walk(arguments, client, doors) => outcome,
        () = tokio::time::sleep(Duration::from_secs(arguments.within)) => Err(anyhow::anyhow!("not done after {} s: --within gives it longer", arguments.within)),
        () = crate::stop_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    let removed = client.remove_all().await;
    let is_clean = outcome?;
    removed?;
    Ok(is_clean)
}

async fn walk(arguments: &Arguments, client: &Client, doors: Result<&Doors, String>) -> anyhow::Result<bool> {
    let began = Instant::now();
    let served = client.ask(&[], Method::GET, "/openapi.json", None).await.context("a hub serves its description at /openapi.json")?;
    let operations = document::operations(&served)?;
    let planted = plant::plant(client, &operations, doors).await?;
    let callers = callers::table(&planted, &client.operator);
    let planted_in = began.elapsed();
    let walked = Walk::new(client, &operations, &callers, planted).all().await;
    end_progress();
    let walked = walked?;
    let wrong = walked.wrong(&operations, &callers);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", show::json(&operations, &callers, &walked))?;
    } else {
        show::table(&mut out, &operations, &callers, &walked)?;
        writeln!(out)?;
        walked.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        wrong.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        let (routes, kinds, requests) = (operations.len(), callers.len(), walked.steps.len());
        let seconds = (began.elapsed() - planted_in).as_secs_f64();
        let verdict = if wrong.is_empty() { "clean".to_owned() } else { format!("NOT CLEAN: {} findings", wrong.len()) };
        writeln!(out, "{verdict}: {routes} routes by {kinds} callers, {requests} requests judged in {seconds:.1} s, after {:.1} s of planting", planted_in.as_secs_f64())?;
    }
    if walked.steps.is_empty() {
        bail!("no route could be walked");
    }
    Ok(wrong.is_empty())
}
