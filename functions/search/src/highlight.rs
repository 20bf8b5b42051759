//! Highlights of a length that a page can bear.
//!
//! The index cuts fragments between words, about 160 characters long, so a word that does not end is a fragment that does not:
//! half a megabyte of base64, or `a.b.c.` without a space.

use std::collections::BTreeMap;

use shared::text::first_bytes;

/// Longest fragment, in bytes. Those of the usual length stay below it, escapes and marks included.
const MAX_FRAGMENT: usize = 2_048;
/// How the index marks a match.
const MARK: (&str, &str) = ("<em>", "</em>");

/// The same highlights, each fragment bounded.
pub(crate) fn bounded(highlights: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    highlights.into_iter().map(|(field, fragments)| (field, fragments.into_iter().map(fragment).collect())).collect()
}

/// A fragment that is too long begins with its first match instead, and ends early: not within a tag or an escape, and with
/// the match closed. The index escapes what is text, so a `<` is a tag and a `&` an escape.
fn fragment(text: String) -> String {
    if text.len() <= MAX_FRAGMENT {
        return text;
    }
    let from = text.find(MARK.0).unwrap_or(0);
    let mut kept = first_bytes(&text[from..], MAX_FRAGMENT);
    for (begins, ends) in [('<', '>'), ('&', ';')] {
        if let Some(at) = kept.rfind(begins).filter(|at| !kept[*at..].contains(ends)) {
            kept = &kept[..at];
        }
    }
    let is_open = kept.matches(MARK.0).count() > kept.matches(MARK.1).count();
    format!("{kept}{}", if is_open { MARK.1 } else { "" })
}

/// Where the matches of a fragment lie, in characters of its text without marks and escapes: the first, and the one after the last.
pub(crate) fn offsets(fragment: &str) -> Vec<[usize; 2]> {
    let (mut all, mut begins, mut at) = (Vec::new(), 0, 0);
    let mut rest = fragment;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(MARK.0) {
            (begins, rest) = (at, after);
        } else if let Some(after) = rest.strip_prefix(MARK.1) {
            all.push([begins, at]);
            rest = after;
        } else {
            // An escape, such as `&lt;`, is one character.
            let length = rest.find(';').filter(|_| c == '&').map_or(c.len_utf8(), |end| end + 1);
            rest = &rest[length..];
            at += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fragment_of_usual_length_stays_as_it_is() {
        let usual = format!("{} <em>match</em> &lt;{}", "a".repeat(700), "b".repeat(700));
        assert_eq!(fragment(usual.clone()), usual);
    }

    #[test]
    fn a_long_one_shows_its_match() {
        let cut = fragment(format!("{}<em>match</em>.{}", "x".repeat(500_000), "y".repeat(500_000)));
        assert!(cut.starts_with("<em>match</em>.y") && cut.len() == MAX_FRAGMENT, "{} bytes", cut.len());
        let endless = fragment(format!("<em>{}</em>", "x".repeat(500_000)));
        assert!(endless.ends_with("x</em>"));
    }

    #[test]
    fn offsets_count_characters_of_the_bare_text() {
        assert_eq!(offsets("é &lt;b&gt; <em>match</em> and <em>x&amp;y</em>"), [[6, 11], [16, 19]]);
        assert!(offsets("nothing &amp; no mark").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_is_whole(pieces in prop::collection::vec(prop_oneof![Just("word "), Just("<em>é</em>"), Just("&amp;"), Just("&#x2F;"), Just(";"), Just("日本")], 0..2_000)) {
            let cut = fragment(pieces.concat());
            prop_assert!(cut.len() <= MAX_FRAGMENT + MARK.1.len());
            let bare = cut.replace("&amp;", "").replace("&#x2F;", "").replace("<em>é</em>", "").replace("<em></em>", "");
            prop_assert!(!bare.contains(['&', '<', '>']), "{}", bare);
        }
    }
}
