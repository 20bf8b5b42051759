//! What stands behind a field: a value, values in parentheses, a range, or what a comparison is with.

use super::super::matches::as_number;
use super::super::{Bound, Condition, KeywordField, Node, Optional, Pattern, TextField, TimeField};
use super::{Comparison, Field, Parsed, Parser, Typed};
use crate::range::moment;
use crate::record::Level;
use crate::timestamp::{self, UnixMs};

/// Characters of a date without a time, such as `2025-10-10`.
const DATE: usize = 10;
const DAY_MS: i64 = 86_400_000;

/// A value of a field that has an order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ordered {
    Level(Level),
    /// From its first millisecond to the one after its last: a date is a day.
    Time(UnixMs, UnixMs),
    Number(f64),
}

/// One side of a range, and whether the value belongs to it.
type Edge = Option<(Ordered, bool)>;

impl Parser<'_> {
    pub(super) fn field(&mut self, field: &Field, comparison: Comparison) -> Parsed<Node> {
        let start = self.at;
        match (comparison, self.peek()) {
            (Comparison::Is, Some('(')) => self.group(Some(field))?.ok_or_else(|| self.error(start, self.at - start, "there is no value in these parentheses", "a value")),
            (Comparison::Is, Some('[' | '{')) if field.has_order() => self.range(field),
            (Comparison::Is, _) => {
                let nothing = |parser: &Self| parser.error(start, parser.at - start, "there is nothing in it to search for", "a word with at least one letter or digit");
                self.value(field)?.ok_or_else(|| nothing(self))
            }
            _ => {
                let (text, _) = self.value_text()?;
                let value = self.ordered(field, &text, start)?;
                let (low, high) = match comparison {
                    Comparison::Above => (Some((value, false)), None),
                    Comparison::AtLeast => (Some((value, true)), None),
                    Comparison::Below => (None, Some((value, false))),
                    _ => (None, Some((value, true))),
                };
                self.between(field, low, high, start)
            }
        }
    }

    /// A value as such, without range or comparison; `None` for a text without a word.
    pub(super) fn value(&mut self, field: &Field) -> Parsed<Option<Node>> {
        let start = self.at;
        let (text, typed) = self.value_text()?;
        if matches!(typed.as_deref(), Some([one]) if one.is('*')) {
            return self.condition(exists(field), start).map(Some);
        }
        match field {
            Field::Text(field) => match typed {
                Some(word) => self.text(*field, &word, start, true),
                None => self.words(*field, text, start),
            },
            Field::Keyword(field) => {
                let pattern = self.pattern(&text, typed.as_deref(), "", start)?;
                let pattern = if field.is_id() { pattern.to_ascii_lowercase() } else { pattern };
                self.condition(Condition::Keyword(*field, pattern), start).map(Some)
            }
            Field::Attribute(path) => {
                let pattern = self.pattern(&text, typed.as_deref(), path, start)?;
                self.condition(Condition::Attribute(path.clone(), pattern), start).map(Some)
            }
            Field::Level | Field::Time(_) => {
                let value = self.ordered(field, &text, start)?;
                self.between(field, Some((value, true)), Some((value, true)), start).map(Some)
            }
        }
    }

    /// The value that begins here: its text, and its characters where it was not quoted.
    fn value_text(&mut self) -> Parsed<(String, Option<Vec<Typed>>)> {
        if let Some(text) = self.phrase() {
            return Ok((text, None));
        }
        if self.peek() == Some('"') {
            return Err(self.error_here("this quote is not closed, or not at the end of a word", "a closing `\"`"));
        }
        let word = self.word();
        Ok((word.iter().map(|typed| typed.c).collect(), Some(word)))
    }

    fn pattern(&mut self, text: &str, typed: Option<&[Typed]>, path: &str, start: usize) -> Parsed<Pattern> {
        let Some(typed) = typed else { return Ok(Pattern::exact(text)) };
        let mut pattern = Pattern::default();
        for one in typed {
            match (one.is('*'), one.is('?')) {
                (true, _) => pattern.push_any(),
                (_, true) => pattern.push_one(),
                _ => pattern.push_char(one.c),
            }
        }
        if pattern.as_text().is_none() {
            self.count_wildcard(&pattern, path, start)?;
        }
        Ok(pattern)
    }

    /// `[low TO high]`; a brace instead of a bracket leaves the value out, a `*` stands for no bound.
    fn range(&mut self, field: &Field) -> Parsed<Node> {
        let start = self.at;
        let with_low = self.peek() == Some('[');
        self.at += 1;
        let low = self.edge(field, with_low, "the lower value, or `*`")?;
        self.skip_space();
        if self.keyword_here("TO").is_none() {
            return Err(self.error_here("this range has no `TO`", "`TO`, as in `[10 TO 20]`"));
        }
        self.at += 2;
        let mut high = self.edge(field, true, "the upper value, or `*`")?;
        self.skip_space();
        match self.peek() {
            Some(']') => {}
            Some('}') => high = high.map(|(value, _)| (value, false)),
            _ => return Err(self.error_here("this range is not closed", "`]`, or `}` to leave the upper value out")),
        }
        self.at += 1;
        if !self.is_end(self.peek()) {
            return Err(self.error_here("something is joined to this range", "a space"));
        }
        self.between(field, low, high, start)
    }

    fn edge(&mut self, field: &Field, included: bool, expected: &str) -> Parsed<Edge> {
        self.skip_space();
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace() && !matches!(c, ']' | '}')) {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        match text.as_str() {
            "" | "TO" => Err(self.error(start, 1, "a value is missing in this range", expected)),
            "*" => Ok(None),
            text => self.ordered(field, text, start).map(|value| Some((value, included))),
        }
    }

    fn ordered(&self, field: &Field, text: &str, start: usize) -> Parsed<Ordered> {
        let length = self.at - start;
        match field {
            Field::Level => {
                Level::parse(text).map(Ordered::Level).ok_or_else(|| self.error(start, length, "this is no level", "TRACE, DEBUG, INFO, WARN, ERROR, FATAL or a usual synonym"))
            }
            Field::Time(_) => {
                let is_date = text.len() == DATE && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                let at = moment(&if is_date { format!("{text}T00:00:00Z") } else { text.to_owned() }, self.now);
                let at = at.map_err(|_| self.error(start, length, "this is no time", "2025-10-10T12:26:36Z, a date, `now`, or `now-15m` (units s, m, h, d, w)"))?;
                Ok(Ordered::Time(at, at.saturating_add(if is_date { DAY_MS } else { 1 })))
            }
            _ => as_number(text).map(Ordered::Number).ok_or_else(|| self.error(start, length, "this is no number", "a number, such as 500 or -0.5")),
        }
    }

    fn between(&mut self, field: &Field, low: Edge, high: Edge, start: usize) -> Parsed<Node> {
        let condition = match field {
            Field::Level => levels(low, high),
            Field::Time(field) => times(*field, low, high),
            Field::Attribute(path) => numbers(path, low, high),
            Field::Text(_) | Field::Keyword(_) => None,
        };
        let condition = condition.ok_or_else(|| self.error(start, self.at - start, "nothing lies in this range", "a lower value that is below the upper one"))?;
        self.condition(condition, start)
    }
}

