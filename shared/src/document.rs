//! The document that the index holds of a log: our own serialisation, so that almost nothing can be refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memmem;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ids::{LogId, TenantId};
use crate::query::{Subject, words};
use crate::record::{Level, Record};
use crate::text::first_bytes;
use crate::timestamp::UnixMs;

/// Attributes of one log that can be searched by; the others are in raw.
const MAX_ATTRIBUTES: usize = 256;
/// Longest `path=value` entry, in bytes: Lucene refuses terms past 32,766, and nobody filters by so long a value.
const MAX_ATTRIBUTE_BYTES: usize = 1024;
/// Bytes of all `path=value` entries of one log, beside twice those of the record: a short record with a long path and many values
/// would else make a document of a hundred times its size, and a request of them one that no processor can hold.
const ATTRIBUTE_BYTES_ALLOWANCE: usize = 1024;
/// Bytes of all runs of parts of one log: so many times those of the record, which is more than names that people write come to, and besides
/// what the longest word alone may have.
const PARTS_TIMES: usize = 4;
const PARTS_ALLOWANCE: usize = 1024;
/// The spaces that keep a line from breaking: they stand between words to us ([`words`]) and not to the index' tokenizer.
const SPACES: [char; 3] = ['\u{a0}', '\u{2007}', '\u{202f}'];
/// What stands in the copy of a record for the texts of its document: characters that no JSON text holds as they are (RFC 8259, 7).
const MESSAGE: char = '\u{1}';
const FULL_LOG: char = '\u{2}';
/// Shortest text that is left out of the copy, in bytes: a mark for a shorter one would save nothing once documents are compressed.
const MIN_LEFT_OUT: usize = 16;

/// One log as the index holds it. Fields as in the mapping (`index/template.json`).
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    id: LogId,
    batch_id: crate::ids::BatchId,
    tenant: &'a TenantId,
    service: &'a str,
    level: Level,
    timestamp: UnixMs,
    received_at: u64,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_log: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    /// `path=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<String>,
    /// `path=` and the number in a form whose order as text is its order as number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attribute_numbers: Vec<String>,
    /// Runs of parts of words that are written in several ([`words::runs`]).
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "between_spaces")]
    parts: Vec<String>,
    /// The record as sent, but for the texts that stand above ([`record_of`]): kept, not indexed, so that a detail needs no other store.
    record: Cow<'a, str>,
}

impl<'a> Document<'a> {
    /// The document of a record that was received as `id`. `sent` is the record's JSON.
    #[must_use]
    pub fn new(id: LogId, tenant: &'a TenantId, record: &'a Record<'a>, sent: &'a [u8]) -> Self {
        let mut attributes = Attributes { room: 2 * sent.len() + ATTRIBUTE_BYTES_ALLOWANCE, texts: Vec::new(), numbers: Vec::new() };
        if let Some(raw) = record.attributes {
            match serde_json::from_str(raw.get()) {
                Ok(Value::Object(fields)) => fields.iter().for_each(|(name, value)| attributes.add(name, value)),
                Ok(other) => attributes.add("attributes", &other),
                // Some value in it is the one that cannot be held: field by field the others can.
                Err(_) => {
                    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
                    fields.iter().for_each(|(name, value)| attributes.add_raw(name, value));
                }
            }
        }
        for (name, raw) in &record.unknown {
            attributes.add_raw(name, raw);
        }
        let received_at = id.unix_ms();
        let (message, full_log) = (spaced(record.summary()), record.full_log.as_deref().map(spaced));
        let without_message = left_out(String::from_utf8_lossy(sent), &message, MESSAGE);
        Self {
            id,
            batch_id: id.batch(),
            tenant,
            service: record.service(),
            level: record.level.unwrap_or(Level::Info),
            timestamp: record.timestamp.unwrap_or_else(|| i64::try_from(received_at).unwrap_or_default()),
            received_at,
            record: left_out(without_message, full_log.as_deref().unwrap_or_default(), FULL_LOG),
            message,
            full_log,
            language: record.language.as_deref(),
            trace_id: record.trace_id.as_deref(),
            span_id: record.span_id.as_deref(),
            attributes: attributes.texts,
            attribute_numbers: attributes.numbers,
            parts: parts(record, sent.len()),
        }
    }
}

impl Document<'_> {
    /// What a query can ask of it.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            id: self.id,
            service: self.service,
            level: self.level,
            timestamp: self.timestamp,
            message: &self.message,
            full_log: self.full_log.as_deref(),
            language: self.language,
            trace_id: self.trace_id,
            span_id: self.span_id,
            attributes: &self.attributes,
            attribute_numbers: &self.attribute_numbers,
            parts: &self.parts,
        }
    }
}

/// The record as sent, of a document as the index gives it back; `None` where it holds none.
#[must_use]
pub fn record_of(document: &Value) -> Option<String> {
    let mut record = document["record"].as_str()?.to_owned();
    for (mark, field) in [(MESSAGE, "message"), (FULL_LOG, "full_log")] {
        if record.contains(mark) {
            record = record.replace(mark, &literal(document[field].as_str()?)?);
        }
    }
    Some(record)
}

