//! Exports: all logs that are meant, whole, by their own time; streamed, in as much memory as a page or two takes.
//!
//! Rows say which logs there are, raw has the records, and queries are held to those: the index is not asked, so nothing that it
//! misses is missing. An export that broke off is taken up behind the last log that came.

mod lines;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use shared::error::{Error, Result, chain};
use shared::ids::{LogId, TenantId};
use shared::queue::Queue;
use shared::retention::Horizon;
use shared::rows::{ListQuery, Position, Rows};
use utoipa::IntoParams;

use self::lines::{Format, Line};
use crate::concurrency::Streamer;
use crate::page::{MAX_ANSWER_BYTES, received_at, size_in_event};
use crate::params::{Asked, ListParams};
use crate::records::{Records, meant};
use crate::tail::{SETTLES_IN_MS, before};
use crate::{App, Host};

/// Carries the cursor that fixes what belongs to the export: with it and `after` it is taken up again.
const CURSOR: HeaderName = HeaderName::from_static("x-export-cursor");
/// Carries the cursor of the rest, where an answer ends before the export does.
const NEXT: HeaderName = HeaderName::from_static("x-export-next");
/// Carries the moment up to which all that was received belongs to the export.
const UP_TO: HeaderName = HeaderName::from_static("x-export-up-to");
/// Tells the Lambda client that a body of ours is text: it would be sent in base64, and be a third larger (lambda_http, `convert_to_binary`).
const AS_TEXT: HeaderName = HeaderName::from_static("x-lambda-http-content-encoding");
/// Bytes of a piece of a stream, a line more or less.
const PIECE: usize = 256 * 1024;
/// When an answer ends that is collected before it is sent: the gateway gives up after 29 s.
const COLLECT_FOR: Duration = Duration::from_secs(15);

/// Parameters of an export.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// What to export, in the language of `GET /v1/search`; without it all logs.
    #[param(value_type = Option<String>, example = "level>=warn")]
    q: Option<String>,
    /// First moment, included: RFC 3339, `now`, or relative, such as `now-15m` (units s, m, h, d, w).
    #[param(example = "now-15m")]
    from: Option<String>,
    /// Last moment, not included: as `from`.
    #[param(example = "2025-10-10T12:26:36Z")]
    to: Option<String>,
    /// Only this service. Can be repeated: any of them.
    service: Vec<String>,
    /// Only this level. Can be repeated: any of them.
    level: Vec<String>,
    /// `oldest` (the default) or `newest` first.
    #[param(value_type = Option<String>, example = "oldest")]
    sort: Option<String>,
    /// `ndjson` (the default): a line for each log, as `GET /v1/logs/{id}` answers it. `csv`: RFC 4180, with a header.
    #[param(value_type = Option<String>, example = "ndjson")]
    format: Option<String>,
    /// `x-export-cursor` or `x-export-next` of an export with the same filters: the same logs again, or the rest of them.
    cursor: Option<String>,
    /// Id of the last log that came: goes on behind it.
    #[param(example = "0199cd9c-4d20-7000-8000-000000000003")]
    after: Option<String>,
}

/// What is exported, and how.
#[derive(Debug)]
pub(crate) struct Wanted {
    asked: Asked,
    format: Format,
    after: Option<LogId>,
}

impl Wanted {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn read(params: ExportParams, now_ms: u64, horizon: Horizon) -> Result<Self> {
        let ExportParams { q, from, to, service, level, sort, format, cursor, after } = params;
        let sort = sort.or_else(|| Some("oldest".to_owned()));
        let list = ListParams { from, to, service, level, sort, cursor, limit: None, fields: None };
        let after = after.map(|id| LogId::parse(&id).map_err(|_| no_such_log())).transpose()?;
        Ok(Self { asked: Asked::export(list, q, now_ms)?.since(horizon), format: Format::parse(format.as_deref())?, after })
    }
}

/// The moment up to which all that was received is stored, once what is on its way to the queue by `now_ms` has come there.
///
/// # Errors
/// [`Error::Unavailable`] without the queue: what waits there cannot be told, and must not be taken for exported.
async fn settled(queue: &Queue, tenant: &TenantId, now_ms: u64) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(SETTLES_IN_MS)).await;
    let (_, first_under_way) = queue.first_under_way(tenant).await?;
    Ok(before(now_ms, first_under_way))
}

fn no_such_log() -> Error {
    Error::invalid("after", "there is no such log")
}

/// An export under way.
struct Export {
    rows: Rows,
    records: Records,
    streamer: Streamer,
    asked: Asked,
    format: Format,
    /// All up to here is written.
    position: Option<Position>,
    /// Read, and not written yet.
    ready: VecDeque<Line>,
    /// Whether nothing is left to be read.
    is_read: bool,
}

