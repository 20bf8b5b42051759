//! Who calls: an API key becomes a tenant and what it may do there. No handler sees a tenant that did not come from here.
//!
//! A key is looked up in the process's cache, then in Redis, and where Redis is in trouble in Postgres, if this function has
//! it. Scopes are part of the type that a handler asks for ([`Caller<Read>`]), so a route without one cannot be written.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use futures::future::BoxFuture;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use crate::error::{Engine, Error, Result};
use crate::grant::{Grant, Scope};
use crate::http::Origin;
use crate::ids::{ApiKey, KeyHash, TenantId};
use crate::keys::{KeyRing, Lookup};
use crate::settings::{Env, Secret, SettingError};
use crate::tenants::{Actor, By, Registry};
use crate::timestamp;

/// How long a process may believe what it looked up: a revoked key opens nothing after that (design, section 2).
const CACHE_FOR: Duration = Duration::from_secs(5);
/// Keys remembered, known and unknown ones.
const CACHE_SIZE: u64 = 100_000;
/// The other header for the operator's token: behind a gateway that checks signatures, `Authorization` holds the signature.
pub const OPERATOR_TOKEN: &str = "x-operator-token";
/// Shortest operator token: anything shorter can be guessed.
const MIN_OPERATOR_TOKEN: usize = 16;

/// Where grants are looked up while Redis is in trouble. Not the registry by name: ingest has none, and carries nothing of Postgres.
trait Grants: std::fmt::Debug + Send + Sync {
    fn grant<'a>(&'a self, hash: &'a KeyHash) -> BoxFuture<'a, Result<Option<Grant>>>;
}

impl Grants for Registry {
    fn grant<'a>(&'a self, hash: &'a KeyHash) -> BoxFuture<'a, Result<Option<Grant>>> {
        Box::pin(Self::grant(self, hash))
    }
}

/// Checks keys and the operator's token.
#[derive(Debug, Clone)]
pub struct Authenticator {
    ring: KeyRing,
    registry: Option<Arc<dyn Grants>>,
    operator: Option<Secret>,
    cache: moka::future::Cache<KeyHash, Option<Arc<Grant>>>,
}

impl Authenticator {
    /// Looks keys up in `ring`.
    #[must_use]
    pub fn new(ring: KeyRing, operator: Option<Secret>) -> Self {
        let cache = moka::future::Cache::builder().max_capacity(CACHE_SIZE).time_to_live(CACHE_FOR).build();
        Self { ring, registry: None, operator, cache }
    }

    /// The same, asking `registry` when the ring cannot tell.
    #[must_use]
    pub fn or_ask(self, registry: Registry) -> Self {
        Self { registry: Some(Arc::new(registry)), ..self }
    }

    /// The operator's token, if there is one.
    ///
    /// # Errors
    /// [`SettingError`] for one that is too short.
    pub fn operator_from_env(env: &Env) -> Result<Option<Secret>, SettingError> {
        const NAME: &str = "LOGGERHUB_OPERATOR_TOKEN";
        match env.optional(NAME) {
            Some(token) if token.len() < MIN_OPERATOR_TOKEN => Err(SettingError::Unreadable { name: NAME, reason: format!("it has fewer than {MIN_OPERATOR_TOKEN} characters") }),
            token => Ok(token.map(Secret::new)),
        }
    }

    /// The grant of a key that is live.
    async fn grant(&self, hash: KeyHash) -> Result<Arc<Grant>> {
        let grant = self.cache.try_get_with(hash, self.look_up(hash)).await.map_err(share)?;
        grant.filter(|grant| grant.is_live(timestamp::from_datetime(OffsetDateTime::now_utc()))).ok_or(Error::Unauthenticated)
    }

    async fn look_up(&self, hash: KeyHash) -> Result<Option<Arc<Grant>>> {
        let trouble = match self.ring.look_up(&hash).await {
            Ok(Lookup::Found(grant)) => return Ok(Some(Arc::new(grant))),
            Ok(Lookup::Unknown) => return Ok(None),
            Ok(Lookup::Lost) => Error::unavailable(Engine::Redis, "this part of the key ring was lost; maintenance will publish it again"),
            Err(error) => error,
        };
        match &self.registry {
            Some(registry) => Ok(registry.grant(&hash).await?.map(Arc::new)),
            None => Err(trouble),
        }
    }