/// A text as JSON writes it where it escapes no more than it must: so most do.
fn literal(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

/// A record with a mark for a text; as it is where the text is not found, such as one that is spelled otherwise.
fn left_out<'a>(record: Cow<'a, str>, text: &str, mark: char) -> Cow<'a, str> {
    let literal = Some(text).filter(|text| text.len() >= MIN_LEFT_OUT).and_then(literal);
    let found = literal.and_then(|literal| Some((place_of(literal.as_bytes(), record.as_bytes())?, literal.len())));
    match found {
        Some((at, bytes)) => Cow::Owned([&record[..at], mark.encode_utf8(&mut [0; 4]), &record[at + bytes..]].concat()),
        None => record,
    }
}

/// Where `wanted` stands, if its beginning is found there among the first few: preparing to search for all of a long text costs more than to search.
fn place_of(wanted: &[u8], bytes: &[u8]) -> Option<usize> {
    const BEGINNING: usize = 32;
    const PLACES: usize = 8;
    memmem::find_iter(bytes, &wanted[..wanted.len().min(BEGINNING)]).take(PLACES).find(|at| bytes[*at..].starts_with(wanted))
}

/// A text as a document holds it: in which the index sees the same words as we do.
#[must_use]
pub fn spaced(text: &str) -> Cow<'_, str> {
    // Control characters, and the bytes that the others begin with in UTF-8. Hardly any text has one: all bytes are looked at, which takes less than to stop at the first.
    let may_be = |b: u8| matches!(b, 0..=0x08 | 0x0e..=0x1b | 0x7f | 0xc2 | 0xe2);
    let is_odd = |c: char| SPACES.contains(&c) || (c.is_control() && !matches!(c, '\t'..='\r' | '\x1c'..='\x1f'));
    if !text.as_bytes().chunks(256).any(|bytes| bytes.iter().fold(false, |any, b| any | may_be(*b))) || !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(is_odd) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = words::control_sequence(rest).unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8));
        out.push(' ');
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The runs of a record's words, as many as there is room for.
fn parts(record: &Record<'_>, bytes: usize) -> Vec<String> {
    let mut room = PARTS_TIMES * bytes + PARTS_ALLOWANCE;
    let mut runs = words::runs([record.summary()].into_iter().chain(record.full_log.as_deref()));
    runs.retain(|run| {
        room = room.saturating_sub(run.len() + 1);
        room > 0
    });
    runs
}

/// As one text, which the index splits at its spaces.
fn between_spaces<S: Serializer>(parts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&parts.join(" "))
}

struct Attributes {
    /// Bytes that may still be added.
    room: usize,
    texts: Vec<String>,
    numbers: Vec<String>,
}

impl Attributes {
    /// A value that JSON allows and no number or text can hold, such as 1e400, costs itself alone.
    fn add_raw(&mut self, path: &str, raw: &RawValue) {
        if let Ok(value) = serde_json::from_str(raw.get()) {
            self.add(path, &value);
        }
    }

    /// Recursion ends with the record's own nesting, at most `record::MAX_DEPTH`.
    fn add(&mut self, path: &str, value: &Value) {
        if self.texts.len() >= MAX_ATTRIBUTES || path.len() >= self.room {
            return;
        }
        match value {
            Value::Null => {}
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.add(&format!("{path}.{name}"), value)),
            Value::Array(items) => items.iter().for_each(|item| self.add(path, item)),
            Value::String(text) => self.text(path, text),
            Value::Bool(truth) => self.text(path, if *truth { "true" } else { "false" }),
            Value::Number(number) => {
                self.text(path, &number.to_string());
                if let Some(number) = number.as_f64() {
                    let entry = number_entry(path, number);
                    self.room = self.room.saturating_sub(entry.len());
                    self.numbers.push(entry);
                }
            }
        }
    }

    fn text(&mut self, path: &str, value: &str) {
        let entry = text_entry(path, value);
        let entry = first_bytes(&entry, self.room);
        self.room -= entry.len();
        self.texts.push(entry.to_owned());
    }
}

/// What follows the path in an entry: `=` and a value, or `.` and the rest of a longer path.
pub(crate) const EXISTS: [char; 2] = ['=', '.'];

/// `path=value` as the index holds it: of a long one the beginning.
#[must_use]
pub fn text_entry(path: &str, value: &str) -> String {
    let mut entry = format!("{path}={value}");
    entry.truncate(first_bytes(&entry, MAX_ATTRIBUTE_BYTES).len());
    entry
}

/// `path=` and a number as the index holds it.
#[must_use]
pub fn number_entry(path: &str, number: f64) -> String {
    // Zero has two forms, which are one number.
    format!("{}={:016x}", first_bytes(path, MAX_ATTRIBUTE_BYTES), ordered_bits(number + 0.0))
}

