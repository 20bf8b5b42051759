//! What is sent for each parameter and field: by its name, and where a name means several things, by its route or schema.
//!
//! A parameter without a value here is a finding, so that a route is walked when it is born. What a route of a new kind needs: a [`Thing`] with its
//! line in [`IN_PATH`], how one is made ([`Thing::made_by`]), and lines in [`ELSEWHERE`] for names that are not there yet.

use super::document::{Operation, Place};

/// What a tenant has, and ids name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Tenant,
    DeletedTenant,
    Key,
    Log,
    Batch,
    SavedSearch,
    DeadLetter,
}

impl Thing {
    /// Each thing that is made by a request of its own.
    pub(super) const MADE: &[Self] = &[Self::Key, Self::SavedSearch];

    /// The route that makes one and answers its `id`. The others come with their tenant or its logs.
    pub(super) fn made_by(self) -> Option<&'static str> {
        match self {
            Self::Key => Some("POST /v1/tenants/{id}/keys"),
            Self::SavedSearch => Some("POST /v1/saved-searches"),
            Self::Tenant | Self::DeletedTenant | Self::Log | Self::Batch | Self::DeadLetter => None,
        }
    }
}

/// Which things path parameters name: a path up to the parameter, or a whole one, which goes before.
const IN_PATH: &[(&str, Thing)] = &[
    ("/v1/batches/{batch_id}", Thing::Batch),
    ("/v1/dead-letters/{id}", Thing::DeadLetter),
    ("/v1/logs/{id}", Thing::Log),
    ("/v1/saved-searches/{id}", Thing::SavedSearch),
    ("/v1/tenants/{id}", Thing::Tenant),
    ("/v1/tenants/{id}/keys/{key_id}", Thing::Key),
    ("/v1/tenants/{id}/restore", Thing::DeletedTenant),
];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// The id of what a tenant has.
    Id(Thing),
    /// A word of a tenant's, which stands in all that it has.
    Word,
    /// The service of a tenant's logs.
    Service,
    /// The `Idempotency-Key` that a tenant's logs were sent with.
    IdempotencyKey,
    /// The cursor that a tenant was answered on this route.
    Cursor,
    /// An id that no tenant has.
    NewTenant,
    /// A name that nothing has, with the tenant's word in it.
    NewName,
    /// An hour from now.
    InAnHour,
    /// This.
    Plain(&'static str),
}

impl Filling {
    /// Whether it names what a tenant has, so that another tenant's is worth a try.
    pub(super) fn is_somebodys(self) -> bool {
        matches!(self, Self::Id(_) | Self::Word | Self::Service | Self::IdempotencyKey | Self::Cursor)
    }
}

/// What stands for all routes and schemas.
const ANY: &str = "*";

/// What is sent in queries, headers and bodies: by path or name of the schema, and by name.
const ELSEWHERE: &[(&str, &str, Filling)] = &[
    ("/v1/batches/{batch_id}", "wait", Filling::Plain("stored")),
    ("/v1/export", "after", Filling::Id(Thing::Log)),
    ("/v1/facets", "fields", Filling::Plain("service,level")),
    ("/v1/tail", "cursor", Filling::Id(Thing::Log)),
    ("NewTenant", "id", Filling::NewTenant),
    (ANY, "Content-Encoding", Filling::Plain("identity")),
    (ANY, "Idempotency-Key", Filling::IdempotencyKey),
    (ANY, "Last-Event-ID", Filling::Id(Thing::Log)),
    (ANY, "action", Filling::Plain("apikey.created")),
    (ANY, "after", Filling::Plain("3")),
    (ANY, "batch_id", Filling::Id(Thing::Batch)),
    (ANY, "before", Filling::Plain("3")),
    (ANY, "by", Filling::Plain("level")),
    (ANY, "code", Filling::Plain("invalid_json")),
    (ANY, "cursor", Filling::Cursor),
    (ANY, "expires_at", Filling::InAnHour),
    (ANY, "fields", Filling::Plain("id,message")),
    (ANY, "format", Filling::Plain("ndjson")),
    (ANY, "from", Filling::Plain("now-1d")),
    (ANY, "interval", Filling::Plain("1h")),
    (ANY, "level", Filling::Plain("info")),
    (ANY, "limit", Filling::Plain("100")),
    (ANY, "name", Filling::NewName),
    (ANY, "q", Filling::Word),
    (ANY, "same", Filling::Plain("service")),
    (ANY, "scopes", Filling::Plain("logs:read")),
    (ANY, "service", Filling::Service),
    (ANY, "sort", Filling::Plain("newest")),
    (ANY, "source", Filling::Plain("raw")),
    (ANY, "stage", Filling::Plain("parse")),
    (ANY, "status", Filling::Plain("active")),
    (ANY, "tenant", Filling::Id(Thing::Tenant)),
    (ANY, "timeout", Filling::Plain("0")),
    (ANY, "to", Filling::Plain("now")),
    (ANY, "wait", Filling::Plain("0")),
];

