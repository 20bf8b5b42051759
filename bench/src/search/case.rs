//! The cases: what is asked of ours, and how the engine is asked the same. Each question is another one, picked by the seed, so that
//! nobody is helped by remembering answers.

use anyhow::Context;
use rand::rngs::StdRng;
use serde_json::Value;
use shared::ids::LogId;
use shared::index::{Index, TextSearch};
use shared::query::{Bars, CountBy, FacetField, Order, Query, Scope};
use shared::range::Range;
use shared::record::Level;
use shared::rows::Position;
use shared::timestamp::{self, UnixMs};
use sqlx::Row as _;

use super::Hub;
use super::corpus::{Corpus, DAY_MS, RARE_LEVEL, RARE_SERVICE, SPAN_MS};
use super::engines::{Engines, Straight, now_ms};
use super::vocabulary::Vocabulary;

/// Logs of a page, lines on a side of a context and values of a facet: what ours takes where nothing is sent.
const LIMIT: usize = 50;
const LINES: usize = 10;
const VALUES: usize = 10;
/// Pages before the deep one.
const PAGES: usize = 19;
/// Width of the bars over the whole span: sixty, and one where they do not begin with it.
const BAR: (&str, i64) = ("12h", DAY_MS / 2);
/// Days of the span that lie after the moments which are picked: pages, contexts and rare logs have enough before them.
const LATER_DAYS: i64 = 10;
/// Fields without the costly ones.
const PLAIN_FIELDS: &str = "id,timestamp,service,level,message";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    RareWord,
    FrequentWords,
    Phrase,
    Piece,
    ErrorsOfADay,
    FrequentWordsPlain,
    PiecePlain,
    Newest,
    Before,
    DeepPage,
    RareRows,
    BarsOfRows,
    BarsOfRowsByLevel,
    BarsOfHits,
    FacetsOfRows,
    FacetsOfHits,
    Around,
    Detail,
    DetailFromRaw,
}

/// A bound on ours, beside the engine's time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    Search,
    List,
    RareRows,
}

/// One request, as both sides are asked it.
#[derive(Debug)]
pub(crate) struct Question {
    pub(super) path: String,
    pub(super) params: Vec<(&'static str, String)>,
    pub(super) straight: Straight,
}

impl Case {
    pub(super) const ALL: [Self; 19] = [
        Self::RareWord,
        Self::FrequentWords,
        Self::Phrase,
        Self::Piece,
        Self::ErrorsOfADay,
        Self::FrequentWordsPlain,
        Self::PiecePlain,
        Self::Newest,
        Self::Before,
        Self::DeepPage,
        Self::RareRows,
        Self::BarsOfRows,
        Self::BarsOfRowsByLevel,
        Self::BarsOfHits,
        Self::FacetsOfRows,
        Self::FacetsOfHits,
        Self::Around,
        Self::Detail,
        Self::DetailFromRaw,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RareWord => "search: a rare word",
            Self::FrequentWords => "search: two frequent words",
            Self::Phrase => "search: a phrase of three words",
            Self::Piece => "search: a piece of a name or id",
            Self::ErrorsOfADay => "search: level>=error and a word, of a service, within a day",
            Self::FrequentWordsPlain => "search: two frequent words, no highlights",
            Self::PiecePlain => "search: a piece of a name or id, no highlights",
            Self::Newest => "list: the newest 50",
            Self::Before => "list: 50 before a moment",
            Self::DeepPage => "list: 50 before a moment, page 20",
            Self::RareRows => "list: 50 of a service and level of one row in 10,000",
            Self::BarsOfRows => "histogram: 30 days",
            Self::BarsOfRowsByLevel => "histogram: 30 days by level",
            Self::BarsOfHits => "histogram: 30 days by level, with a frequent word",
            Self::FacetsOfRows => "facets: 30 days",
            Self::FacetsOfHits => "facets: 30 days, with a frequent word",
            Self::Around => "context: 10 before, 10 after",
            Self::Detail => "detail",
            Self::DetailFromRaw => "detail from raw",
        }
    }

    pub(super) fn engine(self) -> &'static str {
        match self {
            Self::Newest | Self::Before | Self::DeepPage | Self::RareRows | Self::BarsOfRows | Self::BarsOfRowsByLevel | Self::FacetsOfRows | Self::Around => "Postgres",
            Self::DetailFromRaw => "object store",
            _ => "OpenSearch",
        }
    }

    pub(super) fn goal(self) -> Option<Goal> {
        match self {
            Self::RareWord | Self::FrequentWords | Self::Phrase | Self::Piece | Self::ErrorsOfADay | Self::FrequentWordsPlain | Self::PiecePlain => Some(Goal::Search),
            Self::Newest | Self::Before | Self::DeepPage => Some(Goal::List),
            Self::RareRows => Some(Goal::RareRows),
            _ => None,
        }
    }
}

