//! What is sent of a webhook, and what is answered when a secret is made: the secret itself, this once.

use serde::Serialize;
use serde_json::Value;
use shared::error::{Error, Result};
use shared::range::Range;
use shared::tenants::{NewWebhook, Webhook, WebhookChange, event_types};
use shared::timestamp;
use shared::webhooks::{SigningSecret, Target};
use time::OffsetDateTime;

use crate::fields::{Fields, text};

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 500;

/// A webhook to be made.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct WebhookRequest {
    /// Where events are sent: `https`, to a public address.
    #[schema(max_length = 2000)]
    url: String,
    /// Only events of these types; not given, or null: all.
    #[schema(min_items = 1)]
    event_types: Option<Vec<String>>,
    /// What it is for, for people.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Events from this moment on, too, as far as they are kept (7 days): RFC 3339, or relative, such as `now-1d`. Not given: from now on.
    from: Option<String>,
}

/// What to change of a webhook: at least one of these.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct WebhookPatch {
    /// Where events are sent. What waits is tried there at once.
    #[schema(max_length = 2000)]
    url: Option<String>,
    /// Only events of these types; null for all.
    #[schema(min_items = 1)]
    event_types: Option<Vec<String>>,
    /// What it is for, for people; null for nothing.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Whether it is told what comes about. Disabled, what waits is dead, and so is what comes about meanwhile: a redrive sends it.
    enabled: Option<bool>,
}

/// A webhook that was made, with its secret.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CreatedWebhook {
    #[serde(flatten)]
    webhook: Webhook,
    /// What checks signatures; keep it, it is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAbCdEfGhIjk=")]
    secret: String,
}

impl CreatedWebhook {
    pub(crate) fn new(webhook: Webhook, secret: &SigningSecret) -> Self {
        Self { webhook, secret: secret.reveal().to_owned() }
    }
}

/// The new secret of a webhook.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct RotatedSecret {
    /// What checks signatures; keep it, it is not shown again.
    secret: String,
    /// Until then the old one signs, too.
    #[serde(with = "time::serde::rfc3339")]
    old_until: OffsetDateTime,
}

impl RotatedSecret {
    pub(crate) fn new(secret: &SigningSecret, old_until: OffsetDateTime) -> Self {
        Self { secret: secret.reveal().to_owned(), old_until }
    }
}

/// A webhook to be made.
///
/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn new(mut fields: Fields, allow_private: bool, now: OffsetDateTime) -> Result<NewWebhook> {
    let target = fields.required("url", text(|url| target(url, allow_private)));
    let event_types = fields.nullable("event_types", types).flatten();
    let description = fields.emptied("description", description).unwrap_or_default();
    let from = fields.optional("from", text(|from| past(from, now)));
    fields.done(target.map(|target| NewWebhook { target, event_types, description, from }))
}

/// What to change of a webhook.
///
/// # Errors
/// [`Error::Invalid`], each fault named.
pub(crate) fn change(mut fields: Fields, allow_private: bool) -> Result<WebhookChange> {
    let change = WebhookChange {
        target: fields.optional("url", text(|url| target(url, allow_private))),
        event_types: fields.nullable("event_types", types),
        description: fields.emptied("description", description),
        enabled: fields.optional("enabled", |value| value.as_bool().ok_or("must be true or false")),
    };
    let change = fields.done(Some(change))?;
    if change == WebhookChange::default() {
        return Err(Error::Invalid { code: "nothing_to_change", detail: "give at least one field".to_owned(), faults: Vec::new() });
    }
    Ok(change)
}

fn target(url: &str, allow_private: bool) -> Result<Target, String> {
    Target::parse(url, allow_private).map_err(|e| e.to_string())
}

fn types(value: &Value) -> Result<Vec<String>, String> {
    let known = event_types();
    let none = || format!("must be a list of one or more of {}", known.join(", "));
    let mut wanted = Vec::new();
    for name in value.as_array().filter(|names| !names.is_empty()).ok_or_else(none)? {
        let name = name.as_str().and_then(|name| known.iter().find(|known| *known == name)).ok_or_else(none)?;
        if !wanted.contains(name) {
            wanted.push(name.clone());
        }
    }
    Ok(wanted)
}

