//! Who calls: an API key, or the session of a person, becomes a tenant and what may be done there. No handler sees a tenant that did not come
//! from here, and none can tell a key from a session: both hold scopes.
//!
//! A key is looked up in the process's cache, then in Redis, and where Redis is in trouble in Postgres, if this function has
//! it. Scopes are part of the type that a handler asks for ([`Caller<Read>`]), so a route without one cannot be written.
//!
//! Sessions open what a function does that has both Redis and Postgres (`auth/session.rs`). Ingest has no Postgres and takes keys only
//! ([`KeyCaller`]): logs are sent by programs, each batch names the key that it is counted by, and a page in a browser has no business there.

mod session;

pub use session::{MaybeSignedIn, OwnPages, SignedIn};

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::request::Parts;
use futures::future::BoxFuture;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{Engine, Error, Result};
use crate::grant::{Allowed, Grant, Scope};
use crate::http::{ClientAddress, Origin, Page};
use crate::ids::{ApiKey, KeyHash, TenantId};
use crate::keys::{KeyRing, Lookup};
use crate::people::Role;
use crate::retention::Retention;
use crate::sessions::Sessions;
use crate::settings::{Env, Secret, SessionSettings, SettingError};
use crate::tenants::{Actor, By, Registry};
use crate::timestamp;

/// How long a process may believe what it looked up: a revoked key opens nothing after that (design, section 2).
const CACHE_FOR: Duration = Duration::from_secs(5);
/// How often a process notes that a key is used.
const NOTE_USE_EVERY: Duration = Duration::from_secs(60);
/// How long that may take: a request waits for it.
const NOTE_USE_WITHIN: Duration = Duration::from_millis(200);
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

/// Checks keys and the operator's token. Each request gets a clone.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Means>);

/// What it checks with.
#[derive(Debug, Clone)]
struct Means {
    ring: KeyRing,
    registry: Option<Arc<dyn Grants>>,
    operator: Option<Secret>,
    door: Option<session::Door>,
    cache: moka::future::Cache<KeyHash, Option<Arc<Grant>>>,
    /// Keys of which it was noted within the minute that they are used.
    used: moka::future::Cache<KeyHash, ()>,
}

impl Authenticator {
    /// Looks keys up in `ring`.
    #[must_use]
    pub fn new(ring: KeyRing, operator: Option<Secret>) -> Self {
        let cache = moka::future::Cache::builder().max_capacity(CACHE_SIZE).time_to_live(CACHE_FOR).build();
        let used = moka::future::Cache::builder().max_capacity(CACHE_SIZE).time_to_live(NOTE_USE_EVERY).build();
        Self(Arc::new(Means { ring, registry: None, operator, door: None, cache, used }))
    }

    /// The same, asking `registry` when the ring cannot tell.
    #[must_use]
    pub fn or_ask(self, registry: Registry) -> Self {
        self.with(|means| means.registry = Some(Arc::new(registry)))
    }

