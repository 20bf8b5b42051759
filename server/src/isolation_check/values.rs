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
    Webhook,
    Delivery,
    Invitation,
    Member,
    Session,
    Plan,
    Invoice,
    InvoiceLine,
}

impl Thing {
    /// Each thing that is made by a request of its own.
    pub(super) const MADE: &[Self] = &[Self::Key, Self::SavedSearch, Self::Webhook, Self::Invitation];
    /// Each thing that no request makes: it takes the queue, or the control database.
    pub(super) const MADE_BEHIND: &[Self] = &[Self::DeadLetter, Self::Invoice, Self::InvoiceLine];

    /// The route that makes one and answers its `id`. The others come with their tenant or its logs.
    pub(super) fn made_by(self) -> Option<&'static str> {
        match self {
            Self::Key => Some("POST /v1/tenants/{id}/keys"),
            Self::SavedSearch => Some("POST /v1/saved-searches"),
            Self::Webhook => Some("POST /v1/tenants/{id}/webhooks"),
            Self::Invitation => Some("POST /v1/tenants/{id}/invitations"),
            _ => None,
        }
    }

    /// Whether one is made for each request that changes one, and not only for those that take one away: a tenant can have 20 webhooks.
    pub(super) fn is_made_for_changes(self) -> bool {
        self != Self::Webhook && self.made_by().is_some()
    }
}

