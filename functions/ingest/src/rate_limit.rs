//! What is left of limits, for clients (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use shared::queue::Standing;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// `RateLimit-Policy` and `RateLimit`, where there are limits. Of a rate, `q` is what may come at once, and `w` the seconds in which that
/// flows in again; `r` is what is left.
pub(crate) fn headers(standings: &[Standing]) -> HeaderMap {
    let policy = |standing: &Standing| {
        let window = standing.fills_in.map(|time| format!(";w={}", time.as_secs())).unwrap_or_default();
        format!("{};q={}{window}", quoted(&standing.name), standing.most)
    };
    let left = |standing: &Standing| format!("{};r={}", quoted(&standing.name), standing.left.max(0));
    let lists = [(POLICY, standings.iter().map(policy).collect::<Vec<_>>()), (LEFT, standings.iter().map(left).collect())];
    let written = lists.into_iter().filter(|(_, items)| !items.is_empty());
    written.filter_map(|(name, items)| Some((name, HeaderValue::from_str(&items.join(", ")).ok()?))).collect()
}

/// A name as a string of structured fields (RFC 9651, section 3.3.3), which are printable ASCII.
fn quoted(name: &str) -> String {
    let printable = name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    format!("\"{}\"", printable.collect::<String>().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn limits_are_told_as_structured_fields() {
        let standing = |name: &str, left, fills_in| Standing { name: name.to_owned(), most: 100, left, fills_in };
        let told = headers(&[standing("tenant-logs", -5, Some(Duration::from_secs(2))), standing("service-a\"\u{e9}-logs", 7, None)]);
        assert_eq!(told[POLICY], r#""tenant-logs";q=100;w=2, "service-a\"?-logs";q=100"#);
        assert_eq!(told[LEFT], r#""tenant-logs";r=0, "service-a\"?-logs";r=7"#);
        assert!(headers(&[]).is_empty());
    }
}