    /// The same, letting people in by their sessions; what they may do is asked of `registry`.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions, registry: Registry, settings: SessionSettings) -> Self {
        self.with(|means| means.door = Some(session::Door::new(sessions, registry, settings)))
    }

    fn with(mut self, change: impl FnOnce(&mut Means)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
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
        let grant = self.0.cache.try_get_with(hash, self.look_up(hash)).await.map_err(share)?;
        grant.filter(|grant| grant.is_live(timestamp::from_datetime(OffsetDateTime::now_utc()))).ok_or(Error::Unauthenticated)
    }

    /// Notes that a key is used, once a minute; whether it can be noted makes no difference to who uses it.
    async fn note_use(&self, hash: &KeyHash, grant: &Grant) {
        if self.0.used.contains_key(hash) {
            return;
        }
        self.0.used.insert(*hash, ()).await;
        let noted = tokio::time::timeout(NOTE_USE_WITHIN, self.0.ring.note_use(hash, grant.key_id)).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::debug!(key_id = %grant.key_id, "that a key was used could not be noted");
        }
    }

    async fn look_up(&self, hash: KeyHash) -> Result<Option<Arc<Grant>>> {
        let trouble = match self.0.ring.look_up(&hash).await {
            Ok(Lookup::Found(grant)) => return Ok(Some(grant)),
            Ok(Lookup::Unknown) => return Ok(None),
            Ok(Lookup::Lost) => Error::unavailable(Engine::Redis, "this part of the key ring was lost; maintenance will publish it again"),
            Err(error) => error,
        };
        match &self.0.registry {
            Some(registry) => Ok(registry.grant(&hash).await?.map(Arc::new)),
            None => Err(trouble),
        }
    }

    fn is_operator(&self, headers: &HeaderMap) -> bool {
        let header = || headers.get(OPERATOR_TOKEN)?.to_str().ok().map(str::trim);
        match (bearer(headers).or_else(header), &self.0.operator) {
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

permission!(/** Sends logs; the route itself keeps a suspended tenant out, and counts what that refuses. */ SendLogs, [Scope::LogsWrite], writes: false);
permission!(/** Has logs stored again that were sent before. */ Write, [Scope::LogsWrite], writes: true);
permission!(/** Reads logs. */ Read, [Scope::LogsRead], writes: false);
permission!(/** Reads what became of a batch: whoever may send or read logs. */ ReadReceipt, [Scope::LogsWrite, Scope::LogsRead], writes: false);
permission!(/** Decides what becomes of what a tenant has. */ Administer, [Scope::TenantAdmin], writes: false);
permission!(/** Reads usage and bills. */ ReadUsage, [Scope::BillingRead], writes: false);
permission!(/** Creates, lists and revokes keys. */ ManageKeys, [Scope::KeysManage], writes: false);

/// What a suspended tenant is told that sends.
#[must_use]
pub fn suspended() -> Error {
    Error::Forbidden { code: "tenant_suspended", detail: "this tenant is suspended: it can read, but not send logs".to_owned() }
}

/// A caller that holds what `P` asks.
#[derive(Debug, Clone)]
pub struct Caller<P> {
    /// Whose logs, keys and people this is about: the only source of a tenant.
    pub tenant: TenantId,
    who: Who,
    permission: PhantomData<P>,
}

#[derive(Debug, Clone)]
enum Who {
    Key { hash: KeyHash, grant: Arc<Grant> },
    Person { signed_in: SignedIn, role: Role },
}

impl<P: Permission> Caller<P> {
    async fn of_key(auth: &Authenticator, hash: KeyHash) -> Result<Self> {
        let grant = auth.grant(hash).await?;
        admit::<P>(&grant.scopes, grant.suspended, "this key")?;
        Ok(Self { tenant: grant.tenant.clone(), who: Who::Key { hash, grant }, permission: PhantomData })
    }

    fn of_person(signed_in: SignedIn, tenant: &TenantId) -> Result<Self> {
        let membership = signed_in.person.in_tenant(tenant).ok_or_else(session::no_member)?;
        let (role, suspended) = (membership.role, membership.suspended);
        admit::<P>(role.scopes(), suspended, "this role")?;
        Ok(Self { tenant: tenant.clone(), who: Who::Person { signed_in, role }, permission: PhantomData })
    }

    /// Who calls, where the route's path names the tenant: another's is not there.
    ///
    /// # Errors
    /// As extracting a [`Caller`]; [`Error::NotFound`] for a tenant that is not the caller's.
    pub async fn of_tenant(parts: &Parts, auth: &Authenticator, tenant: &TenantId) -> Result<Self> {
        if let Some(key) = presented(&parts.headers) {
            let caller = Self::of_presented(auth, key, parts).await?;
            return if caller.tenant == *tenant { Ok(caller) } else { Err(Error::NotFound("tenant")) };
        }
        let signed_in = auth.signed_in(parts).await?.ok_or(Error::Unauthenticated)?;
        if signed_in.person.in_tenant(tenant).is_none() {
            return Err(Error::NotFound("tenant"));
        }
        Self::of_person(signed_in, tenant)
    }

    /// Who presents this key, if the key may be used from there.
    async fn of_presented(auth: &Authenticator, key: &str, parts: &Parts) -> Result<Self> {
        let key = ApiKey::parse(key).map_err(|_| Error::Unauthenticated)?;
        let caller = Self::of_key(auth, key.hash()).await?;
        if let Who::Key { grant, hash } = &caller.who {
            come_from(&grant.allowed, parts)?;
            auth.note_use(hash, grant).await;
        }
        Ok(caller)
    }

    /// The key, where one calls, and no person.
    #[must_use]
    pub fn key_id(&self) -> Option<Uuid> {
        match &self.who {
            Who::Key { grant, .. } => Some(grant.key_id),
            Who::Person { .. } => None,
        }
    }

    /// Who this is, as it is recorded.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.who {
            Who::Key { grant, .. } => Actor::Key(grant.key_id),
            Who::Person { signed_in, .. } => Actor::User(signed_in.person.id),
        }
    }

    /// Who this is, for what is recorded of changes.
    #[must_use]
    pub fn by(&self, origin: Origin) -> By {
        By::new(self.actor(), origin)
    }

    /// How long the logs of the caller's tenant are kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        match &self.who {
            Who::Key { grant, .. } => grant.retention,
            Who::Person { signed_in, .. } => signed_in.person.in_tenant(&self.tenant).map(|membership| membership.retention).unwrap_or_default(),
        }
    }

    /// Whether this caller may do what `scope` allows, beside what the route asks.
    #[must_use]
    pub fn holds(&self, scope: Scope) -> bool {
        match &self.who {
            Who::Key { grant, .. } => grant.scopes.contains(&scope),
            Who::Person { role, .. } => role.scopes().contains(&scope),
        }
    }

    /// The highest role that this caller can give or take: a person's own. A key, behind which nobody stands, is no owner.
    #[must_use]
    pub fn rank(&self) -> Role {
        match &self.who {
            Who::Key { .. } => Role::Admin,
            Who::Person { role, .. } => *role,
        }
    }

    /// Looks the key or the session up once more, for an answer that goes on for long.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::Forbidden`] where it no longer opens this; [`Error::Unavailable`] where that cannot be told.
    pub async fn still_may(&self, auth: &Authenticator) -> Result<()> {
        match &self.who {
            Who::Key { hash, .. } => Self::of_key(auth, *hash).await.map(drop),
            Who::Person { signed_in, .. } => Self::of_person(auth.still_signed_in(signed_in).await?, &self.tenant).map(drop),
        }
    }
}

