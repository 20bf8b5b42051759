//! Whose keys a request may manage, and the ids in its path. What is no id is a 404, as what is not there.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use shared::auth::{Authenticator, Caller, ManageKeys, Operator};
use shared::error::{Error, Result};
use shared::grant::{Grant, Scope};
use shared::http::Origin;
use shared::ids::TenantId;
use shared::tenants::{Actor, By};
use uuid::Uuid;

/// Scopes that reach beyond logs and keys: a tenant's key hands them on only if it holds them.
const HELD_TO_BE_GRANTED: [Scope; 2] = [Scope::TenantAdmin, Scope::BillingRead];

/// The tenant that a parameter or a field names.
///
/// # Errors
/// [`Error::Invalid`] for what is no id.
pub(crate) fn named_tenant(sent: Option<&str>) -> Result<Option<TenantId>> {
    sent.map(TenantId::parse).transpose().map_err(|e| Error::invalid("tenant", e.to_string()))
}

/// The tenant that the path names. For routes of the operator only.
#[derive(Debug)]
pub(crate) struct TenantInPath(pub(crate) TenantId);

impl<S: Send + Sync> FromRequestParts<S> for TenantInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let id = in_path(parts, state, "id").await.and_then(|id| TenantId::parse(&id).ok());
        id.map(Self).ok_or(Error::NotFound("tenant"))
    }
}

/// The key that the path names.
#[derive(Debug)]
pub(crate) struct KeyInPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for KeyInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let id = in_path(parts, state, "key_id").await.and_then(|id| Uuid::parse_str(&id).ok());
        id.map(Self).ok_or(Error::NotFound("key"))
    }
}

pub(crate) async fn in_path<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().find(|(param, _)| *param == name).map(|(_, value)| value.to_owned())
}

/// Whoever may manage the keys of the tenant in the path: the operator, or a key of that tenant with `keys:manage`.
#[derive(Debug)]
pub(crate) struct KeyAdmin {
    /// The tenant in the path: the caller's own, where the caller is not the operator.
    pub(crate) tenant: TenantId,
    /// What the caller's key allows; `None` for the operator.
    grant: Option<Arc<Grant>>,
}

impl KeyAdmin {
    /// Who this is, for what is recorded of changes.
    pub(crate) fn by(&self, origin: Origin) -> By {
        By::new(self.grant.as_ref().map_or(Actor::Operator, |grant| Actor::Key(grant.key_id)), origin)
    }

    /// # Errors
    /// [`Error::Forbidden`] `scope_not_held` for a scope that this caller cannot hand on.
    pub(crate) fn may_grant(&self, scopes: &[Scope]) -> Result<()> {
        let Some(grant) = &self.grant else { return Ok(()) };
        match scopes.iter().find(|scope| HELD_TO_BE_GRANTED.contains(scope) && !grant.scopes.contains(scope)) {
            None => Ok(()),
            Some(scope) => Err(Error::Forbidden { code: "scope_not_held", detail: format!("only a key that holds {} can give it to another", scope.as_str()) }),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyAdmin
where
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if Operator::from_request_parts(parts, state).await.is_ok() {
            let TenantInPath(tenant) = TenantInPath::from_request_parts(parts, state).await?;
            return Ok(Self { tenant, grant: None });
        }
        let caller = Caller::<ManageKeys>::from_request_parts(parts, state).await?;
        let TenantInPath(named) = TenantInPath::from_request_parts(parts, state).await?;
        if named == caller.tenant { Ok(Self { tenant: caller.tenant, grant: Some(caller.grant) }) } else { Err(Error::NotFound("tenant")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(scopes: Option<Vec<Scope>>) -> KeyAdmin {
        let tenant = TenantId::parse("tenant_a").expect("an id");
        let grant = |scopes| Grant {
            version: 1,
            key_id: Uuid::nil(),
            tenant: tenant.clone(),
            scopes,
            class: shared::grant::DEFAULT_CLASS.to_owned(),
            revoked: false,
            suspended: false,
            expires_at: None,
            limits: shared::limits::Limits::default(),
            allowed: shared::grant::Allowed::default(),
        };
        KeyAdmin { grant: scopes.map(|scopes| Arc::new(grant(scopes))), tenant }
    }

    #[test]
    fn the_operator_grants_everything() {
        assert!(admin(None).may_grant(&Scope::ALL).is_ok());
    }

    #[test]
    fn a_key_hands_on_what_reaches_further_only_if_it_holds_it() {
        let plain = admin(Some(vec![Scope::KeysManage]));
        assert!(plain.may_grant(&[Scope::LogsWrite, Scope::LogsRead, Scope::KeysManage]).is_ok());
        for scope in HELD_TO_BE_GRANTED {
            assert!(matches!(plain.may_grant(&[Scope::LogsRead, scope]), Err(Error::Forbidden { code: "scope_not_held", .. })));
            assert!(admin(Some(vec![Scope::KeysManage, scope])).may_grant(&[scope]).is_ok());
        }
    }
}
