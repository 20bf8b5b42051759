//! Saved searches: what they hold, checked as a search would check it, so that one that is saved can be run.

use serde::Serialize;
use serde_json::Value;
use shared::error::{Error, Result};
use shared::query::Query;
use shared::range::Range;
use shared::record::Level;
use shared::tenants::{SavedSearch, SearchFields};
use shared::timestamp;
use time::OffsetDateTime;

use crate::fields::{self, Fields, Wrong, text};

/// Most services, and most levels.
const MAX_VALUES: usize = 100;
/// Longest time or service, in characters.
const MAX_CHARS: usize = 200;

/// A search to be saved: parameters of `GET /v1/search`, by a name.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct NewSavedSearch {
    /// Its name, for people: one of each in a tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What to look for.
    q: String,
    /// First moment: RFC 3339, or relative, such as `now-15m`, which stays relative.
    from: Option<String>,
    /// Last moment, as `from`.
    to: Option<String>,
    /// Only these services.
    service: Option<Vec<String>>,
    /// Only these levels.
    level: Option<Vec<String>>,
    /// `newest` (the default), `oldest` or `relevance`.
    sort: Option<String>,
}

/// What to change of a saved search: at least one of these. `null` or an empty text takes `from` or `to` away.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct SavedSearchChange {
    /// Its name, for people: one of each in a tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What to look for.
    q: Option<String>,
    /// First moment: RFC 3339, or relative, such as `now-15m`, which stays relative.
    from: Option<String>,
    /// Last moment, as `from`.
    to: Option<String>,
    /// Only these services.
    service: Option<Vec<String>>,
    /// Only these levels.
    level: Option<Vec<String>>,
    /// `newest`, `oldest` or `relevance`.
    sort: Option<String>,
}

/// All saved searches of a tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SavedSearches {
    /// By name.
    pub(crate) saved_searches: Vec<SavedSearch>,
}

/// What was sent of a search: what is `None` was not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    name: Option<String>,
    q: Option<String>,
    from: Option<String>,
    to: Option<String>,
    services: Option<Vec<String>>,
    levels: Option<Vec<String>>,
    sort: Option<String>,
}

/// A search to be saved.
///
/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn new(mut fields: Fields) -> Result<SearchFields> {
    let (name, q) = (fields.required("name", text(fields::name)), fields.required("q", text(query)));
    let rest = Sent::read(&mut fields);
    let sent = fields.done(name.zip(q).map(|(name, q)| Sent { name: Some(name), q: Some(q), ..rest }))?;
    let nothing = SearchFields { name: String::new(), q: String::new(), from: None, to: None, services: Vec::new(), levels: Vec::new(), sort: "newest".to_owned() };
    sent.over(nothing)
}

/// What to change of a saved search.
///
/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn change(mut fields: Fields) -> Result<Sent> {
    let (name, q) = (fields.optional("name", text(fields::name)), fields.optional("q", text(query)));
    let rest = Sent::read(&mut fields);
    let sent = fields.done(Some(Sent { name, q, ..rest }))?;
    if sent == Sent::default() {
        return Err(Error::Invalid { code: "nothing_to_change", detail: "give at least one field".to_owned(), faults: Vec::new() });
    }
    Ok(sent)
}

impl Sent {
    /// The fields that need not be sent.
    fn read(fields: &mut Fields) -> Self {
        Self {
            from: fields.emptied("from", short),
            to: fields.emptied("to", short),
            services: fields.optional("service", texts(short)),
            levels: fields.optional("level", texts(level)),
            sort: fields.optional("sort", text(sort)),
            ..Self::default()
        }
    }

    /// What was sent in the place of what was there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a range that is none.
    pub(crate) fn over(self, old: SearchFields) -> Result<SearchFields> {
        let filled = |sent: Option<String>, old| sent.map_or(old, |text| Some(text).filter(|text| !text.is_empty()));
        let fields = SearchFields {
            name: self.name.unwrap_or(old.name),
            q: self.q.unwrap_or(old.q),
            from: filled(self.from, old.from),
            to: filled(self.to, old.to),
            services: self.services.unwrap_or(old.services),
            levels: self.levels.unwrap_or(old.levels),
            sort: self.sort.unwrap_or(old.sort),
        };
        Range::parse(fields.from.as_deref(), fields.to.as_deref(), now())?;
        Ok(fields)
    }
}

