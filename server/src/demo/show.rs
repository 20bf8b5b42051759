//! What a newcomer sees: a list, a search, one whole stack trace, and how to ask for the same by hand.

use std::path::Path;

use serde_json::Value;

use super::client::Client;
use shared::text::first_chars;

/// Columns of a terminal left for a message.
const MESSAGE_CHARS: usize = 88;
/// What the demo searches for: real brute-force attempts of the syslog sample.
const QUERY: &str = "\"authentication failure\" sshd";
/// What the demo shows whole.
const TRACE_QUERY: &str = "Traceback";

pub(super) async fn everything(client: &Client) -> anyhow::Result<()> {
    let list = client.get("/v1/logs", &[("limit", "8")]).await?;
    heading("The newest logs   GET /v1/logs?limit=8");
    logs(&list).iter().for_each(print_log);

    let found = client.get("/v1/search", &[("q", QUERY), ("limit", "5")]).await?;
    heading(&format!("A search   GET /v1/search?q={QUERY}&limit=5"));
    logs(&found).iter().for_each(print_log);
    println!("  {} in all, from {}", found["total"]["value"], text(&found, "source"));

    let traces = client.get("/v1/search", &[("q", TRACE_QUERY), ("limit", "1")]).await?;
    if let Some(log) = logs(&traces).first() {
        let id = text(log, "id");
        let detail = client.get(&format!("/v1/logs/{id}"), &[]).await?;
        heading(&format!("One whole stack trace   GET /v1/logs/{id}"));
        text(&detail, "full_log").lines().for_each(|line| println!("  {line}"));
    }
    Ok(())
}

pub(super) fn by_hand(client: &Client, key: &str, env_file: &Path) {
    heading("The same by hand");
    println!("  source {}", env_file.display());
    println!("  curl -s -H \"Authorization: Bearer $LOGGERHUB_API_KEY\" \"$LOGGERHUB_URL/v1/logs?limit=8\"");
    println!("  curl -s -H \"Authorization: Bearer $LOGGERHUB_API_KEY\" -G \"$LOGGERHUB_URL/v1/search\" --data-urlencode 'q={QUERY}'");
    println!("  curl -s -H \"Authorization: Bearer $LOGGERHUB_API_KEY\" \"$LOGGERHUB_URL/v1/logs/ID\"");
    println!(
        "  curl -s -H \"Authorization: Bearer $LOGGERHUB_API_KEY\" \"$LOGGERHUB_URL/v1/logs\" -d '{{\"service\":\"billing\",\"level\":\"ERROR\",\"message\":\"my first log\"}}'"
    );
    println!();
    println!("  URL             {}", client.url());
    println!("  API key         {key}");
    println!("  operator token  {}", client.operator());
    println!("  all three are kept in {}", env_file.display());
}

fn heading(text: &str) {
    println!("\n{text}");
}

fn logs(answer: &Value) -> &[Value] {
    answer["logs"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn print_log(log: &Value) {
    let message = text(log, "message").replace(char::is_control, " ");
    println!("  {}  {:5}  {:16}  {}", text(log, "timestamp"), text(log, "level"), first_chars(text(log, "service"), 16), first_chars(&message, MESSAGE_CHARS));
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
