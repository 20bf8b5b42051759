//! What the served OpenAPI document says of each operation: who may, which parameters it takes, and what its body holds.

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

/// One method of one path.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    /// Who may: any one of these. Or why that cannot be told.
    pub(super) ways: Result<Vec<Way>, String>,
}

impl Operation {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }
}

/// One way to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing is asked.
    Anyone,
    /// The operator's token.
    Operator,
    /// A key of a tenant with all of these scopes.
    Scopes(Vec<String>),
    /// A session of a person whose role has all of these scopes, where there are any; and the token that says that no page of another asks.
    Session { scopes: Vec<String>, csrf: bool },
}

impl Way {
    fn session(scopes: Vec<String>) -> Self {
        Self::Session { scopes, csrf: false }
    }
}

/// What a scheme asks of a caller, with these scopes.
type WayOf = fn(Vec<String>) -> Way;

/// The security schemes of the document: what each asks of a caller. A new scheme gets its line here, and its callers in `callers.rs`.
const SCHEMES: &[(&str, WayOf)] = &[("operator", |_| Way::Operator), ("api_key", Way::Scopes), ("api_key_header", Way::Scopes), ("session", Way::session)];
/// What is asked for beside a session by all that changes something: never alone.
const CSRF_TOKEN: &str = "csrf_token";

/// Where a parameter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) required: bool,
}

/// What a body holds.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// The schema's name; empty for one without.
    pub(super) schema: String,
    /// Its fields; none for a body of any shape.
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) is_list: bool,
}

/// Every operation of a document.
///
/// # Errors
/// It is no document of this kind, or says something of an operation that is not understood here.
pub(super) fn operations(document: &Value) -> anyhow::Result<Vec<Operation>> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let paths = document["paths"].as_object().context("the document has no paths")?;
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().into_iter().flatten().filter(|(name, _)| METHODS.contains(&name.as_str())) {
            let read = || -> anyhow::Result<Operation> {
                let listed = [&item["parameters"], &operation["parameters"]].into_iter().filter_map(Value::as_array).flatten();
                let method: Method = method.to_uppercase().parse()?;
                let ways = ways(document, operation).and_then(|ways| guarded(&method, ways));
                Ok(Operation {
                    method,
                    path: path.clone(),
                    parameters: listed.map(|parameter| parameter_of(resolve(document, parameter))).collect::<anyhow::Result<_>>()?,
                    body: body_of(document, operation)?,
                    ways,
                })
            };
            all.push(read().with_context(|| format!("{method} {path}"))?);
        }
    }
    anyhow::ensure!(!all.is_empty(), "the document lists no operation");
    Ok(all)
}

/// Who may call an operation. What is not said is a fault: a route is closed by what is written, never by what is forgotten.
fn ways(document: &Value, operation: &Value) -> Result<Vec<Way>, String> {
    let listed = operation.get("security").or_else(|| document.get("security")).and_then(Value::as_array).filter(|ways| !ways.is_empty());
    let listed = listed.ok_or("the document does not say who may: add `security(...)` to its `#[utoipa::path]`")?;
    listed.iter().map(way_of).collect()
}

/// A browser sends cookies wherever a page tells it to: what changes something by a session asks for the token, too.
fn guarded(method: &Method, ways: Vec<Way>) -> Result<Vec<Way>, String> {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    match ways.iter().any(|way| matches!(way, Way::Session { csrf, .. } if *csrf == is_safe)) {
        true => Err(format!("what changes something by a session, and nothing else, asks for `{CSRF_TOKEN}`")),
        false => Ok(ways),
    }
}

fn way_of(requirement: &Value) -> Result<Way, String> {
    let mut schemes: Vec<_> = requirement.as_object().into_iter().flatten().collect();
    let asked = schemes.len();
    if schemes.iter().any(|(scheme, _)| *scheme == "session") {
        schemes.retain(|(scheme, _)| *scheme != CSRF_TOKEN);
    }
    let with_token = schemes.len() < asked;
    let [(scheme, scopes)] = schemes[..] else {
        return if schemes.is_empty() { Ok(Way::Anyone) } else { Err(format!("it asks for several things at once, which this check does not understand: {requirement}")) };
    };
    let scopes = scopes.as_array().into_iter().flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect();
    let known = SCHEMES.iter().find(|(name, _)| name == scheme).map(|(_, way)| match way(scopes) {
        Way::Session { scopes, .. } => Way::Session { scopes, csrf: with_token },
        way => way,
    });
    known.ok_or_else(|| format!("the security scheme `{scheme}` is not known: add it to SCHEMES in server/src/isolation_check/document.rs, and its callers to callers.rs"))
}

