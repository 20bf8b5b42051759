//! The search index: OpenSearch, one index a day of receipt and retention class, shared by tenants.
//!
//! `PREFIX-{class}-{yyyy.mm.dd}`, routed by tenant, a tenant filter on every query. A document is created once under its log's
//! id; a second `create` is a conflict, which is success. The mapping is fixed (`index/template.json`): what it does not name is
//! kept and not indexed. All JSON that OpenSearch speaks stays in this file and those beside it.

mod audit;
mod bulk;
mod clause;
mod counts;
mod retention;
mod search;

pub use bulk::{Bulk, Outcome};
pub use counts::SeenPath;
pub use search::{Found, Hit, Sort, Summary, TextSearch};

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use opensearch::auth::Credentials;
use opensearch::cert::{Certificate, CertificateValidation};
use opensearch::http::headers::HeaderMap;
use opensearch::http::response::Response;
use opensearch::http::transport::{BuildError, SingleNodeConnectionPool, Transport, TransportBuilder};
use opensearch::http::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::aws::Identity;
use crate::error::{Engine, Error, Result, chain};
use crate::ids::{BatchId, LogId, TenantId};
use crate::late::{OpenedLate, opened_late};
use crate::settings::OpenSearchSettings;
use crate::timestamp;

/// How long a question may take: past that the caller falls back.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// When OpenSearch itself ends a search, with what it has by then.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(9);
/// How long a small question, such as a ping, may take.
const SMALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the removal of a tenant's documents may take in one call.
const DELETE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long this process believes that an index is there: one that was removed by hand is made again after that.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// The search index.
#[derive(Debug, Clone)]
pub struct Index {
    transport: Arc<OpenedLate<Transport, BuildError>>,
    settings: OpenSearchSettings,
    known: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Index {
    /// Prepares the client; nothing is sent before the first call.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URL that is none, for authorities that are none, or for signing without any credentials.
    pub fn open(settings: &OpenSearchSettings, identity: &Identity) -> Result<Self> {
        let fail = |e: Box<dyn std::error::Error + Send + Sync>| Error::internal("reading the settings of OpenSearch", e);
        let mut url = Url::parse(settings.url.reveal()).map_err(|e| fail(e.into()))?;
        let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
        let _ = (url.set_username(""), url.set_password(None));
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url));
        if let Some(region) = &settings.sign_for {
            builder = builder.auth(Credentials::try_from(&identity.signing(region)).map_err(|e| fail(e.into()))?);
        } else if !user.is_empty() {
            builder = builder.auth(Credentials::Basic(user, password));
        }
        if let Some(authorities) = &settings.authorities {
            let trusted = Certificate::from_pem(authorities.pem()).map_err(|e| fail(e.into()))?;
            builder = builder.cert_validation(CertificateValidation::Full(trusted));
        }
        let transport = opened_late(move || builder.build());
        if settings.authorities.is_some() {
            // Whether they are authorities only the client tells.
            LazyLock::force(&transport).as_ref().map_err(|e| fail(chain(e).into()))?;
        }
        Ok(Self { transport: Arc::new(transport), settings: settings.clone(), known: Arc::default() })
    }

    /// How often what was written becomes searchable.
    #[must_use]
    pub fn refresh_interval(&self) -> Duration {
        self.settings.refresh
    }

    /// Asks whether OpenSearch answers, and has a cluster manager.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        self.call(Method::Get, "_cluster/health", &[("timeout", "1s")], None, SMALL_TIMEOUT).await?;
        Ok(())
    }

    /// The index of logs of this class that were received at `unix_ms`.
    #[must_use]
    pub fn name(&self, class: &str, unix_ms: u64) -> String {
        let day = timestamp::to_datetime(i64::try_from(unix_ms).unwrap_or(timestamp::MAX)).date();
        format!("{}-{class}-{:04}.{:02}.{:02}", self.settings.prefix, day.year(), u8::from(day.month()), day.day())
    }

    /// Makes an index, unless this process has seen it lately: with its mapping, before the first document would guess one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ensure(&self, name: &str) -> Result<()> {
        if self.known.lock().expect("no panic while held").get(name).is_some_and(|seen| seen.elapsed() < KNOWN_FOR) {
            return Ok(());
        }
        let template = self.template();
        let wrapped = json!({ "index_patterns": [format!("{}-*", self.settings.prefix)], "priority": 500, "template": template });
        self.call(Method::Put, &format!("_index_template/{}", self.settings.prefix), &[], Some(&wrapped), QUERY_TIMEOUT).await?;
        match self.call(Method::Put, name, &[], Some(&template), QUERY_TIMEOUT).await {
            Err(Failure::Said { kind, .. }) if kind == "resource_already_exists_exception" => {}
            // One index that cannot be made just now (a limit of shards, a block) is the trouble of its own documents alone, which are
            // answered one by one: the template is there, so that nothing can guess a mapping.
            Err(refused @ Failure::Said { .. }) => {
                tracing::warn!(index = name, cause = chain(&refused), "an index cannot be made");
                return Ok(());
            }
            outcome => drop(outcome?),
        }
        self.known.lock().expect("no panic while held").insert(name.to_owned(), Instant::now());
        Ok(())
    }

    /// Forgets which indices were seen: after trouble, they may be gone.
    pub fn forget(&self) {
        self.known.lock().expect("no panic while held").clear();
    }

    fn template(&self) -> Value {
        let mut template: Value = serde_json::from_str(include_str!("index/template.json")).expect("the template is JSON: a test reads it");
        template["settings"]["index.refresh_interval"] = json!(format!("{}ms", self.settings.refresh.as_millis()));
        template["settings"]["index.number_of_shards"] = json!(self.settings.shards);
        template["settings"]["index.number_of_replicas"] = json!(self.settings.replicas);
        template
    }

    /// How many documents a tenant has, those that were just written included.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn documents_of(&self, tenant: &TenantId) -> Result<u64> {
        self.call(Method::Post, &format!("{}-*/_refresh", self.settings.prefix), &[("ignore_unavailable", "true")], None, DELETE_TIMEOUT).await?;
        let query = json!({ "query": { "term": { "tenant": tenant } } });
        let answer = self.ask(tenant, &format!("{}-*/_count", self.settings.prefix), &query, DELETE_TIMEOUT).await?;
        answer["count"].as_u64().ok_or_else(|| Error::unavailable(Engine::OpenSearch, "a count without a number"))
    }

    /// Removes all documents of a tenant: those that can be found once what was written has become searchable.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may be left; doing it again goes on.
    pub async fn delete_tenant(&self, tenant: &TenantId) -> Result<()> {
        self.call(Method::Post, &format!("{}-*/_refresh", self.settings.prefix), &[("ignore_unavailable", "true")], None, DELETE_TIMEOUT).await?;
        let query = json!({ "query": { "term": { "tenant": tenant } } });
        let path = format!("{}-*/_delete_by_query", self.settings.prefix);
        let parameters = [("routing", tenant.as_str()), ("conflicts", "proceed"), ("ignore_unavailable", "true"), ("refresh", "true")];
        let answer = self.call(Method::Post, &path, &parameters, Some(&query), DELETE_TIMEOUT).await?;
        let failures = answer["failures"].as_array().map_or(0, Vec::len);
        match (failures, answer["version_conflicts"].as_u64(), answer["timed_out"].as_bool()) {
            (0, Some(0), Some(false)) => Ok(()),
            _ => Err(Error::unavailable(Engine::OpenSearch, "not all documents of the tenant could be removed")),
        }
    }

    /// Asks for a tenant's documents in these indices; those that are gone are none. The body filters by the tenant.
    async fn ask(&self, tenant: &TenantId, path: &str, body: &Value, timeout: Duration) -> Result<Value, Failure> {
        let parameters = [("routing", tenant.as_str()), ("ignore_unavailable", "true"), ("allow_no_indices", "true")];
        self.call(Method::Post, path, &parameters, Some(body), timeout).await
    }

    /// Searches all indices for a tenant's documents. Those that cannot be searched are left out, and the answer says so.
    async fn ask_everywhere(&self, tenant: &TenantId, body: &Value) -> Result<Answered, Failure> {
        let path = format!("{}-*/_search", self.settings.prefix);
        // Closed ones are asked, too: OpenSearch leaves them out of a wildcard in silence, and refuses where it is told not to.
        let parameters = [("routing", tenant.as_str()), ("expand_wildcards", "open,closed"), ("allow_no_indices", "true")];
        match self.call(Method::Post, &path, &parameters, Some(body), QUERY_TIMEOUT).await {
            Ok(answer) => Ok(Answered { complete: saw_all(&answer), answer }),
            Err(Failure::Said { kind, .. }) if ["index_closed_exception", "index_not_found_exception"].contains(&kind.as_str()) => {
                let answer = self.ask(tenant, &path, body, QUERY_TIMEOUT).await?;
                Ok(Answered { answer, complete: false })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn call(&self, method: Method, path: &str, parameters: &[(&str, &str)], body: Option<&Value>, timeout: Duration) -> Result<Value, Failure> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        self.send(method, path, HeaderMap::new(), parameters, body, timeout).await
    }

    /// One call; its answer is read into what the caller asks for.
    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        parameters: &[(&str, &str)],
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<T, Failure> {
        let transport = LazyLock::force(&self.transport).as_ref().map_err(|e| Failure::Silent(format!("the client of OpenSearch could not be made: {}", chain(e)).into()))?;
        let answer = transport.send(method, path, headers, Some(parameters), body, Some(timeout)).await;
        let answer: Response = answer.map_err(|e| Failure::Silent(Box::new(e)))?;
        let status = answer.status_code().as_u16();
        if status < 400 {
            return answer.json().await.map_err(|e| Failure::Silent(Box::new(e)));
        }
        let value: Value = answer.json().await.map_err(|e| Failure::Silent(Box::new(e)))?;
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(Failure::Said { status, kind: text("/error/type"), reason: text("/error/reason") })
    }
}

/// What a search of all indices said.
#[derive(Debug)]
struct Answered {
    answer: Value,
    /// Whether every index, and every shard of it, was looked at in time.
    complete: bool,
}

/// Why a call failed: no answer, or an answer that says so. What this crate asks is well-formed, so both are weather.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{status} {kind}: {reason}")]
    Said { status: u16, kind: String, reason: String },
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::unavailable(Engine::OpenSearch, failure)
    }
}

