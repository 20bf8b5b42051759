//! Text that every store can hold, from JSON that may say more than that.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A JSON string as text: U+0000 (which Postgres refuses) and lone surrogates (which are not Unicode) become U+FFFD.
/// What was sent stays as it was in the raw object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text that a JSON string stands for: one that was found to be JSON, with its quotes.
    ///
    /// # Errors
    /// What is wrong with it all the same.
    pub(crate) fn of_json(json: &'a str) -> serde_json::Result<Self> {
        match json.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) if memchr::memchr(b'\\', text.as_bytes()).is_none() => Ok(Self(Cow::Borrowed(text))),
            _ => serde_json::from_str(json),
        }
    }

    /// The text, borrowed from the record where nothing had to be replaced or unescaped.
    #[must_use]
    pub fn into_inner(self) -> Cow<'a, str> {
        self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, because serde_json refuses lone surrogates in a `str` and hands them over as WTF-8 in bytes.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
        Ok(Text(match std::str::from_utf8(bytes) {
            Ok(text) => without_nul(Cow::Borrowed(text)),
            Err(_) => without_nul(Cow::Owned(replace_surrogates(bytes))),
        }))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
        Ok(Text(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Owned(without_nul(Cow::Borrowed(text)).into_owned()),
            Err(_) => without_nul(Cow::Owned(replace_surrogates(bytes))),
        }))
    }
}

fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_some() { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}

/// A surrogate is three bytes in WTF-8 (ED A0..BF xx): each becomes one U+FFFD, where the standard library would make three.
fn replace_surrogates(wtf8: &[u8]) -> String {
    let mut text = String::with_capacity(wtf8.len());
    for chunk in wtf8.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().first() == Some(&0xed) {
            text.push('\u{fffd}');
        }
    }
    text
}

/// The beginning of `text`: at most `max` characters.
#[must_use]
pub fn first_chars(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}

/// The beginning of `text`: at most `max` bytes, cut between characters.
#[must_use]
pub fn first_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> String {
        serde_json::from_str::<Text<'_>>(json).expect("a JSON string").into_inner().into_owned()
    }

    #[test]
    fn what_no_store_holds_is_replaced_by_one_mark_each() {
        assert_eq!(read(r#""a\u0000b""#), "a\u{fffd}b");
        assert_eq!(read(r#""a\ud800b""#), "a\u{fffd}b");
        assert_eq!(read(r#""\udc00\ud83d\ude00\ud83d""#), "\u{fffd}\u{1f600}\u{fffd}");
    }

    #[test]
    fn only_strings_are_text() {
        for json in ["1", "[1]", "{}", "true"] {
            assert!(serde_json::from_str::<Text<'_>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(first_chars("añb", 2), "añ");
        assert_eq!(first_bytes("añb", 2), "a");
    }

    proptest! {
        #[test]
        fn plain_text_is_kept(text in "\\PC*") {
            prop_assert_eq!(read(&serde_json::to_string(&text).expect("a string")), text);
        }
    }
}
