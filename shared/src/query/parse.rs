//! From what a person typed to a tree.
//!
//! What looks like syntax is syntax only where it stands as such: a field is one of ours, directly followed by `:` or a comparison and a
//! value; a quote opens a phrase at the beginning of a word and closes it at an end; a parenthesis groups at the beginning of a word.
//! All else is text: a path, a URL, a UUID, `Foo::bar(x)`, JSON and stack frames can be pasted as they are. A word without a letter or
//! digit finds nothing and is left out.

mod text;
mod value;

use super::{Condition, KeywordField, MAX_CHARS, MAX_CONDITIONS, MAX_DEPTH, Node, QueryError, TextField, TimeField};
use crate::timestamp::UnixMs;

pub(super) fn query(text: &str, now: UnixMs) -> Result<Node, QueryError> {
    // As in what was stored: there, too, it was replaced.
    let chars: Vec<char> = text.chars().map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
    if chars.len() > MAX_CHARS {
        let detail = format!("the query has {} characters", chars.len());
        return Err(QueryError::new(&chars, MAX_CHARS, chars.len() - MAX_CHARS, detail, format!("at most {MAX_CHARS}")));
    }
    let mut parser = Parser { chars: &chars, at: 0, now, open: 0, depth: 0, conditions: 0, wildcards: 0, words: 0, broad: Vec::new(), is_syntax: false };
    let query = parser.any_of(None)?.ok_or_else(|| QueryError::new(&chars, 0, chars.len(), "there is nothing to search for", "a word with at least one letter or digit"))?;
    parser.refuse_broad(&query)?;
    Ok(query)
}

/// Whether a backslash before it makes a character text.
pub(super) fn can_be_escaped(c: char) -> bool {
    c.is_ascii_punctuation() || c.is_whitespace()
}

/// A character of a word, and whether it is text whatever it means elsewhere.
#[derive(Debug, Clone, Copy)]
struct Typed {
    c: char,
    escaped: bool,
}

impl Typed {
    fn is(self, c: char) -> bool {
        self.c == c && !self.escaped
    }

    fn is_wildcard(self) -> bool {
        self.is('*') || self.is('?')
    }
}

/// What is asked for before its value is read.
#[derive(Debug, Clone)]
enum Field {
    Text(TextField),
    Keyword(KeywordField),
    Level,
    Time(TimeField),
    Attribute(String),
}

