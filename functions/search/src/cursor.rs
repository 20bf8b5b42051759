//! The cursor: where a page ended, and which logs belong to the list at all.
//!
//! Version, the moment that bounds the list, the range, timestamp, id and score of the last log, and a tag over these and the filters;
//! base64url. List and search have one form, so a search may go on in the rows when OpenSearch goes away, and back. The tag
//! tells damage and other filters, no more: there is nothing in a cursor that its holder may not choose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use shared::error::{Error, Fault, Result};
use shared::ids::LogId;
use shared::index::Sort;
use shared::timestamp::{self, UnixMs};
use uuid::Uuid;

use crate::params::Filters;
use shared::range::Range;

/// Raise it when the layout or the meaning of a field changes: old cursors are then refused, not misread.
const VERSION: u8 = 2;
/// Version, bound, from, to, timestamp, id, score.
const BODY: usize = 1 + 8 + 8 + 8 + 8 + 16 + 4;
/// Enough that no accident gets past it.
const TAG: usize = 8;
/// An open side of a range, and where nothing was before.
const OPEN: UnixMs = UnixMs::MIN;
/// Ids have 48 bits for the time (RFC 9562, 5.7).
const MAX_RECEIVED: u64 = (1 << 48) - 1;

/// What a next page needs to know of those before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cursor {
    /// Logs received later, in milliseconds since 1970, came after the first page. Also what relative times count from.
    pub(crate) received_up_to: u64,
    /// The range of the first page, made absolute.
    pub(crate) range: Range,
    /// The last log of the page before, or the last hit; `None` before the first page.
    pub(crate) after: Option<Sort>,
    /// Its score, where hits are ordered by it; else zero.
    pub(crate) score: f32,
}

impl Cursor {
    /// The cursor as text, good for these filters only.
    pub(crate) fn encode(&self, filters: &Filters) -> String {
        let mut bytes = Vec::with_capacity(BODY);
        bytes.push(VERSION);
        bytes.extend(self.received_up_to.to_be_bytes());
        for at in [self.range.from, self.range.to, self.after.map(|(at, _)| at)] {
            bytes.extend(at.unwrap_or(OPEN).to_be_bytes());
        }
        bytes.extend(self.after.map_or_else(Uuid::nil, |(_, id)| id.uuid()).as_bytes());
        bytes.extend(self.score.to_be_bytes());
        tagged(&bytes, filters)
    }

    /// Reads a cursor that was given out for these filters.
    ///
    /// # Errors
    /// [`Error::Invalid`] with code `invalid_cursor`.
    pub(crate) fn decode(text: &str, filters: &Filters) -> Result<Self> {
        Self::read(text, filters).ok_or_else(invalid)
    }

    fn read(text: &str, filters: &Filters) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, sent) = bytes.split_at_checked(BODY)?;
        if body[0] != VERSION || sent != tag(body, filters) {
            return None;
        }
        let (body, score) = body.split_at(BODY - 4);
        let score = f32::from_be_bytes(score.try_into().ok()?);
        let (words, id) = body[1..].split_at(body.len() - 1 - 16);
        let mut words = words.chunks_exact(8).map(|word| i64::from_be_bytes(word.try_into().expect("eight bytes")));
        let received_up_to = u64::try_from(words.next()?).ok().filter(|ms| *ms <= MAX_RECEIVED)?;
        let mut side = || words.next().filter(|at| *at == OPEN || is_time(*at)).map(|at| (at != OPEN).then_some(at));
        let range = Range { from: side()?, to: side()? };
        let after = match side()? {
            Some(at) => Some((at, LogId::try_from(Uuid::from_slice(id).ok()?).ok()?)),
            None => None,
        };
        score.is_finite().then_some(Self { received_up_to, range, after, score })
    }
}

/// The text of a cursor's bytes.
pub(crate) fn tagged(body: &[u8], filters: &Filters) -> String {
    URL_SAFE_NO_PAD.encode([body, &tag(body, filters)].concat())
}