/// The bits of a number, so turned that they order as the number does: the sign bit flipped for positive ones, all bits for
/// negative ones (IEEE 754 totalOrder).
fn ordered_bits(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// `attributes` as an answer shows them: what was sent under that name and the unknown top-level fields.
#[must_use]
pub fn attributes_of<'a>(record: &Record<'a>) -> BTreeMap<String, &'a RawValue> {
    let mut all = BTreeMap::new();
    if let Some(raw) = record.attributes {
        match serde_json::from_str::<BTreeMap<String, &'a RawValue>>(raw.get()) {
            Ok(fields) => all.extend(fields),
            Err(_) => drop(all.insert("attributes".to_owned(), raw)),
        }
    }
    all.extend(record.unknown.iter().map(|(name, raw)| (name.clone().into_owned(), *raw)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BatchId;
    use proptest::prelude::*;
    use serde_json::json;

    fn document(json: &str) -> Value {
        let record = Record::parse(json.as_bytes()).expect("a record");
        let tenant = TenantId::parse("tenant_a").expect("an id");
        serde_json::to_value(Document::new(BatchId::new(1_760_099_196_000).log(7), &tenant, &record, json.as_bytes())).expect("a document")
    }

    #[test]
    fn the_document_holds_the_record_as_sent_and_its_parts() {
        let json = r#"{"message":"m","level":"warning","user":{"id":7,"tags":["a","b"],"gone":null},"attributes":{"ok":true}}"#;
        let document = document(json);
        assert_eq!(record_of(&document).as_deref(), Some(json));
        assert_eq!(document["level"], "WARN");
        assert_eq!(document["timestamp"], 1_760_099_196_000_i64);
        let texts: Vec<_> = document["attributes"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(texts, ["ok=true", "user.id=7", "user.tags=a", "user.tags=b"]);
        assert_eq!(document["attribute_numbers"][0], "user.id=c01c000000000000");
    }

    #[test]
    fn the_index_sees_spaces_where_we_see_words_end() {
        assert_eq!(spaced("\x1b[31mred\x1b[0mplain\0a\u{a0}b\u{85}c\u{7f}d\te"), " red plain a b c d\te");
        assert!(matches!(spaced("plain\tand\n“quoted”\x1f"), Cow::Borrowed(_)));
    }

    #[test]
    fn every_run_of_a_short_text_of_long_names_is_there() {
        for message in ["getUserNameById", "java.lang.ArrayIndexOutOfBoundsException", "aaBbCcDdEeFfGgHhIiJjKkLl"] {
            let document = document(&json!({ "message": message }).to_string());
            let kept: Vec<&str> = document["parts"].as_str().expect("parts").split(' ').collect();
            assert_eq!(kept, words::runs([message]));
        }
    }

    #[test]
    fn a_text_stands_in_a_document_once() {
        let text = "one line that is long enough, with \"quotes\" in it";
        let json = json!({ "message": text, "n": 1, "full_log": format!("INFO {text}\n  at home") }).to_string();
        let document = document(&json);
        assert_eq!(document["record"], "{\"full_log\":\u{2},\"message\":\u{1},\"n\":1}");
        assert_eq!(record_of(&document), Some(json));
    }

    #[test]
    fn a_mark_without_its_text_is_no_record() {
        assert_eq!(record_of(&json!({ "record": "{\"message\":\u{1}}" })), None);
        assert_eq!(record_of(&json!({ "message": "m" })), None);
    }

    #[test]
    fn attributes_are_bounded_in_number_and_length() {
        let many: Vec<String> = (0..400).map(|n| format!(r#""k{n}":"{}""#, "v".repeat(1500))).collect();
        let document = document(&format!(r#"{{"message":"m",{}}}"#, many.join(",")));
        let texts = document["attributes"].as_array().expect("a list");
        assert!(texts.len() == MAX_ATTRIBUTES && texts.iter().all(|text| text.as_str().is_some_and(|text| text.len() <= MAX_ATTRIBUTE_BYTES)));
    }

    #[test]
    fn a_short_record_makes_no_large_document() {
        let json = format!(r#"{{"message":"m","{}":[{}1]}}"#, "k".repeat(1000), "1,".repeat(300));
        let bytes = serde_json::to_vec(&document(&json)).expect("JSON").len();
        assert!(bytes < 6 * json.len(), "{bytes} of {}", json.len());
    }

    proptest! {
        #[test]
        fn the_record_is_put_together_as_it_was_sent(message in "[a\\\\\"/<é\u{a0}\u{2028}\n]{0,60}", around in "[a\" ]{0,9}", plain: bool, twice: bool) {
            let text = |text: &str| if plain { json!(text).to_string() } else { json!(text).to_string().replace('é', "\\u00e9").replace('/', "\\/") };
            let full_log = if twice { message.clone() } else { format!("{around}{message}{around}") };
            let json = format!(r#"{{ "full_log" : {}, "x": {}, "message":{} , "service":"s"}}"#, text(&full_log), text(&around), text(&message));
            prop_assume!(Record::parse(json.as_bytes()).is_ok());
            prop_assert_eq!(record_of(&document(&json)), Some(json));
        }

        #[test]
        fn numbers_keep_their_order_as_text(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan() && a != b);
            let text = |n| format!("{:016x}", ordered_bits(n));
            prop_assert_eq!(text(a) < text(b), a < b);
        }
    }
}
