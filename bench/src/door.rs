//! The door alone: requests answered 202 with the batch on disk, beside Redis taking the same bytes, and beside a server that does nothing. Nobody
//! drains the queue meanwhile.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use redis::aio::MultiplexedConnection;
use shared::settings::{Env, RedisSettings};

use crate::data::Event;
use crate::figures::{Figures, Goal, real};
use crate::function::{self, Function};
use crate::hello::Hello;
use crate::process;
use crate::server::{OPERATOR, Server, command};
use crate::wire::{self, Speech};

/// Settings with which nobody drains, and nothing is refused for being too much.
pub(crate) const NEVER_DRAINS: [(&str, &str); 3] =
    [("LOGGERHUB_LINGER_MS", "86400000"), ("LOGGERHUB_QUEUE_CAP_BYTES", "8589934592"), ("LOGGERHUB_QUEUE_TENANT_CAP_BYTES", "8589934592")];
/// Connections that send many logs a request, and those that send one.
const CONNECTIONS: usize = 16;
const CONNECTIONS_OF_SINGLES: usize = 64;
/// How long a server may take to start.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// Starts of each kind.
const STARTS: usize = 7;
/// What is sent to the ingest function by itself: logs in a second, those of a request, and which part of [`Door::logs`] that is done for.
const FUNCTION_RATE: usize = 10_000;
const FUNCTION_PER_REQUEST: usize = 100;
const FUNCTION_PART: usize = 4;

/// How much.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Door {
    /// Logs of each round with many a request.
    #[arg(long, default_value_t = 800_000)]
    pub(crate) logs: usize,
    /// Requests of each round with one log a request.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) singles: usize,
}

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize, asked: Door) -> anyhow::Result<()> {
    let mut figures = Figures::new("door");
    let server = Server::start_with(&NEVER_DRAINS).await?;
    let key = server.tenant("door").await?;
    let mut redis = Redis::open(env).await?;
    for (per_request, goal) in [(100, 0.95), (500, 1.2)] {
        let round = Round { server: &server, key: &key, bodies: bodies(events, per_request), per_request, logs: asked.logs };
        round.measure(&mut redis, rounds, goal, &mut figures).await?;
    }
    singles(&server, &key, events, rounds, asked.singles, &mut redis, &mut figures).await?;
    figures.single("peak memory of loggerhub after all that, MiB", None, vec![process::peak_mib(server.pid())?]);
    drop(server);
    starts(&key, events, &mut figures).await?;
    function_alone(&key, events, asked.logs / FUNCTION_PART, &mut figures).await?;
    // What was sent to see whether it is up waits, too.
    redis.drain().await?;
    figures.tell()
}

fn bodies(events: &[Event], per_request: usize) -> Vec<Vec<u8>> {
    events.chunks_exact(per_request).map(|chunk| chunk.join("\n").into_bytes()).collect()
}

/// One size of requests.
struct Round<'a> {
    server: &'a Server,
    key: &'a str,
    bodies: Vec<Vec<u8>>,
    per_request: usize,
    pub(crate) logs: usize,
}

impl Round<'_> {
    async fn measure(self, redis: &mut Redis, rounds: usize, goal: f64, figures: &mut Figures) -> anyhow::Result<()> {
        let Self { server, key, bodies, per_request, logs } = self;
        let count = logs / per_request;
        let authority = server.url.trim_start_matches("http://").to_owned();
        let requests = Arc::new(bodies.iter().map(|body| wire::post(&authority, "/v1/logs", key, body)).collect::<Vec<_>>());
        let entries = Arc::new(bodies.iter().map(|body| wire::command(&[b"XADD", BASELINE_KEY, b"*", b"p", body])).collect::<Vec<_>>());
        let sent_bytes: usize = (0..count).map(|at| bodies[at % bodies.len()].len()).sum();
        let (mut baseline, mut ours, mut ingest_cpu, mut redis_cpu, mut share) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let alone = wire::send(&redis.authority, Speech::Redis, Arc::clone(&entries), count, CONNECTIONS).await?;
            redis.forget(BASELINE_KEY).await?;
            let (of_ingest, of_redis) = (process::cpu_seconds(server.pid())?, process::cpu_seconds(redis.pid)?);
            let through = wire::send(&authority, Speech::Http(202), Arc::clone(&requests), count, CONNECTIONS).await?;
            let (of_ingest, of_redis) = (process::cpu_seconds(server.pid())? - of_ingest, process::cpu_seconds(redis.pid)? - of_redis);
            let held = redis.waiting().await?;
            redis.drain().await?;
            // The first round is not counted: it fills caches.
            if round == 0 {
                continue;
            }
            baseline.push(logs_of(count, per_request) / alone.as_secs_f64());
            ours.push(logs_of(count, per_request) / through.as_secs_f64());
            ingest_cpu.push(of_ingest * 1e6 / logs_of(count, per_request));
            redis_cpu.push(of_redis * 1e6 / logs_of(count, per_request));
            share.push(held / real(sent_bytes));
        }
        let is_usual = per_request == 100;
        let what = format!("logs/s answered 202, {per_request} a request, {CONNECTIONS} connections");
        figures.single(format!("{what}: logs/s"), is_usual.then_some(Goal::AtLeast(450_000.0)), ours.clone());
        figures.compare(what, "XADD of the same bytes", Some(Goal::AtLeast(goal)), baseline, ours);
        figures.single(format!("CPU of loggerhub, {per_request} a request, us a log"), is_usual.then_some(Goal::AtMost(2.0)), ingest_cpu);
        figures.single(format!("CPU of Redis, {per_request} a request, us a log"), is_usual.then_some(Goal::AtMost(1.0)), redis_cpu);
        figures.single(format!("bytes in Redis of what waits, {per_request} a request, of those that were sent"), is_usual.then_some(Goal::AtMost(0.3)), share);
        Ok(())
    }
}

