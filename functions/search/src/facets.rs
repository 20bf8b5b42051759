//! Which values the fields of some logs have, and how often; and which fields there are.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use shared::error::{Engine, Error, Result, chain};
use shared::ids::TenantId;
use shared::index::Index;
use shared::query::{CountBy, Facet, FacetField, Scope};
use shared::range::Range;
use shared::retention::Horizon;
use shared::rows::Rows;
use shared::timestamp::UnixMs;
use utoipa::IntoParams;

use crate::honesty::Honesty;
use crate::page::Source;
use crate::params::{levels, number, optional_query, services};

/// Values of each field where nothing is sent, and the most.
const DEFAULT_VALUES: usize = 10;
const MAX_VALUES: usize = 100;
/// Most fields at once: each is a count of its own over all that matches.
const MAX_FIELDS: usize = 10;
/// Longest path of an attribute. OpenSearch takes expressions of at most 1,000 characters (`index.max_regex_length`), and a backslash may stand before each.
const MAX_PATH_CHARS: usize = 256;

/// Parameters of facets.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct FacetParams {
    /// Fields with commas between them: `level`, `service`, `language`, `attributes.any.path`. The first three if not sent.
    #[param(value_type = Option<String>, example = "service,attributes.http.status")]
    fields: Option<String>,
    /// Which logs, in the language of `GET /v1/search`; without it all logs.
    #[param(value_type = Option<String>, example = "level>=warn")]
    q: Option<String>,
    /// First moment, included: RFC 3339, `now`, or relative, such as `now-15m`.
    #[param(example = "now-15m")]
    from: Option<String>,
    /// Last moment, not included: as `from`.
    #[param(example = "now")]
    to: Option<String>,
    /// Only this service. Can be repeated: any of them.
    service: Vec<String>,
    /// Only this level. Can be repeated: any of them.
    level: Vec<String>,
    /// Most values of each field.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 10)]
    #[serde(deserialize_with = "shared::http::valued")]
    limit: Option<String>,
}

/// A value and how often it occurs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ValueCount {
    /// The value.
    value: String,
    /// Logs that have it.
    count: u64,
}

/// The values of one field.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldCounts {
    /// The field.
    field: String,
    /// Its values, the most frequent first.
    values: Vec<ValueCount>,
    /// Logs with other values, counted once for each.
    other: u64,
}

/// The values of some fields.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Facets {
    /// By field, in the order that was asked for.
    facets: Vec<FieldCounts>,
    /// Logs that were looked at.
    total: u64,
    /// The range that was used; null where it is open.
    range: Range,
    /// What the answer is worth.
    #[serde(flatten)]
    honesty: Honesty,
}

/// Facets, as they were asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    scope: Scope,
    fields: Vec<FacetField>,
    limit: usize,
}

impl Asked {
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub(crate) fn read(params: FacetParams, now_ms: u64, horizon: Horizon) -> Result<Self> {
        let now = UnixMs::try_from(now_ms).unwrap_or(UnixMs::MAX);
        let range = Range::parse(params.from.as_deref(), params.to.as_deref(), now)?;
        let query = optional_query(params.q.as_deref(), now)?;
        let mut fields: Vec<FacetField> = match params.fields.as_deref() {
            None => CountBy::ALL.map(FacetField::Record).to_vec(),
            Some(names) => names.split(',').map(|name| field(name.trim())).collect::<Result<_>>()?,
        };
        // Each once, where it was named first.
        let mut seen = Vec::with_capacity(fields.len());
        fields.retain(|field| {
            let is_new = !seen.contains(field);
            seen.extend(is_new.then(|| field.clone()));
            is_new
        });
        if fields.len() > MAX_FIELDS {
            return Err(Error::invalid("fields", format!("at most {MAX_FIELDS} at once")));
        }
        let limit = number("limit", params.limit.as_deref(), DEFAULT_VALUES, 1..=MAX_VALUES)?;
        let scope = Scope { range, services: services(params.service), levels: levels(&params.level)?, query, received_up_to: now_ms, horizon };
        Ok(Self { scope, fields, limit })
    }

    /// The fields, if the rows have all of them and nothing is searched for.
    fn of_rows(&self) -> Option<Vec<CountBy>> {
        let fields = self.fields.iter().map(|field| if let FacetField::Record(field) = field { Some(*field) } else { None });
        fields.collect::<Option<_>>().filter(|_| self.scope.query.is_none())
    }

