//! What a word of text asks for: words side by side, and words of a pattern.

use super::super::words::{is_separator, lowered, words};
use super::super::{Condition, MAX_SINGLES, MAX_STARS, MAX_WILD_CHARS, MAX_WILDCARDS, MAX_WORDS, Node, Pattern, Piece, TextField};
use super::{Parsed, Parser, Typed, joined};

/// Fewest characters of a word with `*` beside which no whole word must be there, `*` aside: with less, it stands for a good part of all words.
const MIN_WILD_CHARS: usize = 2;

impl Parser<'_> {
    /// What a word of text asks for. `always` says that `*` and `?` are wildcards wherever they stand; else only where a person means
    /// them: beside a letter or digit, and a `?` in nothing but a word, so that URLs stay what they are.
    pub(super) fn text(&mut self, field: TextField, word: &[Typed], start: usize, always: bool) -> Parsed<Option<Node>> {
        let is_plain = word.iter().all(|typed| typed.escaped || typed.is_wildcard() || !is_separator(typed.c) || matches!(typed.c, '_' | '-' | '.'));
        let is_letter = |typed: &Typed| !is_separator(typed.c);
        // Past the wildcards beside it, on either side.
        let touches = |at: usize| {
            let before = word[..at].iter().rev().find(|typed| !typed.is_wildcard());
            let after = word[at..].iter().find(|typed| !typed.is_wildcard());
            before.is_some_and(is_letter) || after.is_some_and(is_letter)
        };
        // Question marks at an end are a question.
        let goes_on = |at: usize| word[at + 1..].iter().find(|typed| !typed.is('?')).is_some_and(|next| next.is('*') || is_letter(next));
        let is_meant = |at: usize| word[at].c == '*' || (is_plain && goes_on(at));
        // A star by itself between words, as in a path, leaves out what is between them.
        let is_between =
            |at: usize| word[at].c == '*' && !touches(at) && word[..at].iter().any(is_letter) && word[at..].iter().any(|typed| !typed.is_wildcard() && is_letter(typed));
        let wild: Vec<bool> = (0..word.len()).map(|at| word[at].is_wildcard() && (always || (touches(at) && is_meant(at)) || is_between(at))).collect();
        if !wild.contains(&true) {
            return self.words(field, word.iter().map(|typed| typed.c).collect(), start);
        }
        let mut all = Vec::new();
        let mut side_by_side = String::new();
        for piece in pieces(word, &wild) {
            match piece {
                Ok(text) => {
                    side_by_side.push_str(&text);
                    side_by_side.push(' ');
                }
                Err(pattern) => {
                    all.extend(self.words(field, std::mem::take(&mut side_by_side).trim_end().to_owned(), start)?);
                    all.extend(self.wild(field, pattern, start)?);
                }
            }
        }
        all.extend(self.words(field, side_by_side.trim_end().to_owned(), start)?);
        Ok(joined(all, Node::And))
    }

    fn wild(&mut self, field: TextField, pattern: Pattern, start: usize) -> Parsed<Option<Node>> {
        // A star by itself stands for any word.
        if matches!(pattern.pieces(), [Piece::Any]) {
            return Ok(None);
        }
        self.count_wildcard(&pattern, "", start)?;
        if is_broad(&pattern) {
            self.broad.push((start, self.at - start));
        }
        self.condition(Condition::Wild(field, pattern), start).map(Some)
    }

    /// Refuses the first pattern that is too broad and that no whole word narrows which must be there, too.
    pub(super) fn refuse_broad(&self, query: &Node) -> Parsed<()> {
        let mut met = 0;
        if !leaves_broad(query, false, &mut met) {
            return Ok(());
        }
        let (offset, length) = self.broad[met];
        Err(self.error(offset, length, "this stands for too many words", format!("at least {MIN_WILD_CHARS} characters beside the `*`, or a whole word with it")))
    }

    pub(super) fn words(&mut self, field: TextField, text: String, start: usize) -> Parsed<Option<Node>> {
        match words(&text).take(MAX_WORDS + 1).count() {
            0 => Ok(None),
            count => {
                self.words += count;
                if self.words > MAX_WORDS {
                    return Err(self.error(start, self.at - start, "this asks for too many words at once", format!("at most {MAX_WORDS} words in all")));
                }
                self.condition(Condition::Words(field, text), start).map(Some)
            }
        }
    }

    /// Refuses what stands for too many terms, whatever stands beside it. `path` is that of an attribute, which the index holds as one text with its value.
    pub(super) fn count_wildcard(&mut self, pattern: &Pattern, path: &str, start: usize) -> Parsed<()> {
        self.wildcards += 1;
        let count = |of: &Piece| pattern.pieces().iter().filter(|piece| *piece == of).count();
        let (stars, singles) = (count(&Piece::Any), count(&Piece::One));
        if pattern.named_chars() == 0 {
            return Err(self.error(start, self.at - start, "this stands for too many words", "at least one letter or digit"));
        }
        if path.chars().count() + self.at - start > MAX_WILD_CHARS {
            let expected = format!("at most {MAX_WILD_CHARS} characters, an attribute's path included");
            return Err(self.error(start, self.at - start, "this is too long for a word with `*` or `?`", expected));
        }
        if stars > MAX_STARS || singles > MAX_SINGLES {
            return Err(self.error(start, self.at - start, "this has too many wildcards", format!("at most {MAX_STARS} `*` and {MAX_SINGLES} `?` in a word")));
        }
        if self.wildcards > MAX_WILDCARDS {
            return Err(self.error(start, self.at - start, "each word with `*` or `?` may stand for very many", format!("at most {MAX_WILDCARDS} of them")));
        }
        Ok(())
    }
}

