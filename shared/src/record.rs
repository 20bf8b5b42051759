//! The record as SDKs send it: one JSON object, read once into what cannot be wrong. Pure: no engine, no HTTP.

mod level;

pub use level::Level;

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::Text;
use crate::timestamp::{self, UnixMs};

/// Largest record, in bytes as sent (design, section 4).
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting of objects and arrays, the record itself counted as one.
pub const MAX_DEPTH: usize = 64;
/// Longest `service`, `language`, `trace_id` or `span_id`, in bytes: they are keywords in the index, which refuses long ones.
pub const MAX_KEYWORD_BYTES: usize = 256;
/// What a record without a `service` belongs to.
pub const DEFAULT_SERVICE: &str = "unknown";

/// Why a record is refused. `code` is stable; `detail` is for people and repeats nothing of the record's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// A stable word, such as `invalid_json`.
    pub code: &'static str,
    /// A sentence that says what to change.
    pub detail: String,
}

impl Fault {
    /// A fault of this kind.
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// One record, its texts borrowed from the JSON where they can be.
#[derive(Debug, Default)]
pub struct Record<'a> {
    /// The tenant that the record names, if any: checked against the key's, used for nothing else.
    pub tenant_id: Option<Text<'a>>,
    /// `None` stands for [`DEFAULT_SERVICE`].
    pub service: Option<Text<'a>>,
    /// `None` stands for [`Level::Info`].
    pub level: Option<Level>,
    /// `None` stands for the time of receipt.
    pub timestamp: Option<UnixMs>,
    /// One line that sums it up.
    pub message: Option<Text<'a>>,
    /// The original text, of one line or many.
    pub full_log: Option<Text<'a>>,
    /// Language of the program that wrote it.
    pub language: Option<Text<'a>>,
    /// W3C trace id, as sent.
    pub trace_id: Option<Text<'a>>,
    /// W3C span id, as sent.
    pub span_id: Option<Text<'a>>,
    /// What was sent under `attributes`.
    pub attributes: Option<&'a RawValue>,
    /// Top-level fields that are none of the above, in the order sent.
    pub unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Record<'a> {
    /// Reads one JSON object. A field that is `null` counts as not sent; of a field sent twice the last counts.
    ///
    /// # Errors
    /// A [`Fault`] with one of the codes `record_too_large`, `invalid_utf8`, `invalid_json`, `not_an_object`,
    /// `nested_too_deep`, `invalid_type`, `invalid_level`, `invalid_timestamp`, `field_too_long`, `missing_text`.
    pub fn parse(json: &'a [u8]) -> Result<Self, Fault> {
        let fields = Fields::read(json)?;
        let (level, timestamp) = fields.check()?;
        Ok(Self {
            tenant_id: unescaped(fields.tenant_id)?,
            service: unescaped(fields.service)?,
            level,
            timestamp,
            message: unescaped(fields.message)?,
            full_log: unescaped(fields.full_log)?,
            language: unescaped(fields.language)?,
            trace_id: unescaped(fields.trace_id)?,
            span_id: unescaped(fields.span_id)?,
            attributes: fields.attributes,
            unknown: fields.unknown,
        })
    }

    /// The text that sums the record up: `message`, else the first line of `full_log` that is not blank.
    #[must_use]
    pub fn summary(&self) -> &str {
        let from_log = || self.full_log.as_deref().unwrap_or_default().lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        self.message.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or_else(from_log)
    }

    /// The service, or what stands for none.
    #[must_use]
    pub fn service(&self) -> &str {
        service_or_default(self.service.as_ref())
    }
}

/// Whose a record says that it is. What ingest asks of each log, while its client waits: texts that are not looked at stay as they were sent.
#[derive(Debug)]
pub struct Claims<'a> {
    /// As [`Record::tenant_id`].
    pub tenant_id: Option<Text<'a>>,
    service: Option<Text<'a>>,
}

impl<'a> Claims<'a> {
    /// Reads one JSON object, and refuses what [`Record::parse`] refuses.
    ///
    /// # Errors
    /// As [`Record::parse`].
    pub fn read(json: &'a [u8]) -> Result<Self, Fault> {
        let fields = Fields::read(json)?;
        fields.check()?;
        Ok(Self { tenant_id: unescaped(fields.tenant_id)?, service: unescaped(fields.service)? })
    }

    /// As [`Record::service`].
    #[must_use]
    pub fn service(&self) -> &str {
        service_or_default(self.service.as_ref())
    }
}

fn service_or_default<'t>(service: Option<&'t Text<'_>>) -> &'t str {
    service.map(|name| &**name).filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SERVICE)
}

/// Whether there is an ASCII control character. All bytes are looked at, wherever the first lies: so many are looked at in one instruction.
fn holds_control(json: &[u8]) -> bool {
    json.iter().fold(false, |found, byte| found | byte.is_ascii_control())
}

/// Whether brackets open deeper than `max`, whatever else the bytes are. Linear, no recursion.
fn deeper_than(json: &[u8], max: usize) -> bool {
    // Hardly any record has this many brackets: counting is a fraction of the work of telling strings apart.
    if memchr::memchr2_iter(b'{', b'[', json).take(max + 1).count() <= max {
        return false;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(step) = json.get(at..).and_then(|rest| rest.iter().position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))) {
        at += step;
        match json[at] {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => depth += 1,
            _ => depth = depth.saturating_sub(1),
        }
        if depth > max {
            return true;
        }
        at += 1;
    }
    false
}

/// Where the string that opens at `start` closes: the index of its last quote, or the last byte where it has none.
#[must_use]
pub fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(step) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += step;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len().saturating_sub(1)
}