    fn is_operator(&self, headers: &HeaderMap) -> bool {
        let header = || headers.get(OPERATOR_TOKEN)?.to_str().ok().map(str::trim);
        match (bearer(headers).or_else(header), &self.operator) {
            (Some(sent), Some(token)) => sent.as_bytes().ct_eq(token.reveal().as_bytes()).into(),
            _ => false,
        }
    }
}

/// An error that several requests wait for, for one of them.
fn share(error: Arc<Error>) -> Error {
    match &*error {
        Error::Unavailable { engine, .. } => Error::unavailable(*engine, error),
        _ => Error::internal("looking up a key", error),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).or_else(|| headers.get("x-api-key")?.to_str().ok().map(str::trim))
}

/// What a route asks of a key.
pub trait Permission: Send + Sync + 'static {
    /// Any one of these scopes opens the route.
    const ANY_OF: &'static [Scope];
    /// Whether a suspended tenant is kept out.
    const WRITES: bool = false;
}

macro_rules! permission {
    ($(#[$doc:meta])* $name:ident, $scopes:expr, writes: $writes:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl Permission for $name {
            const ANY_OF: &'static [Scope] = &$scopes;
            const WRITES: bool = $writes;
        }
    };
}

permission!(/** Sends logs. */ Write, [Scope::LogsWrite], writes: true);
permission!(/** Reads logs. */ Read, [Scope::LogsRead], writes: false);
permission!(/** Reads what became of a batch: whoever may send or read logs. */ ReadReceipt, [Scope::LogsWrite, Scope::LogsRead], writes: false);
permission!(/** Decides what becomes of what a tenant has. */ Administer, [Scope::TenantAdmin], writes: false);
permission!(/** Reads usage and bills. */ ReadBills, [Scope::BillingRead], writes: false);
permission!(/** Creates, lists and revokes keys. */ ManageKeys, [Scope::KeysManage], writes: false);

/// A caller with a key that holds what `P` asks.
#[derive(Debug, Clone)]
pub struct Caller<P> {
    /// Whose key it is: the only source of a tenant.
    pub tenant: TenantId,
    /// The key and what it allows.
    pub grant: Arc<Grant>,
    hash: KeyHash,
    permission: PhantomData<P>,
}

impl<P: Permission> Caller<P> {
    async fn of_key(auth: &Authenticator, hash: KeyHash) -> Result<Self> {
        let grant = auth.grant(hash).await?;
        if !P::ANY_OF.iter().any(|scope| grant.scopes.contains(scope)) {
            let names: Vec<_> = P::ANY_OF.iter().map(|scope| scope.as_str()).collect();
            return Err(Error::Forbidden { code: "missing_scope", detail: format!("this key lacks the scope {}", names.join(" or ")) });
        }
        if P::WRITES && grant.suspended {
            return Err(Error::Forbidden { code: "tenant_suspended", detail: "this tenant is suspended: it can read, but not send logs".to_owned() });
        }
        Ok(Self { tenant: grant.tenant.clone(), grant, hash, permission: PhantomData })
    }

    /// Who this is, for what is recorded of changes.
    #[must_use]
    pub fn by(&self, origin: Origin) -> By {
        By::new(Actor::Key(self.grant.key_id), origin)
    }

    /// Looks the key up once more, for an answer that goes on for long.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::Forbidden`] where it no longer opens this; [`Error::Unavailable`] where that cannot be told.
    pub async fn still_may(&self, auth: &Authenticator) -> Result<()> {
        Self::of_key(auth, self.hash).await.map(drop)
    }
}

impl<S, P> FromRequestParts<S> for Caller<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let key = presented(&parts.headers).and_then(|text| ApiKey::parse(text).ok()).ok_or(Error::Unauthenticated)?;
        let caller = Self::of_key(&Authenticator::from_ref(state), key.hash()).await?;
        tracing::Span::current().record("tenant", caller.tenant.as_str());
        Ok(caller)
    }
}

/// Whoever sent the operator's token.
#[derive(Debug, Clone, Copy)]
pub struct Operator(());

impl Operator {
    /// Who this is, for what is recorded of changes.
    #[must_use]
    pub fn by(self, origin: Origin) -> By {
        By::new(Actor::Operator, origin)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if Authenticator::from_ref(state).is_operator(&parts.headers) { Ok(Self(())) } else { Err(Error::Unauthenticated) }
    }
}
