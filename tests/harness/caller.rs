//! Somebody who calls the hub over HTTP: an operator, a tenant with a key, or nobody.

use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{Body, Method, Url};
use serde_json::{Value, json};

use super::world::http_client;
use super::{Answer, Encoding, Events, Running, SOON, Seen, eventually};

/// Who calls, and where.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    url: String,
    /// The header that says who it is.
    credential: Option<(&'static str, String)>,
    /// Headers that are sent with every request besides.
    beside: Vec<(&'static str, String)>,
    /// Whose key it is; empty for those who are no tenant.
    pub(crate) tenant: String,
    pub(crate) key: String,
    pub(crate) key_id: String,
}

/// A body with its headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sending {
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Sending {
    pub(crate) fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), headers: Vec::new() }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::bytes(body.to_string()).header("content-type", "application/json")
    }

    /// A line for each record.
    pub(crate) fn ndjson<'a>(records: impl IntoIterator<Item = &'a Value>) -> Self {
        let lines: Vec<String> = records.into_iter().map(|record| format!("{record}\n")).collect();
        Self::bytes(lines.concat()).header("content-type", "application/x-ndjson")
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Bytes of the body, as they go over the wire.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    pub(crate) fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn packed(self, encoding: Encoding) -> Self {
        let body = encoding.pack(&self.body);
        Self { body, ..self }.header("content-encoding", encoding.name())
    }
}

impl Caller {
    /// Somebody without any credential.
    pub(crate) fn anyone(http: reqwest::Client, url: &str) -> Self {
        Self { http, url: url.to_owned(), credential: None, beside: Vec::new(), tenant: String::new(), key: String::new(), key_id: String::new() }
    }

    /// The same somebody, on a connection that is not open yet.
    pub(crate) fn on_a_fresh_connection(&self) -> Self {
        Self { http: http_client(), ..self.clone() }
    }

    /// The same somebody with `Authorization: Bearer`.
    pub(crate) fn bearing(&self, token: &str) -> Self {
        self.with_credential("authorization", &format!("Bearer {token}"))
    }

    /// The same somebody with another header to say who it is.
    pub(crate) fn with_credential(&self, header: &'static str, value: &str) -> Self {
        Self { credential: Some((header, value.to_owned())), ..self.clone() }
    }

    /// The same somebody, who sends another header with every request.
    pub(crate) fn with(&self, header: &'static str, value: &str) -> Self {
        let mut same = self.clone();
        same.beside.retain(|(name, _)| *name != header);
        same.beside.push((header, value.to_owned()));
        same
    }

    /// The same somebody, without that header.
    pub(crate) fn without(&self, header: &str) -> Self {
        let mut same = self.clone();
        same.beside.retain(|(name, _)| *name != header);
        same
    }

    /// The header that says who it is.
    pub(super) fn credential(&self) -> Option<&(&'static str, String)> {
        self.credential.as_ref()
    }

