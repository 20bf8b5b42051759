//! The query language: one for search, histogram, facets, tail and export.
//!
//! A [`Query`] is a tree that cannot be wrong. `parse` reads it from what a person typed, [`Query::matches`] says of one log whether it
//! is meant: that is the language's meaning, to which the index (`index/clause.rs`) and the rows (`rows/narrow.rs`) are held by
//! tests. Printed, a query reads as the same query again. docs/search.md tells the language to its users.

mod counts;
mod error;
mod matches;
mod parse;
mod pattern;
mod print;
mod scope;
#[cfg(test)]
pub(crate) mod strategy;
pub mod words;

pub use counts::{Bars, CountBy, Counted, Counts, Facet, FacetField, VALUES_OF_A_BAR};
pub use error::{Place, QueryError};
pub use matches::Subject;
pub(crate) use matches::{entries_between, equal_number, part_of};
pub use pattern::{Pattern, Piece};
pub use scope::{Order, Scope};

use crate::record::Level;
use crate::timestamp::UnixMs;

/// Longest query, in characters: some long lines of a log fit.
pub const MAX_CHARS: usize = 4_000;
/// Most conditions of a query: each is a clause that the index looks up, in two fields where none is named.
pub const MAX_CONDITIONS: usize = 64;
/// Most words in all texts of a query: a phrase is a clause for each of its words and each of two fields, and the index takes 1,024.
pub const MAX_WORDS: usize = 256;
/// Most `*` and most `?` of one pattern: the index would refuse the automaton of many `?` behind a `*`.
pub const MAX_STARS: usize = 4;
/// See [`MAX_STARS`].
pub const MAX_SINGLES: usize = 8;
/// Most characters of a word that holds either, an attribute's path included. Lucene makes an automaton of it, and refuses one that grows too much:
/// with these four `*` and eight `?` in the worst places some do from 150 on.
pub const MAX_WILD_CHARS: usize = 128;
/// Deepest nesting of parentheses and negations.
pub const MAX_DEPTH: usize = 16;
/// Most words with `*` or `?`: each may stand for every word that the index holds.
pub const MAX_WILDCARDS: usize = 8;

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    root: Node,
}

impl Query {
    /// Reads a query. `now` is what relative times count from.
    ///
    /// # Errors
    /// [`QueryError`] with the place of what is wrong.
    pub fn parse(text: &str, now: UnixMs) -> Result<Self, QueryError> {
        parse::query(text, now).map(|root| Self { root })
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Whether a row tells all that the query asks for. Texts do not: rows have beginnings of messages.
    #[must_use]
    pub fn is_told_by_rows(&self) -> bool {
        told_by_rows(&self.root)
    }

    /// Whether words must stand side by side somewhere in it.
    #[must_use]
    pub fn has_phrases(&self) -> bool {
        has_phrases(&self.root)
    }

    /// A field that the rows do not have and the query asks for, if any.
    #[must_use]
    pub fn field_beyond_rows(&self) -> Option<String> {
        beyond_rows(&self.root)
    }
}

/// A part of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// All of these: two or more.
    And(Vec<Node>),
    /// Any of these: two or more.
    Or(Vec<Node>),
    /// Not this.
    Not(Box<Node>),
    /// What one log is asked for.
    Is(Condition),
}

/// What one log is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// These words stand side by side in one text, or a part of a word is this one. Holds at least one word.
    Words(TextField, String),
    /// A word of a text is of this pattern, which is in lower case and holds no separator.
    Wild(TextField, Pattern),
    /// A keyword is this, or of this pattern.
    Keyword(KeywordField, Pattern),
    /// The level is one of those from the first to the second.
    Level(Level, Level),
    /// A time lies between these, the second not included; `None` stands for no bound.
    Time(TimeField, Option<UnixMs>, Option<UnixMs>),
    /// The attribute at this path has a value of this pattern, or the number that the pattern reads as.
    Attribute(String, Pattern),
    /// The attribute at this path has a number between these.
    Number(String, Bound, Bound),
    /// The field was sent.
    Exists(Optional),
}

