//! Pages of a list: how many things, and what is said to a cursor that is none of ours.

use shared::error::{Error, Fault, Result};

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
    fn a_limit_is_1_to_1000() {
        assert_eq!((limit(None).ok(), limit(Some("1")).ok(), limit(Some("1000")).ok()), (Some(100), Some(1), Some(1000)));
        for bad in ["0", "1001", "-1", "", "ten", "1.5"] {
            assert!(limit(Some(bad)).is_err(), "{bad}");
        }
    }
}
