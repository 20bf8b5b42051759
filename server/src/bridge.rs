//! `loggerhub bridge`: what AWS does between a queue and a function, where there is SQS (LocalStack) and the Lambda API (`cargo lambda
//! watch`) and nothing between them.
//!
//! An event source mapping polls a queue, invokes the function with what it received, and removes what did not fail; what failed
//! becomes visible again after the queue's visibility timeout, and SQS itself counts receives and moves a message to the dead-letter
//! queue (AWS Lambda Developer Guide, "Using Lambda with Amazon SQS"). A rule of EventBridge invokes a function with its event; here
//! the rule puts the event into a queue, and each body becomes one invocation. Nothing here may be relied upon in production.

mod function;
mod response;
mod source;

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use shared::settings::{ArchiveSettings, Env, QueueSettings};

use function::Lambda;
use source::{Kind, Source};

/// Messages of one queue that are in invocations at once: the bell's `MaximumConcurrency` in template.yaml.
const AT_ONCE: usize = 2;

/// Arguments of `loggerhub bridge`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where functions are invoked through the Lambda API.
    #[arg(long, default_value = "http://127.0.0.1:9000")]
    invoke_url: String,
    /// How long an invocation may take, in seconds; past that it counts as failed. The processor's timeout in template.yaml.
    #[arg(long, default_value_t = 60)]
    invocation_seconds: u64,
    /// Up to ten messages of this queue become one SQS event for the function.
    #[arg(long, value_name = "QUEUE_URL=FUNCTION")]
    messages: Vec<Pair>,
    /// Each message of this queue is an event for the function, as a rule of EventBridge put it there.
    #[arg(long, value_name = "QUEUE_URL=FUNCTION")]
    events: Vec<Pair>,
}

/// A queue and the function that it feeds.
#[derive(Debug, Clone)]
struct Pair {
    queue_url: String,
    function: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once('=') {
            Some((queue_url, function)) if !queue_url.is_empty() && !function.is_empty() => Ok(Self { queue_url: queue_url.to_owned(), function: function.to_owned() }),
            _ => Err("it is QUEUE_URL=FUNCTION"),
        }
    }
}

/// Runs until SIGINT or SIGTERM. What is in hand then becomes visible again in its queue.
///
/// # Errors
/// A sentence that says which setting or which queue is wrong.
pub async fn run(arguments: &Arguments, env: &Env) -> anyhow::Result<()> {
    anyhow::ensure!(!arguments.messages.is_empty() || !arguments.events.is_empty(), "nothing to do: name a queue with --messages or --events");
    let sqs = shared::aws::sqs(&QueueSettings::from_env(env)?, &ArchiveSettings::region_from_env(env)?)?;
    let lambda = Lambda::at(&arguments.invoke_url, Duration::from_secs(arguments.invocation_seconds))?;
    let kinds = arguments.messages.iter().map(|pair| (pair, Kind::Messages)).chain(arguments.events.iter().map(|pair| (pair, Kind::Events)));
    let mut sources = Vec::new();
    for (Pair { queue_url, function }, kind) in kinds {
        sources.push(Source::open(sqs.clone(), queue_url, lambda.function(function), kind).await?);
    }
    let pollers = sources.iter().flat_map(|source| (0..AT_ONCE).map(move |_| source.feed()));
    tracing::info!(queues = sources.len(), "feeding functions");
    tokio::select! {
        _ = futures::future::join_all(pollers) => {}
        () = crate::stop_signal() => {}
    }
    Ok(())
}
