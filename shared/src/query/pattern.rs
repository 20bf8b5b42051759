//! Patterns: text in which `*` stands for any characters, also none, and `?` for exactly one.

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text. Not empty, and no two in a row.
    Text(String),
    /// Any characters. No two in a row.
    Any,
    /// One character.
    One,
}

/// A text, or what a text has to look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// A pattern that only this text is of.
    #[must_use]
    pub fn exact(text: &str) -> Self {
        let mut pattern = Self::default();
        text.chars().for_each(|c| pattern.push_char(c));
        pattern
    }

    /// The same in ASCII lower case.
    pub(super) fn to_ascii_lowercase(&self) -> Self {
        let lower = |piece: &Piece| if let Piece::Text(text) = piece { Piece::Text(text.to_ascii_lowercase()) } else { piece.clone() };
        Self(self.0.iter().map(lower).collect())
    }

    pub(super) fn push_char(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.0.push(Piece::Text(c.to_string())),
        }
    }

    pub(super) fn push_any(&mut self) {
        if self.0.last() != Some(&Piece::Any) {
            self.0.push(Piece::Any);
        }
    }

    pub(super) fn push_one(&mut self) {
        self.0.push(Piece::One);
    }

    /// Its pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text, where it is one: no piece stands for others. The pattern of no pieces is the empty text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text that everything of this pattern begins with, where that is all it says.
    #[must_use]
    pub fn beginning(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text), Piece::Any] => Some(text),
            _ => None,
        }
    }

    /// Whether a text is of this pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        // As far as the last `*` went, what comes after it may begin later: that is all the going back there is.
        let (mut rest, mut pieces) = (text, self.0.as_slice());
        let mut retry: Option<(&str, &[Piece])> = None;
        loop {
            let advanced = match pieces {
                [] if rest.is_empty() => return true,
                [] => None,
                [Piece::Any, later @ ..] => {
                    retry = Some((rest, later));
                    Some((rest, later))
                }
                [Piece::One, later @ ..] => without_first(rest).map(|rest| (rest, later)),
                [Piece::Text(text), later @ ..] => rest.strip_prefix(text.as_str()).map(|rest| (rest, later)),
            };
            let next = advanced.or_else(|| {
                let (from, later) = retry?;
                let from = without_first(from)?;
                retry = Some((from, later));
                retry
            });
            let Some(next) = next else { return false };
            (rest, pieces) = next;
        }
    }

    /// How many characters it names.
    pub(super) fn named_chars(&self) -> usize {
        self.0.iter().map(|piece| if let Piece::Text(text) = piece { text.chars().count() } else { 0 }).sum()
    }
}

fn without_first(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        let mut pattern = Pattern::default();
        for c in text.chars() {
            match c {
                '*' => pattern.push_any(),
                '?' => pattern.push_one(),
                c => pattern.push_char(c),
            }
        }
        pattern
    }

    /// The plainest meaning: by recursion, in exponential time.
    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', later @ ..], _) => slowly(later, text) || (!text.is_empty() && slowly(pattern, &text[1..])),
            (['?', later @ ..], [_, rest @ ..]) => slowly(later, rest),
            ([one, later @ ..], [c, rest @ ..]) => one == c && slowly(later, rest),
            _ => false,
        }
    }

    #[test]
    fn stars_and_question_marks() {
        for (of, text, is) in [
            ("pay*", "payment", true),
            ("pay*", "pay", true),
            ("*pay", "repay", true),
            ("p?y", "pay", true),
            ("p?y", "py", false),
            ("a*b*c", "aXbYc", true),
            ("", "", true),
            ("é?", "éa", true),
        ] {
            assert_eq!(pattern(of).matches(text), is, "{of} {text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plainest_meaning(of in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            let (p, t): (Vec<char>, Vec<char>) = (of.chars().collect(), text.chars().collect());
            prop_assert_eq!(pattern(&of).matches(&text), slowly(&p, &t));
        }
    }
}
