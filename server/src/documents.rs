//! What the program prints of itself, so that no document goes stale: the OpenAPI description and the list of settings.

use shared::settings::VARIABLES;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi};

/// The OpenAPI 3.1 description of every function's routes, as JSON.
///
/// # Errors
/// If it cannot be written as JSON, which a test would show.
pub fn openapi() -> Result<String, serde_json::Error> {
    let mut all = OpenApi::default();
    for part in [ingest::openapi(), search::openapi(), tenants::openapi()] {
        all.merge(part);
    }
    all.info = Info::new("Logger Hub", env!("CARGO_PKG_VERSION"));
    all.info.description = Some("A multi-tenant log hub. Errors are `application/problem+json` (RFC 9457).".to_owned());
    all.info.license = Some(License::new("Apache-2.0"));
    let components = all.components.get_or_insert_with(Components::new);
    let bearer = |text: &str| SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build());
    components.add_security_scheme("api_key", bearer("An API key, `lh_...`: what it may do depends on its scopes"));
    components.add_security_scheme("api_key_header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    components.add_security_scheme("operator", bearer("The value of LOGGERHUB_OPERATOR_TOKEN; or in the header X-Operator-Token, where Authorization holds something else"));
    all.to_pretty_json()
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
