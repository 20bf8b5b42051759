//! What is wrong with a query, and where.

use std::fmt;

/// Characters of the query that a caret line shows on each side of what is wrong.
const SHOWN: usize = 60;

/// Where in a text something is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Place {
    /// First character that is wrong, counted from 0 in Unicode characters.
    pub offset: usize,
    /// How many characters.
    pub length: usize,
    /// What was expected there.
    pub expected: String,
    /// Two lines for a font of one width: the text, cut where it is long, and carets below what is wrong.
    pub caret: String,
}

/// A query that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct QueryError {
    /// A sentence: what is wrong.
    pub detail: String,
    /// Where, and what would be right.
    pub place: Place,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}: expected {}", self.detail, self.place.offset, self.place.expected)
    }
}

impl QueryError {
    pub(super) fn new(text: &[char], offset: usize, length: usize, detail: impl Into<String>, expected: impl Into<String>) -> Self {
        let length = length.max(1);
        Self { detail: detail.into(), place: Place { offset, length, expected: expected.into(), caret: caret(text, offset, length) } }
    }
}

fn caret(text: &[char], offset: usize, length: usize) -> String {
    let length = length.min(SHOWN);
    let from = offset.saturating_sub(SHOWN);
    let to = (offset + length).saturating_add(SHOWN).min(text.len());
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
    // A line break in the query would tear the line from its carets.
    let line: String = text.get(from..to).unwrap_or_default().iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
    let indent = before.chars().count() + offset - from;
    format!("{before}{line}{after}\n{}{}", " ".repeat(indent), "^".repeat(length.min(text.len().saturating_sub(offset)).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_below_what_is_wrong() {
        let text: Vec<char> = "a AND".chars().collect();
        assert_eq!(caret(&text, 5, 1), "a AND\n     ^");
        assert_eq!(caret(&text, 2, 3), "a AND\n  ^^^");
        let long: Vec<char> = "x".repeat(300).chars().collect();
        let drawn = caret(&long, 150, 2);
        let (line, carets) = drawn.split_once('\n').expect("two lines");
        assert_eq!((line.chars().count(), carets), (124, format!("{}^^", " ".repeat(61)).as_str()));
    }
}
