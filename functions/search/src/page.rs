//! Pages of logs as they are answered, and where they are cut.

use std::marker::PhantomData;

use serde::Serialize;
use serde_json::Value;
use shared::error::{Error, Result};
use shared::ids::LogId;
use shared::index::{Sort, Summary};
use shared::record::Level;
use shared::rows::{MAX_MESSAGE_CHARS, Row};
use shared::text::first_chars;
use shared::timestamp;

use crate::honesty::Honesty;
use crate::params::Asked;
use crate::select::Selection;
use shared::range::Range;

/// Largest answer: Lambda carries 6 MB (its synchronous response quota), of which the event around the body takes some. In that event the
/// body is a JSON string, so each of its quotes and backslashes takes two bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = 5 * 1024 * 1024;
/// What stands around the logs of a page: range, cursor, total. Some three hundred bytes.
const FRAME_BYTES: usize = 4 * 1024;

/// Which store answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The search index.
    OpenSearch,
    /// The rows.
    Postgres,
    /// The raw object.
    Raw,
}

/// One log of a list. Its fields need not be there: a reader may ask for some of them only.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Log {
    /// Its id.
    #[schema(value_type = uuid::Uuid, required = false)]
    pub(crate) id: LogId,
    /// The record's own time, or that of receipt.
    #[schema(format = DateTime, required = false)]
    pub(crate) timestamp: String,
    /// When it was received.
    #[schema(format = DateTime, required = false)]
    pub(crate) received_at: String,
    /// The service that wrote it.
    #[schema(required = false)]
    pub(crate) service: String,
    /// TRACE, DEBUG, INFO, WARN, ERROR or FATAL.
    #[schema(value_type = String, example = "ERROR", required = false)]
    pub(crate) level: Level,
    /// The text that sums it up; in lists at most 500 characters.
    #[schema(required = false)]
    pub(crate) message: String,
    /// Language of the program that wrote it.
    #[schema(required = false)]
    pub(crate) language: Option<String>,
    /// Whether it is in the search index.
    #[schema(required = false)]
    pub(crate) indexed: bool,
    /// The raw object that holds the record; null while the rows, which know it, cannot be had.
    #[schema(required = false)]
    pub(crate) raw_path: Option<String>,
}

impl From<Row> for Log {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            timestamp: timestamp::format(row.timestamp),
            received_at: received_at(row.id.unix_ms()),
            service: row.service,
            level: row.level,
            message: row.message,
            language: row.language,
            indexed: row.indexed,
            raw_path: Some(row.raw_path),
        }
    }
}

impl From<Summary> for Log {
    fn from(document: Summary) -> Self {
        Self {
            id: document.id,
            timestamp: timestamp::format(document.timestamp),
            received_at: received_at(document.id.unix_ms()),
            service: document.service,
            level: document.level,
            message: first_chars(&document.message, MAX_MESSAGE_CHARS).to_owned(),
            language: document.language,
            indexed: true,
            raw_path: None,
        }
    }
}

/// The time that an id holds, as text.
pub(crate) fn received_at(unix_ms: u64) -> String {
    timestamp::format(i64::try_from(unix_ms).unwrap_or(timestamp::MAX))
}

/// A page of logs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// The logs, each with the fields that were asked for.
    #[schema(value_type = Vec<T>)]
    pub(crate) logs: Vec<Value>,
    /// Send it as `cursor` for the next page; null at the end.
    pub(crate) next_cursor: Option<String>,
    /// The range that was used; null where it is open.
    pub(crate) range: Range,
    /// What the answer is worth.
    #[serde(flatten)]
    pub(crate) honesty: Honesty,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) of: PhantomData<T>,
}

impl<T> Page<T> {
    /// The page that was asked for.
    pub(crate) fn new(asked: &Asked, cut: Cut<Place>, honesty: Honesty) -> Self {
        Self { logs: cut.logs, next_cursor: cut.next.map(|(after, score)| asked.cursor(after, score)), range: asked.scope.range, honesty, of: PhantomData }
    }
}

/// What fits into a page.
#[derive(Debug)]
pub(crate) struct Cut<P> {
    /// The logs.
    pub(crate) logs: Vec<Value>,
    /// The page after it begins after this place; `None` at the end.
    pub(crate) next: Option<P>,
}

/// Where a page ended: a log's place, and its score.
pub(crate) type Place = (Sort, f32);