impl Field {
    fn has_order(&self) -> bool {
        matches!(self, Self::Level | Self::Time(_) | Self::Attribute(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Is,
    Above,
    AtLeast,
    Below,
    AtMost,
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    now: UnixMs,
    /// Parentheses that wait to be closed.
    open: usize,
    /// Parentheses and negations around this place.
    depth: usize,
    conditions: usize,
    wildcards: usize,
    /// Words of all texts.
    words: usize,
    /// Where patterns stand, and how long they are, that say too little if no word stands beside them: in the order of the tree.
    broad: Vec<(usize, usize)>,
    /// Whether something was written that only makes sense as syntax: then a parenthesis that is not closed is a mistake, not text.
    is_syntax: bool,
}

type Parsed<T> = Result<T, QueryError>;

impl Parser<'_> {
    /// Alternatives with `OR` between them; `None` where no word can be found.
    fn any_of(&mut self, scope: Option<&Field>) -> Parsed<Option<Node>> {
        let mut any = Vec::new();
        let mut after_or = false;
        loop {
            let (node, read) = self.all_of(scope)?;
            if read == 0 && (after_or || self.keyword_here("OR").is_some()) {
                return Err(self.error_here(if after_or { "a term is missing after `OR`" } else { "a term is missing before `OR`" }, "a term"));
            }
            any.extend(node);
            after_or = self.eat_keyword("OR");
            if !after_or {
                return Ok(joined(any, Node::Or));
            }
        }
    }

    /// Terms that must all hold, and how many words were read, found or not.
    fn all_of(&mut self, scope: Option<&Field>) -> Parsed<(Option<Node>, usize)> {
        let (mut all, mut read) = (Vec::new(), 0);
        loop {
            self.skip_space();
            if self.is_over() || self.keyword_here("OR").is_some() {
                return Ok((joined(all, Node::And), read));
            }
            if self.keyword_here("AND").is_some() {
                if read == 0 {
                    return Err(self.error_here("a term is missing before `AND`", "a term"));
                }
                self.eat_keyword("AND");
                self.expect_term("a term is missing after `AND`")?;
            }
            all.extend(self.term(scope)?);
            read += 1;
        }
    }

    fn term(&mut self, scope: Option<&Field>) -> Parsed<Option<Node>> {
        if !self.is_shouted_not() && self.eat_keyword("NOT") {
            self.expect_term("a term is missing after `NOT`")?;
            return self.deeper(|parser| parser.term(scope)).map(negated);
        }
        // One dash excludes; `--flag`, `-1`, `-[NSView draw]`, `-/path` and a dash by itself are text.
        if self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|next| !matches!(next, '-' | '[' | '/' | '0'..='9') && !next.is_whitespace()) {
            self.at += 1;
            return self.deeper(|parser| parser.primary(scope)).map(negated);
        }
        self.primary(scope)
    }

    /// Whether a `NOT` here stands among words in capitals, as in `404 NOT FOUND` and `NOT NULL constraint`: then it is one of them.
    fn is_shouted_not(&self) -> bool {
        let Some(end) = self.keyword_here("NOT") else { return false };
        let is_shouted =
            |word: &[char]| word.first().is_some_and(|c| c.is_alphabetic()) && !word.iter().any(|c| c.is_lowercase()) && word.iter().filter(|c| c.is_uppercase()).count() > 1;
        let after: Vec<char> = self.chars[end..].iter().copied().skip_while(|c| c.is_whitespace()).take_while(|c| !c.is_whitespace()).collect();
        let mut before: Vec<char> = self.chars[..self.at].iter().rev().copied().skip_while(|c| c.is_whitespace()).take_while(|c| !c.is_whitespace()).collect();
        before.reverse();
        let is_keyword = |word: &[char]| ["AND", "OR", "NOT"].iter().any(|keyword| word.iter().copied().eq(keyword.chars()));
        let no_words_before = !before.iter().any(|c| c.is_lowercase()) && !is_keyword(&before);
        is_shouted(&after) && !is_keyword(&after) && no_words_before
    }

    fn primary(&mut self, scope: Option<&Field>) -> Parsed<Option<Node>> {
        if self.peek() == Some('(') {
            return self.group(scope);
        }
        let start = self.at;
        match (self.field_here(), scope) {
            (Some(_), Some(_)) => Err(self.error(start, 1, "a field stands within the parentheses of another", "a value")),
            (Some((field, comparison, value)), None) => {
                self.at = value;
                self.is_syntax = true;
                self.field(&field, comparison).map(Some)
            }
            (None, Some(field)) => self.value(field),
            (None, None) => match self.phrase() {
                Some(text) => self.words(TextField::Any, text, start),
                None => {
                    let word = self.word();
                    self.text(TextField::Any, &word, start, false)
                }
            },
        }
    }

    fn group(&mut self, scope: Option<&Field>) -> Parsed<Option<Node>> {
        let start = self.at;
        self.at += 1;
        self.open += 1;
        let node = self.deeper(|parser| parser.any_of(scope))?;
        self.open -= 1;
        if self.peek() == Some(')') {
            self.at += 1;
        } else if self.is_syntax {
            return Err(self.error(start, 1, "this parenthesis is not closed", "a `)`"));
        }
        Ok(node)
    }

    /// A field of ours with a value behind it: the field, how it is compared, and where the value begins.
    fn field_here(&self) -> Option<(Field, Comparison, usize)> {
        let end = self.at + self.chars[self.at..].iter().take_while(|c| c.is_ascii_lowercase() || **c == '_').count();
        let name: String = self.chars[self.at..end].iter().collect();
        let (field, end) = match name.as_str() {
            "level" => (Field::Level, end),
            "attributes" if self.chars.get(end) == Some(&'.') => {
                let (path, end) = self.path(end + 1);
                (Field::Attribute(path).some_if_named()?, end)
            }
            name => (named(name)?, end),
        };
        let (comparison, length) = match (self.chars.get(end)?, self.chars.get(end + 1)) {
            (':', _) => (Comparison::Is, 1),
            ('>', Some('=')) => (Comparison::AtLeast, 2),
            ('<', Some('=')) => (Comparison::AtMost, 2),
            ('>', _) => (Comparison::Above, 1),
            ('<', _) => (Comparison::Below, 1),
            _ => return None,
        };
        // `message: text` and `id::new` are text, and so is a comparison of what has no order.
        let begins = self.chars.get(end + length) != Some(&':') && !self.is_end(self.chars.get(end + length).copied());
        (begins && (comparison == Comparison::Is || field.has_order())).then_some((field, comparison, end + length))
    }

    /// The path of an attribute, and where it ends: at a comparison, or where a word does.
    fn path(&self, start: usize) -> (String, usize) {
        let (mut path, mut at) = (String::new(), start);
        while let Some(c) = self.chars.get(at).copied() {
            match (c, self.chars.get(at + 1).copied()) {
                ('\\', Some(next)) if can_be_escaped(next) => {
                    path.push(next);
                    at += 1;
                }
                (':' | '<' | '>' | '"' | '(' | ')', _) => break,
                (c, _) if c.is_whitespace() => break,
                _ => path.push(c),
            }
            at += 1;
        }
        (path, at)
    }

    /// A quoted phrase that opens here. A quote that is not closed, or closed in the middle of a word (`"level":"error"`), is text.
    fn phrase(&mut self) -> Option<String> {
        if self.peek() != Some('"') {
            return None;
        }
        let (mut text, mut at) = (String::new(), self.at + 1);
        loop {
            match (*self.chars.get(at)?, self.chars.get(at + 1).copied()) {
                ('\\', Some(next @ ('"' | '\\'))) => {
                    text.push(next);
                    at += 1;
                }
                ('"', next) if self.is_end(next) => {
                    self.at = at + 1;
                    return Some(text);
                }
                ('"', _) => return None,
                (c, _) => text.push(c),
            }
            at += 1;
        }
    }

    /// The word that begins here, up to white space or the parenthesis that closes the group around it.
    fn word(&mut self) -> Vec<Typed> {
        let (mut word, mut inner) = (Vec::new(), 0_usize);
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace()) {
            match (c, self.chars.get(self.at + 1).copied()) {
                ('\\', Some(next)) if can_be_escaped(next) => {
                    word.push(Typed { c: next, escaped: true });
                    self.at += 2;
                    continue;
                }
                ('(', _) => inner += 1,
                (')', _) if inner > 0 => inner -= 1,
                (')', _) if self.open > 0 => break,
                _ => {}
            }
            word.push(Typed { c, escaped: false });
            self.at += 1;
        }
        word
    }