impl Goal {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Search => "<= 1.25x + 2 ms / <= 1.5x + 5 ms",
            Self::List => "<= 1.25x + 1 ms",
            Self::RareRows => "<= 50 ms",
        }
    }

    /// Of p50 and p99 in milliseconds.
    pub(super) fn is_met(self, ours: [f64; 2], engine: [f64; 2]) -> bool {
        match self {
            Self::Search => ours[0] <= 1.25 * engine[0] + 2.0 && ours[1] <= 1.5 * engine[1] + 5.0,
            Self::List => ours[0] <= 1.25 * engine[0] + 1.0,
            Self::RareRows => ours[0] <= 50.0,
        }
    }
}

/// What is needed to make up questions.
pub(super) struct Asker<'a> {
    pub(super) corpus: &'a Corpus<'a>,
    pub(super) hub: &'a Hub,
    pub(super) engines: &'a mut Engines,
}

impl Asker<'_> {
    pub(super) async fn question(&mut self, case: Case, rng: &mut StdRng) -> anyhow::Result<Question> {
        let words = &self.corpus.words;
        match case {
            Case::RareWord => self.search(words.rare(rng), true),
            Case::FrequentWords | Case::FrequentWordsPlain => {
                let (one, other) = words.two_frequent(rng);
                self.search(format!("{one} {other}"), case == Case::FrequentWords)
            }
            Case::Phrase => self.search(format!("\"{}\"", words.phrase(rng)), true),
            Case::Piece | Case::PiecePlain => self.search(words.piece(rng), case == Case::Piece),
            Case::ErrorsOfADay => self.errors_of_a_day(rng),
            Case::Newest => list(vec![], everything()?, None),
            Case::Before => {
                let to = self.corpus.moment(rng, LATER_DAYS);
                list(vec![("to", timestamp::format(to))], Scope { range: Range { from: None, to: Some(to) }, ..everything()? }, None)
            }
            Case::DeepPage => self.deep_page(rng).await,
            Case::RareRows => {
                let to = self.corpus.moment(rng, LATER_DAYS);
                let scope = Scope { range: Range { from: None, to: Some(to) }, services: vec![RARE_SERVICE.to_owned()], levels: vec![Level::Fatal], ..everything()? };
                list(vec![("to", timestamp::format(to)), ("service", RARE_SERVICE.to_owned()), ("level", RARE_LEVEL.to_owned())], scope, None)
            }
            Case::BarsOfRows => self.bars(self.corpus.moment(rng, 1), None, None),
            Case::BarsOfRowsByLevel => self.bars(self.corpus.moment(rng, 1), Some(CountBy::Level), None),
            Case::BarsOfHits => self.bars(self.corpus.moment(rng, 1), Some(CountBy::Level), Some(words.frequent(rng))),
            Case::FacetsOfRows => self.facets(self.corpus.moment(rng, 1), None),
            Case::FacetsOfHits => self.facets(self.corpus.moment(rng, 1), Some(words.frequent(rng))),
            Case::Around => {
                let id = self.some_log(rng).await?;
                Ok(Question { path: format!("/v1/logs/{id}/context"), params: vec![], straight: Straight::Around { id, scope: everything()?, lines: LINES } })
            }
            Case::Detail => {
                let id = self.some_log(rng).await?;
                // Its index is that of the day on which it was received.
                let day = timestamp::format(i64::try_from(id.unix_ms())?)[..10].replace('-', ".");
                let straight = Straight::Index(format!("-*-{day}"), Index::document_body(&self.engines.tenant, id));
                Ok(Question { path: format!("/v1/logs/{id}"), params: vec![], straight })
            }
            Case::DetailFromRaw => {
                let id = self.some_log(rng).await?;
                let row = self.engines.row(id).await?;
                let (offset, length): (i32, i32) = (row.get("raw_offset"), row.get("raw_length"));
                let straight = Straight::Range(row.get("path"), u64::try_from(offset)?, u64::try_from(length)?);
                Ok(Question { path: format!("/v1/logs/{id}"), params: vec![("source", "raw".to_owned())], straight })
            }
        }
    }

    fn search(&self, q: String, highlights: bool) -> anyhow::Result<Question> {
        let scope = Scope { query: Some(query(&q)?), ..everything()? };
        Ok(self.search_in(&scope, vec![("q", q)], highlights))
    }

    fn search_in(&self, scope: &Scope, mut params: Vec<(&'static str, String)>, highlights: bool) -> Question {
        if !highlights {
            params.push(("fields", PLAIN_FIELDS.to_owned()));
        }
        let search = TextSearch { scope, order: Order::Newest, after: None, limit: LIMIT + 1, highlights };
        Question { path: "/v1/search".to_owned(), params, straight: Straight::Index("-*".to_owned(), search.body(&self.engines.tenant)) }
    }

    fn errors_of_a_day(&self, rng: &mut StdRng) -> anyhow::Result<Question> {
        let (at, service, word) = loop {
            let (at, service, text) = self.corpus.error(rng);
            if let Some(word) = Vocabulary::word_of(text, rng) {
                break (at, service, word);
            }
        };
        let q = format!("level>=error {word}");
        let range = Range { from: Some(at - DAY_MS / 2), to: Some(at + DAY_MS / 2) };
        let scope = Scope { range, services: vec![service.to_owned()], query: Some(query(&q)?), ..everything()? };
        let mut params = vec![("q", q), ("service", service.to_owned())];
        params.extend(times(range));
        Ok(self.search_in(&scope, params, true))
    }

    async fn deep_page(&mut self, rng: &mut StdRng) -> anyhow::Result<Question> {
        let to = self.corpus.moment(rng, LATER_DAYS);
        let mut params = vec![("to", timestamp::format(to))];
        // The pages before it, taken at once.
        params.push(("limit", (PAGES * LIMIT).to_string()));
        let (before, _) = self.hub.ask("/v1/logs", &params).await?;
        params.pop();
        let cursor = before["next_cursor"].as_str().context("there are no so many pages")?;
        params.push(("cursor", cursor.to_owned()));
        let last = before["logs"].as_array().and_then(|logs| logs.last()).context("no logs")?;
        let text = |name: &str| last[name].as_str().unwrap_or_default();
        let after = Position { timestamp: timestamp::parse(text("timestamp"))?, id: LogId::parse(text("id"))?.uuid() };
        list(params, Scope { range: Range { from: None, to: Some(to) }, ..everything()? }, Some(after))
    }

    fn bars(&self, to: UnixMs, by: Option<CountBy>, q: Option<String>) -> anyhow::Result<Question> {
        let bars = Bars { interval_ms: BAR.1, by };
        let (scope, mut params) = span(to, q)?;
        params.push(("interval", BAR.0.to_owned()));
        params.extend(by.map(|by| ("by", by.name().to_owned())));
        let body = scope.query.as_ref().map(|_| Index::histogram_body(&self.engines.tenant, &scope, &bars));
        Ok(Question { path: "/v1/histogram".to_owned(), params, straight: in_index(body, || Straight::Bars(scope, bars)) })
    }

    fn facets(&self, to: UnixMs, q: Option<String>) -> anyhow::Result<Question> {
        let (scope, params) = span(to, q)?;
        let fields = CountBy::ALL.map(FacetField::Record);
        let body = scope.query.as_ref().map(|_| Index::facets_body(&self.engines.tenant, &scope, &fields, VALUES));
        Ok(Question { path: "/v1/facets".to_owned(), params, straight: in_index(body, || Straight::Facets(scope, VALUES)) })
    }

    async fn some_log(&mut self, rng: &mut StdRng) -> anyhow::Result<LogId> {
        let moment = self.corpus.moment(rng, SPAN_MS / DAY_MS - 1);
        self.engines.log_before(moment).await
    }
}

