//! What a document costs the index: CPU of OpenSearch and bytes after a merge, of our mapping and documents, and of the plain ones that one would begin
//! with: both texts as `text`, fields that are found by themselves, random ids.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Client;
use serde_json::{Value, json};
use shared::aws::Identity;
use shared::index::Index;
use shared::settings::{Env, OpenSearchSettings};
use uuid::Uuid;

use crate::baseline;
use crate::data::Event;
use crate::figures::{Figures, Goal, real};
use crate::process;

/// Documents of one `_bulk`, as for ours.
const DOCUMENTS: usize = 5_000;
/// How long a call may take: a merge of all segments takes a while.
const TIMEOUT: Duration = Duration::from_secs(300);

pub(crate) async fn run(env: &Env, events: &[Event], rounds: usize) -> anyhow::Result<()> {
    let settings = OpenSearchSettings::from_env(&env.clone().with("LOGGERHUB_INDEX_PREFIX", "indexing"))?;
    let engine = Engine::open(&settings)?;
    let index = Index::open(&settings, &Identity::of_environment())?;
    let pid = engine.pid().await?;
    let mut cpu = (Vec::new(), Vec::new());
    let mut bytes = (Vec::new(), Vec::new());
    let mut rates = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let of_plain = engine.plain(pid, events).await?;
        let before = process::cpu_seconds(pid)?;
        let took = baseline::bulk(&index, events, round).await?;
        let of_ours = engine.settled("indexing-baseline-*", pid, before, events.len(), took).await?;
        if round == 0 {
            continue;
        }
        cpu.0.push(of_plain.cpu_us);
        cpu.1.push(of_ours.cpu_us);
        bytes.0.push(of_plain.bytes);
        bytes.1.push(of_ours.bytes);
        rates.0.push(of_plain.rate);
        rates.1.push(of_ours.rate);
    }
    let mut figures = Figures::new("indexing");
    figures.compare("CPU of OpenSearch, us a document", "a plain mapping", Some(Goal::AtMost(0.75)), cpu.0, cpu.1);
    figures.compare("bytes of a document after a merge", "a plain mapping", Some(Goal::AtMost(0.6)), bytes.0, bytes.1);
    figures.compare("_bulk alone, logs/s", "a plain mapping", None, rates.0, rates.1);
    figures.tell()
}

/// What the documents of a round took.
pub(crate) struct Cost {
    cpu_us: f64,
    bytes: f64,
    /// Documents a second.
    pub(crate) rate: f64,
}

/// OpenSearch, asked by hand.
pub(crate) struct Engine {
    url: String,
    http: Client,
}

impl Engine {
    pub(crate) fn open(settings: &OpenSearchSettings) -> anyhow::Result<Self> {
        Ok(Self { url: settings.url.reveal().trim_end_matches('/').to_owned(), http: Client::builder().no_proxy().timeout(TIMEOUT).build()? })
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let request = self.http.request(method, format!("{}/{path}", self.url));
        let request = if let Some(body) = body { request.json(body) } else { request };
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// The process that serves: on one machine with us, or its CPU cannot be told.
    pub(crate) async fn pid(&self) -> anyhow::Result<u32> {
        let nodes = self.call(reqwest::Method::GET, "_nodes/_local/process", None).await?;
        let process = nodes["nodes"].as_object().and_then(|nodes| nodes.values().next()).and_then(|node| node["process"]["id"].as_u64());
        Ok(process.context("OpenSearch does not tell its process")?.try_into()?)
    }

    /// All events into a fresh index with the plain mapping.
    pub(crate) async fn plain(&self, pid: u32, events: &[Event]) -> anyhow::Result<Cost> {
        let texts = json!({ "type": "text" });
        let keyword = json!({ "type": "keyword" });
        let mapping = json!({
            "settings": { "index.number_of_shards": 1, "index.number_of_replicas": 0, "index.refresh_interval": "1s" },
            "mappings": { "properties": { "message": texts, "full_log": texts, "service": keyword, "level": keyword, "language": keyword, "tenant": keyword,
                "timestamp": { "type": "date" }, "received_at": { "type": "date" }, "attributes": { "type": "object", "enabled": false } } },
        });
        let _ = self.http.delete(format!("{}/plain-indexing", self.url)).send().await?;
        self.call(reqwest::Method::PUT, "plain-indexing", Some(&mapping)).await?;
        let mut bodies = Vec::new();
        for chunk in events.chunks(DOCUMENTS) {
            let mut body = String::new();
            for event in chunk {
                let mut document: Value = serde_json::from_str(event)?;
                document["tenant"] = json!("baseline");
                document["received_at"] = document["timestamp"].clone();
                body.push_str(&format!("{{\"index\":{{\"_id\":\"{}\"}}}}\n{document}\n", Uuid::new_v4()));
            }
            bodies.push(body);
        }
        let before = process::cpu_seconds(pid)?;
        let began = Instant::now();
        let sending = bodies.into_iter().map(|body| async move {
            let answer = self.http.post(format!("{}/plain-indexing/_bulk", self.url)).header("content-type", "application/x-ndjson").body(body).send().await?;
            let answer: Value = answer.error_for_status()?.json().await?;
            if answer["errors"] != false {
                bail!("the plain index refused some");
            }
            Ok(())
        });
        use futures::{StreamExt, TryStreamExt};
        futures::stream::iter(sending).buffer_unordered(2).try_collect::<Vec<()>>().await?;
        self.settled("plain-indexing", pid, before, events.len(), began.elapsed()).await
    }

    /// What was used until all can be found; and what lies there once it is merged, which is not counted. Then it is removed.
    async fn settled(&self, index: &str, pid: u32, before: f64, documents: usize, took: Duration) -> anyhow::Result<Cost> {
        self.call(reqwest::Method::POST, &format!("{index}/_refresh"), None).await?;
        let used = process::cpu_seconds(pid)? - before;
        self.call(reqwest::Method::POST, &format!("{index}/_forcemerge?max_num_segments=1&flush=true"), None).await?;
        // Whoever may still read what was merged holds its files: they would be counted, too.
        self.call(reqwest::Method::POST, &format!("{index}/_refresh"), None).await?;
        self.call(reqwest::Method::POST, &format!("{index}/_flush?force=true"), None).await?;
        let stats = self.call(reqwest::Method::GET, &format!("{index}/_stats/store,docs"), None).await?;
        let (bytes, count) = (stats["_all"]["primaries"]["store"]["size_in_bytes"].as_f64(), stats["_all"]["primaries"]["docs"]["count"].as_u64());
        if count != Some(documents as u64) {
            bail!("{index} holds {count:?} documents, not {documents}");
        }
        self.call(reqwest::Method::DELETE, index, None).await?;
        let all = real(documents);
        Ok(Cost { cpu_us: used * 1e6 / all, bytes: bytes.context("no size")? / all, rate: all / took.as_secs_f64() })
    }
}