fn now() -> i64 {
    timestamp::from_datetime(OffsetDateTime::now_utc())
}

fn query(sent: &str) -> Result<String, Wrong> {
    Query::parse(sent, now()).map(|_| sent.replace('\0', "\u{fffd}")).map_err(Wrong::query)
}

fn short(sent: &str) -> Result<String, String> {
    if sent.chars().count() > MAX_CHARS { Err(format!("must have at most {MAX_CHARS} characters")) } else { Ok(sent.replace('\0', "\u{fffd}")) }
}

fn level(sent: &str) -> Result<String, String> {
    Level::parse(sent).map(|level| level.as_str().to_owned()).ok_or_else(|| "must be levels, such as `WARN`".to_owned())
}

fn sort(sent: &str) -> Result<String, String> {
    if ["newest", "oldest", "relevance"].contains(&sent) { Ok(sent.to_owned()) } else { Err("must be `newest`, `oldest` or `relevance`".to_owned()) }
}

/// A list of texts, each read further.
fn texts(read: fn(&str) -> Result<String, String>) -> impl FnOnce(&Value) -> Result<Vec<String>, String> {
    move |value| {
        let all = value.as_array().filter(|all| all.len() <= MAX_VALUES).ok_or_else(|| format!("must be a list of at most {MAX_VALUES} strings"))?;
        all.iter().map(|one| read(one.as_str().ok_or("must be a list of strings")?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    #[test]
    fn what_is_saved_can_be_run() {
        let saved = new(fields(r#"{"name":" Slow ","q":"slow level>=warn","from":"now-1h","level":["warning"],"service":["a","b"]}"#)).expect("well-formed");
        assert_eq!((saved.name.as_str(), saved.from.as_deref(), saved.levels.as_slice(), saved.sort.as_str()), ("Slow", Some("now-1h"), &["WARN".to_owned()][..], "newest"));
        for bad in [
            r#"{"name":"n"}"#,
            r#"{"name":"n","q":"a AND"}"#,
            r#"{"name":"n","q":"a","from":"soon"}"#,
            r#"{"name":"n","q":"a","from":"now","to":"now-1h"}"#,
            r#"{"name":"n","q":"a","level":["loud"]}"#,
            r#"{"name":"n","q":"a","sort":"best"}"#,
            r#"{"name":"n","q":"a","service":"b"}"#,
            r#"{"name":"n","q":"a","more":1}"#,
        ] {
            assert!(matches!(new(fields(bad)), Err(Error::Invalid { .. })), "{bad}");
        }
    }

    #[test]
    fn a_faulty_query_is_told_with_its_place() {
        let Err(Error::Invalid { faults, .. }) = new(fields(r#"{"name":"n","q":"a AND"}"#)) else { panic!("it was taken") };
        assert_eq!((faults[0].code.as_str(), faults[0].place.as_ref().map(|place| place.offset)), ("invalid_query", Some(5)));
    }

    #[test]
    fn a_change_leaves_the_rest_and_an_empty_time_is_none() {
        let old = new(fields(r#"{"name":"n","q":"a","from":"now-1h","service":["x"]}"#)).expect("well-formed");
        for nothing in ["\"\"", "null"] {
            let changed = change(fields(&format!(r#"{{"q":"b","from":{nothing}}}"#))).and_then(|sent| sent.over(old.clone())).expect("well-formed");
            assert_eq!(changed, SearchFields { q: "b".to_owned(), from: None, ..old.clone() });
        }
        assert!(change(fields(r#"{"to":"now-2h"}"#)).and_then(|sent| sent.over(old)).is_err(), "it ends before it begins");
        assert!(change(fields("{}")).is_err());
    }
}