/// Fields of a body of any shape, which is a log: what names a tenant.
pub(super) const OF_A_LOG: &[(&str, Filling)] = &[("tenant_id", Filling::Id(Thing::Tenant))];

/// Parameters that are always sent: without them an answer takes long.
const ALWAYS: &[(&str, &str)] = &[("/v1/tail", "wait")];

/// Reading routes whose answers are no state of a tenant: they change with the clock, tell of all tenants, or say again what lists say.
pub(super) const NO_STATE: &[&str] =
    &["/v1/export", "/v1/facets", "/v1/fields", "/v1/histogram", "/v1/logs/{id}/context", "/v1/search", "/v1/tail", "/v1/tenants", "/v1/watermark"];

/// Members of answers that change by themselves.
pub(super) const VOLATILE: &[&str] = &["complete", "cursor", "lag_s", "last_used_at", "next_cursor", "range", "source", "took_ms", "up_to"];

/// The thing that a path parameter names.
pub(super) fn in_path(path: &str, parameter: &str) -> Option<Thing> {
    let braced = format!("{{{parameter}}}");
    let up_to = path.find(&braced).map_or(path, |at| &path[..at + braced.len()]);
    let whole = IN_PATH.iter().find(|(known, _)| *known == path && known.matches('{').count() == 1);
    whole.or_else(|| IN_PATH.iter().find(|(known, _)| *known == up_to)).map(|(_, thing)| *thing)
}

/// What is sent for a parameter of a path, or for a field of a schema.
pub(super) fn elsewhere(of: &str, name: &str) -> Option<Filling> {
    let look = |of: &str| ELSEWHERE.iter().find(|(known, field, _)| *known == of && *field == name).map(|(.., filling)| *filling);
    look(of).or_else(|| look(ANY))
}

pub(super) fn is_always_sent(path: &str, parameter: &str) -> bool {
    ALWAYS.contains(&(path, parameter))
}

/// What is lacking here for an operation.
pub(super) fn lacking(operation: &Operation) -> Vec<String> {
    const HERE: &str = "server/src/isolation_check/values.rs";
    let mut lacking = Vec::new();
    for parameter in &operation.parameters {
        let name = &parameter.name;
        match parameter.place {
            Place::Path if in_path(&operation.path, name).is_none() => lacking.push(format!("no thing for the path parameter `{name}`: add it to IN_PATH in {HERE}")),
            Place::Query | Place::Header if elsewhere(&operation.path, name).is_none() => {
                lacking.push(format!("no value for the parameter `{name}`: add it to ELSEWHERE in {HERE}"));
            }
            _ => {}
        }
    }
    if let Some(body) = &operation.body {
        let unknown = body.fields.iter().filter(|field| elsewhere(&body.schema, &field.name).is_none());
        lacking.extend(unknown.map(|field| format!("no value for the field `{}` of {}: add it to ELSEWHERE in {HERE}", field.name, body.schema)));
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::super::document::{Body, Field, Parameter};
    use super::*;

    fn operation(path: &str, parameters: &[(&str, Place)], fields: &[&str]) -> Operation {
        let parameters = parameters.iter().map(|(name, place)| Parameter { name: (*name).to_owned(), place: *place, required: true }).collect();
        let fields: Vec<_> = fields.iter().map(|name| Field { name: (*name).to_owned(), required: true, is_list: false }).collect();
        let body = (!fields.is_empty()).then(|| Body { schema: "NewThing".to_owned(), fields });
        Operation { method: reqwest::Method::POST, path: path.to_owned(), parameters, body, ways: Ok(Vec::new()) }
    }

    #[test]
    fn a_parameter_of_the_path_is_known_by_what_comes_before_it() {
        assert_eq!(in_path("/v1/tenants/{id}/keys/{key_id}", "id"), Some(Thing::Tenant));
        assert_eq!(in_path("/v1/tenants/{id}/keys/{key_id}", "key_id"), Some(Thing::Key));
        assert_eq!(in_path("/v1/tenants/{id}/restore", "id"), Some(Thing::DeletedTenant));
        assert_eq!(in_path("/v1/logs/{id}/context", "id"), Some(Thing::Log));
        assert_eq!(in_path("/v1/things/{id}", "id"), None);
    }

    #[test]
    fn a_new_route_whose_values_are_not_known_is_told_where_to_add_them() {
        let new = operation("/v1/things/{id}", &[("id", Place::Path), ("colour", Place::Query), ("X-Colour", Place::Header), ("limit", Place::Query)], &["shape", "name"]);
        let told = lacking(&new);
        assert_eq!(told.len(), 4, "{told:?}");
        for (told, name) in told.iter().zip(["`id`", "`colour`", "`X-Colour`", "`shape` of NewThing"]) {
            assert!(told.contains(name) && told.contains("values.rs"), "{told}");
        }
    }

    #[test]
    fn every_route_of_the_hub_has_its_values() {
        let document = serde_json::from_str(&crate::documents::openapi().expect("a document")).expect("JSON");
        for operation in super::super::document::operations(&document).expect("it is understood") {
            assert_eq!(lacking(&operation), Vec::<String>::new(), "{}", operation.name());
        }
    }
}
