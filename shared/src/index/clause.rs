//! A query as OpenSearch understands it. Words are split by us ([`words`]), so that no analyzer has a say in what was typed.

use serde_json::{Value, json};

use crate::document;
use crate::query::words::lowered_words;
use crate::query::{Condition, KeywordField, Node, Optional, Pattern, Piece, TextField, entries_between, equal_number, part_of};
use crate::record::Level;
use crate::timestamp::UnixMs;

/// A match in `message` counts this many times one in `full_log`, where hits are ordered by relevance: it is what people read first.
const MESSAGE_BOOST: f32 = 2.0;

/// The clause that finds what a part of a query means.
pub(super) fn clause(node: &Node) -> Value {
    match node {
        Node::And(all) => json!({ "bool": { "must": all.iter().map(clause).collect::<Vec<_>>() } }),
        Node::Or(any) => json!({ "bool": { "should": any.iter().map(clause).collect::<Vec<_>>(), "minimum_should_match": 1 } }),
        Node::Not(inner) => json!({ "bool": { "must_not": [clause(inner)] } }),
        Node::Is(condition @ (Condition::Words(..) | Condition::Wild(..))) => asked(condition),
        // A keyword counts once, however rare it is: how rare would be among all tenants.
        Node::Is(condition) => json!({ "constant_score": { "filter": asked(condition) } }),
    }
}

fn asked(condition: &Condition) -> Value {
    match condition {
        Condition::Words(field, text) => {
            let words: Vec<String> = lowered_words(text).collect();
            let mut any: Vec<Value> = texts(*field).iter().map(|(name, boost)| side_by_side(name, &words, *boost)).collect();
            if *field == TextField::Any {
                any.extend(part_of(text).map(|run| json!({ "prefix": { "parts": { "value": run } } })));
            }
            any_of(any)
        }
        Condition::Wild(field, pattern) => {
            let mut any: Vec<Value> = texts(*field).iter().map(|(name, boost)| of_pattern(name, pattern, *boost)).collect();
            if *field == TextField::Any {
                any.extend(pattern.beginning().map(|beginning| json!({ "prefix": { "parts": { "value": beginning } } })));
            }
            any_of(any)
        }
        Condition::Keyword(field, pattern) => keyword(field.name(), pattern),
        Condition::Level(least, most) => {
            let names: Vec<&str> = Level::ALL.into_iter().filter(|level| (least..=most).contains(&level)).map(Level::as_str).collect();
            json!({ "terms": { "level": names } })
        }
        Condition::Time(field, from, to) => between(field.name(), *from, *to),
        Condition::Attribute(path, pattern) => attribute(path, pattern),
        Condition::Number(path, low, high) => {
            let (low, high) = entries_between(path, *low, *high);
            let (low_is, high_is) = (if low.included { "gte" } else { "gt" }, if high.included { "lte" } else { "lt" });
            json!({ "range": { "attribute_numbers": { low_is: low.entry, high_is: high.entry } } })
        }
        Condition::Exists(Optional::FullLog) => exists("full_log"),
        Condition::Exists(Optional::Language) => exists("language"),
        Condition::Exists(Optional::TraceId) => exists(KeywordField::TraceId.name()),
        Condition::Exists(Optional::SpanId) => exists(KeywordField::SpanId.name()),
        Condition::Exists(Optional::Attribute(path)) => {
            any_of(document::EXISTS.iter().map(|after| json!({ "prefix": { "attributes": { "value": format!("{path}{after}") } } })).collect())
        }
    }
}

/// A time between these, the second not included; `None` stands for no bound.
pub(super) fn between(field: &str, from: Option<UnixMs>, to: Option<UnixMs>) -> Value {
    let bounds: serde_json::Map<_, _> = [("gte", from), ("lt", to)].into_iter().filter_map(|(name, at)| Some((name.to_owned(), json!(at?)))).collect();
    json!({ "range": { field: bounds } })
}

fn texts(field: TextField) -> &'static [(&'static str, f32)] {
    const TEXTS: [(&str, f32); 2] = [("message", MESSAGE_BOOST), ("full_log", 1.0)];
    match field {
        TextField::Any => &TEXTS,
        TextField::Message => &TEXTS[..1],
        TextField::FullLog => &TEXTS[1..],
    }
}

/// One clause by itself, or any of several.
fn any_of(mut clauses: Vec<Value>) -> Value {
    if clauses.len() == 1 { clauses.remove(0) } else { json!({ "bool": { "should": clauses, "minimum_should_match": 1 } }) }
}

fn side_by_side(field: &str, words: &[String], boost: f32) -> Value {
    match words {
        [word] => json!({ "term": { field: { "value": word, "boost": boost } } }),
        // The words are split and in lower case already, and hold no white space.
        words => json!({ "match_phrase": { field: { "query": words.join(" "), "analyzer": "whitespace", "boost": boost } } }),
    }
}

fn of_pattern(field: &str, pattern: &Pattern, boost: f32) -> Value {
    match pattern.beginning() {
        Some(beginning) => json!({ "prefix": { field: { "value": beginning, "boost": boost } } }),
        None => json!({ "wildcard": { field: { "value": wildcards(pattern), "boost": boost } } }),
    }
}

fn keyword(field: &str, pattern: &Pattern) -> Value {
    pattern.as_text().map_or_else(|| of_pattern(field, pattern, 1.0), |text| json!({ "term": { field: { "value": text } } }))
}

fn attribute(path: &str, pattern: &Pattern) -> Value {
    let Some(text) = pattern.as_text() else {
        return json!({ "wildcard": { "attributes": { "value": format!("{}={}", escaped(path), wildcards(pattern)) } } });
    };
    let as_text = json!({ "term": { "attributes": { "value": document::text_entry(path, text) } } });
    match equal_number(text) {
        Some(number) => {
            json!({ "bool": { "should": [as_text, { "term": { "attribute_numbers": { "value": document::number_entry(path, number) } } }], "minimum_should_match": 1 } })
        }
        None => as_text,
    }
}

fn exists(field: &str) -> Value {
    json!({ "exists": { "field": field } })
}

fn wildcards(pattern: &Pattern) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Any => "*".to_owned(),
        Piece::One => "?".to_owned(),
        Piece::Text(text) => escaped(text),
    };
    pattern.pieces().iter().map(piece).collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?")
}
