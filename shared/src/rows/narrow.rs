//! A query as a condition on rows: exact where SQL can say it, else a condition that every row holds which the query means. What it lets
//! through is looked at again in memory, so that rows are found by one meaning.

use sqlx::{Postgres, QueryBuilder};

use crate::query::words::lowered_words;
use crate::query::{Condition, KeywordField, Node, Optional, Pattern, Piece, TimeField};
use crate::timestamp;

/// What of a log's texts is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// What rows have of them: the beginnings of messages.
    Beginnings,
    /// Nothing: whoever asks looks at whole records.
    Elsewhere,
}

/// A condition on a row, as text with its values.
enum Sql {
    /// Every row.
    All,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Is(Test),
}

enum Test {
    MessageLike(String),
    Service(String),
    ServiceLike(String),
    Language(String),
    LanguageLike(String),
    HasLanguage,
    Levels(i16, i16),
    From(i64),
    Before(i64),
}

/// Adds ` and (...)` to a statement on `log_rows r`, or nothing where every row may be meant.
pub(super) fn push(sql: &mut QueryBuilder<Postgres>, node: &Node, texts: Texts) {
    let (condition, _) = narrowed(node, texts);
    if !matches!(condition, Sql::All) {
        sql.push(" and ");
        write(sql, condition);
    }
}

/// The condition, and whether it is exact: only then may it be turned round.
fn narrowed(node: &Node, texts: Texts) -> (Sql, bool) {
    match node {
        Node::And(all) => {
            let (conditions, exact): (Vec<_>, Vec<_>) = all.iter().map(|node| narrowed(node, texts)).unzip();
            let kept: Vec<Sql> = conditions.into_iter().filter(|condition| !matches!(condition, Sql::All)).collect();
            (if kept.is_empty() { Sql::All } else { Sql::And(kept) }, exact.into_iter().all(|exact| exact))
        }
        Node::Or(any) => {
            let (conditions, exact): (Vec<_>, Vec<_>) = any.iter().map(|node| narrowed(node, texts)).unzip();
            let is_all = conditions.iter().any(|condition| matches!(condition, Sql::All));
            (if is_all { Sql::All } else { Sql::Or(conditions) }, exact.into_iter().all(|exact| exact))
        }
        Node::Not(inner) => match narrowed(inner, texts) {
            (condition, true) => (Sql::Not(Box::new(condition)), true),
            _ => (Sql::All, false),
        },
        Node::Is(Condition::Words(..) | Condition::Wild(..)) if texts == Texts::Elsewhere => (Sql::All, false),
        Node::Is(condition) => test(condition),
    }
}

fn test(condition: &Condition) -> (Sql, bool) {
    let exact = |test| (Sql::Is(test), true);
    match condition {
        Condition::Words(_, text) => (message_like(lowered_words(text).map(|word| folded(&word))), false),
        Condition::Wild(_, pattern) => (message_like([like(pattern, folded)]), false),
        Condition::Keyword(KeywordField::Service, pattern) => {
            exact(pattern.as_text().map_or_else(|| Test::ServiceLike(like(pattern, escaped)), |text| Test::Service(text.to_owned())))
        }
        Condition::Keyword(KeywordField::Language, pattern) => {
            exact(pattern.as_text().map_or_else(|| Test::LanguageLike(like(pattern, escaped)), |text| Test::Language(text.to_owned())))
        }
        Condition::Level(least, most) => exact(Test::Levels(*least as i16, *most as i16)),
        Condition::Time(TimeField::Timestamp, from, to) => {
            let bounds: Vec<Sql> = from.map(Test::From).into_iter().chain(to.map(Test::Before)).map(Sql::Is).collect();
            if bounds.is_empty() { (Sql::All, false) } else { (Sql::And(bounds), true) }
        }
        Condition::Exists(Optional::Language) => exact(Test::HasLanguage),
        // Ids are asked for one by one elsewhere; the rest is not in the rows.
        Condition::Keyword(..) | Condition::Time(..) | Condition::Attribute(..) | Condition::Number(..) | Condition::Exists(_) => (Sql::All, false),
    }
}

/// A message that holds these pieces in this order.
fn message_like(pieces: impl IntoIterator<Item = String>) -> Sql {
    let pattern = format!("%{}%", pieces.into_iter().collect::<Vec<_>>().join("%"));
    if pattern.bytes().all(|b| b == b'%') { Sql::All } else { Sql::Is(Test::MessageLike(pattern)) }
}

/// What a word in lower case may have been written as. How Postgres folds letters beyond ASCII depends on its locale, and two of those
/// fold to ASCII: U+0130 to `i` and U+212A to `k`.
fn folded(word: &str) -> String {
    if word.is_ascii() { escaped(word).replace(['i', 'k'], "_") } else { "%".to_owned() }
}

/// A `like` pattern, its pieces of text written by `write`.
fn like(pattern: &Pattern, write: impl Fn(&str) -> String) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => write(text),
        Piece::One => "_".to_owned(),
        Piece::Any => "%".to_owned(),
    };
    pattern.pieces().iter().map(piece).collect()
}

/// Text that stands for itself in a `like` pattern.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn write(sql: &mut QueryBuilder<Postgres>, condition: Sql) {
    match condition {
        Sql::All => drop(sql.push("true")),
        Sql::And(all) => joined(sql, all, " and "),
        Sql::Or(any) => joined(sql, any, " or "),
        Sql::Not(inner) => {
            sql.push("not ");
            write(sql, *inner);
        }
        // No test may be null: `not null` would lose rows.
        Sql::Is(test) => drop(match test {
            Test::MessageLike(pattern) => sql.push("r.message ilike ").push_bind(pattern),
            Test::Service(name) => sql.push("r.service = ").push_bind(name),
            Test::ServiceLike(pattern) => sql.push("r.service like ").push_bind(pattern),
            Test::Language(name) => sql.push("r.language is not distinct from ").push_bind(name),
            Test::LanguageLike(pattern) => sql.push("(r.language is not null and r.language like ").push_bind(pattern).push(")"),
            Test::HasLanguage => sql.push("r.language is not null"),
            Test::Levels(least, most) => sql.push("r.level between ").push_bind(least).push(" and ").push_bind(most),
            Test::From(at) => sql.push(r#"r."timestamp" >= "#).push_bind(timestamp::to_datetime(at)),
            Test::Before(at) => sql.push(r#"r."timestamp" < "#).push_bind(timestamp::to_datetime(at)),
        }),
    }
}

fn joined(sql: &mut QueryBuilder<Postgres>, all: Vec<Sql>, with: &str) {
    for (at, condition) in all.into_iter().enumerate() {
        sql.push(if at == 0 { "(" } else { with });
        write(sql, condition);
    }
    sql.push(")");
}