fn levels(low: Edge, high: Edge) -> Option<Condition> {
    let level = |edge: Edge| if let Some((Ordered::Level(level), included)) = edge { Some((level, included)) } else { None };
    let (low, high) = (level(low), level(high));
    let is_above = |level: Level| low.is_none_or(|(low, included)| level > low || (included && level == low));
    let is_below = |level: Level| high.is_none_or(|(high, included)| level < high || (included && level == high));
    let mut levels = Level::ALL.into_iter().filter(|level| is_above(*level) && is_below(*level));
    let least = levels.next()?;
    Some(Condition::Level(least, levels.next_back().unwrap_or(least)))
}

fn times(field: TimeField, low: Edge, high: Edge) -> Option<Condition> {
    let from = low.and_then(|(value, included)| if let Ordered::Time(first, after) = value { Some(if included { first } else { after }) } else { None });
    let to = high.and_then(|(value, included)| if let Ordered::Time(first, after) = value { Some(if included { after } else { first }) } else { None });
    // No log is later than the last moment that the stores hold.
    let to = to.filter(|to| *to <= timestamp::MAX);
    let is_empty = matches!((from, to), (Some(from), Some(to)) if from >= to) || from.is_some_and(|from| from > timestamp::MAX);
    (!is_empty).then_some(Condition::Time(field, from, to))
}

fn numbers(path: &str, low: Edge, high: Edge) -> Option<Condition> {
    let bound = |edge: Edge| match edge {
        Some((Ordered::Number(number), true)) => Bound::Including(number),
        Some((Ordered::Number(number), false)) => Bound::Excluding(number),
        _ => Bound::Open,
    };
    let (low, high) = (bound(low), bound(high));
    let is_empty = match (low, high) {
        (Bound::Including(low), Bound::Including(high)) => low > high,
        (Bound::Including(low) | Bound::Excluding(low), Bound::Including(high) | Bound::Excluding(high)) => low >= high,
        _ => false,
    };
    (!is_empty).then(|| Condition::Number(path.to_owned(), low, high))
}

/// What `field:*` asks for. Of a field that every log has, it asks for nothing: any level will do.
fn exists(field: &Field) -> Condition {
    match field {
        Field::Text(TextField::FullLog) => Condition::Exists(Optional::FullLog),
        Field::Keyword(KeywordField::Language) => Condition::Exists(Optional::Language),
        Field::Keyword(KeywordField::TraceId) => Condition::Exists(Optional::TraceId),
        Field::Keyword(KeywordField::SpanId) => Condition::Exists(Optional::SpanId),
        Field::Attribute(path) => Condition::Exists(Optional::Attribute(path.clone())),
        _ => Condition::Level(Level::Trace, Level::Fatal),
    }
}