/// Whether a search saw all that there is: a shard that nobody has counts as no failure, and as no success.
fn saw_all(answer: &Value) -> bool {
    answer["timed_out"] == false && answer["_shards"]["failed"] == 0 && answer["_shards"]["successful"] == answer["_shards"]["total"]
}

/// Where a log's document is looked for.
fn index_of_day(prefix: &str, id: LogId) -> String {
    let day = timestamp::to_datetime(i64::try_from(id.unix_ms()).unwrap_or(timestamp::MAX)).date();
    format!("{prefix}-*-{:04}.{:02}.{:02}", day.year(), u8::from(day.month()), day.day())
}

/// A batch's documents lie in the indices of one day.
fn index_of_batch(prefix: &str, batch: BatchId) -> String {
    index_of_day(prefix, batch.log(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Env;

    #[test]
    fn the_template_is_json_and_takes_the_settings() {
        let env = Env::default().with("LOGGERHUB_OPENSEARCH_URL", "http://user:s3cret@127.0.0.1:1").with("LOGGERHUB_INDEX_SHARDS", "3");
        let index = Index::open(&OpenSearchSettings::from_env(&env).expect("settings"), &Identity::of_environment()).expect("a URL");
        assert_eq!(index.template()["settings"]["index.number_of_shards"], 3);
        assert_eq!(index.template()["settings"]["index.refresh_interval"], "1000ms");
        assert_eq!(index.name("standard", 1_760_099_196_000), "logs-standard-2025.10.10");
    }
}