/// Without a star the length is fixed, which leaves fewer words.
fn is_broad(pattern: &Pattern) -> bool {
    pattern.pieces().contains(&Piece::Any) && pattern.named_chars() < MIN_WILD_CHARS
}

/// Whether there is a broad pattern that nothing narrows; `met` counts those before it.
fn leaves_broad(node: &Node, narrowed: bool, met: &mut usize) -> bool {
    match node {
        Node::Is(Condition::Wild(_, pattern)) if is_broad(pattern) => {
            *met += usize::from(narrowed);
            !narrowed
        }
        Node::Is(_) => false,
        Node::And(all) => {
            let narrowed = narrowed || all.iter().any(asks_for_a_word);
            all.iter().any(|node| leaves_broad(node, narrowed, met))
        }
        Node::Or(any) => any.iter().any(|node| leaves_broad(node, narrowed, met)),
        Node::Not(node) => leaves_broad(node, narrowed, met),
    }
}

/// Whether what matches holds a word that is known.
fn asks_for_a_word(node: &Node) -> bool {
    match node {
        Node::Is(condition) => matches!(condition, Condition::Words(..)),
        Node::And(all) => all.iter().any(asks_for_a_word),
        Node::Or(any) => any.iter().all(asks_for_a_word),
        Node::Not(_) => false,
    }
}

/// A word with wildcards, taken apart at its separators: texts, and patterns in lower case.
fn pieces(word: &[Typed], wild: &[bool]) -> Vec<Result<String, Pattern>> {
    let mut all = Vec::new();
    let mut chars: Vec<(char, bool)> = Vec::new();
    for (typed, wild) in word.iter().zip(wild.iter().copied()).map(|(typed, wild)| (Some(typed.c), wild)).chain([(None, false)]) {
        match typed.filter(|c| wild || !is_separator(*c)) {
            Some(c) => chars.push((c, wild)),
            None if chars.iter().any(|(_, wild)| *wild) => all.push(Err(pattern(std::mem::take(&mut chars)))),
            None if chars.is_empty() => {}
            None => all.push(Ok(std::mem::take(&mut chars).into_iter().map(|(c, _)| c).collect())),
        }
    }
    all
}

fn pattern(chars: Vec<(char, bool)>) -> Pattern {
    let mut pattern = Pattern::default();
    for (c, wild) in chars {
        match (c, wild) {
            ('*', true) => pattern.push_any(),
            ('?', true) => pattern.push_one(),
            (c, _) => lowered(&c.to_string()).chars().for_each(|c| pattern.push_char(c)),
        }
    }
    pattern
}