async fn singles(server: &Server, key: &str, events: &[Event], rounds: usize, count: usize, redis: &mut Redis, figures: &mut Figures) -> anyhow::Result<()> {
    let listen = free_address()?;
    let hello = Hello::start(&listen)?;
    until_answered(&listen, b"GET / HTTP/1.1\r\nhost: hello\r\n\r\n", 200).await?;
    let authority = server.url.trim_start_matches("http://").to_owned();
    let written = |authority: &str| Arc::new(events.iter().take(10_000).map(|event| wire::post(authority, "/v1/logs", key, event.as_bytes())).collect::<Vec<_>>());
    let (empty, requests) = (written(&listen), written(&authority));
    let entries = Arc::new(events.iter().take(10_000).map(|event| wire::command(&[b"XADD", BASELINE_KEY, b"*", b"p", event.as_bytes()])).collect::<Vec<_>>());
    let (mut baseline, mut ours, mut straight) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let into_redis = wire::send(&redis.authority, Speech::Redis, Arc::clone(&entries), count, CONNECTIONS_OF_SINGLES).await?;
        redis.forget(BASELINE_KEY).await?;
        let alone = wire::send(&listen, Speech::Http(202), Arc::clone(&empty), count, CONNECTIONS_OF_SINGLES).await?;
        let through = wire::send(&authority, Speech::Http(202), Arc::clone(&requests), count, CONNECTIONS_OF_SINGLES).await?;
        redis.drain().await?;
        if round > 0 {
            straight.push(real(count) / into_redis.as_secs_f64());
            baseline.push(real(count) / alone.as_secs_f64());
            ours.push(real(count) / through.as_secs_f64());
        }
    }
    drop(hello);
    let what = format!("requests/s with one log, {CONNECTIONS_OF_SINGLES} connections");
    figures.compare(what.clone(), "XADD of the same bytes", None, straight, ours.clone());
    figures.compare(what, "an axum handler that does nothing", Some(Goal::AtLeast(0.45)), baseline, ours);
    Ok(())
}

/// From the start of a process until its first answer.
async fn starts(key: &str, events: &[Event], figures: &mut Figures) -> anyhow::Result<()> {
    let program = std::env::current_exe()?.with_file_name("loggerhub");
    let (mut hello, mut ours, mut of_function) = (Vec::new(), Vec::new(), Vec::new());
    let event = function::event(key, &events[0]);
    for _ in 0..STARTS {
        let listen = free_address()?;
        let began = Instant::now();
        let started = Hello::start(&listen)?;
        until_answered(&listen, b"GET / HTTP/1.1\r\nhost: hello\r\n\r\n", 200).await?;
        hello.push(began.elapsed().as_secs_f64() * 1e3);
        drop(started);
        let listen = free_address()?;
        let request = wire::post(&listen, "/v1/logs", key, events[0].as_bytes());
        let began = Instant::now();
        let mut started = command(&program);
        started.arg("serve").env("LOGGERHUB_LISTEN", &listen).env("LOGGERHUB_OPERATOR_TOKEN", OPERATOR).envs(NEVER_DRAINS).stderr(Stdio::null());
        let started = Ended(started.spawn()?);
        until_answered(&listen, &request, 202).await?;
        ours.push(began.elapsed().as_secs_f64() * 1e3);
        drop(started);
        let began = Instant::now();
        let mut started = Function::start().await?;
        started.take(event.clone()).await?;
        of_function.push(began.elapsed().as_secs_f64() * 1e3);
    }
    figures.single("start of the function ingest to its first 202, engines up, ms", Some(Goal::AtMost(10.0)), of_function);
    figures.single("start of loggerhub to its first 202, engines up, ms", Some(Goal::AtMost(40.0)), ours.clone());
    figures.compare("start to the first answer, ms", "hello-world axum", None, hello, ours);
    Ok(())
}

