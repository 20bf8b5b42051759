//! What an API key allows: the same words in Postgres (where keys are kept), in Redis (where they are looked up) and in the
//! process (where they are cached).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::TenantId;
use crate::limits::{Limits, is_default};
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
}

impl Grant {
    /// Whether the key opens anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixMs) -> bool {
        !self.revoked && self.expires_at.is_none_or(|end| now < end)
    }
}
