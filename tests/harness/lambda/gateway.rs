//! Requests as the HTTP API of API Gateway hands them to a function, and its answers (API Gateway Developer Guide, "Create AWS Lambda
//! proxy integrations for HTTP APIs", payload format 2.0).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::Lambda;
use crate::harness::{Answer, Caller, Sending};

impl Lambda {
    /// A request of this caller's by way of the gateway.
    pub(crate) async fn request(&self, function: &str, caller: &Caller, method: &str, path_and_query: &str, sending: Sending) -> Answer {
        let began = std::time::Instant::now();
        let event = event(caller, method, path_and_query, &sending);
        let answer = self.invoke(function, &event).await.unwrap_or_else(|failure| panic!("{function} failed: {failure}"));
        let body = answer["body"].as_str().unwrap_or_default();
        let text = if answer["isBase64Encoded"] == true { String::from_utf8(STANDARD.decode(body).expect("base64")).expect("text") } else { body.to_owned() };
        let headers: HeaderMap = answer["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.as_str()?).ok()?)))
            .collect();
        let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
        Answer { asked: format!("{method} {path_and_query} by way of the gateway"), status, headers, text, took: began.elapsed() }
    }
}

/// A body that is no text comes as base64, whatever its content type is called.
fn event(caller: &Caller, method: &str, path_and_query: &str, sending: &Sending) -> Value {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut headers: serde_json::Map<String, Value> = sending.headers().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    if let Some((name, value)) = caller.credential() {
        headers.insert((*name).to_owned(), json!(value));
    }
    headers.insert("host".to_owned(), json!("hub.example.com"));
    let (body, is_base64) = match std::str::from_utf8(sending.body()) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(sending.body()), true),
    };
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "hub",
            "domainName": "hub.example.com",
            "domainPrefix": "hub",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "a story" },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": format!("{method} {path}"),
            "stage": "$default",
            "time": "25/Nov/2026:02:00:00 +0000",
            "timeEpoch": 1_795_572_000_000_u64
        },
        "body": body,
        "isBase64Encoded": is_base64
    })
}
