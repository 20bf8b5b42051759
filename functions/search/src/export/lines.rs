//! Logs as lines of an export.

use std::collections::VecDeque;

use axum::body::Bytes;
use shared::error::{Error, Result};
use shared::index::Sort;

use crate::detail::Detail;
use crate::page::Source;
use crate::records::Whole;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
}

/// Columns of CSV.
const COLUMNS: [&str; 12] = ["id", "timestamp", "received_at", "service", "level", "message", "language", "trace_id", "span_id", "full_log", "attributes", "record"];

/// One log, written.
#[derive(Debug)]
pub(super) struct Line {
    /// Its place in the order.
    pub(super) place: Sort,
    pub(super) text: Vec<u8>,
}

impl Format {
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn parse(sent: Option<&str>) -> Result<Self> {
        match sent {
            None | Some("ndjson") => Ok(Self::Ndjson),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(Error::invalid("format", "neither `ndjson` nor `csv`")),
        }
    }

    /// What comes before the first line.
    pub(super) fn head(self) -> Bytes {
        match self {
            Self::Ndjson => Bytes::new(),
            Self::Csv => Bytes::from(COLUMNS.join(",") + "\r\n"),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Ndjson => "attachment; filename=\"logs.ndjson\"",
            Self::Csv => "attachment; filename=\"logs.csv\"",
        }
    }
}

/// Writes logs as lines.
///
/// # Errors
/// [`Error::Internal`] for what cannot be written, which none is.
pub(super) async fn write(logs: Vec<Whole>, format: Format) -> Result<VecDeque<Line>> {
    let writing = tokio::task::spawn_blocking(move || logs.into_iter().map(|log| line(log, format)).collect());
    writing.await.map_err(|e| Error::internal("writing an export", e))?
}

fn line(log: Whole, format: Format) -> Result<Line> {
    let place = (log.row.timestamp, log.row.id);
    let log = match log.record {
        // One that cannot be read any more is shown as it is: it must not keep all others.
        Some(record) => Detail::new(log.row.clone(), record.clone(), Source::Raw).unwrap_or_else(|_| Detail { record, ..Detail::without_record(log.row) }),
        None => Detail::without_record(log.row),
    };
    let text = match format {
        Format::Ndjson => serde_json::to_vec(&log).map(|mut json| {
            json.push(b'\n');
            json
        }),
        Format::Csv => return log.csv().map(|text| Line { place, text }),
    };
    Ok(Line { place, text: text.map_err(|e| Error::internal("writing an export", e))? })
}

impl Detail {
    fn csv(&self) -> Result<Vec<u8>> {
        let fail = |e: Box<dyn std::error::Error + Send + Sync>| Error::internal("writing an export", e);
        let attributes = serde_json::to_string(&self.attributes).map_err(|e| fail(e.into()))?;
        let id = self.log.id.to_string();
        let optional = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let fields: [&str; COLUMNS.len()] = [
            &id,
            &self.log.timestamp,
            &self.log.received_at,
            &self.log.service,
            self.log.level.as_str(),
            &self.log.message,
            &optional(&self.log.language),
            &optional(&self.trace_id),
            &optional(&self.span_id),
            &optional(&self.full_log),
            &attributes,
            self.record.get(),
        ];
        writer.write_record(fields).map_err(|e| fail(e.into()))?;
        writer.into_inner().map_err(|e| fail(e.to_string().into()))
    }
}