/// Whether a request comes from where its key may be used; a page of a browser that may is told so.
///
/// # Errors
/// [`Error::Forbidden`] `network_not_allowed` or `origin_not_allowed`.
fn come_from(allowed: &Allowed, parts: &Parts) -> Result<()> {
    let address = parts.extensions.get::<ClientAddress>().and_then(|address| address.0.parse().ok());
    if !allowed.address(address) {
        return Err(Error::Forbidden { code: "network_not_allowed", detail: "this key may not be used from this address".to_owned() });
    }
    let origin = parts.headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    if !allowed.origin(origin) {
        return Err(Error::Forbidden { code: "origin_not_allowed", detail: "this key may not be used by pages of this origin".to_owned() });
    }
    if let Some(page) = parts.extensions.get::<Page>().filter(|_| !allowed.origins.is_empty()) {
        page.let_read();
    }
    Ok(())
}

/// # Errors
/// [`Error::Forbidden`] for scopes that do not open what `P` asks, or a suspended tenant where it writes.
fn admit<P: Permission>(scopes: &[Scope], is_suspended: bool, who: &str) -> Result<()> {
    if !P::ANY_OF.iter().any(|scope| scopes.contains(scope)) {
        let names: Vec<_> = P::ANY_OF.iter().map(|scope| scope.as_str()).collect();
        return Err(Error::Forbidden { code: "missing_scope", detail: format!("{who} lacks the scope {}", names.join(" or ")) });
    }
    if P::WRITES && is_suspended {
        return Err(suspended());
    }
    Ok(())
}

impl<S, P> FromRequestParts<S> for Caller<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let auth = Authenticator::from_ref(state);
        let caller = if let Some(key) = presented(&parts.headers) {
            Self::of_presented(&auth, key, parts).await?
        } else {
            let signed_in = auth.signed_in(parts).await?.ok_or(Error::Unauthenticated)?;
            let tenant = signed_in.chosen_tenant(&parts.headers)?.clone();
            Self::of_person(signed_in, &tenant)?
        };
        tracing::Span::current().record("tenant", caller.tenant.as_str());
        Ok(caller)
    }
}

/// A caller with a key that holds what `P` asks: where no session will do.
#[derive(Debug, Clone)]
pub struct KeyCaller<P> {
    /// The key and what it allows.
    pub grant: Arc<Grant>,
    permission: PhantomData<P>,
}

impl<S, P> FromRequestParts<S> for KeyCaller<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let key = presented(&parts.headers).ok_or(Error::Unauthenticated)?;
        match Caller::<P>::of_presented(&Authenticator::from_ref(state), key, parts).await?.who {
            Who::Key { grant, .. } => {
                tracing::Span::current().record("tenant", grant.tenant.as_str());
                Ok(Self { grant, permission: PhantomData })
            }
            Who::Person { .. } => Err(Error::Unauthenticated),
        }
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