    /// The same somebody, of this tenant.
    pub(crate) fn of(&self, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), ..self.clone() }
    }

    /// The same somebody at another hub.
    pub(crate) fn at(&self, hub: &Running) -> Self {
        Self { url: hub.url().to_owned(), ..self.clone() }
    }

    /// The same somebody at a hub that is a process of its own.
    pub(crate) fn at_url(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// Whether a hub answers there yet.
    ///
    /// # Errors
    /// What is in the way.
    pub(crate) async fn try_health(&self) -> Result<(), Seen> {
        self.try_call(Method::GET, "/healthz", &[], Sending::default()).await.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// # Panics
    /// If no HTTP answer comes.
    pub(crate) async fn call(&self, method: Method, path: &str, parameters: &[(&str, &str)], sending: Sending) -> Answer {
        let asked = format!("{method} {path}");
        self.try_call(method, path, parameters, sending).await.unwrap_or_else(|error| panic!("{asked}: no answer: {error:?}"))
    }

    /// # Errors
    /// If no HTTP answer comes.
    pub(crate) async fn try_call(&self, method: Method, path: &str, parameters: &[(&str, &str)], sending: Sending) -> reqwest::Result<Answer> {
        let mut url = Url::parse(&self.url).and_then(|base| base.join(path)).expect("a URL");
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let asked = format!("{method} {url}");
        let mut request = self.http.request(method, url).body(Body::from(sending.body));
        for (name, value) in self.credential.iter().chain(&self.beside).chain(&sending.headers) {
            // Any bytes: what a client must not send is sent, too.
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).expect("no line breaks"));
        }
        let began = Instant::now();
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { asked, status, headers, text: answer.text().await?, took: began.elapsed() })
    }

    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call(Method::GET, path, parameters, Sending::default()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &[], Sending::json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, &[], Sending::json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], Sending::default()).await
    }

    /// Follows logs, from where an event was.
    pub(crate) async fn follow(&self, parameters: &[(&str, &str)], last_event: Option<&str>) -> Events {
        let mut url = Url::parse(&self.url).and_then(|base| base.join("/v1/tail")).expect("a URL");
        url.query_pairs_mut().extend_pairs(parameters);
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let mut request = http.get(url).header("accept", "text/event-stream");
        for (name, value) in self.credential.iter().chain(&self.beside).map(|(name, value)| (*name, value.as_str())).chain(last_event.map(|id| ("last-event-id", id))) {
            request = request.header(name, value);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().ok()), (200, Some("text/event-stream")));
        Events::new(answer)
    }

    /// `POST /v1/logs`.
    pub(crate) async fn send(&self, sending: Sending) -> Answer {
        self.call(Method::POST, "/v1/logs", &[], sending).await
    }

    /// Sends records that must all be taken. Answers the batch's id.
    pub(crate) async fn accepted(&self, records: &[Value]) -> String {
        let receipt = self.send(Sending::ndjson(records)).await.ok(202);
        assert_eq!((&receipt["accepted"], &receipt["rejected"], &receipt["errors"]), (&json!(records.len()), &json!(0), &json!([])), "{receipt}");
        batch_id(&receipt)
    }

    /// Sends records and waits until a search finds them. Answers the batch's id.
    pub(crate) async fn stored(&self, records: &[Value]) -> String {
        let batch = self.accepted(records).await;
        self.wait_until_indexed(&batch).await;
        batch
    }

    pub(crate) async fn list(&self, parameters: &[(&str, &str)]) -> Value {
        self.get("/v1/logs", parameters).await.ok(200)
    }

    /// A search whose only parameter is `q`.
    pub(crate) async fn search(&self, q: &str) -> Value {
        self.get("/v1/search", &[("q", q)]).await.ok(200)
    }

    pub(crate) async fn detail(&self, id: &str) -> Value {
        self.get(&format!("/v1/logs/{id}"), &[]).await.ok(200)
    }

    pub(crate) async fn batch(&self, id: &str) -> Value {
        self.get(&format!("/v1/batches/{id}"), &[]).await.ok(200)
    }

    pub(crate) async fn wait_until_indexed(&self, batch: &str) -> Value {
        self.wait_until(batch, "indexed", SOON).await
    }

    /// Waits until a batch is in this state. Answers what is said of it then.
    pub(crate) async fn wait_until(&self, batch: &str, state: &str, within: Duration) -> Value {
        let look = async || -> Result<Value, Seen> {
            let seen = self.batch(batch).await;
            if seen["state"] == state { Ok(seen) } else { Err(seen.to_string()) }
        };
        eventually(within, &format!("batch {batch} is {state}"), look).await
    }

    /// All logs of a list or a search, page by page.
    pub(crate) async fn all_pages(&self, path: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
        self.pages_from(path, parameters, None).await
    }

    /// As [`Caller::all_pages`], from a page on.
    pub(crate) async fn pages_from(&self, path: &str, parameters: &[(&str, &str)], cursor: Option<&str>) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), cursor.map(str::to_owned));
        loop {
            let mut parameters = parameters.to_vec();
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = self.get(path, &parameters).await.ok(200);
            all.extend_from_slice(super::logs(&page));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// Makes another key of the tenant, by somebody who may.
    pub(crate) async fn key_made_by(&self, admin: &Self, body: &Value) -> Self {
        let made = admin.post(&format!("/v1/tenants/{}/keys", self.tenant), body).await.ok(201);
        let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
        Self { key: text("key"), key_id: text("id"), ..self.bearing(&text("key")) }
    }
}

/// The id of the batch that an answer to `POST /v1/logs` tells.
#[track_caller]
pub(crate) fn batch_id(receipt: &Value) -> String {
    receipt["batch_id"].as_str().unwrap_or_else(|| panic!("no batch id: {receipt}")).to_owned()
}