fn parameter_of(parameter: &Value) -> anyhow::Result<Parameter> {
    let name = parameter["name"].as_str().context("a parameter without a name")?.to_owned();
    let place = match parameter["in"].as_str() {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") => Place::Header,
        other => anyhow::bail!("parameter {name} is sent in {other:?}, which this check does not understand"),
    };
    Ok(Parameter { name, place, required: parameter["required"].as_bool().unwrap_or_default() })
}

fn body_of(document: &Value, operation: &Value) -> anyhow::Result<Option<Body>> {
    let Some(content) = operation["requestBody"]["content"].as_object() else { return Ok(None) };
    let schema = &content.get("application/json").context("a body that is not JSON")?["schema"];
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let schema = resolve(document, schema);
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, field)| Field { name: name.clone(), required: required.contains(&name.as_str()), is_list: is_list(resolve(document, field)) });
    Ok(Some(Body { schema: name, fields: fields.collect() }))
}

fn is_list(schema: &Value) -> bool {
    let of = &schema["type"];
    of == "array" || of.as_array().is_some_and(|types| types.iter().any(|one| one == "array"))
}

/// What a reference within the document refers to.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
    target.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ways_of(security: &Value) -> Result<Vec<Way>, String> {
        let document = json!({ "paths": { "/x": { "get": if security.is_null() { json!({}) } else { json!({ "security": security }) } } } });
        operations(&document).expect("a document").remove(0).ways
    }

    #[test]
    fn who_may_is_read_and_what_is_not_said_or_not_known_is_a_fault() {
        let scopes = |names: &[&str]| Way::Scopes(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(ways_of(&json!([{ "operator": [] }, { "api_key": ["logs:read"] }])), Ok(vec![Way::Operator, scopes(&["logs:read"])]));
        assert_eq!(ways_of(&json!([{}])), Ok(vec![Way::Anyone]));
        assert!(ways_of(&Value::Null).is_err_and(|why| why.contains("security")));
        assert!(ways_of(&json!([])).is_err());
        assert_eq!(ways_of(&json!([{ "session": ["logs:read"] }])), Ok(vec![Way::Session { scopes: vec!["logs:read".to_owned()], csrf: false }]));
        for unknown in [json!([{ "certificate": [] }]), json!([{ "csrf_token": [] }])] {
            assert!(ways_of(&unknown).is_err_and(|why| why.contains("SCHEMES")), "{unknown}");
        }
        assert!(ways_of(&json!([{ "operator": [], "api_key": [] }])).is_err());
        assert!(ways_of(&json!([{ "session": [], "api_key": [] }])).is_err());
    }

    #[test]
    fn what_changes_something_by_a_session_asks_for_the_token() {
        let of = |method: &str, security: Value| {
            let document = json!({ "paths": { "/x": { method: { "security": security } } } });
            operations(&document).expect("a document").remove(0).ways
        };
        let (with, without) = (json!([{ "session": [], "csrf_token": [] }]), json!([{ "session": [] }]));
        assert_eq!(of("post", with.clone()), Ok(vec![Way::Session { scopes: Vec::new(), csrf: true }]));
        for (method, security) in [("post", &without), ("delete", &without), ("get", &with)] {
            assert!(of(method, security.clone()).is_err_and(|why| why.contains("csrf_token")), "{method} {security}");
        }
        assert!(of("get", without).is_ok());
    }

    #[test]
    fn the_hubs_own_document_is_understood_to_the_last_operation() {
        let document = serde_json::from_str(&crate::documents::openapi().expect("a document")).expect("JSON");
        let operations = operations(&document).expect("it is understood");
        for operation in &operations {
            assert!(operation.ways.is_ok(), "{}: {:?}", operation.name(), operation.ways);
        }
        let save = operations.iter().find(|one| one.name() == "POST /v1/saved-searches").expect("it is there");
        let body = save.body.as_ref().expect("a body");
        assert_eq!(body.schema, "NewSavedSearch");
        assert!(body.fields.iter().any(|field| field.name == "q" && field.required && !field.is_list));
        assert!(body.fields.iter().any(|field| field.name == "service" && !field.required && field.is_list));
    }
}
