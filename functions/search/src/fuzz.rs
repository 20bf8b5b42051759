//! What readers send, understood without the engines, for the fuzz targets of `fuzz/`. Built with `--cfg fuzzing` only.

use shared::error::Result;
use shared::http::read_params;
use shared::query::Query;

use crate::cursor;
use crate::params::{Asked, Filters, ListParams, SearchParams};

/// A moment in November 2026: what relative times count from.
const NOW_MS: u64 = 1_795_000_000_000;

/// Reads the query of a list's URL, and of a search's.
pub fn query(text: &str) {
    if let Ok(params) = read_params::<ListParams>(text) {
        let _ = Asked::list(params, NOW_MS);
    }
    if let Ok(params) = read_params::<SearchParams>(text) {
        let _ = Asked::search(params, NOW_MS);
    }
}

/// Reads a query. What is understood is printed, and reads as the same query again, unless the print is too long.
pub fn language(text: &str) {
    let now = i64::try_from(NOW_MS).unwrap_or_default();
    if let Ok(query) = Query::parse(text, now) {
        match Query::parse(&query.to_string(), now) {
            Ok(again) => assert_eq!(again, query),
            Err(error) => assert!(error.place.expected.contains("at most"), "{query}: {error}"),
        }
    }
}

/// Reads a cursor whose tag is right, whatever it holds. One that is taken is written again as it was.
///
/// # Errors
/// What the client would be told.
pub fn cursor(body: &[u8]) -> Result<()> {
    let filters = Filters::default();
    let text = cursor::tagged(body, &filters);
    let read = cursor::Cursor::decode(&text, &filters)?;
    assert_eq!(read.encode(&filters), text, "a cursor has one form");
    Ok(())
}
