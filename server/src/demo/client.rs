//! The HTTP calls of the demo.

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Speaks to a server, as operator and with one key.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    operator: String,
    key: String,
}

/// The answer to a request with logs.
#[derive(Debug, Deserialize)]
pub(super) struct Receipt {
    pub(super) batch_id: String,
    pub(super) accepted: usize,
}

impl Client {
    pub(super) fn new(url: &str, operator: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).no_proxy().build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), operator, key: String::new() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn operator(&self) -> &str {
        &self.operator
    }

    pub(super) fn use_key(&mut self, key: &str) {
        key.clone_into(&mut self.key);
    }

    /// Whether a key opens anything.
    pub(super) async fn opens(&self, key: &str) -> anyhow::Result<bool> {
        let answer = self.http.get(format!("{}/v1/logs?limit=1", self.url)).bearer_auth(key).send().await.with_context(|| self.unreachable())?;
        Ok(answer.status() == StatusCode::OK)
    }

    /// Makes the tenant, unless it is there, and a key for it.
    pub(super) async fn make_tenant(&self, tenant: &str) -> anyhow::Result<String> {
        let made = self.as_operator(Method::POST, "/v1/tenants").json(&json!({ "id": tenant, "name": "Demo" })).send().await.with_context(|| self.unreachable())?;
        if !made.status().is_success() && made.status() != StatusCode::CONFLICT {
            bail!("the demo tenant could not be made: {}", made.text().await?);
        }
        let body = json!({ "name": "scripts/run", "scopes": ["logs:write", "logs:read"] });
        let key: Value = answer(self.as_operator(Method::POST, &format!("/v1/tenants/{tenant}/keys")).json(&body)).await?;
        key["key"].as_str().map(str::to_owned).context("the answer holds no key")
    }

    /// When the tenant was made, RFC 3339.
    pub(super) async fn tenant_created_at(&self, tenant: &str) -> anyhow::Result<String> {
        let tenant: Value = answer(self.as_operator(Method::GET, &format!("/v1/tenants/{tenant}"))).await?;
        tenant["created_at"].as_str().map(str::to_owned).context("the tenant has no time of creation")
    }

    pub(super) async fn send(&self, ndjson: &[u8], idempotency_key: &str) -> anyhow::Result<Receipt> {
        let request = self.http.post(format!("{}/v1/logs", self.url)).bearer_auth(&self.key);
        answer(request.header("content-type", "application/x-ndjson").header("idempotency-key", idempotency_key).body(ndjson.to_vec())).await
    }

    pub(super) async fn batch_state(&self, batch: &str) -> anyhow::Result<String> {
        let receipt: Value = self.get(&format!("/v1/batches/{batch}"), &[]).await?;
        Ok(receipt["state"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        answer(self.http.get(format!("{}{path}", self.url)).query(parameters).bearer_auth(&self.key)).await
    }

    fn as_operator(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.operator)
    }

    fn unreachable(&self) -> String {
        format!("no server answers at {}", self.url)
    }
}

async fn answer<T: serde::de::DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    let answer = request.send().await?;
    let status = answer.status();
    if status.is_success() { Ok(answer.json().await?) } else { bail!("the server answered {status}: {}", answer.text().await?) }
}