    fn answer(&self, found: Vec<Facet>, total: u64, honesty: Honesty) -> Facets {
        let counts = |(field, facet): (&FacetField, Facet)| FieldCounts {
            field: name(field),
            values: facet.values.into_iter().map(|(value, count)| ValueCount { value, count }).collect(),
            other: facet.other,
        };
        Facets { facets: self.fields.iter().zip(found).map(counts).collect(), total, range: self.scope.range, honesty }
    }
}

fn field(text: &str) -> Result<FacetField> {
    let record = CountBy::parse(text).map(FacetField::Record);
    let attribute = || text.strip_prefix("attributes.").filter(|path| !path.is_empty()).map(|path| FacetField::Attribute(path.to_owned()));
    let field = record.or_else(attribute).ok_or_else(|| Error::invalid("fields", "each is level, service, language or attributes.any.path"))?;
    if matches!(&field, FacetField::Attribute(path) if path.chars().count() > MAX_PATH_CHARS) {
        return Err(Error::invalid("fields", format!("an attribute's path of more than {MAX_PATH_CHARS} characters cannot be counted")));
    }
    Ok(field)
}

fn name(field: &FacetField) -> String {
    match field {
        FacetField::Record(field) => field.name().to_owned(),
        FacetField::Attribute(path) => format!("attributes.{path}"),
    }
}

/// # Errors
/// [`Error::Unavailable`] where no store that may answer does.
pub(crate) async fn facets(rows: &Rows, index: &Index, tenant: &TenantId, asked: &Asked, now_ms: u64) -> Result<Facets> {
    let began = Instant::now();
    if let Some(fields) = asked.of_rows() {
        match rows.facets(tenant, &asked.scope, &fields, asked.limit).await {
            Ok((found, total)) => return Ok(asked.answer(found, total, Honesty::new(Source::Postgres, true, None, began).since(asked.scope.horizon.rows))),
            Err(error @ Error::Unavailable { engine: Engine::Rows, .. }) => tracing::warn!(cause = chain(&error), "the rows do not answer: counting in the index"),
            Err(error) => return Err(error),
        }
    }
    // In the place of the rows, and asked for more than the index keeps.
    let is_short = asked.of_rows().is_some() && asked.scope.horizon.index > asked.scope.horizon.rows;
    let pending = rows.oldest_pending(tenant).await.ok();
    let (found, total, complete) = index.facets(tenant, &asked.scope, &asked.fields, asked.limit).await?;
    Ok(asked.answer(found, total, Honesty::of_index(pending, complete && !is_short, now_ms, began).since(asked.scope.horizon.index)))
}

/// A field that logs have.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldSeen {
    /// Its name in queries.
    name: String,
    /// `text`, `keyword`, `number`, `time` or `level`: how it is compared.
    kind: &'static str,
    /// Of an attribute: logs that have it, of those that were looked at.
    logs: Option<u64>,
}

/// The fields that a tenant's logs have.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldsSeen {
    /// Those of every record, then the attributes that were seen, by name.
    fields: Vec<FieldSeen>,
    /// Logs with attributes that were looked at: the latest ones.
    looked_at: u64,
    /// What the answer is worth.
    #[serde(flatten)]
    honesty: Honesty,
}

/// # Errors
/// [`Error::Unavailable`] where the index does not answer.
pub(crate) async fn fields(rows: &Rows, index: &Index, tenant: &TenantId, horizon: Horizon, now_ms: u64) -> Result<FieldsSeen> {
    const OF_A_RECORD: [(&str, &str); 11] = [
        ("id", "keyword"),
        ("batch_id", "keyword"),
        ("service", "keyword"),
        ("level", "level"),
        ("language", "keyword"),
        ("timestamp", "time"),
        ("received_at", "time"),
        ("message", "text"),
        ("full_log", "text"),
        ("trace_id", "keyword"),
        ("span_id", "keyword"),
    ];
    let began = Instant::now();
    let pending = rows.oldest_pending(tenant).await.ok();
    let (seen, looked_at) = index.attribute_paths(tenant, horizon.index).await?;
    let of_a_record = OF_A_RECORD.into_iter().map(|(name, kind)| FieldSeen { name: name.to_owned(), kind, logs: None });
    let attribute = |(path, seen): (String, shared::index::SeenPath)| FieldSeen {
        name: format!("attributes.{path}"),
        kind: if seen.is_number { "number" } else { "keyword" },
        logs: Some(seen.logs),
    };
    let fields = of_a_record.chain(seen.into_iter().map(attribute)).collect();
    Ok(FieldsSeen { fields, looked_at, honesty: Honesty::of_index(pending, true, now_ms, began).since(horizon.index) })
}
