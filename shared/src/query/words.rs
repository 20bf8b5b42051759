//! What a word is, for the index and for everything that must agree with it.
//!
//! Text falls apart at white space, punctuation, symbols and control characters, and what colours it on a terminal counts as space; what is
//! left between are words, in lower case. The analyzer
//! `log_text` of `index/template.json` does the same in the index, and a test on the real engine holds the two together. A word that
//! is written in several parts (`NullPointerException`, `parseURLPath`) is one word, and its parts can be found as well.

use std::collections::HashSet;
use std::iter;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// A longer word is cut into pieces of this many UTF-16 units (`max_token_length` of the tokenizer, 255 by default).
const MAX_UNITS: usize = 255;
/// Longest word, in bytes, that is taken apart: past it, it is base64 or the like.
const MAX_PARTED_BYTES: usize = 128;
/// Most parts of one word that can be found by themselves, and most words of a log that are taken apart.
const MAX_PARTS: usize = 12;
const MAX_PARTED_WORDS: usize = 256;
/// Begins a control sequence.
const ESCAPE: char = '\x1b';
/// Stands after each part of a word in the index.
const AFTER_PART: char = '_';

/// A word of a text, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// As written.
    pub text: &'a str,
    /// Its first byte in the text.
    pub at: usize,
}

impl Word<'_> {
    /// As the index holds it.
    #[must_use]
    pub fn lowered(&self) -> String {
        lowered(self.text)
    }
}

/// The words of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    iter::from_fn(move || {
        let start = start_of_word(text, at)?;
        let mut units = 0;
        let end = text[start..].char_indices().find_map(|(offset, c)| {
            let is_over = is_separator(c) || units >= MAX_UNITS;
            units += c.len_utf16();
            is_over.then_some(start + offset)
        });
        at = end.unwrap_or(text.len());
        Some(Word { text: &text[start..at], at: start })
    })
}

/// The words of a text as the index holds them.
pub fn lowered_words(text: &str) -> impl Iterator<Item = String> + '_ {
    words(text).map(|word| word.lowered())
}

/// Where the next word begins.
fn start_of_word(text: &str, mut at: usize) -> Option<usize> {
    loop {
        at += text[at..].find(|c| !is_separator(c) || c == ESCAPE)?;
        match control_sequence(&text[at..]) {
            Some(length) => at += length,
            None if text[at..].starts_with(ESCAPE) => at += 1,
            None => return Some(at),
        }
    }
}

/// The bytes of the control sequence that a text begins with, such as `ESC [ 31 m`: colours, and where on a screen to go on (ECMA-48, 5.4).
#[must_use]
pub fn control_sequence(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?.as_bytes();
    let parameters = rest.iter().take_while(|b| matches!(b, 0x30..=0x3f)).count();
    let intermediates = rest[parameters..].iter().take_while(|b| matches!(b, 0x20..=0x2f)).count();
    matches!(rest.get(parameters + intermediates), Some(0x40..=0x7e)).then_some(2 + parameters + intermediates + 1)
}

/// Whether a character stands between words. What the tokenizer of `index/template.json` splits on, and what
/// [`spaced`](crate::document::spaced) makes spaces for it.
#[must_use]
pub fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() || c == ' ' || c.is_ascii_control();
    }
    use GeneralCategoryGroup::{Punctuation, Separator, Symbol};
    matches!(c.general_category_group(), Punctuation | Separator | Symbol) || c.is_control()
}

/// A word in lower case, character by character as Lucene does it, so that no character becomes two.
#[must_use]
pub fn lowered(word: &str) -> String {
    let lower = |c: char| {
        let mut all = c.to_lowercase();
        match (all.next(), all.next()) {
            (Some(one), None) => one,
            // U+0130, the only one that has two: Java's `Character.toLowerCase` makes it an `i`.
            _ => 'i',
        }
    };
    if word.is_ascii() { word.to_ascii_lowercase() } else { word.chars().map(lower).collect() }
}

/// The parts of a word that is written in several, each in lower case; `None` for a word of one part.
#[must_use]
pub fn parts(word: &str) -> Option<Vec<String>> {
    if !may_have_parts(word) {
        return None;
    }
    let mut starts = vec![0];
    let (mut before, mut rest) = ('\0', word.char_indices().peekable());
    while let Some((at, c)) = rest.next() {
        let begins_after_lower = c.is_uppercase() && !before.is_uppercase();
        let ends_acronym = c.is_uppercase() && before.is_uppercase() && rest.peek().is_some_and(|(_, after)| after.is_lowercase());
        if at > 0 && (begins_after_lower || ends_acronym) {
            starts.push(at);
        }
        before = c;
    }
    if starts.len() < 2 || starts.len() > MAX_PARTS {
        return None;
    }
    let ends = starts.iter().copied().skip(1).chain([word.len()]);
    Some(starts.iter().zip(ends).map(|(start, end)| lowered(&word[*start..end])).collect())
}

