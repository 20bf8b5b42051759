//! Pages of a list: how many things, and what is said to a cursor that is none of ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::error::{Error, Fault, Result};
use uuid::Uuid;

/// Things on a page, where the caller does not say.
const DEFAULT_LIMIT: usize = 100;
/// Most things on a page.
const MAX_LIMIT: usize = 1000;

/// # Errors
/// [`Error::Invalid`] for a limit out of range.
pub(crate) fn limit(sent: Option<&str>) -> Result<usize> {
    let Some(sent) = sent else { return Ok(DEFAULT_LIMIT) };
    let limit = sent.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Error::invalid("limit", format!("must be a number from 1 to {MAX_LIMIT}")))
}

/// How many things to ask for, so that it shows whether there are more.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit + 1).unwrap_or(i64::MAX)
}

/// Cuts off what was asked for beside the page, and answers the cursor that brings it: the id of the page's last thing. `None` where that was all.
pub(crate) fn cut<T, I: AsRef<[u8]>>(found: &mut Vec<T>, limit: usize, id: impl FnOnce(&T) -> I) -> Option<String> {
    let more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(id(last)))
}

/// # Errors
/// [`Error::Invalid`] `invalid_cursor`.
pub(crate) fn read_id(cursor: &str) -> Result<Uuid> {
    let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok());
    id.ok_or_else(invalid_cursor)
}

/// What a damaged cursor is told.
pub(crate) fn invalid_cursor() -> Error {
    let detail = "this is no cursor of ours: send `next_cursor` as it came";
    let fault = Fault { index: None, field: Some("cursor".to_owned()), code: "invalid_cursor".to_owned(), detail: detail.to_owned(), place: None };
    Error::Invalid { code: "invalid_cursor", detail: detail.to_owned(), faults: vec![fault] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_an_id_or_damaged() {
        let id = Uuid::now_v7();
        assert_eq!(read_id(&URL_SAFE_NO_PAD.encode(id)).ok(), Some(id));
        for damaged in ["", "x", "AAAA", &URL_SAFE_NO_PAD.encode([7; 15]), &id.to_string(), &URL_SAFE_NO_PAD.encode("an id of more than sixteen bytes")] {
            assert!(matches!(read_id(damaged), Err(Error::Invalid { code: "invalid_cursor", .. })), "{damaged}");
        }
    }

    #[test]
    fn a_limit_is_1_to_1000() {
        assert_eq!((limit(None).ok(), limit(Some("1")).ok(), limit(Some("1000")).ok()), (Some(100), Some(1), Some(1000)));
        for bad in ["0", "1001", "-1", "", "ten", "1.5"] {
            assert!(limit(Some(bad)).is_err(), "{bad}");
        }
    }
}
