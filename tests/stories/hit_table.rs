//! What a person on call types, and what it finds among real events. Each search has near misses, which it must leave out.
//!
//! `hit_table/events.ndjson` holds the events that the table speaks of, byte for byte as in the shared sample (samples/README.md tells sources
//! and licences). Around them lie others of it, or all of `samples/`. `LOGGERHUB_HIT_TABLE=1` takes all of the shared sample, and renews
//! docs/hits.md.

mod searches;

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use shared::query::Query;
use shared::timestamp::UnixMs;

use crate::harness::{Sent, sample_files, shared_data, story};
use searches::SEARCHES;

/// Events around those of the table: real neighbours.
const NEIGHBOURS: usize = 20_000;
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hits.md");

/// What is typed, what it must find and what it must not: a text stands for all events of the table that hold it.
struct Search {
    typed: &'static str,
    finds: &'static [&'static str],
    leaves_out: &'static [&'static str],
}

impl Search {
    /// What is wrong with its hits among the events of the table.
    fn faults(&self, hits: &BTreeSet<String>, events: &[Sent]) -> Vec<String> {
        let expected = self.finds.iter().map(|text| (text, true)).chain(self.leaves_out.iter().map(|text| (text, false)));
        let faults = expected.filter_map(|(text, is_hit)| {
            let mut holding = events.iter().filter(|one| one.subject().full_log.is_some_and(|full_log| full_log.contains(text))).peekable();
            if holding.peek().is_none() {
                return Some(format!("{}: no event holds {text}", self.typed));
            }
            let odd = holding.find(|one| hits.contains(&one.id.to_string()) != is_hit)?;
            Some(format!("{}: {} {}", self.typed, if is_hit { "does not find" } else { "finds" }, odd.text))
        });
        faults.collect()
    }

    /// Its line of the document.
    fn line(&self, hits: usize) -> String {
        let all = |texts: &[&str]| texts.iter().map(|text| code(text)).collect::<Vec<_>>().join(", ");
        format!("{} {hits} | {} | {} |\n", self.cell(), all(self.finds), all(self.leaves_out))
    }

    fn cell(&self) -> String {
        format!("| {} |", code(self.typed))
    }
}

/// As code in a table of Markdown.
fn code(text: &str) -> String {
    assert!(!text.contains(['`', '|']), "{text} cannot be shown so");
    format!("`{text}`")
}

fn events() -> Vec<Value> {
    let lines = include_str!("hit_table/events.ndjson").lines();
    lines.map(|line| as_sent(serde_json::from_str(line).expect("an event a line"))).collect()
}

fn neighbours(all: bool) -> Vec<Value> {
    let real = if all { Some(shared_data(usize::MAX).expect("the document is made of the shared sample")) } else { shared_data(NEIGHBOURS) };
    let real = real.unwrap_or_else(|| sample_files().iter().flat_map(|(_, events)| events).cloned().collect());
    real.into_iter().map(as_sent).collect()
}

/// With what an SDK would send beside the text: the parts of an access log as attributes, the id of a request as that of its trace.
fn as_sent(mut event: Value) -> Value {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let attributes = if matches!(text("service"), "httpd" | "shop-web") { request(text("message"), text("full_log")) } else { None };
    let trace_id = text("full_log").split_once("[req-").and_then(|(_, rest)| Some(rest.get(..36)?.replace('-', "")));
    if let Some(attributes) = attributes {
        event["attributes"] = attributes;
    }
    if let Some(trace_id) = trace_id {
        event["trace_id"] = json!(trace_id);
    }
    event
}

/// Of `GET / HTTP/1.1 200 7861`, and a line that begins with the client's address.
fn request(message: &str, line: &str) -> Option<Value> {
    let (method, rest) = message.split_once(' ')?;
    let (rest, bytes) = rest.rsplit_once(' ')?;
    let (_, status) = rest.rsplit_once(' ')?;
    let (ip, _) = line.split_once(' ')?;
    Some(json!({ "client": { "ip": ip }, "http": { "method": method, "status": status.parse::<u16>().ok()?, "bytes": bytes.parse::<u64>().ok() } }))
}

fn ids<'a>(sent: impl IntoIterator<Item = &'a Sent>) -> BTreeSet<String> {
    sent.into_iter().map(|one| one.id.to_string()).collect()
}

fn now() -> UnixMs {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| since.as_millis().try_into().ok()).expect("the clock is past 1970")
}

#[test]
fn what_a_person_types_finds_what_is_meant_and_no_near_miss() {
    let renews = std::env::var_os("LOGGERHUB_HIT_TABLE").is_some();
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/hits.md is there");
    story(async |world| {
        let acme = world.tenant("acme").await;
        let events = acme.sent(&events()).await;
        let neighbours = acme.sent(&neighbours(renews)).await;
        let (mut faults, mut table) = (Vec::new(), String::new());
        for (about, searches) in SEARCHES {
            table += &format!("\n## {about}\n\n| typed | hits | must find | must not find |\n|---|---|---|---|\n");
            for search in searches {
                let query = Query::parse(search.typed, now()).unwrap_or_else(|error| panic!("{}: {error}", search.typed));
                let hits = acme.found(search.typed).await;
                faults.extend(search.faults(&hits, &events));
                let meant = ids(events.iter().chain(&neighbours).filter(|one| one.is_meant_by(&query)));
                if hits != meant {
                    faults.push(format!("{}: {} meant, {} found", search.typed, meant.len(), hits.len()));
                }
                if !renews && !document.contains(&search.cell()) {
                    faults.push(format!("{}: not in docs/hits.md; LOGGERHUB_HIT_TABLE=1 renews it", search.typed));
                }
                table += &search.line(ids(&neighbours).intersection(&hits).count());
            }
        }
        println!("{} events among {}\n{table}", events.len(), neighbours.len());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        if renews {
            let (head, _) = document.split_once("\n## ").expect("a heading");
            std::fs::write(DOCUMENT, format!("{head}{table}")).expect("docs/ can be written");
        }
    });
}
