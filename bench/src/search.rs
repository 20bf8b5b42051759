//! What readers wait for, over many logs: searches, lists, counts, contexts and details through HTTP, each beside the same request sent
//! straight to the engine that answers it, in turn, one at a time.

mod case;
mod corpus;
mod engines;
mod vocabulary;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use shared::ids::TenantId;
use shared::settings::Env;

use self::case::{Asker, Case, Goal, Question};
use self::corpus::Corpus;
use self::engines::Engines;
use crate::data::Event;
use crate::server::Server;
use crate::{drive, pace};

/// Logs that are made and sent at once: more would only take memory.
const LOADED_AT_ONCE: usize = 50_000;
/// Pairs of requests of each case before any that counts, as many as fit into this time: a fresh OpenSearch takes three times as long.
const WARM_UP: usize = 20;
const WARM_UP_FOR: Duration = Duration::from_secs(10);
/// Whose logs they are.
const TENANT: &str = "readers";

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Search {
    /// Logs that are stored before anything is measured; their own times are spread evenly over the last 30 days.
    #[arg(long, default_value_t = 1_000_000)]
    logs: usize,
    /// Requests of each case, to each side.
    #[arg(long, default_value_t = 300)]
    requests: usize,
    /// Seconds after which a case ends with fewer.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Measure what an earlier run stored in the same engines.
    #[arg(long)]
    loaded: bool,
    /// Measure only cases whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
}

pub(crate) async fn run(env: &Env, events: &[Event], search: Search, seed: u64) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let tenant = TenantId::parse(TENANT)?;
    let mut engines = Engines::open(env, tenant).await?;
    let (corpus, hub) = if search.loaded {
        let until = engines.latest().await? + 1;
        (Corpus::new(events, search.logs, until)?, Hub::new(&server.url, server.key(TENANT).await?)?)
    } else {
        let corpus = Corpus::new(events, search.logs, engines::now_ms()?)?;
        let hub = Hub::new(&server.url, server.tenant(TENANT).await?)?;
        load(&hub, &corpus).await?;
        (corpus, hub)
    };
    engines.settle().await?;
    println!("{} rows, {:.0} B each with their indexes; {} documents\n", engines.rows().await?, engines.bytes_of_a_row().await?, engines.documents().await?);
    println!("| case | engine | requests | ours p50 / p99, ms | engine p50 / p99, ms | p50 ratio | p99 ratio | goal for p50 / p99 | met |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut cases = Vec::new();
    for case in Case::ALL.into_iter().filter(|case| case.name().contains(&search.only)) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut asker = Asker { corpus: &corpus, hub: &hub, engines: &mut engines };
        let mut questions = Vec::new();
        for _ in 0..WARM_UP + search.requests {
            questions.push(asker.question(case, &mut rng).await?);
        }
        measure(&hub, &mut engines, &questions[..WARM_UP], WARM_UP_FOR).await.with_context(|| format!("warming up: {}", case.name()))?;
        cases.push((case, questions));
    }
    for (case, questions) in cases {
        let times = measure(&hub, &mut engines, &questions[WARM_UP..], Duration::from_secs(search.seconds)).await.with_context(|| format!("measuring: {}", case.name()))?;
        println!("{}", times.row(case));
    }
    println!("\npeak memory of loggerhub {:.0} MiB", server.peak_mib()?);
    Ok(())
}

async fn load(hub: &Hub, corpus: &Corpus<'_>) -> anyhow::Result<()> {
    let began = Instant::now();
    for from in (0..corpus.logs()).step_by(LOADED_AT_ONCE) {
        let some: Vec<Event> = (from..corpus.logs().min(from + LOADED_AT_ONCE)).map(|n| corpus.log(n)).collect();
        drive::run(&hub.url, &hub.key, &some).await?;
    }
    println!("{} logs stored and indexed in {:.0} s", corpus.logs(), began.elapsed().as_secs_f64());
    Ok(())
}

/// Ours, as a reader asks it: one kept connection.
pub(crate) struct Hub {
    url: String,
    key: String,
    http: reqwest::Client,
}

impl Hub {
    fn new(url: &str, key: String) -> anyhow::Result<Self> {
        Ok(Self { url: url.to_owned(), key, http: drive::client()? })
    }

    /// The answer, and how long it took to come in whole.
    async fn ask(&self, path: &str, params: &[(&str, String)]) -> anyhow::Result<(Value, Duration)> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), params)?;
        let began = Instant::now();
        let answer = self.http.get(url.clone()).bearer_auth(&self.key).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let took = began.elapsed();
        if !status.is_success() {
            bail!("{url}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok((serde_json::from_slice(&body)?, took))
    }
}

/// How long each request took, shortest first.
#[derive(Default)]
struct Times {
    ours: Vec<Duration>,
    engine: Vec<Duration>,
    /// Pairs of which a side ended before it had looked at everything, since its time was up.
    cut_off: usize,
}

/// Asks both sides each question; who is first changes, since the second finds what the first has brought into memory.
async fn measure(hub: &Hub, engines: &mut Engines, questions: &[Question], at_most: Duration) -> anyhow::Result<Times> {
    let (mut times, began) = (Times::default(), Instant::now());
    for (n, question) in questions.iter().enumerate() {
        let ((answer, ours), (found, engine)) = if n % 2 == 0 {
            let first = hub.ask(&question.path, &question.params).await?;
            (first, engines.ask(&question.straight).await?)
        } else {
            let first = engines.ask(&question.straight).await?;
            (hub.ask(&question.path, &question.params).await?, first)
        };
        match (logs_in(&answer), found) {
            (Some(ours), Some(found)) if ours != found => bail!("the engine found {found} logs where ours were {ours}: {}?{:?}", question.path, question.params),
            (Some(_), Some(_)) => {}
            _ => times.cut_off += 1,
        }
        times.ours.push(ours);
        times.engine.push(engine);
        if began.elapsed() > at_most {
            break;
        }
    }
    times.ours.sort_unstable();
    times.engine.sort_unstable();
    Ok(times)
}

/// Logs that an answer holds, or has counted; `None` where it did not look at everything.
fn logs_in(answer: &Value) -> Option<u64> {
    let length = |name: &str| answer[name].as_array().map(|all| all.len() as u64);
    let around = || Some(length("before")? + length("after")? + 1);
    let logs = length("logs").or_else(around).or_else(|| answer["total"].as_u64()).unwrap_or(u64::from(answer["record"].is_object()));
    (answer["complete"] != false).then_some(logs)
}

impl Times {
    fn row(&self, case: Case) -> String {
        let ms = |of: &[Duration], percent| pace::share(of, percent).as_secs_f64() * 1000.0;
        let (ours, engine) = ([ms(&self.ours, 50), ms(&self.ours, 99)], [ms(&self.engine, 50), ms(&self.engine, 99)]);
        let goal = case.goal();
        let met = goal.map_or("", |goal| if goal.is_met(ours, engine) { "yes" } else { "no" });
        let cut_off = if self.cut_off > 0 { format!(", {} cut off", self.cut_off) } else { String::new() };
        format!(
            "| {} | {} | {}{cut_off} | {:.1} / {:.1} | {:.1} / {:.1} | {:.2} | {:.2} | {} | {met} |",
            case.name(),
            case.engine(),
            self.ours.len(),
            ours[0],
            ours[1],
            engine[0],
            engine[1],
            ours[0] / engine[0],
            ours[1] / engine[1],
            goal.map_or("", Goal::text)
        )
    }
}
