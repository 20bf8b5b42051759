//! The HTTP side of an export.

use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url};

use super::Arguments;
use super::progress::Progress;
use super::target::Target;

/// How long a connection may take to come about. An answer may take longer: a rare query is looked for in all that there is.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Characters of a key that are written down: its kind and four of thirty.
const KEY_SHOWN: usize = 12;

/// Asks for exports.
#[derive(Debug)]
pub(super) struct Wire {
    http: Client,
    base: Url,
    /// The beginning of the key: as much as tells keys apart.
    key: String,
    format: Format,
    filters: Vec<(&'static str, String)>,
}

/// How records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Ndjson,
    Csv,
}

/// How an answer ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With the last log.
    Complete,
    /// With others to be asked for.
    HasMore,
    /// Before its time.
    BrokeOff(anyhow::Error),
}

impl Wire {
    pub(super) fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", arguments.key)).context("--key holds what no key does")?;
        bearer.set_sensitive(true);
        let http = Client::builder().default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)])).connect_timeout(CONNECT_WITHIN).build()?;
        let arguments = arguments.clone();
        let texts = [("q", arguments.q), ("from", arguments.from), ("to", arguments.to)].into_iter().filter_map(|(name, text)| Some((name, text?)));
        let filters = texts.chain(arguments.service.into_iter().map(|name| ("service", name))).chain(arguments.level.into_iter().map(|level| ("level", level)));
        let mut filters: Vec<_> = filters.collect();
        filters.push(("sort", arguments.sort));
        let format = if arguments.format == "csv" { Format::Csv } else { Format::Ndjson };
        Ok(Self { http, base: Url::parse(&arguments.url).context("--url")?, key: arguments.key.chars().take(KEY_SHOWN).collect(), format, filters })
    }

    /// What is asked for, where and by whom, in one line.
    pub(super) fn filters(&self) -> String {
        let asked = self.filters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        format!("{}?{asked} {}", self.base, self.key)
    }

    /// How many logs there are, where that can be had: it is for show.
    pub(super) async fn count(&self) -> Option<u64> {
        let mut url = self.base.join("/v1/facets").ok()?;
        url.query_pairs_mut().extend_pairs(self.filters.iter().filter(|(name, _)| *name != "sort")).append_pair("fields", "level");
        let counted: serde_json::Value = self.http.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
        counted["total"].as_u64()
    }

    /// Asks for what the target lacks, and writes it down.
    pub(super) async fn fetch(&self, target: &mut Target, progress: &Progress) -> anyhow::Result<Ended> {
        let mut url = self.base.join("/v1/export").context("--url")?;
        url.query_pairs_mut().extend_pairs(&self.filters).append_pair("format", self.format.name());
        if !target.mark().cursor.is_empty() {
            url.query_pairs_mut().append_pair("cursor", &target.mark().cursor);
        }
        if let Some(after) = &target.mark().after {
            url.query_pairs_mut().append_pair("after", after);
        }
        let mut answer = match self.http.get(url).send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(Ended::BrokeOff(anyhow!(error).context("no answer"))),
        };
        let status = answer.status();
        if !status.is_success() {
            let said = answer.text().await.unwrap_or_default();
            let said = serde_json::from_str::<serde_json::Value>(&said).ok().and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned())).unwrap_or(said);
            let why = anyhow!("{status}: {said}");
            return if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS { Ok(Ended::BrokeOff(why)) } else { Err(why) };
        }
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (next, cursor) = (header("x-export-next"), header("x-export-cursor").context("the server is none that exports")?);
        if target.mark().cursor.is_empty() {
            target.goes_on_with(&cursor)?;
        }
        let mut waiting = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) => {
                    waiting.extend_from_slice(&piece);
                    self.write_whole(&mut waiting, target)?;
                    progress.set(target.logs());
                }
                Ok(None) => break,
                Err(error) => return Ok(Ended::BrokeOff(anyhow!(error).context("the answer broke off"))),
            }
        }
        if !waiting.is_empty() {
            return Ok(Ended::BrokeOff(anyhow!("the answer ended within a log")));
        }
        match next {
            Some(next) => target.goes_on_with(&next).map(|()| Ended::HasMore),
            None => Ok(Ended::Complete),
        }
    }

    /// Writes the logs that are there whole.
    fn write_whole(&self, waiting: &mut Vec<u8>, target: &mut Target) -> anyhow::Result<()> {
        let ends = self.format.ends(waiting);
        let (Some(end), logs) = (ends.last().copied(), ends.len()) else { return Ok(()) };
        let begin = if logs > 1 { ends[logs - 2] } else { 0 };
        let last = self.format.id(&waiting[begin..end]);
        // A header is no log, and comes again where the answer broke off before the first.
        let is_headed = self.format == Format::Csv && target.mark().after.is_none() && waiting.starts_with(b"id,");
        let begin = if is_headed && !target.is_empty() { ends[0] } else { 0 };
        target.write(&waiting[begin..end], logs as u64 - u64::from(is_headed), last)?;
        waiting.drain(..end);
        Ok(())
    }
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// Where each record of a text ends that is there whole.
    fn ends(self, text: &[u8]) -> Vec<usize> {
        let mut is_quoted = false;
        let mut ends = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            match byte {
                // A quote within a quoted field is written twice, so it changes nothing.
                b'"' if self == Self::Csv => is_quoted = !is_quoted,
                b'\n' if !is_quoted => ends.push(at + 1),
                _ => {}
            }
        }
        ends
    }

    /// The id of a record: both formats begin with it.
    fn id(self, record: &[u8]) -> Option<String> {
        let text = match self {
            Self::Ndjson => record.strip_prefix(br#"{"id":""#)?,
            Self::Csv => record,
        };
        let id = std::str::from_utf8(text.get(..36)?).ok()?;
        shared::ids::LogId::parse(id).ok().map(|id| id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_in_both_formats() {
        let id = "0199cd9c-4d20-7000-8000-000000000003";
        assert_eq!(Format::Ndjson.ends(b"{\"id\":1}\n{\"id\":2}\n{"), [9, 18]);
        let csv = format!("{id},\"a \"\"b\"\"\r\nc\"\r\n{id},d\r\n{id},\"e\n");
        assert_eq!(Format::Csv.ends(csv.as_bytes()), [51, 91]);
        assert_eq!(Format::Csv.id(csv.as_bytes()).as_deref(), Some(id));
        assert_eq!(Format::Ndjson.id(format!("{{\"id\":\"{id}\",").as_bytes()).as_deref(), Some(id));
        assert_eq!(Format::Csv.id(b"id,timestamp\r\n"), None);
    }
}
