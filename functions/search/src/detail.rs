//! One log whole: its row, and the record as it was sent.
//!
//! The row decides whether there is such a log. The record comes from the index's copy, which is one small question, or from
//! the raw object, which is the truth: where the index does not answer, has no copy (yet), or the caller insists on raw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::archive::Archive;
use shared::document::{attributes_of, record_of};
use shared::error::{Error, Result, chain};
use shared::ids::{BatchId, LogId, TenantId};
use shared::index::Index;
use shared::raw;
use shared::record::Record;
use shared::rows::Row;
use utoipa::IntoParams;

use crate::page::{Log, Source};

/// Parameters of a detail.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DetailParams {
    /// `auto` (whichever store answers, which is the default) or `raw` (the raw object, which is the truth).
    source: Option<String>,
}

/// Where the record may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// From wherever it can be had.
    Auto,
    /// From the raw object.
    Raw,
}

impl DetailParams {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn wanted(&self) -> Result<Wanted> {
        match self.source.as_deref() {
            None | Some("auto") => Ok(Wanted::Auto),
            Some("raw") => Ok(Wanted::Raw),
            Some(_) => Err(Error::invalid("source", "neither `auto` nor `raw`")),
        }
    }
}

/// One log whole.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Detail {
    #[serde(flatten)]
    pub(crate) log: Log,
    /// The request that brought it.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) batch_id: BatchId,
    /// The original text, of one line or many.
    pub(crate) full_log: Option<String>,
    /// W3C trace id, as sent.
    pub(crate) trace_id: Option<String>,
    /// W3C span id, as sent.
    pub(crate) span_id: Option<String>,
    /// What was sent as `attributes`, and the fields that we know nothing of.
    #[schema(value_type = Object)]
    pub(crate) attributes: BTreeMap<String, Box<RawValue>>,
    /// The record as sent.
    #[schema(value_type = Object)]
    pub(crate) record: Box<RawValue>,
    /// Which store the record came from.
    pub(crate) source: Source,
}

/// The log whose row this is.
///
/// # Errors
/// [`Error::Unavailable`] where no store that may answer does; [`Error::Internal`] where raw lacks what the row names.
pub(crate) async fn read(index: &Index, archive: &Archive, tenant: &TenantId, row: Row, wanted: Wanted) -> Result<Detail> {
    // What the row knows to be missing there is not worth a question, which takes seconds when the index is in trouble.
    let indexed = wanted == Wanted::Auto && row.indexed;
    let copy = if indexed { in_index(index, tenant, row.id).await } else { None };
    match copy {
        Some(record) => Detail::new(row, record, Source::OpenSearch),
        None => {
            let record = in_raw(archive, &row).await?;
            Detail::new(row, record, Source::Raw)
        }
    }
}

/// The index's copy of the record, if it can be had: any trouble is the index's, and raw has the record too.
async fn in_index(index: &Index, tenant: &TenantId, id: LogId) -> Option<Box<RawValue>> {
    let document = match index.document(tenant, id).await {
        Ok(document) => document,
        Err(error) => {
            tracing::warn!(cause = chain(&error), "the index does not answer: reading the raw object");
            None
        }
    };
    RawValue::from_string(record_of(&document?)?).ok()
}

async fn in_raw(archive: &Archive, row: &Row) -> Result<Box<RawValue>> {
    let missing = |what: &'static str| Error::internal("reading a raw object", format!("{what} {}", row.raw_path));
    let (Ok(offset), Ok(length)) = (u64::try_from(row.raw_offset), u64::try_from(row.raw_length)) else { return Err(missing("no such place in")) };
    let frame = archive.range(&row.raw_path, offset, length).await.map_err(|error| match error {
        Error::NotFound(_) => missing("there is no"),
        other => other,
    })?;
    let text = raw::read_frame(&frame)?;
    raw::find_record(&text, row.id).map(ToOwned::to_owned).ok_or_else(|| missing("the log is not in"))
}

impl Detail {
    /// A log by its row and its record.
    ///
    /// # Errors
    /// [`Error::Internal`] for what is no record, which none is that was stored.
    pub(crate) fn new(row: Row, sent: Box<RawValue>, source: Source) -> Result<Self> {
        let record = Record::parse(sent.get().as_bytes()).map_err(|fault| Error::internal("reading a stored record", fault))?;
        let batch_id = row.id.batch();
        let text = |text: &Option<shared::text::Text<'_>>| text.as_deref().map(str::to_owned);
        Ok(Self {
            log: Log { message: record.summary().to_owned(), ..row.into() },
            batch_id,
            full_log: text(&record.full_log),
            trace_id: text(&record.trace_id),
            span_id: text(&record.span_id),
            attributes: attributes_of(&record).into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            source,
            record: sent,
        })
    }

    /// A log whose record is lost, as its row tells it: the record is null.
    pub(crate) fn without_record(row: Row) -> Self {
        Self {
            batch_id: row.id.batch(),
            log: row.into(),
            full_log: None,
            trace_id: None,
            span_id: None,
            attributes: BTreeMap::new(),
            source: Source::Postgres,
            record: RawValue::NULL.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::record::Level;

    fn row(id: LogId) -> Row {
        Row {
            id,
            timestamp: 1_760_099_196_000,
            service: "billing".to_owned(),
            level: Level::Error,
            message: "cut".to_owned(),
            language: None,
            indexed: true,
            raw_path: "raw/x".to_owned(),
            raw_offset: 0,
            raw_length: 1,
        }
    }

    #[test]
    fn the_record_comes_back_as_it_was_sent() {
        let sent = r#"{ "message":"long \ud800 text","b":1.0,"a":{"x":[1e400]}, "attributes":{"b":2},"trace_id":"t","a":null}"#;
        let detail = Detail::new(row(BatchId::new(1_760_099_196_000).log(3)), RawValue::from_string(sent.to_owned()).expect("JSON"), Source::Raw).expect("a detail");
        let json = serde_json::to_string(&detail).expect("JSON");
        assert!(json.contains(&format!(r#""record":{sent}"#)), "{json}");
        assert!(json.contains("\"message\":\"long \u{fffd} text\"") && json.contains(r#""trace_id":"t","span_id":null"#), "{json}");
        assert!(json.contains(r#""attributes":{"a":null,"b":1.0}"#), "{json}");
        assert!(json.contains(r#""received_at":"2025-10-10T12:26:36.000Z""#), "{json}");
    }

    #[test]
    fn a_source_is_auto_or_raw() {
        let wanted = |source: Option<&str>| DetailParams { source: source.map(str::to_owned) }.wanted();
        assert_eq!((wanted(None).ok(), wanted(Some("auto")).ok(), wanted(Some("raw")).ok()), (Some(Wanted::Auto), Some(Wanted::Auto), Some(Wanted::Raw)));
        assert!(matches!(wanted(Some("postgres")), Err(Error::Invalid { .. })));
    }
}