/// Whether a word may be written in several parts. Most are not, which is told by their bytes.
fn may_have_parts(word: &str) -> bool {
    if word.len() > MAX_PARTED_BYTES {
        return false;
    }
    if word.is_ascii() {
        return word.bytes().skip(1).any(|b| b.is_ascii_uppercase()) && word.bytes().any(|b| b.is_ascii_lowercase());
    }
    word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase)
}

/// What the index holds of the parts of a log's words: from each part to the end of its word, each part followed by `_`. So a run
/// of parts is found by its beginning, and `pointer_` finds no `pointers_`.
#[must_use]
pub fn runs<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // A stack trace has the same names again and again.
    let mut seen = HashSet::new();
    let fresh = texts.into_iter().flat_map(words).filter(|word| may_have_parts(word.text) && seen.insert(word.text));
    let parted = fresh.filter_map(|word| parts(word.text)).take(MAX_PARTED_WORDS);
    let mut runs: Vec<String> = parted.flat_map(|parts| (0..parts.len()).map(move |first| run(&parts[first..]))).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

/// What a run of parts begins with in the index.
#[must_use]
pub fn run(parts: &[String]) -> String {
    let mut run = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        run.push_str(part);
        run.push(AFTER_PART);
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<String> {
        lowered_words(text).collect()
    }

    #[test]
    fn text_falls_apart_at_what_is_no_letter_or_digit() {
        assert_eq!(all("/var/log/App-1.log user_id=4711 [E11000]"), ["var", "log", "app", "1", "log", "user", "id", "4711", "e11000"]);
        assert_eq!(all("naïve Café 日本語のログ don\u{301}t x\u{a0}y a\0b `tick^"), ["naïve", "café", "日本語のログ", "don\u{301}t", "x", "y", "a", "b", "tick"]);
        assert!(all(" -- \u{1f525} … ").is_empty());
        assert_eq!(all("İK"), ["ik"], "each character stays one");
        assert_eq!(all("a\u{7f}b\u{85}c\u{1}d"), ["a", "b", "c", "d"]);
        assert_eq!(all("\x1b[31mred\x1b[0mplain\x1b[1;38;5;9mbold\x1b[2Kup \x1b[31 \x1b[m0m\x1b"), ["red", "plain", "bold", "up", "31", "0m"]);
    }

    #[test]
    fn an_endless_word_is_cut_as_the_index_cuts_it() {
        let lengths: Vec<usize> = words(&"x".repeat(600)).map(|word| word.text.len()).collect();
        assert_eq!(lengths, [255, 255, 90]);
    }

    #[test]
    fn parts_of_a_word() {
        let of = |word| parts(word).map(|parts| parts.join(" "));
        assert_eq!(of("NullPointerException").as_deref(), Some("null pointer exception"));
        assert_eq!(of("parseURLPath2Go").as_deref(), Some("parse url path2 go"));
        assert_eq!(of("XMLHttpRequest").as_deref(), Some("xml http request"));
        assert_eq!(of("iPhone").as_deref(), Some("i phone"));
        assert_eq!(of("getÄnderungId").as_deref(), Some("get änderung id"));
        assert_eq!(of("ParseÜRLPath").as_deref(), Some("parse ürl path"));
        assert_eq!(of("парсерИмяФайла").as_deref(), Some("парсер имя файла"));
        for whole in ["Exception", "exception", "E11000", "HTTP", "6ba7b810", "日本語", ""] {
            assert_eq!(of(whole), None, "{whole}");
        }
    }

    #[test]
    fn runs_begin_at_each_part_and_are_there_once() {
        assert_eq!(runs(["at NullPointer", "NullPointer null"]), ["null_pointer_", "pointer_"]);
    }

    proptest! {
        #[test]
        fn words_are_pieces_of_the_text_in_order(text in "\\PC{0,80}") {
            let mut end = 0;
            for word in words(&text) {
                prop_assert!(word.at >= end && !word.text.is_empty() && text[word.at..].starts_with(word.text));
                end = word.at + word.text.len();
            }
        }

        #[test]
        fn parts_together_are_the_word(word in "[A-Za-z0-9äÖéЁёЖΣσςİıǅßẞ]{1,30}") {
            if let Some(parts) = parts(&word) {
                prop_assert_eq!(parts.concat(), lowered(&word));
            }
        }
    }
}
