//! Whether one log is meant by a query: what the language means, in memory, without any index.

use crate::document;
use crate::ids::LogId;
use crate::record::Level;
use crate::timestamp::UnixMs;

use super::words::{lowered_words, parts, run};
use super::{Bound, Condition, KeywordField, Node, Optional, Pattern, Query, TextField, TimeField};

/// A log, as far as a query can ask for it. Of a row `message` is the beginning only, and what it lacks is `None` or empty.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The log's id.
    pub id: LogId,
    /// The service.
    pub service: &'a str,
    /// The level.
    pub level: Level,
    /// The record's own time, or that of receipt.
    pub timestamp: UnixMs,
    /// The text that sums it up.
    pub message: &'a str,
    /// The original text.
    pub full_log: Option<&'a str>,
    /// Language of the program.
    pub language: Option<&'a str>,
    /// W3C trace id.
    pub trace_id: Option<&'a str>,
    /// W3C span id.
    pub span_id: Option<&'a str>,
    /// `path=value` of each attribute, as the index holds them ([`document::text_entry`]).
    pub attributes: &'a [String],
    /// The same of those that are numbers ([`document::number_entry`]).
    pub attribute_numbers: &'a [String],
    /// Runs of parts of the words of both texts ([`super::words::runs`]).
    pub parts: &'a [String],
}

impl Query {
    /// Whether the query means this log.
    #[must_use]
    pub fn matches(&self, log: &Subject<'_>) -> bool {
        holds(&self.root, log)
    }
}

fn holds(node: &Node, log: &Subject<'_>) -> bool {
    match node {
        Node::And(all) => all.iter().all(|node| holds(node, log)),
        Node::Or(any) => any.iter().any(|node| holds(node, log)),
        Node::Not(inner) => !holds(inner, log),
        Node::Is(condition) => is(condition, log),
    }
}

fn is(condition: &Condition, log: &Subject<'_>) -> bool {
    match condition {
        Condition::Words(field, text) => {
            let wanted: Vec<String> = lowered_words(text).collect();
            log.texts(*field).any(|text| stands_in(&wanted, text)) || (*field == TextField::Any && is_part(text, log))
        }
        Condition::Wild(field, pattern) => {
            let begins = |beginning: &str| log.parts.iter().any(|known| known.starts_with(beginning));
            log.texts(*field).any(|text| lowered_words(text).any(|word| pattern.matches(&word))) || (*field == TextField::Any && pattern.beginning().is_some_and(begins))
        }
        Condition::Keyword(field, pattern) => log.keyword(*field, |value| pattern.matches(value)),
        Condition::Level(least, most) => (*least..=*most).contains(&log.level),
        Condition::Time(field, from, to) => {
            let at = log.time(*field);
            from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to)
        }
        Condition::Attribute(path, pattern) => has_value(path, pattern, log),
        Condition::Number(path, low, high) => has_number(path, *low, *high, log),
        Condition::Exists(Optional::FullLog) => log.full_log.is_some(),
        Condition::Exists(Optional::Language) => log.language.is_some(),
        Condition::Exists(Optional::TraceId) => log.trace_id.is_some(),
        Condition::Exists(Optional::SpanId) => log.span_id.is_some(),
        Condition::Exists(Optional::Attribute(path)) => {
            let of = |entry: &String| document::EXISTS.iter().any(|after| entry.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with(*after)));
            log.attributes.iter().any(of)
        }
    }
}

/// Whether these words stand side by side in a text.
fn stands_in(wanted: &[String], text: &str) -> bool {
    if let [one] = wanted {
        return lowered_words(text).any(|word| word == *one);
    }
    let words: Vec<String> = lowered_words(text).collect();
    words.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether a text of one word is a run of parts of some word.
fn is_part(text: &str, log: &Subject<'_>) -> bool {
    part_of(text).is_some_and(|run| log.parts.iter().any(|known| known.starts_with(&run)))
}

/// What runs of parts begin with, where a text is one word: its own parts, or itself as one.
pub(crate) fn part_of(text: &str) -> Option<String> {
    let mut words = super::words::words(text);
    let (word, more) = (words.next()?, words.next());
    more.is_none().then(|| run(&parts(word.text).unwrap_or_else(|| vec![word.lowered()])))
}

fn has_value(path: &str, pattern: &Pattern, log: &Subject<'_>) -> bool {
    let Some(text) = pattern.as_text() else {
        return log.attributes.iter().any(|entry| entry.strip_prefix(path).and_then(|rest| rest.strip_prefix('=')).is_some_and(|value| pattern.matches(value)));
    };
    let entry = document::text_entry(path, text);
    let number = equal_number(text).map(|number| document::number_entry(path, number));
    log.attributes.contains(&entry) || number.is_some_and(|number| log.attribute_numbers.contains(&number))
}

fn has_number(path: &str, low: Bound, high: Bound, log: &Subject<'_>) -> bool {
    let (low, high) = entries_between(path, low, high);
    log.attribute_numbers.iter().any(|entry| low.is_before(entry) && high.is_after(entry))
}

/// The number that an attribute may be sent as instead of this text; `None` for integers that others share a double with, such as
/// long ids: their text is what they are.
pub(crate) fn equal_number(text: &str) -> Option<f64> {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    // Longer ones were sent as doubles, if as numbers at all: so JSON is read here.
    let is_exact = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    as_number(text).filter(|number| !is_exact || number.abs() < EXACT_BELOW)
}

/// The number that a text reads as, if any.
pub(crate) fn as_number(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| is_number && number.is_finite())
}

/// A side of a range of entries of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    /// The entry.
    pub(crate) entry: String,
    /// Whether it belongs to the range.
    pub(crate) included: bool,
}

impl Side {
    fn is_before(&self, entry: &str) -> bool {
        if self.included { self.entry.as_str() <= entry } else { self.entry.as_str() < entry }
    }

    fn is_after(&self, entry: &str) -> bool {
        if self.included { entry <= self.entry.as_str() } else { entry < self.entry.as_str() }
    }
}

/// The entries of `attribute_numbers` between two bounds.
pub(crate) fn entries_between(path: &str, low: Bound, high: Bound) -> (Side, Side) {
    let side = |bound, open: f64| match bound {
        Bound::Open => Side { entry: document::number_entry(path, open), included: true },
        Bound::Including(number) => Side { entry: document::number_entry(path, number), included: true },
        Bound::Excluding(number) => Side { entry: document::number_entry(path, number), included: false },
    };
    (side(low, f64::NEG_INFINITY), side(high, f64::INFINITY))
}

impl<'a> Subject<'a> {
    fn texts(&self, field: TextField) -> impl Iterator<Item = &'a str> {
        let message = (field != TextField::FullLog).then_some(self.message);
        let full_log = self.full_log.filter(|_| field != TextField::Message);
        message.into_iter().chain(full_log)
    }

    fn keyword(&self, field: KeywordField, is: impl Fn(&str) -> bool) -> bool {
        match field {
            KeywordField::Id => is(&self.id.uuid().to_string()),
            KeywordField::BatchId => is(&self.id.batch().uuid().to_string()),
            KeywordField::Service => is(self.service),
            KeywordField::Language => self.language.is_some_and(is),
            KeywordField::TraceId => self.trace_id.is_some_and(is),
            KeywordField::SpanId => self.span_id.is_some_and(is),
        }
    }

    fn time(&self, field: TimeField) -> UnixMs {
        match field {
            TimeField::Timestamp => self.timestamp,
            TimeField::ReceivedAt => UnixMs::try_from(self.id.unix_ms()).unwrap_or(UnixMs::MAX),
        }
    }
}
