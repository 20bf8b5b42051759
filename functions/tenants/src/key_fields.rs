//! Fields of keys, read from a request.

use std::net::IpAddr;

use axum::http::Uri;
use ipnet::IpNet;
use serde_json::Value;
use shared::grant::Scope;
use shared::limits::{Rate, read_object};
use shared::record::MAX_KEYWORD_BYTES;
use shared::timestamp;
use time::OffsetDateTime;

/// Most services, networks or origins of a key: each request is compared with them.
const MOST: usize = 100;

pub(crate) fn scopes(value: &Value) -> Result<Vec<Scope>, String> {
    let names = value.as_array().filter(|names| !names.is_empty()).ok_or("must be a list of at least one scope")?;
    let mut scopes = Vec::new();
    for name in names {
        let known = || format!("must hold no other scopes than {}", Scope::ALL.map(Scope::as_str).join(", "));
        let scope = name.as_str().and_then(Scope::parse).ok_or_else(known)?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

pub(crate) fn future(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let at = timestamp::parse(text).map(timestamp::to_datetime).map_err(|e| format!("is {e}"))?;
    if at > now { Ok(at) } else { Err("must be in the future".to_owned()) }
}

pub(crate) fn rate(value: &Value) -> Result<Rate, String> {
    let rate = read_object::<Rate>(value).map_err(|e| format!("cannot be read: {e}"))?;
    rate.check().map(|()| rate)
}

pub(crate) fn services(value: &Value) -> Result<Vec<String>, String> {
    list(value, |name| {
        let sensible = !name.is_empty() && name.len() <= MAX_KEYWORD_BYTES && !name.contains('\0');
        if sensible { Ok(name.to_owned()) } else { Err(format!("must hold names of 1 to {MAX_KEYWORD_BYTES} bytes")) }
    })
}

pub(crate) fn networks(value: &Value) -> Result<Vec<IpNet>, String> {
    list(value, |text| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| network.trunc()).map_err(|_| "must hold addresses, or networks such as 10.0.0.0/8".to_owned())
    })
}

/// Origins as browsers send them (RFC 6454, section 6.2): scheme, host, and the port where it is not the scheme's own.
pub(crate) fn origins(value: &Value) -> Result<Vec<String>, String> {
    list(value, |text| {
        let uri: Option<Uri> = text.parse().ok();
        let is_origin = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str())) == text
        };
        let sensible = uri.as_ref().is_some_and(is_origin) && !text.contains('@');
        if sensible { Ok(text.to_ascii_lowercase()) } else { Err("must hold origins such as https://app.example.com, without a path".to_owned()) }
    })
}

fn list<T: PartialEq>(value: &Value, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let sent = value.as_array().filter(|sent| sent.len() <= MOST).ok_or_else(|| format!("must be a list of at most {MOST}"))?;
    let mut all = Vec::new();
    for one in sent {
        let one = read(one.as_str().ok_or("must be a list of strings")?)?;
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn networks_are_blocks_or_addresses() {
        let read = networks(&json!(["10.1.2.3/8", "10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])).expect("they are networks");
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
        for bad in [json!(["10.0.0.0/33"]), json!(["here"]), json!([7]), json!("10.0.0.0/8"), json!(vec!["::1"; 101])] {
            assert!(networks(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_what_browsers_send() {
        assert_eq!(
            origins(&json!(["https://App.example.com", "http://localhost:3000"])).ok(),
            Some(vec!["https://app.example.com".to_owned(), "http://localhost:3000".to_owned()])
        );
        for bad in ["https://a.example/", "https://a.example/path", "a.example", "ftp://a.example", "https://u@a.example", "null", "*", "https://"] {
            assert!(origins(&json!([bad])).is_err(), "{bad}");
        }
    }
}