/// Cuts a page after `limit` candidates, or when it is as large as an answer may be. One candidate more than `limit` says that
/// there is a next page. A candidate without a log counts, and is passed over. A page takes its first log whatever its size:
/// else there would be no way past it.
///
/// # Errors
/// [`Error::Internal`] for a log that is no JSON, which none is.
pub(crate) fn cut<P, T: Serialize>(candidates: impl IntoIterator<Item = (P, Option<T>)>, limit: usize, fields: &Selection) -> Result<Cut<P>> {
    let mut page = Cut { logs: Vec::new(), next: None };
    let mut room = MAX_ANSWER_BYTES - FRAME_BYTES;
    let mut last = None;
    for (count, (position, log)) in candidates.into_iter().enumerate() {
        let log = log.map(|log| fields.of(&log)).transpose()?;
        let size = log.as_ref().map(size_of).transpose()?.unwrap_or_default();
        if count == limit || (size > room && !page.logs.is_empty()) {
            page.next = last;
            break;
        }
        room = room.saturating_sub(size);
        page.logs.extend(log);
        last = Some(position);
    }
    Ok(page)
}

/// Bytes that a log takes in an answer within an event, with the comma after it.
fn size_of(log: &impl Serialize) -> Result<usize> {
    let json = serde_json::to_vec(log).map_err(|e| Error::internal("measuring an answer", e))?;
    Ok(size_in_event(&json) + 1)
}

/// Bytes that a part of a body takes within an event.
pub(crate) fn size_in_event(body: &[u8]) -> usize {
    body.len() + body.iter().filter(|b| matches!(b, b'"' | b'\\' | b'\n' | b'\r')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared::ids::BatchId;

    /// Candidates whose logs are texts of these lengths; `None` for a hit without a row.
    fn candidates(sizes: &[Option<usize>]) -> Vec<((Sort, f32), Option<String>)> {
        let batch = BatchId::new(1_760_099_196_000);
        (0_u16..).zip(sizes).map(|(n, size)| (((-i64::from(n), batch.log(n)), 0.0), size.map(|size| "x".repeat(size)))).collect()
    }

    fn all_cut(candidates: impl IntoIterator<Item = ((Sort, f32), Option<String>)>, limit: usize) -> Result<Cut<(Sort, f32)>> {
        cut(candidates, limit, &Selection::default())
    }

    #[test]
    fn one_more_than_the_limit_means_a_next_page() {
        let all = candidates(&[Some(1), Some(1), Some(1)]);
        let page = all_cut(all.clone(), 2).expect("a page");
        assert_eq!((page.logs.len(), page.next), (2, Some(all[1].0)));
        assert_eq!(all_cut(all, 3).expect("a page").next, None);
        assert_eq!(all_cut([], 3).expect("a page").next, None);
    }

    #[test]
    fn hits_without_a_row_are_passed_over() {
        let all = candidates(&[Some(1), None, None, Some(1)]);
        let page = all_cut(all.clone(), 3).expect("a page");
        assert_eq!((page.logs.len(), page.next), (1, Some(all[2].0)));
        assert_eq!(all_cut(candidates(&[None, None]), 1).expect("a page").logs.len(), 0);
    }

    #[test]
    fn quotes_count_twice() {
        let quoted = vec![(((0, BatchId::new(0).log(0)), 0.0), Some("\"".repeat(MAX_ANSWER_BYTES / 8))); 4];
        assert_eq!(all_cut(quoted, 4).expect("a page").logs.len(), 1);
    }

    #[test]
    fn one_log_larger_than_an_answer_does_not_stop_the_list() {
        let all = candidates(&[Some(MAX_ANSWER_BYTES), Some(1)]);
        let page = all_cut(all.clone(), 50).expect("a page");
        assert_eq!((page.logs.len(), page.next), (1, Some(all[0].0)));
    }

    proptest! {
        #[test]
        fn pages_are_within_bounds_and_together_hold_every_log_once(sizes in prop::collection::vec(prop::option::of(0..700_000_usize), 0..40), limit in 1..20_usize) {
            let all = candidates(&sizes);
            let (mut seen, mut rest) = (Vec::new(), all.as_slice());
            loop {
                let page = all_cut(rest.iter().take(limit + 1).cloned(), limit).expect("a page");
                let bytes = serde_json::to_vec(&page.logs).expect("JSON").len();
                prop_assert!(bytes <= MAX_ANSWER_BYTES - FRAME_BYTES + 2 && page.logs.len() <= limit);
                seen.extend(page.logs.iter().filter_map(Value::as_str).map(str::len));
                let Some(next) = page.next else { break };
                let consumed = rest.iter().position(|(at, _)| *at == next).expect("one of them") + 1;
                rest = &rest[consumed..];
            }
            prop_assert_eq!(seen, sizes.into_iter().flatten().collect::<Vec<_>>());
        }
    }
}