/// All logs that are meant, or where the host collects answers as many as fit into one.
///
/// # Errors
/// [`Error::Invalid`] for an `after` that is no log; [`Error::Unavailable`]. What goes wrong later breaks the answer off.
pub(crate) async fn export(app: &App, streamer: Streamer, wanted: Wanted) -> Result<Response> {
    let began = Instant::now();
    let Wanted { mut asked, format, after } = wanted;
    if asked.after.is_none() && !asked.goes_on {
        asked.scope.received_up_to = settled(&app.queue, streamer.tenant(), asked.scope.received_up_to).await?;
    }
    let (is_first, cursor) = (after.is_none() && asked.after.is_none(), asked.first_cursor());
    let position = match after {
        Some(id) => Some(app.rows.by_id(streamer.tenant(), id).await?.ok_or_else(no_such_log)?.position()),
        None => asked.after.map(|((timestamp, id), _)| Position { timestamp, id: id.uuid() }),
    };
    let mut export = Export { rows: app.rows.clone(), records: Records::new(app.archive.clone()), streamer, asked, format, position, ready: VecDeque::new(), is_read: false };
    // What can be refused is refused before the answer begins.
    export.read().await?;
    let head = if is_first { format.head() } else { Bytes::new() };
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (CONTENT_DISPOSITION, HeaderValue::from_static(format.file_name())),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    headers.insert(CURSOR, text(&cursor)?);
    headers.insert(UP_TO, text(&received_at(export.asked.scope.received_up_to))?);
    let body = match app.host {
        Host::Streams => Body::from_stream(stream::try_unfold((Some(head), export), Export::next)),
        Host::CollectsAnswers => {
            headers.insert(AS_TEXT, HeaderValue::from_static("text"));
            let (body, next) = export.collected(head, began).await?;
            if let Some(next) = next {
                headers.insert(NEXT, text(&next)?);
            }
            Body::from(body)
        }
    };
    Ok((headers, body).into_response())
}

fn text(cursor: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(cursor).map_err(|e| Error::internal("writing a cursor", e))
}

impl Export {
    /// Reads on, where nothing waits to be written.
    async fn read(&mut self) -> Result<()> {
        if !self.ready.is_empty() || self.is_read {
            return Ok(());
        }
        let limit = self.records.rows_at_once();
        let query = ListQuery { scope: &self.asked.scope, ascending: self.asked.order.is_ascending(), after: self.position, limit };
        let candidates = self.rows.candidates(self.streamer.tenant(), &query).await?;
        let count = candidates.rows.len();
        let whole = self.records.of(self.streamer.tenant(), candidates.rows).await?;
        let last = whole.last().map(|whole| whole.row.position());
        let all_came = count < limit && whole.len() == count;
        self.is_read = all_came && candidates.unfinished.is_none();
        self.position = candidates.unfinished.filter(|_| all_came).or(last).or(self.position);
        let whole = match &self.asked.scope.query {
            Some(query) => meant(whole, query, self.streamer.tenant()).await?,
            None => whole,
        };
        self.ready = lines::write(whole, self.format).await?;
        Ok(())
    }

    /// The next piece of a stream.
    async fn next((head, mut export): (Option<Bytes>, Self)) -> Result<Option<(Bytes, (Option<Bytes>, Self))>, Error> {
        if let Some(head) = head.filter(|head| !head.is_empty()) {
            return Ok(Some((head, (None, export))));
        }
        while export.ready.is_empty() && !export.is_read {
            export.streamer.check().await?;
            if let Err(error) = export.read().await {
                tracing::warn!(cause = chain(&error), "an export broke off");
                return Err(error);
            }
        }
        if export.ready.is_empty() {
            return Ok(None);
        }
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE
            && let Some(line) = export.ready.pop_front()
        {
            piece.extend_from_slice(&line.text);
        }
        Ok(Some((piece.into(), (None, export))))
    }

    /// As much as fits into one answer, and the cursor of the rest.
    async fn collected(mut self, head: Bytes, began: Instant) -> Result<(Vec<u8>, Option<String>)> {
        let mut body = head.to_vec();
        let (mut room, mut last) = (MAX_ANSWER_BYTES - size_in_event(&body), None);
        loop {
            self.read().await?;
            if self.ready.is_empty() && self.is_read {
                return Ok((body, None));
            }
            while let Some(line) = self.ready.front() {
                let size = size_in_event(&line.text);
                if last.is_some() && size > room {
                    return Ok((body, last.map(|at| self.asked.cursor(at, 0.0))));
                }
                room = room.saturating_sub(size);
                last = Some(line.place);
                body.extend(self.ready.pop_front().map(|line| line.text).unwrap_or_default());
            }
            if began.elapsed() > COLLECT_FOR {
                // What was looked at and not meant counts, too.
                let at = self.position.and_then(|at| Some((at.timestamp, LogId::try_from(at.id).ok()?)));
                return Ok((body, at.map(|at| self.asked.cursor(at, 0.0))));
            }
        }
    }
}
