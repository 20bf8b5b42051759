//! Whose keys and people a request may manage, and the ids in its path. What is no id is a 404, as what is not there.

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use shared::auth::{Administer, Authenticator, Caller, ManageKeys, Operator, Permission};
use shared::error::{Error, Result};
use shared::grant::Scope;
use shared::http::Origin;
use shared::ids::TenantId;
use shared::people::Role;
use shared::tenants::{Actor, By};
use uuid::Uuid;

/// Scopes that reach beyond logs and keys: a tenant's key, or one of its people, hands them on only if they hold them.
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
        id_in_path(parts, state, "key_id", "key").await.map(Self)
    }
}

/// The id that the path names by `name`, of a thing that is called `what`.
pub(crate) async fn id_in_path<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str, what: &'static str) -> Result<Uuid> {
    let id = in_path(parts, state, name).await.and_then(|id| Uuid::parse_str(&id).ok());
    id.ok_or(Error::NotFound(what))
}

async fn in_path<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().find(|(param, _)| *param == name).map(|(_, value)| value.to_owned())
}

/// Whoever may do with the tenant in the path what `P` says: the operator, or a caller of that tenant who holds it.
#[derive(Debug)]
pub(crate) struct Steward<P> {
    /// The tenant in the path: the caller's own, where the caller is not the operator.
    pub(crate) tenant: TenantId,
    /// `None` for the operator.
    caller: Option<Caller<P>>,
}

/// Whoever may manage the keys of the tenant in the path.
pub(crate) type KeyAdmin = Steward<ManageKeys>;
/// Whoever may manage the people of the tenant in the path.
pub(crate) type PeopleAdmin = Steward<Administer>;

impl<P: Permission> Steward<P> {
    /// Who this is, for what is recorded of changes.
    pub(crate) fn by(&self, origin: Origin) -> By {
        By::new(self.caller.as_ref().map_or(Actor::Operator, Caller::actor), origin)
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.caller.is_none()
    }

    /// The highest role that this caller can give or take.
    pub(crate) fn rank(&self) -> Role {
        self.caller.as_ref().map_or(Role::Owner, Caller::rank)
    }

    fn holds(&self, scope: Scope) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.holds(scope))
    }

    /// # Errors
    /// [`Error::Forbidden`] `scope_not_held` for a scope that this caller cannot hand on.
    pub(crate) fn may_grant(&self, scopes: &[Scope]) -> Result<()> {
        match not_to_be_granted(scopes, |scope| self.holds(scope)) {
            None => Ok(()),
            Some(scope) => Err(Error::Forbidden { code: "scope_not_held", detail: format!("only who holds {} can give it to a key", scope.as_str()) }),
        }
    }

    /// # Errors
    /// [`Error::Forbidden`] `role_not_held` for a role that is above this caller's, or may what this caller's key may not.
    pub(crate) fn may_give(&self, role: Role) -> Result<()> {
        if role <= self.rank() && role.scopes().iter().all(|scope| self.holds(*scope)) {
            return Ok(());
        }
        Err(Error::Forbidden { code: "role_not_held", detail: format!("nobody gives a role that may more than they may: {}", role.as_str()) })
    }
}

fn not_to_be_granted(scopes: &[Scope], holds: impl Fn(Scope) -> bool) -> Option<Scope> {
    scopes.iter().copied().find(|scope| HELD_TO_BE_GRANTED.contains(scope) && !holds(*scope))
}

impl<S, P> FromRequestParts<S> for Steward<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if Operator::from_request_parts(parts, state).await.is_ok() {
            let TenantInPath(tenant) = TenantInPath::from_request_parts(parts, state).await?;
            return Ok(Self { tenant, caller: None });
        }
        let auth = Authenticator::from_ref(state);
        let caller = match TenantInPath::from_request_parts(parts, state).await {
            Ok(TenantInPath(named)) => Caller::<P>::of_tenant(parts, &auth, &named).await?,
            // What is no id is told to those only who could ask for one.
            Err(no_id) => return Err(Caller::<P>::from_request_parts(parts, state).await.err().unwrap_or(no_id)),
        };
        tracing::Span::current().record("tenant", caller.tenant.as_str());
        Ok(Self { tenant: caller.tenant.clone(), caller: Some(caller) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_further_is_handed_on_only_by_who_holds_it() {
        let plain = |scope| scope == Scope::KeysManage;
        assert_eq!(not_to_be_granted(&[Scope::LogsWrite, Scope::LogsRead, Scope::KeysManage], plain), None);
        for reaching in HELD_TO_BE_GRANTED {
            assert_eq!(not_to_be_granted(&[Scope::LogsRead, reaching], plain), Some(reaching));
            assert_eq!(not_to_be_granted(&[reaching], |scope| plain(scope) || scope == reaching), None);
        }
    }

    #[test]
    fn the_operator_grants_and_gives_everything() {
        let operator = PeopleAdmin { tenant: TenantId::parse("tenant_a").expect("an id"), caller: None };
        assert!(operator.may_grant(&Scope::ALL).is_ok() && Role::ALL.into_iter().all(|role| operator.may_give(role).is_ok()));
    }
}