/// Which things path parameters name: a path up to the parameter, or a whole one, which goes before.
const IN_PATH: &[(&str, Thing)] = &[
    ("/v1/batches/{batch_id}", Thing::Batch),
    ("/v1/dead-letters/{id}", Thing::DeadLetter),
    ("/v1/invoices/{id}", Thing::Invoice),
    ("/v1/invoices/{id}/lines/{line}", Thing::InvoiceLine),
    ("/v1/logs/{id}", Thing::Log),
    ("/v1/me/sessions/{session_id}", Thing::Session),
    ("/v1/plans/{id}", Thing::Plan),
    ("/v1/saved-searches/{id}", Thing::SavedSearch),
    ("/v1/tenants/{id}", Thing::Tenant),
    ("/v1/tenants/{id}/keys/{key_id}", Thing::Key),
    ("/v1/tenants/{id}/invitations/{invitation_id}", Thing::Invitation),
    ("/v1/tenants/{id}/members/{user_id}", Thing::Member),
    ("/v1/tenants/{id}/restore", Thing::DeletedTenant),
    ("/v1/tenants/{id}/webhooks/{webhook_id}", Thing::Webhook),
    ("/v1/tenants/{id}/webhooks/{webhook_id}/deliveries/{delivery_id}", Thing::Delivery),
    ("/v1/users/{user_id}", Thing::Member),
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
    /// An id that no plan has.
    NewPlan,
    /// An id that nothing has.
    NewId,
    /// An address of mail that nobody has.
    NewEmail,
    /// The address of somebody of a tenant, who can log in.
    Email,
    /// Their password.
    Password,
    /// What somebody was mailed who is invited to a tenant.
    InvitationToken,
    /// What somebody of a tenant was mailed whose password is forgotten.
    ResetToken,
    /// The moment at which a tenant's logs were sent.
    SentAt,
    /// A month some time ahead, for which nothing was planned.
    MonthAhead,
    /// This.
    Plain(&'static str),
    /// This JSON, in a body.
    Json(&'static str),
}

impl Filling {
    /// Whether it names what a tenant has, so that another tenant's is worth a try.
    pub(super) fn is_somebodys(self) -> bool {
        matches!(self, Self::Id(_) | Self::Word | Self::Service | Self::IdempotencyKey | Self::Cursor | Self::Email)
    }

    /// The same in a body: words would be kept with what is made, and its maker may read them again.
    pub(super) fn is_somebodys_in_a_body(self) -> bool {
        matches!(self, Self::Id(_) | Self::Email)
    }
}

/// What stands for all routes and schemas.
const ANY: &str = "*";

/// What is sent in queries, headers and bodies: by path or name of the schema, and by name.
const ELSEWHERE: &[(&str, &str, Filling)] = &[
    ("/v1/batches/{batch_id}", "wait", Filling::Plain("stored")),
    ("/v1/export", "after", Filling::Id(Thing::Log)),
    ("/v1/facets", "fields", Filling::Plain("service,level")),
    ("/v1/invoices", "status", Filling::Plain("draft")),
    ("/v1/invoices/{id}", "format", Filling::Plain("csv")),
    ("/v1/tail", "cursor", Filling::Id(Thing::Log)),
    ("/v1/usage", "by", Filling::Plain("service")),
    ("/v1/usage", "interval", Filling::Plain("hour")),
    ("Acceptance", "token", Filling::InvitationToken),
    ("CreditRequest", "id", Filling::NewId),
    ("InvitationRequest", "email", Filling::NewEmail),
    ("KeyChangeRequest", "limits", Filling::Json(r#"{"logs_per_second":1000000}"#)),
    ("KeyRequest", "limits", Filling::Json(r#"{"logs_per_second":1000000}"#)),
    ("NewTenant", "id", Filling::NewTenant),
    ("PasswordReset", "token", Filling::ResetToken),
    ("PlanChange", "from", Filling::MonthAhead),
    ("PlanChange", "limits", Filling::Json("{}")),
    ("PlanRequest", "from", Filling::MonthAhead),
    ("PlanRequest", "id", Filling::NewPlan),
    ("PlanRequest", "limits", Filling::Json("{}")),
    ("TenantLimits", "services", Filling::Json("{}")),
    ("TenantPlanRequest", "from", Filling::MonthAhead),
    (ANY, "Content-Encoding", Filling::Plain("identity")),
    (ANY, "Idempotency-Key", Filling::IdempotencyKey),
    (ANY, "Last-Event-ID", Filling::Id(Thing::Log)),
    (ANY, "action", Filling::Plain("apikey.created")),
    (ANY, "after", Filling::Plain("3")),
    (ANY, "amount", Filling::Plain("1.00")),
    (ANY, "base_price", Filling::Plain("1.00")),
    (ANY, "batch_id", Filling::Id(Thing::Batch)),
    (ANY, "before", Filling::Plain("3")),
    (ANY, "by", Filling::Plain("level")),
    (ANY, "code", Filling::Plain("invalid_json")),
    (ANY, "currency", Filling::Plain(CURRENCY)),
    (ANY, "current_password", Filling::Password),
    (ANY, "cursor", Filling::Cursor),
    (ANY, "description", Filling::NewName),
    (ANY, "disabled", Filling::Json("false")),
    (ANY, "email", Filling::Email),
    (ANY, "enabled", Filling::Json("true")),
    (ANY, "event_types", Filling::Plain(EVENT_TYPE)),
    (ANY, "expires_at", Filling::InAnHour),
    (ANY, "fields", Filling::Plain("id,message")),
    (ANY, "format", Filling::Plain("ndjson")),
    (ANY, "from", Filling::Plain("now-1d")),
    (ANY, "hour", Filling::SentAt),
    (ANY, "interval", Filling::Plain("1h")),
    (ANY, "index_days", Filling::Json("3000")),
    (ANY, "key_id", Filling::Id(Thing::Key)),
    (ANY, "legal_hold", Filling::Json("false")),
    (ANY, "level", Filling::Plain("info")),
    (ANY, "limit", Filling::Plain("100")),
    (ANY, "meters", Filling::Json("[]")),
    (ANY, "name", Filling::NewName),
    (ANY, "networks", Filling::Plain("127.0.0.0/8")),
    (ANY, "new_password", Filling::Password),
    (ANY, "origins", Filling::Plain("https://isolation.invalid")),
    (ANY, "overlap_seconds", Filling::Json("60")),
    (ANY, "password", Filling::Password),
    (ANY, "payment", Filling::NewName),
    (ANY, "plan", Filling::Id(Thing::Plan)),
    (ANY, "quota", Filling::Json("null")),
    (ANY, "rate", Filling::Json("{}")),
    (ANY, "raw_days", Filling::Json("3000")),
    (ANY, "reason", Filling::NewName),
    (ANY, "role", Filling::Plain("viewer")),
    (ANY, "q", Filling::Word),
    (ANY, "rows_days", Filling::Json("3000")),
    (ANY, "same", Filling::Plain("service")),
    (ANY, "scopes", Filling::Plain("logs:read")),
    (ANY, "service", Filling::Service),
    (ANY, "services", Filling::Service),
    (ANY, "sort", Filling::Plain("newest")),
    (ANY, "source", Filling::Plain("raw")),
    (ANY, "stage", Filling::Plain("parse")),
    (ANY, "state", Filling::Plain("dead")),
    (ANY, "status", Filling::Plain("active")),
    (ANY, "tenant", Filling::Id(Thing::Tenant)),
    (ANY, "timeout", Filling::Plain("0")),
    (ANY, "to", Filling::Plain("now")),
    (ANY, "url", Filling::Plain("https://hook.isolation.invalid/")),
    (ANY, "wait", Filling::Plain("0")),
];

/// Fields of a body of any shape, which is a log: what names a tenant.
pub(super) const OF_A_LOG: &[(&str, Filling)] = &[("tenant_id", Filling::Id(Thing::Tenant))];

/// What money there is in throw-away plans and credits: the currency of tests (ISO 4217).
pub(super) const CURRENCY: &str = "XTS";
/// What webhooks are told: what does not happen here.
pub(super) const EVENT_TYPE: &str = "io.loggerhub.quota.reached.v1";

/// Parameters and fields that are always sent: without them an answer takes long, nothing is changed, or more is than can be taken back, such as a plan for a
/// month that will be billed.
const ALWAYS: &[(&str, &str)] = &[
    ("/v1/tail", "wait"),
    ("Acceptance", "name"),
    ("Acceptance", "password"),
    ("TenantPlanRequest", "from"),
    ("WebhookPatch", "description"),
    ("WebhookRequest", "description"),
    ("WebhookRequest", "event_types"),
];

/// Reading routes whose answers are no state of a tenant: they change with the clock, tell of all tenants, say again what lists say, or show within
/// seconds what was asked before.
pub(super) const NO_STATE: &[&str] = &[
    "/v1/export",
    "/v1/facets",
    "/v1/fields",
    "/v1/histogram",
    "/v1/logs/{id}/context",
    "/v1/plans",
    "/v1/search",
    "/v1/tail",
    "/v1/tenants",
    "/v1/usage/forecast",
    "/v1/usage/refused",
    "/v1/users",
    "/v1/watermark",
];

/// Members of answers that change by themselves: searches are counted later, and what lies in the stores is measured once a day.
pub(super) const VOLATILE: &[&str] = &[
    "complete",
    "cursor",
    "index_byte_days",
    "lag_s",
    "last_used_at",
    "next_cursor",
    "range",
    "raw_byte_days",
    "request_id",
    "rows_byte_days",
    "searches",
    "seen_at",
    "source",
    "took_ms",
    "up_to",
];

/// Lists of which a fresh tenant has no second page. Their cursors hold an hour, and nothing of a tenant.
pub(super) const NO_CURSOR: &[&str] = &["/v1/invoices/{id}/lines/{line}/hours", "/v1/usage/refused"];

/// Routes that cannot succeed without a numbered invoice, of which there must be none for nothing: what whoever may is answered of a draft.
pub(super) const PROVEN_BY: &[(&str, u16)] = &[("POST /v1/invoices/{id}/pay", 409), ("POST /v1/invoices/{id}/void", 409)];
/// What whoever may does not do, for the same reason: others are refused, and that is all.
pub(super) const NOT_DONE: &[&str] = &["POST /v1/invoices/{id}/finalize"];

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