fn in_index(body: Option<Value>, of_rows: impl FnOnce() -> Straight) -> Straight {
    body.map_or_else(of_rows, |body| Straight::Index("-*".to_owned(), body))
}

/// Thirty days up to a moment.
fn span(to: UnixMs, q: Option<String>) -> anyhow::Result<(Scope, Vec<(&'static str, String)>)> {
    let range = Range { from: Some(to - SPAN_MS), to: Some(to) };
    let scope = Scope { range, query: q.as_deref().map(query).transpose()?, ..everything()? };
    let mut params: Vec<_> = times(range).collect();
    params.extend(q.map(|q| ("q", q)));
    Ok((scope, params))
}

fn list(params: Vec<(&'static str, String)>, scope: Scope, after: Option<Position>) -> anyhow::Result<Question> {
    Ok(Question { path: "/v1/logs".to_owned(), params, straight: Straight::List { scope, after, limit: LIMIT } })
}

fn everything() -> anyhow::Result<Scope> {
    Ok(Scope { received_up_to: now_ms()?.unsigned_abs(), ..Scope::default() })
}

fn query(text: &str) -> anyhow::Result<Query> {
    Query::parse(text, UnixMs::MAX).map_err(|error| anyhow::anyhow!("{text}: {error}"))
}

fn times(range: Range) -> impl Iterator<Item = (&'static str, String)> {
    [("from", range.from), ("to", range.to)].into_iter().filter_map(|(name, at)| Some((name, timestamp::format(at?))))
}
