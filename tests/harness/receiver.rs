//! A receiver of webhooks: a real HTTP server that keeps what it is sent, and answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// How a receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With this status.
    Answers(u16),
    /// With this status and this header.
    AnswersWith(u16, &'static str, String),
    /// Not at all.
    Hangs,
    /// With 200 and a body that never ends.
    Babbles,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    headers: HeaderMap,
    body: String,
    /// What it was answered; `None` for nothing.
    pub(crate) answered: Option<u16>,
    /// When it came.
    pub(crate) at: Instant,
}

#[derive(Debug)]
struct Desk {
    received: Vec<Received>,
    /// For the first requests, the next one last.
    first: Vec<Manner>,
    then: Manner,
}

/// The receiver. It ends with the world's runtime.
#[derive(Clone)]
pub(crate) struct Receiver {
    url: String,
    desk: Arc<Mutex<Desk>>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let desk = Arc::new(Mutex::new(Desk { received: Vec::new(), first: Vec::new(), then: Manner::Answers(204) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(receive).with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, desk }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on it answers so.
    pub(crate) fn now(&self, manner: Manner) {
        self.desk.lock().expect("no panic while held").then = manner;
    }

    /// The next requests are answered so, one each.
    pub(crate) fn first(&self, manners: &[Manner]) {
        self.desk.lock().expect("no panic while held").first = manners.iter().rev().cloned().collect();
    }

    /// What came by now.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.desk.lock().expect("no panic while held").received.clone()
    }

    /// Types of the events that it took, each once, in the order in which they came; what was taken twice has the id of the first.
    pub(crate) fn taken(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut types = Vec::new();
        for request in self.received().iter().filter(|request| request.answered.is_some_and(|status| status < 300)) {
            if !ids.contains(&request.id()) {
                ids.push(request.id());
                types.push(request.event()["type"].as_str().expect("a type").to_owned());
            }
        }
        types
    }
}

async fn receive(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap, body: Bytes) -> Response {
    let manner = {
        let mut desk = desk.lock().expect("no panic while held");
        let manner = desk.first.pop().unwrap_or_else(|| desk.then.clone());
        let answered = match &manner {
            Manner::Answers(status) | Manner::AnswersWith(status, ..) => Some(*status),
            Manner::Hangs => None,
            Manner::Babbles => Some(200),
        };
        desk.received.push(Received { headers, body: String::from_utf8(body.to_vec()).expect("UTF-8"), answered, at: Instant::now() });
        manner
    };
    let status = |status| StatusCode::from_u16(status).expect("a status");
    match manner {
        Manner::Answers(code) => status(code).into_response(),
        Manner::AnswersWith(code, name, value) => (status(code), [(name, value)]).into_response(),
        Manner::Hangs => std::future::pending().await,
        Manner::Babbles => {
            let words = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b"and so on ")), ()))
            });
            axum::body::Body::from_stream(words).into_response()
        }
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_else(|| panic!("{name} is missing: {:?}", self.headers))
    }

    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    /// The event that it holds.
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether one of its signatures is by this secret, as a receiver would check it.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("its form")).expect("base64");
        let signed = format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, signed.as_bytes())));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// HMAC-SHA256 by its definition (RFC 2104), and not by what the hub signs with.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}
