//! The HTTP calls of the check, and which tenants it has made by them.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

/// How long one answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Times that a request is sent again to a hub that says that it comes too soon.
const AGAIN: usize = 8;
/// Longest pause before that.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// All that it says: headers, then the body.
    pub(super) fn whole(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        headers.chain([self.body.clone()]).collect()
    }
}

/// Speaks to a hub.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    pub(super) operator: String,
    /// Ids of tenants that were asked for, to be removed whatever comes.
    made: Mutex<Vec<String>>,
    /// Ids of users that were made: an account stays, and is to open nothing.
    users: Mutex<Vec<String>>,
}

impl Client {
    pub(super) fn new(url: &str, operator: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWERED_WITHIN).no_proxy().build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), operator, made: Mutex::default(), users: Mutex::default() })
    }

    /// Sends a request as whoever these headers say. One that comes too soon is sent again.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn call(&self, who: &[(&'static str, String)], request: &Request) -> anyhow::Result<Answer> {
        let mut left = AGAIN;
        loop {
            let answer = self.call_once(who, request).await.with_context(|| format!("{} {}{}", request.method, self.url, request.path))?;
            let pause = answer.headers.get("retry-after").and_then(|seconds| seconds.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            match pause {
                Some(pause) if left > 0 && matches!(answer.status, 429 | 503) => tokio::time::sleep(pause.min(LONGEST_PAUSE)).await,
                _ => return Ok(answer),
            }
            left -= 1;
        }
    }

    async fn call_once(&self, who: &[(&'static str, String)], request: &Request) -> reqwest::Result<Answer> {
        let mut call = self.http.request(request.method.clone(), format!("{}{}", self.url, request.path)).query(&request.query);
        for (name, value) in who.iter().map(|(name, value)| (*name, value)).chain(request.headers.iter().map(|(name, value)| (name.as_str(), value))) {
            call = call.header(name, value);
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let answer = call.send().await?;
        Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body: answer.text().await? })
    }

    /// Sends what must succeed, and answers its JSON.
    ///
    /// # Errors
    /// No answer, or another than a success.
    pub(super) async fn ask(&self, who: &[(&'static str, String)], method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let request = Request { method, path: path.to_owned(), query: Vec::new(), headers: Vec::new(), body };
        let answer = self.call(who, &request).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{} {path}: {}: {}", request.method, answer.status, answer.body);
        }
        Ok(answer.json())
    }

    pub(super) fn as_operator(&self) -> Vec<(&'static str, String)> {
        vec![("authorization", format!("Bearer {}", self.operator))]
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(super) async fn make_tenant(&self, id: &str, name: &str) -> anyhow::Result<()> {
        self.will_be_made(id);
        self.ask(&self.as_operator(), Method::POST, "/v1/tenants", Some(json!({ "id": id, "name": name }))).await.context("a throw-away tenant cannot be made").map(drop)
    }

    /// Remembers a tenant that is about to be made, by whomever.
    pub(super) fn will_be_made(&self, id: &str) {
        self.made.lock().expect("no panic while held").push(id.to_owned());
    }

    /// Remembers a user that was made.
    pub(super) fn is_user(&self, id: &str) {
        self.users.lock().expect("no panic while held").push(id.to_owned());
    }

    pub(super) async fn delete_tenant(&self, id: &str) -> anyhow::Result<u16> {
        let request = Request { method: Method::DELETE, path: format!("/v1/tenants/{id}"), query: Vec::new(), headers: Vec::new(), body: None };
        self.call(&self.as_operator(), &request).await.map(|answer| answer.status)
    }

    /// Deletes every tenant that was made, and disables every user: accounts cannot be deleted.
    ///
    /// # Errors
    /// Says which are left.
    pub(super) async fn remove_all(&self) -> anyhow::Result<()> {
        let (made, users) = (self.made.lock().expect("no panic while held").clone(), self.users.lock().expect("no panic while held").clone());
        let mut left = Vec::new();
        for id in users {
            let disabled = self.ask(&self.as_operator(), Method::PATCH, &format!("/v1/users/{id}"), Some(json!({ "disabled": true }))).await;
            left.extend(disabled.err().map(|error| format!("user {id} ({error:#})")));
        }
        for id in made {
            match self.delete_tenant(&id).await {
                // One that was never made, or is deleted already.
                Ok(204 | 404) => {}
                Ok(status) => left.push(format!("{id} ({status})")),
                Err(error) => left.push(format!("{id} ({error:#})")),
            }
        }
        anyhow::ensure!(left.is_empty(), "throw-away tenants are left, to be deleted by hand, or users, to be disabled: {}", left.join(", "));
        Ok(())
    }
}