fn is_time(at: UnixMs) -> bool {
    (timestamp::MIN..=timestamp::MAX).contains(&at)
}

fn tag(body: &[u8], filters: &Filters) -> [u8; TAG] {
    let filters = serde_json::to_vec(filters).expect("lists of texts are JSON");
    let digest = Sha256::new().chain_update(body).chain_update(filters).finalize();
    *digest.first_chunk().expect("thirty-two bytes")
}

/// What a cursor is told that is none of ours, or of another list.
pub(crate) fn invalid() -> Error {
    let detail = "this cursor is damaged, or belongs to another list: send the one of the page before, with the same from, to, service, level, q and sort";
    let fault = Fault { index: None, field: Some("cursor".to_owned()), code: "invalid_cursor".to_owned(), detail: detail.to_owned(), place: None };
    Error::Invalid { code: "invalid_cursor", detail: detail.to_owned(), faults: vec![fault] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared::ids::BatchId;
    use shared::query::Order;
    use shared::record::Level;

    fn filters() -> impl Strategy<Value = Filters> {
        let query = prop::option::of("[a-z]{1,5}");
        let order = prop::sample::select(vec![Order::Newest, Order::Oldest, Order::Relevance]);
        let levels = prop::sample::subsequence(Level::ALL.to_vec(), 0..3);
        (prop::collection::vec("[a-z]{0,3}", 0..3), levels, query, order).prop_map(|(services, levels, query, order)| Filters { services, levels, query, order })
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        let time = || timestamp::MIN..=timestamp::MAX;
        (0..=MAX_RECEIVED, prop::option::of(time()), prop::option::of(time()), time(), 0..=MAX_RECEIVED, any::<u16>(), 0.0..100.0_f32, any::<bool>()).prop_map(
            |(received_up_to, from, to, at, ms, position, score, is_first)| Cursor {
                score,
                received_up_to,
                range: Range { from, to },
                after: is_first.then_some((at, BatchId::new(ms).log(position))),
            },
        )
    }

    fn is_refused(text: &str, filters: &Filters) -> bool {
        matches!(Cursor::decode(text, filters), Err(Error::Invalid { code: "invalid_cursor", .. }))
    }

    proptest! {
        #[test]
        fn what_was_given_out_is_read_again(cursor in cursors(), filters in filters()) {
            let text = cursor.encode(&filters);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "it needs no escaping: {}", text);
            prop_assert_eq!(Cursor::decode(&text, &filters).expect("ours"), cursor);
        }

        #[test]
        fn another_list_refuses_it(cursor in cursors(), one in filters(), other in filters()) {
            prop_assume!(one != other);
            prop_assert!(is_refused(&cursor.encode(&one), &other));
        }

        #[test]
        fn a_damaged_one_is_refused(cursor in cursors(), filters in filters(), at: prop::sample::Index, by in "[A-Za-z0-9_=+/ -]") {
            let text = cursor.encode(&filters);
            let at = at.index(text.len());
            let changed = format!("{}{by}{}", &text[..at], &text[at + 1..]);
            prop_assert!(changed == text || is_refused(&changed, &filters));
            prop_assert!(is_refused(&text[..at], &filters));
            let longer = format!("{text}{by}");
            prop_assert!(is_refused(&longer, &filters));
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in "\\PC{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(is_refused(&text, &Filters::default()));
            prop_assert!(is_refused(&URL_SAFE_NO_PAD.encode(bytes), &Filters::default()));
        }

        /// Whoever computes the tag chooses the rest, and still gets an answer or an error.
        #[test]
        fn a_forged_one_holds_what_the_stores_can_hold(mut body in prop::collection::vec(any::<u8>(), BODY)) {
            body[0] = VERSION;
            body.extend(tag(&body, &Filters::default()));
            if let Ok(cursor) = Cursor::decode(&URL_SAFE_NO_PAD.encode(body), &Filters::default()) {
                prop_assert!(cursor.after.is_none_or(|(at, _)| is_time(at)) && cursor.received_up_to <= MAX_RECEIVED);
            }
        }
    }
}