fn description(sent: &str) -> Result<String, String> {
    let text = sent.trim();
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(format!("must have at most {MAX_DESCRIPTION} characters"));
    }
    if text.chars().any(char::is_control) { Err("must not hold control characters".to_owned()) } else { Ok(text.to_owned()) }
}

fn past(sent: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let range = Range::parse(Some(sent), None, timestamp::from_datetime(now)).map_err(|_| "must be a time, such as `now-1d`, or RFC 3339".to_owned())?;
    let from = range.from.map(timestamp::to_datetime).filter(|from| *from <= now);
    from.ok_or_else(|| "must not lie ahead".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fields;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-02 00:00 UTC);

    #[test]
    fn a_webhook_needs_a_url_and_hears_of_all_unless_told_otherwise() {
        let webhook = new(fields(r#"{"url":"https://example.com/hook"}"#), false, NOW).expect("all that must be there");
        assert_eq!((webhook.target.host(), webhook.event_types, webhook.description.as_str(), webhook.from), ("example.com", None, "", None));
        let kind = "io.loggerhub.tenant.suspended.v1";
        let sent = format!(r#"{{"url":"https://example.com/","event_types":["{kind}","{kind}"],"description":" for us ","from":"now-1d"}}"#);
        let webhook = new(fields(&sent), false, NOW).expect("it is right");
        assert_eq!((webhook.event_types, webhook.description.as_str(), webhook.from), (Some(vec![kind.to_owned()]), "for us", Some(NOW - time::Duration::DAY)));
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let cases = [
            (r#"{}"#, "url"),
            (r#"{"url":7}"#, "url"),
            (r#"{"url":"http://example.com/"}"#, "url"),
            (r#"{"url":"https://169.254.169.254/latest/meta-data"}"#, "url"),
            (r#"{"url":"https://example.com/","event_types":[]}"#, "event_types"),
            (r#"{"url":"https://example.com/","event_types":["tenant.created"]}"#, "event_types"),
            (r#"{"url":"https://example.com/","event_types":"all"}"#, "event_types"),
            (r#"{"url":"https://example.com/","event_types":[7]}"#, "event_types"),
            (r#"{"url":"https://example.com/","description":"a\u0000b"}"#, "description"),
            (r#"{"url":"https://example.com/","from":"soon"}"#, "from"),
            (r#"{"url":"https://example.com/","from":"2026-01-02T00:00:01Z"}"#, "from"),
            (r#"{"url":"https://example.com/","secret":"mine"}"#, "secret"),
        ];
        for (body, field) in cases {
            let Err(Error::Invalid { faults, .. }) = new(fields(body), false, NOW) else { panic!("{body}") };
            assert_eq!(faults.iter().filter_map(|fault| fault.field.as_deref()).collect::<Vec<_>>(), [field], "{body}");
        }
        assert!(description(&"é".repeat(MAX_DESCRIPTION)).is_ok() && description(&"é".repeat(MAX_DESCRIPTION + 1)).is_err());
    }

    #[test]
    fn a_change_says_at_least_one_thing_and_null_means_all() {
        assert!(matches!(change(fields("{}"), false), Err(Error::Invalid { code: "nothing_to_change", .. })));
        assert_eq!(change(fields(r#"{"event_types":null}"#), false).ok(), Some(WebhookChange { event_types: Some(None), ..WebhookChange::default() }));
        assert_eq!(change(fields(r#"{"enabled":false}"#), false).ok(), Some(WebhookChange { enabled: Some(false), ..WebhookChange::default() }));
        for bad in [r#"{"enabled":"no"}"#, r#"{"url":"https://localhost/"}"#, r#"{"from":"now"}"#] {
            assert!(change(fields(bad), false).is_err(), "{bad}");
        }
        assert!(change(fields(r#"{"url":"http://localhost/"}"#), true).is_ok());
    }
}