/// A side of a range of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No bound.
    Open,
    /// The number belongs to the range. Never NaN nor infinite.
    Including(f64),
    /// The number does not. Never NaN nor infinite.
    Excluding(f64),
}

/// Where words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// `message` or `full_log`, each by itself; and the parts of their words.
    Any,
    /// `message`.
    Message,
    /// `full_log`.
    FullLog,
}

/// A field that is one word to the index, compared as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeywordField {
    /// The log's id.
    Id,
    /// The id of the request that brought it.
    BatchId,
    /// The service.
    Service,
    /// Language of the program.
    Language,
    /// W3C trace id.
    TraceId,
    /// W3C span id.
    SpanId,
}

/// A field that is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeField {
    /// The record's own time, or that of receipt.
    Timestamp,
    /// The time of receipt.
    ReceivedAt,
}

/// A field that a log may lack. Of the others, `field:*` says nothing, and any level will do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Optional {
    /// `full_log`.
    FullLog,
    /// `language`.
    Language,
    /// `trace_id`.
    TraceId,
    /// `span_id`.
    SpanId,
    /// The attribute at this path, or one below it.
    Attribute(String),
}

impl TextField {
    pub(crate) const NAMED: [(&'static str, Self); 2] = [("message", Self::Message), ("full_log", Self::FullLog)];
}

impl KeywordField {
    pub(crate) const NAMED: [(&'static str, Self); 6] =
        [("id", Self::Id), ("batch_id", Self::BatchId), ("service", Self::Service), ("language", Self::Language), ("trace_id", Self::TraceId), ("span_id", Self::SpanId)];

    /// Its name in queries, records and the index.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_in(&Self::NAMED, self)
    }

    /// Whether it is a UUID of ours, which is in lower case.
    pub(crate) fn is_id(self) -> bool {
        matches!(self, Self::Id | Self::BatchId)
    }
}

impl TimeField {
    pub(crate) const NAMED: [(&'static str, Self); 2] = [("timestamp", Self::Timestamp), ("received_at", Self::ReceivedAt)];

    /// Its name in queries, records and the index.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_in(&Self::NAMED, self)
    }
}

fn name_in<T: PartialEq + Copy>(named: &[(&'static str, T)], field: T) -> &'static str {
    named.iter().find(|(_, one)| *one == field).map_or("", |(name, _)| name)
}

fn has_phrases(node: &Node) -> bool {
    match node {
        Node::And(all) | Node::Or(all) => all.iter().any(has_phrases),
        Node::Not(inner) => has_phrases(inner),
        Node::Is(Condition::Words(_, text)) => words::lowered_words(text).nth(1).is_some(),
        Node::Is(_) => false,
    }
}

fn told_by_rows(node: &Node) -> bool {
    match node {
        Node::And(all) | Node::Or(all) => all.iter().all(told_by_rows),
        Node::Not(inner) => told_by_rows(inner),
        Node::Is(Condition::Words(..) | Condition::Wild(..)) => false,
        Node::Is(_) => beyond_rows(node).is_none(),
    }
}

fn beyond_rows(node: &Node) -> Option<String> {
    match node {
        Node::And(all) | Node::Or(all) => all.iter().find_map(beyond_rows),
        Node::Not(inner) => beyond_rows(inner),
        Node::Is(condition) => match condition {
            Condition::Words(TextField::FullLog, _) | Condition::Wild(TextField::FullLog, _) | Condition::Exists(Optional::FullLog) => Some("full_log".to_owned()),
            Condition::Keyword(KeywordField::TraceId, _) | Condition::Exists(Optional::TraceId) => Some("trace_id".to_owned()),
            Condition::Keyword(KeywordField::SpanId, _) | Condition::Exists(Optional::SpanId) => Some("span_id".to_owned()),
            Condition::Attribute(path, _) | Condition::Number(path, _, _) | Condition::Exists(Optional::Attribute(path)) => Some(format!("attributes.{path}")),
            _ => None,
        },
    }
}