/// The function by itself at a steady rate, one event at a time, as Lambda gives them.
async fn function_alone(key: &str, events: &[Event], logs: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let bodies: Vec<_> = events.chunks_exact(FUNCTION_PER_REQUEST).map(|chunk| function::event(key, &chunk.join("\n"))).collect();
    let mut function = Function::start().await?;
    let every = Duration::from_secs(1) * u32::try_from(FUNCTION_PER_REQUEST)? / u32::try_from(FUNCTION_RATE)?;
    let began = Instant::now();
    for n in 0..logs / FUNCTION_PER_REQUEST {
        tokio::time::sleep_until((began + every * u32::try_from(n)?).into()).await;
        function.take(bodies[n % bodies.len()].clone()).await?;
    }
    let took = began.elapsed();
    let (cpu, memory) = function.used()?;
    figures.single(format!("logs/s through the function ingest, offered {FUNCTION_RATE}"), None, vec![real(logs) / took.as_secs_f64()]);
    figures.single("CPU of the function ingest at that rate, us a log", None, vec![cpu * 1e6 / real(logs)]);
    figures.single("peak memory of the function ingest at that rate, MiB", Some(Goal::AtMost(32.0)), vec![memory]);
    Ok(())
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Sends one request as soon as somebody listens, again until it is answered so.
async fn until_answered(authority: &str, request: &[u8], status: u16) -> anyhow::Result<()> {
    let (began, requests) = (Instant::now(), Arc::new(vec![request.to_vec()]));
    loop {
        match wire::send(authority, Speech::Http(status), Arc::clone(&requests), 1, 1).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > STARTS_WITHIN => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_micros(200)).await,
        }
    }
}

/// Where the baseline's entries go.
const BASELINE_KEY: &[u8] = b"bench:xadd";

/// The Redis under all of it.
struct Redis {
    connection: MultiplexedConnection,
    authority: String,
    pid: u32,
    prefix: String,
}

impl Redis {
    async fn open(env: &Env) -> anyhow::Result<Self> {
        let settings = RedisSettings::from_env(env)?;
        let url = reqwest::Url::parse(settings.url.reveal())?;
        let authority = format!("{}:{}", url.host_str().context("Redis has no host")?, url.port().unwrap_or(6379));
        let mut connection =
            redis::Client::open(url.as_str())?.get_multiplexed_async_connection_with_config(&redis::AsyncConnectionConfig::new().set_response_timeout(None)).await?;
        let said: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        let pid = said.lines().find_map(|line| line.strip_prefix("process_id:")).context("Redis does not tell its process")?;
        let durable: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(&mut connection).await?;
        ensure!(durable.get(1).is_some_and(|value| value == "always"), "both sides are to be on disk when they answer: appendfsync is {durable:?}");
        Ok(Self { connection, authority, pid: pid.trim().parse()?, prefix: settings.prefix })
    }

    async fn forget(&mut self, key: &[u8]) -> anyhow::Result<()> {
        redis::cmd("DEL").arg(key).query_async::<()>(&mut self.connection).await?;
        Ok(())
    }

    fn queue(&self) -> Vec<String> {
        // A flooding tenant is moved to the slow lane.
        ["{p0}:queue", "{p0}:slow"].map(|name| format!("{}{name}", self.prefix)).to_vec()
    }

    /// Bytes of the entries that wait.
    async fn waiting(&mut self) -> anyhow::Result<f64> {
        let mut all = 0.0;
        for key in self.queue() {
            let bytes: Option<f64> = redis::cmd("MEMORY").arg("USAGE").arg(&key).arg("SAMPLES").arg(0).query_async(&mut self.connection).await?;
            all += bytes.unwrap_or_default();
        }
        if all == 0.0 {
            bail!("nothing waits in the queue: somebody drains it");
        }
        Ok(all)
    }

    /// Empties the queue, its counts and what is remembered of it.
    async fn drain(&mut self) -> anyhow::Result<()> {
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{}{{p0}}:*", self.prefix)).query_async(&mut self.connection).await?;
        if !keys.is_empty() {
            redis::cmd("DEL").arg(keys).query_async::<()>(&mut self.connection).await?;
        }
        Ok(())
    }
}

fn logs_of(requests: usize, per_request: usize) -> f64 {
    real(requests * per_request)
}
