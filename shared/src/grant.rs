//! What an API key allows: the same words in Postgres (where keys are kept), in Redis (where they are looked up) and in the
//! process (where they are cached).

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::TenantId;
use crate::limits::{Limits, is_default};
use crate::retention::Retention;
use crate::timestamp::UnixMs;

/// Which raw objects and indices a tenant's logs go to, by how long they are kept. One class for now.
pub const DEFAULT_CLASS: &str = "standard";

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Scope {
    /// Send logs.
    #[serde(rename = "logs:write")]
    LogsWrite,
    /// List, search and read logs.
    #[serde(rename = "logs:read")]
    LogsRead,
    /// Create, list and revoke keys of the tenant.
    #[serde(rename = "keys:manage")]
    KeysManage,
    /// Read usage and bills.
    #[serde(rename = "billing:read")]
    BillingRead,
    /// Change the tenant.
    #[serde(rename = "tenant:admin")]
    TenantAdmin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::LogsWrite, Self::LogsRead, Self::KeysManage, Self::BillingRead, Self::TenantAdmin];

    /// The scope's name, such as `logs:write`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogsWrite => "logs:write",
            Self::LogsRead => "logs:read",
            Self::KeysManage => "keys:manage",
            Self::BillingRead => "billing:read",
            Self::TenantAdmin => "tenant:admin",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// What is known of a key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Rises with each change of the key or its tenant: of two grants for one key the higher counts.
    pub version: i64,
    /// The key's id.
    pub key_id: Uuid,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Retention class of what it sends.
    pub class: String,
    /// It is a tombstone: the key was revoked, or its tenant deleted.
    pub revoked: bool,
    /// Its tenant is suspended: no ingest, reading works.
    pub suspended: bool,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<UnixMs>,
    /// How much it may send.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// What it may be used for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allowed: Allowed,
    /// How long its tenant's logs are kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retention: Retention,
}

/// What a key may be used for; an empty list allows all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Services whose logs it may send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Networks that it may be used from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// Origins of pages that may use it in a browser, such as `https://app.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

impl Allowed {
    /// Whether logs of this service may be sent.
    #[must_use]
    pub fn service(&self, name: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|one| one == name)
    }

    /// Whether it may be used from this address. One that is not known is none of those that are allowed.
    #[must_use]
    pub fn address(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty() || address.is_some_and(|address| self.networks.iter().any(|network| network.contains(&address.to_canonical())))
    }

    /// Whether it may be used by a page of this origin; what is no browser sends none.
    #[must_use]
    pub fn origin(&self, origin: Option<&str>) -> bool {
        self.origins.is_empty() || origin.is_none_or(|origin| self.origins.iter().any(|one| one.eq_ignore_ascii_case(origin)))
    }
}

impl Grant {
    /// Whether the key opens anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixMs) -> bool {
        !self.revoked && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_allows_all_and_one_that_is_not_only_what_it_holds() {
        let all = Allowed::default();
        assert!(all.service("any") && all.address(None) && all.origin(Some("https://any.example")));
        let some = Allowed {
            services: vec!["a".to_owned()],
            networks: ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network")).to_vec(),
            origins: vec!["https://app.example".to_owned()],
        };
        assert!(some.service("a") && !some.service("A"));
        let from = |text: &str| some.address(text.parse().ok());
        assert!(from("10.1.2.3") && from("::ffff:10.1.2.3") && from("2001:db8::1"));
        assert!(!from("11.0.0.1") && !from("::1") && !some.address(None));
        assert!(some.origin(Some("https://APP.example")) && some.origin(None));
        assert!(!some.origin(Some("https://app.example:8443")) && !some.origin(Some("null")));
    }
}
