//! Whose letters a request may see and touch: the operator all, a key those of its tenant, if it holds what the route asks.

use std::marker::PhantomData;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use shared::auth::{Authenticator, Caller, Operator, Permission};
use shared::error::{Error, Result};
use shared::http::Origin;
use shared::ids::TenantId;
use shared::rows::Reach;
use shared::tenants::{Actor, By};
use uuid::Uuid;

use crate::access::id_in_path;

/// The letters that a caller may do with what `P` says.
#[derive(Debug)]
pub(crate) struct Letters<P> {
    /// All of them.
    pub(crate) reach: Reach,
    actor: Actor,
    permission: PhantomData<P>,
}

impl<P> Letters<P> {
    fn of(reach: Reach, actor: Actor) -> Self {
        Self { reach, actor, permission: PhantomData }
    }

    /// Who this is, for what is recorded of changes.
    pub(crate) fn by(&self, origin: Origin) -> By {
        By::new(self.actor, origin)
    }

    /// Those of one tenant, where the caller named one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that names a tenant: it has one.
    pub(crate) fn of_tenant(self, named: Option<TenantId>) -> Result<Reach> {
        match (self.reach, named) {
            (Reach::All, Some(tenant)) => Ok(Reach::Tenant(tenant)),
            (Reach::Tenant(_), Some(_)) => Err(Error::invalid("tenant", "only an operator chooses a tenant: a key sees its own")),
            (reach, None) => Ok(reach),
        }
    }
}

impl<S, P> FromRequestParts<S> for Letters<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if Operator::from_request_parts(parts, state).await.is_ok() {
            return Ok(Self::of(Reach::All, Actor::Operator));
        }
        let caller = Caller::<P>::from_request_parts(parts, state).await?;
        let actor = caller.actor();
        Ok(Self::of(Reach::Tenant(caller.tenant), actor))
    }
}

/// The letter that the path names. What is no id is a 404, as what is not there.
#[derive(Debug)]
pub(crate) struct LetterInPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for LetterInPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        id_in_path(parts, state, "id", "dead letter").await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::auth::Read;

    #[test]
    fn only_an_operator_chooses_a_tenant() {
        let (a, b) = (TenantId::parse("tenant_a").expect("an id"), TenantId::parse("tenant_b").expect("an id"));
        let letters = |reach: &Reach| Letters::<Read>::of(reach.clone(), Actor::Operator);
        assert_eq!(letters(&Reach::All).of_tenant(None).ok(), Some(Reach::All));
        assert_eq!(letters(&Reach::All).of_tenant(Some(b.clone())).ok(), Some(Reach::Tenant(b.clone())));
        let own = Reach::Tenant(a.clone());
        assert_eq!(letters(&own).of_tenant(None).ok(), Some(own.clone()));
        for named in [a, b] {
            assert!(matches!(letters(&own).of_tenant(Some(named)), Err(Error::Invalid { .. })));
        }
    }
}
