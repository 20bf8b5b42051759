//! Where a webhook leads, checked when it is set and again before each request.
//!
//! A name is only looked at here; where it leads is checked by whoever connects, who must connect to the address that was checked.

use std::fmt;

use url::{Host, Url};

use super::is_public;

/// Longest URL, in bytes.
const MAX_BYTES: usize = 2000;
/// Below it lie the ports of mail, files and remote shells: of these only that of HTTPS is reached.
const FIRST_FREE_PORT: u16 = 1024;
const HTTPS: u16 = 443;
/// Names that never lead to the outside: RFC 6761, RFC 6762, RFC 8375, and ICANN's "internal".
const INSIDE: [&str; 5] = ["localhost", "local", "home.arpa", "internal", "localdomain"];

/// A URL that a webhook may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

/// Why a URL is none. Each is a sentence about the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is too long.
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// It cannot be read.
    #[error("must be a URL, such as https://example.com/hooks")]
    NotAUrl,
    /// It is not encrypted.
    #[error("must begin with https://")]
    NotHttps,
    /// It holds a user or a password.
    #[error("must hold neither user nor password: requests are signed")]
    UserInfo,
    /// It holds a fragment.
    #[error("must hold no fragment (#): it would not be sent")]
    Fragment,
    /// Its port is not for HTTPS.
    #[error("must have port 443, or one from {FIRST_FREE_PORT} on")]
    Port,
    /// It leads to the inside of a network.
    #[error("must lead to a public address")]
    Inside,
}

impl Target {
    /// Reads a URL. `allow_private` lets it lead anywhere, also without TLS: for tests and laptops.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, TargetError> {
        if text.len() > MAX_BYTES {
            return Err(TargetError::TooLong);
        }
        let url = Url::parse(text).map_err(|_| TargetError::NotAUrl)?;
        if url.scheme() != "https" && !(allow_private && url.scheme() == "http") {
            return Err(TargetError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(TargetError::Port)?;
        if !allow_private && port != HTTPS && port < FIRST_FREE_PORT {
            return Err(TargetError::Port);
        }
        if !allow_private && !may_be_public(&url.host().ok_or(TargetError::NotAUrl)?) {
            return Err(TargetError::Inside);
        }
        Ok(Self(url))
    }

    /// The URL as it is sent to.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Its host: what may be told of it where its path could be a secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a host may lead to the outside. A number in any of the forms that C's `inet_aton` reads is an address to `Url`, as to browsers.
fn may_be_public(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_public((*address).into()),
        Host::Ipv6(address) => is_public((*address).into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let is_inside = |inside: &str| name.strip_suffix(inside).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            name.contains('.') && !INSIDE.into_iter().any(is_inside)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_https_url_of_the_outside() {
        for (text, shown) in [
            ("https://example.com", "https://example.com/"),
            ("https://example.com/a/b?c=d", "https://example.com/a/b?c=d"),
            ("https://example.com:443/", "https://example.com/"),
            ("https://example.com:8443/", "https://example.com:8443/"),
            ("https://example.com:65535/", "https://example.com:65535/"),
            ("HTTPS://EXAMPLE.com/A", "https://example.com/A"),
            ("https://example.com./", "https://example.com./"),
            ("https://1.1.1.1/", "https://1.1.1.1/"),
            ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://notlocalhost.example/", "https://notlocalhost.example/"),
            ("https://local.example.com/", "https://local.example.com/"),
        ] {
            assert_eq!(Target::parse(text, false).map(|target| target.to_string()).as_deref(), Ok(shown), "{text}");
        }
        for (text, wrong) in [
            ("", TargetError::NotAUrl),
            ("example.com", TargetError::NotAUrl),
            ("https://", TargetError::NotAUrl),
            ("https://exa mple.com/", TargetError::NotAUrl),
            ("https://example.com:65536/", TargetError::NotAUrl),
            ("https://[fe80::1%25eth0]/", TargetError::NotAUrl),
            ("https://1.2.3.4.5/", TargetError::NotAUrl),
            ("https://256.1.1.1/", TargetError::NotAUrl),
            ("http://example.com/", TargetError::NotHttps),
            ("ftp://example.com/", TargetError::NotHttps),
            ("file:///etc/passwd", TargetError::NotHttps),
            ("gopher://example.com/", TargetError::NotHttps),
            ("javascript:alert(1)", TargetError::NotHttps),
            ("https://user@example.com/", TargetError::UserInfo),
            ("https://:password@example.com/", TargetError::UserInfo),
            ("https://example.com@127.0.0.1/", TargetError::UserInfo),
            ("https://example.com/#part", TargetError::Fragment),
            ("https://example.com:0/", TargetError::Port),
            ("https://example.com:22/", TargetError::Port),
            ("https://example.com:25/", TargetError::Port),
            ("https://example.com:80/", TargetError::Port),
            ("https://example.com:1023/", TargetError::Port),
        ] {
            assert_eq!(Target::parse(text, false), Err(wrong), "{text}");
        }
        assert_eq!(Target::parse(&format!("https://example.com/{}", "x".repeat(MAX_BYTES)), false), Err(TargetError::TooLong));
    }

    #[test]
    fn the_inside_has_many_names() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "localhost..",
            "a.localhost",
            "a.localhost.",
            "printer.local",
            "db.internal",
            "metadata.google.internal",
            "metadata.google.internal.",
            "router.home.arpa",
            "localhost.localdomain",
            // A name without a dot is looked up among those of our own network.
            "redis",
            "postgres.",
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "0",
            "0.0.0.0",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "0x7f000001",
            "0x7f.1",
            "0x7F.0x0.0x0.0x1",
            "127.0x1",
            "１２７.0.0.1",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "10.0.0.1",
            "167772161",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "2852039166",
            "0xA9FEA9FE",
            "0251.0376.0251.0376",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::127.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[ff02::1]",
            "[2001:db8::1]",
        ] {
            assert_eq!(Target::parse(&format!("https://{host}/"), false), Err(TargetError::Inside), "{host}");
        }
    }

    #[test]
    fn a_test_may_lead_anywhere_but_nowhere() {
        for text in ["http://127.0.0.1:4711/hook", "https://localhost/", "http://redis:80/"] {
            assert!(Target::parse(text, true).is_ok(), "{text}");
        }
        for text in ["ftp://127.0.0.1/", "http://user@127.0.0.1/", "http://127.0.0.1:0/", "http://127.0.0.1/#x"] {
            assert!(Target::parse(text, true).is_err(), "{text}");
        }
    }
}
