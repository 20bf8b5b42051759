//! People: the roles that they have in tenants, and what each role may do. The same words in Postgres, in answers and in the process.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::grant::Scope;
use crate::ids::TenantId;
use crate::retention::Retention;

/// What somebody is in a tenant. A later one may all that an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Role {
    /// Reads logs.
    Viewer,
    /// Reads logs, and decides what becomes of those that could not be stored.
    Member,
    /// Manages keys and people, and reads bills.
    Admin,
    /// As an admin, also over owners: a tenant with owners always has one.
    Owner,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// The role's name, such as `viewer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// The scopes that a session holds in a tenant where its person has this role: routes ask for these, and know nothing of roles.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Viewer => &[Scope::LogsRead],
            Self::Member => &[Scope::LogsRead, Scope::LogsWrite],
            Self::Admin | Self::Owner => &[Scope::LogsRead, Scope::LogsWrite, Scope::KeysManage, Scope::BillingRead, Scope::TenantAdmin],
        }
    }
}

/// What a person who may log in is allowed, as sessions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The user's id.
    pub id: Uuid,
    /// Sessions that began under a lower one have ended.
    pub epoch: i64,
    /// The tenants, those that work.
    pub memberships: Vec<Membership>,
}

/// What somebody is in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// The role there.
    pub role: Role,
    /// The tenant is suspended: no ingest, reading works.
    pub suspended: bool,
    /// How long its logs are kept.
    pub retention: Retention,
}

impl Person {
    /// What this person is in a tenant.
    #[must_use]
    pub fn in_tenant(&self, tenant: &TenantId) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.tenant == *tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_all_that_a_lower_one_may() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].scopes().iter().all(|scope| pair[1].scopes().contains(scope)), "{pair:?}");
        }
        assert_eq!(Role::Owner.scopes().len(), Scope::ALL.len());
        assert_eq!(Role::Viewer.scopes(), [Scope::LogsRead]);
    }

    #[test]
    fn a_role_has_one_name() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_value(role).ok(), Some(role.as_str().into()));
        }
        assert_eq!(Role::parse("Owner"), None);
    }
}