    fn condition(&mut self, condition: Condition, start: usize) -> Parsed<Node> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            let expected = format!("at most {MAX_CONDITIONS} words and conditions; put a text in quotes to look for it as it stands");
            return Err(self.error(start, self.at - start, "this asks for too much at once", expected));
        }
        Ok(Node::Is(condition))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error_here("parentheses and negations are nested too deep", format!("at most {MAX_DEPTH} of them around a term")));
        }
        let outcome = read(self);
        self.depth -= 1;
        outcome
    }

    fn expect_term(&mut self, missing: &str) -> Parsed<()> {
        self.skip_space();
        if self.is_over() || self.keyword_here("AND").is_some() || self.keyword_here("OR").is_some() { Err(self.error_here(missing, "a term")) } else { Ok(()) }
    }

    /// A word of the language in capitals, by itself: where it ends.
    fn keyword_here(&self, keyword: &str) -> Option<usize> {
        let end = self.at + keyword.len();
        let is_it = self.chars.get(self.at..end).is_some_and(|chars| chars.iter().copied().eq(keyword.chars()));
        let ends = self.chars.get(end) == Some(&'(') || self.is_end(self.chars.get(end).copied());
        (is_it && ends).then_some(end)
    }

    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let end = self.keyword_here(keyword);
        self.at = end.unwrap_or(self.at);
        self.is_syntax |= end.is_some();
        end.is_some()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Whether a word ends before this character.
    fn is_end(&self, next: Option<char>) -> bool {
        next.is_none_or(|next| next.is_whitespace() || (next == ')' && self.open > 0))
    }

    /// At the end, or of the group.
    fn is_over(&self) -> bool {
        self.peek().is_none_or(|c| c == ')' && self.open > 0)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn error_here(&self, detail: impl Into<String>, expected: impl Into<String>) -> QueryError {
        self.error(self.at, 1, detail, expected)
    }

    fn error(&self, offset: usize, length: usize, detail: impl Into<String>, expected: impl Into<String>) -> QueryError {
        QueryError::new(self.chars, offset, length, detail, expected)
    }
}

impl Field {
    fn some_if_named(self) -> Option<Self> {
        if matches!(&self, Self::Attribute(path) if path.is_empty()) { None } else { Some(self) }
    }
}

fn named(name: &str) -> Option<Field> {
    let text = TextField::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, field)| Field::Text(field));
    let keyword = || KeywordField::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, field)| Field::Keyword(field));
    let time = || TimeField::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, field)| Field::Time(field));
    text.or_else(keyword).or_else(time)
}

fn negated(node: Option<Node>) -> Option<Node> {
    node.map(|node| Node::Not(Box::new(node)))
}

/// One node by itself, or several in one.
fn joined(mut nodes: Vec<Node>, with: fn(Vec<Node>) -> Node) -> Option<Node> {
    if nodes.len() > 1 { Some(with(nodes)) } else { nodes.pop() }
}

#[cfg(test)]
mod tests;