fn nested_too_deep() -> Fault {
    Fault::new("nested_too_deep", format!("objects and arrays are nested deeper than {MAX_DEPTH}"))
}

fn not_an_object(text: &str) -> Fault {
    if deeper_than(text.as_bytes(), MAX_DEPTH) {
        return nested_too_deep();
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Fault::new("not_an_object", "a record is a JSON object"),
        Err(_) => unreadable(text),
    }
}

/// Why a text that is no record is none: it is not JSON, or a field has the wrong type.
fn unreadable(text: &str) -> Fault {
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(syntax) => Fault::new("invalid_json", format!("not JSON: {syntax}")),
        Ok(_) => {
            let name = Fields::culprit(text).unwrap_or("a field");
            Fault::new("invalid_type", format!("`{name}` must be a string"))
        }
    }
}

const TEXT_FIELDS: [&str; 9] = ["tenant_id", "service", "level", "timestamp", "message", "full_log", "language", "trace_id", "span_id"];

/// The values as they stand in the JSON: strings with their quotes, nothing unescaped.
#[derive(Default)]
struct Fields<'a> {
    tenant_id: Option<&'a str>,
    service: Option<&'a str>,
    level: Option<&'a str>,
    timestamp: Option<&'a str>,
    message: Option<&'a str>,
    full_log: Option<&'a str>,
    language: Option<&'a str>,
    trace_id: Option<&'a str>,
    span_id: Option<&'a str>,
    attributes: Option<&'a RawValue>,
    unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    fn read(json: &'a [u8]) -> Result<Self, Fault> {
        if json.len() > MAX_BYTES {
            return Err(Fault::new("record_too_large", format!("the record has {} bytes; at most {MAX_BYTES} are taken", json.len())));
        }
        let text = std::str::from_utf8(json).map_err(|e| Fault::new("invalid_utf8", format!("the record is not UTF-8 from byte {} on", e.valid_up_to())))?;
        if !text.trim_start().starts_with('{') {
            return Err(not_an_object(text));
        }
        // Names are read as bytes (see `text.rs`), which leaves raw control characters in them unchecked. They are not JSON (RFC 8259,
        // 7), and a line break among them would break the lines that records are kept as.
        if holds_control(json) && serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(unreadable(text));
        }
        let fields: Self = serde_json::from_str(text).map_err(|_| unreadable(text))?;
        // All of it: of a field that was sent twice the first is in no field of ours, and is kept as it was sent.
        if deeper_than(json, MAX_DEPTH) {
            return Err(nested_too_deep());
        }
        Ok(fields)
    }

    fn text_field(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "message" => &mut self.message,
            "full_log" => &mut self.full_log,
            "service" => &mut self.service,
            "level" => &mut self.level,
            "timestamp" => &mut self.timestamp,
            "language" => &mut self.language,
            "trace_id" => &mut self.trace_id,
            "span_id" => &mut self.span_id,
            "tenant_id" => &mut self.tenant_id,
            _ => return None,
        })
    }

    /// Which field of a readable object is neither a string nor null.
    fn culprit(text: &str) -> Option<&'static str> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        TEXT_FIELDS.into_iter().find(|name| object.get(*name).is_some_and(|value| !value.is_string() && !value.is_null()))
    }

    /// Refuses what no store would take, and understands level and time.
    fn check(&self) -> Result<(Option<Level>, Option<UnixMs>), Fault> {
        for (name, value) in [("service", self.service), ("language", self.language), ("trace_id", self.trace_id), ("span_id", self.span_id)] {
            if unescaped(value)?.is_some_and(|text| text.len() > MAX_KEYWORD_BYTES) {
                return Err(Fault::new("field_too_long", format!("`{name}` has more than {MAX_KEYWORD_BYTES} bytes")));
            }
        }
        let level = unescaped(self.level)?.filter(|text| !text.is_empty()).map(|text| {
            Level::parse(&text).ok_or_else(|| Fault::new("invalid_level", "`level` is none of TRACE, DEBUG, INFO, WARN, ERROR, FATAL, nor one of their usual synonyms"))
        });
        let timestamp = unescaped(self.timestamp)?
            .filter(|text| !text.is_empty())
            .map(|text| timestamp::parse(&text).map_err(|e| Fault::new("invalid_timestamp", format!("`timestamp` is {e}"))));
        let understood = (level.transpose()?, timestamp.transpose()?);
        if is_blank(self.message)? && is_blank(self.full_log)? {
            return Err(Fault::new("missing_text", "neither `message` nor `full_log` holds text"));
        }
        Ok(understood)
    }
}

fn unescaped(value: Option<&str>) -> Result<Option<Text<'_>>, Fault> {
    value.map(Text::of_json).transpose().map_err(|syntax| Fault::new("invalid_json", format!("not JSON: {syntax}")))
}

fn is_blank(value: Option<&str>) -> Result<bool, Fault> {
    Ok(unescaped(value)?.is_none_or(|text| text.trim().is_empty()))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    if let Some(slot) = fields.text_field(&name) {
                        *slot = map.next_value::<Option<&RawValue>>()?.map(RawValue::get);
                        if slot.is_some_and(|value| !value.starts_with('"')) {
                            return Err(de::Error::custom("not a string"));
                        }
                    } else if &*name == "attributes" {
                        fields.attributes = map.next_value()?;
                    } else {
                        fields.unknown.push((name.into_inner(), map.next_value()?));
                    }
                }
                Ok(fields)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Fields<'de>, A::Error> {
                Err(de::Error::custom("a record is an object"))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests;
