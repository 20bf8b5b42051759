//! The text of a search: words that must all be there, `"phrases in quotes"`, and `-word` or `-"a phrase"` that must not.
//!
//! Everything else is text. A path, a UUID, a piece of JSON or `Foo::bar` can be pasted as it is: the index splits it at its
//! punctuation and finds the pieces in that order. There is no syntax to get wrong, so a query is refused only for being
//! empty or too long.

use serde::Serialize;
use shared::error::{Error, Result};

/// Longest query, in characters: a long line of a log fits.
const MAX_CHARS: usize = 1_000;
/// Most words and phrases: each is a clause that the index looks for in two fields.
const MAX_TERMS: usize = 32;

/// What a search looks for. Holds at least one text, and each text a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Query {
    /// Each of these is in the log.
    pub(crate) containing: Vec<String>,
    /// None of these is.
    pub(crate) lacking: Vec<String>,
}

impl Query {
    /// Reads the parameter `q`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is too long, or holds nothing that could be found.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.chars().count() > MAX_CHARS {
            return Err(Error::invalid("q", format!("more than {MAX_CHARS} characters")));
        }
        // As in what was stored: there, too, it was replaced.
        let text = text.replace('\0', "\u{fffd}");
        let mut query = Self { containing: Vec::new(), lacking: Vec::new() };
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (side, term, after) = next_term(rest);
            if let Some(term) = findable(term) {
                query.side(side).push(term.to_owned());
            }
            rest = after.trim_start();
        }
        match query.containing.len() + query.lacking.len() {
            0 => Err(Error::invalid("q", "say what to search for: at least one letter or digit")),
            terms if terms > MAX_TERMS => Err(Error::invalid("q", format!("{terms} words and phrases; at most {MAX_TERMS} can be searched for at once"))),
            _ => Ok(query),
        }
    }

    fn side(&mut self, side: Side) -> &mut Vec<String> {
        match side {
            Side::Containing => &mut self.containing,
            Side::Lacking => &mut self.lacking,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Containing,
    Lacking,
}

/// The first term of a text that begins with one, and what follows it.
fn next_term(text: &str) -> (Side, &str, &str) {
    // One dash excludes; `--flag` and a dash by itself are text.
    let excluded = text.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c != '-' && !c.is_whitespace()));
    let side = if excluded.is_some() { Side::Lacking } else { Side::Containing };
    let body = excluded.unwrap_or(text);
    let (term, rest) = phrase(body).unwrap_or_else(|| body.split_at(body.find(char::is_whitespace).unwrap_or(body.len())));
    (side, term, rest)
}

/// A quoted phrase. A quote that is not closed, or closed in the middle of a word (`"level":"error"`), is text.
fn phrase(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.strip_prefix('"')?.split_once('"')?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some((inside, rest))
}

/// A term without the punctuation around it, which the index does not hold, so that the rows are asked for the same; `None`
/// where nothing is left that the index could hold. Only ASCII: beyond it, what looks like a mark may belong to a word.
fn findable(term: &str) -> Option<&str> {
    let bare = term.trim_matches(|c: char| c.is_ascii_punctuation() || c.is_whitespace());
    bare.contains(char::is_alphanumeric).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
        let query = Query::parse(text).expect("a query");
        (query.containing, query.lacking)
    }

    fn is_refused(text: &str) -> bool {
        matches!(Query::parse(text), Err(Error::Invalid { faults, .. }) if faults[0].field.as_deref() == Some("q"))
    }

    #[test]
    fn words_phrases_and_exclusions() {
        let (containing, lacking) = parsed(r#" payment  "timed out" -retry -"no such host" uuid "#);
        assert_eq!(containing, ["payment", "timed out", "uuid"]);
        assert_eq!(lacking, ["retry", "no such host"]);
        assert_eq!(parsed("-healthz"), (vec![], vec!["healthz".to_owned()]), "exclusions alone are a query");
    }

    #[test]
    fn what_people_paste_is_text() {
        for (pasted, terms) in [
            ("/var/log/app-1.log", vec!["var/log/app-1.log"]),
            ("6ba7b810-9dad-41d1-80b4-00c04fd430c8", vec!["6ba7b810-9dad-41d1-80b4-00c04fd430c8"]),
            ("Foo::bar()", vec!["Foo::bar"]),
            (r#"{"level":"error"}"#, vec![r#"level":"error"#]),
            (r#""level": "error""#, vec!["level", "error"]),
            (r#"{"message": "connection refused"}"#, vec!["message", "connection", "refused"]),
            ("AND (a OR b*) ~x field:1", vec!["AND", "a", "OR", "b", "x", "field:1"]),
            ("--verbose", vec!["verbose"]),
            ("a - b -> c", vec!["a", "b", "c"]),
            (r#"say "no end"#, vec!["say", "no", "end"]),
            ("日本語 ошибка cafe\u{301}", vec!["日本語", "ошибка", "cafe\u{301}"]),
            ("a\0b", vec!["a\u{fffd}b"]),
        ] {
            assert_eq!(parsed(pasted), (terms.into_iter().map(str::to_owned).collect(), vec![]), "{pasted}");
        }
    }

    #[test]
    fn a_query_without_letter_or_digit_is_refused() {
        for text in ["", "   ", "\"\"", "-", "--", "!!! -> \u{1f525}", "-\"\"", "-!"] {
            assert!(is_refused(text), "{text}");
        }
    }

    #[test]
    fn a_query_is_bounded_in_length_and_terms() {
        assert!(Query::parse(&"ä".repeat(MAX_CHARS)).is_ok());
        assert!(is_refused(&"ä".repeat(MAX_CHARS + 1)));
        assert!(Query::parse(&"a ".repeat(MAX_TERMS)).is_ok());
        assert!(is_refused(&"a ".repeat(MAX_TERMS + 1)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_every_term_can_be_found(text in "[-\" a-z!\\PC]{0,80}") {
            if let Ok(query) = Query::parse(&text) {
                let mut terms = query.containing.iter().chain(&query.lacking);
                prop_assert!(terms.clone().count() > 0);
                prop_assert!(terms.all(|term| term.contains(char::is_alphanumeric) && text.contains(term)));
            }
        }

        #[test]
        fn plain_words_come_back_as_they_were(words in prop::collection::vec("[a-zA-Z0-9][a-zA-Z0-9_./:]{0,10}[a-z0-9]", 1..32)) {
            prop_assert_eq!(parsed(&words.join("  ")), (words, vec![]));
        }

        #[test]
        fn a_phrase_is_one_term(phrase in "[a-z][a-z \\-:/]{0,40}[a-z]") {
            prop_assert_eq!(parsed(&format!("\"{phrase}\" -\"{phrase}\"")), (vec![phrase.clone()], vec![phrase]));
        }
    }
}
