//! What the program prints of itself, so that no document goes stale: the OpenAPI description and the list of settings.

use shared::settings::VARIABLES;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi};

/// The OpenAPI 3.1 description of every function's routes, as JSON.
///
/// # Errors
/// If it cannot be written as JSON, which a test would show.
pub fn openapi() -> Result<String, serde_json::Error> {
    let mut all = OpenApi::default();
    for mut part in [search::openapi(), tenants::openapi()] {
        part.paths.paths.values_mut().for_each(open_to_sessions);
        all.merge(part);
    }
    // Logs are sent with keys only.
    all.merge(ingest::openapi());
    all.info = Info::new("Logger Hub", env!("CARGO_PKG_VERSION"));
    all.info.description = Some("A multi-tenant log hub. Errors are `application/problem+json` (RFC 9457).".to_owned());
    all.info.license = Some(License::new("Apache-2.0"));
    let components = all.components.get_or_insert_with(Components::new);
    let bearer = |text: &str| SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build());
    components.add_security_scheme("api_key", bearer("An API key, `lh_...`: what it may do depends on its scopes"));
    components.add_security_scheme("api_key_header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    let cookie = "A session of a person, by `POST /v1/login`: `lh_session` where LOGGERHUB_SECURE_COOKIES is false. Who belongs to several tenants names one in X-Tenant";
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("__Host-lh_session", cookie))));
    let csrf = "With a session, what changes something brings the token that `GET /v1/me` tells";
    components.add_security_scheme("csrf_token", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-CSRF-Token", csrf))));
    components.add_security_scheme("operator", bearer("The value of LOGGERHUB_OPERATOR_TOKEN; or in the header X-Operator-Token, where Authorization holds something else"));
    all.to_pretty_json()
}

/// What a key opens by its scopes a session opens by the same: said here, once for all routes.
fn open_to_sessions(item: &mut PathItem) {
    let reads = [&mut item.get, &mut item.head].map(|operation| (operation, false));
    let changes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].map(|operation| (operation, true));
    for (operation, changes) in reads.into_iter().chain(changes) {
        if let Some(operation) = operation {
            add_session(operation, changes);
        }
    }
}

fn add_session(operation: &mut Operation, changes: bool) {
    let Some(ways) = &mut operation.security else { return };
    let of_keys = ways.iter().filter_map(|way| {
        let way = serde_json::to_value(way).ok()?;
        serde_json::from_value::<Vec<String>>(way.get("api_key")?.clone()).ok()
    });
    let of_sessions: Vec<_> = of_keys
        .map(|scopes| {
            let session = SecurityRequirement::new("session", scopes);
            if changes { session.add("csrf_token", Vec::<String>::new()) } else { session }
        })
        .collect();
    ways.extend(of_sessions);
}

/// `.env.example`: every setting with its meaning and a value for a laptop.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from("# Every setting of Logger Hub, with a value for the engines of scripts/engines.\n# Printed by `loggerhub settings --env-example`.\n");
    for variable in VARIABLES {
        text.push_str(&format!("\n# {} Read by: {}.\n{}={}\n", variable.doc, variable.used_by, variable.name, variable.example));
    }
    text
}

/// The table of settings in the README.
#[must_use]
pub fn settings_table() -> String {
    let mut text = String::from("| variable | default | read by | meaning |\n|---|---|---|---|\n");
    for variable in VARIABLES {
        let default = match variable.default {
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "none".to_owned(),
        };
        text.push_str(&format!("| `{}` | {default} | {} | {} |\n", variable.name, variable.used_by, variable.doc));
    }
    text
}
