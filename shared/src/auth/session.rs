//! Who is signed in: the cookie of a session becomes a person, and with the header `X-Tenant`, or by the only membership, a tenant.
//!
//! The session is asked for in Redis with every request, so that one that ended opens nothing from then on. What its person may do is asked
//! of Postgres and believed for 5 s: a role that was taken away, a user that was disabled and sessions that were all ended count everywhere
//! within that time. Where Redis or Postgres cannot tell, nobody is let in.
//!
//! A browser sends its cookies wherever a page tells it to. So a request that could change something must bring a token that only a page of
//! ours can know (`X-CSRF-Token`), and the origin of the page, where the browser tells it, must be one of ours.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use futures::future::BoxFuture;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Authenticator, CACHE_FOR, CACHE_SIZE, share};
use crate::error::{Error, Fault, Result};
use crate::http::Origin;
use crate::ids::{TenantId, Token, TokenHash, TokenKind};
use crate::people::Person;
use crate::sessions::{Session, Sessions};
use crate::settings::SessionSettings;
use crate::tenants::{Actor, By, Registry};

/// Carries the token that a page must know to change something with a session.
const CSRF_TOKEN: &str = "x-csrf-token";
/// What that token is derived for.
const CSRF_PURPOSE: &str = "loggerhub csrf";
/// Says which of a person's tenants a request is about.
const TENANT: &str = "x-tenant";
/// The cookie's name.
const PLAIN_COOKIE: &str = "lh_session";
/// The same where it is sent over HTTPS only: a browser takes a cookie of this name from nobody but the very host, over HTTPS, and for all
/// paths (RFC 6265bis, section 4.1.3.2), so no neighbouring host can plant one.
const HOST_COOKIE: &str = "__Host-lh_session";

/// Where people are looked up. Not the registry by name: ingest has none, and carries nothing of Postgres.
trait People: std::fmt::Debug + Send + Sync {
    fn person(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Person>>>;
}

impl People for Registry {
    fn person(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Person>>> {
        Box::pin(Self::person(self, id))
    }
}

/// Lets people in by their sessions.
#[derive(Debug, Clone)]
pub(super) struct Door {
    sessions: Sessions,
    people: Arc<dyn People>,
    settings: Arc<SessionSettings>,
    cache: moka::future::Cache<Uuid, Option<Arc<Person>>>,
}

/// Somebody whose session goes on.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who, and what they may do where.
    pub person: Arc<Person>,
    /// The session.
    pub session: Session,
    /// What is looked up for its token.
    pub hash: TokenHash,
    /// What a page must send in `X-CSRF-Token`.
    pub csrf_token: String,
}

impl Door {
    pub(super) fn new(sessions: Sessions, registry: Registry, settings: SessionSettings) -> Self {
        let cache = moka::future::Cache::builder().max_capacity(CACHE_SIZE).time_to_live(CACHE_FOR).build();
        Self { sessions, people: Arc::new(registry), settings: Arc::new(settings), cache }
    }

    fn cookie_name(&self) -> &'static str {
        if self.settings.secure_cookie { HOST_COOKIE } else { PLAIN_COOKIE }
    }

    fn token(&self, headers: &HeaderMap) -> Option<Token> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let ours = cookies.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == self.cookie_name());
        ours.and_then(|(_, value)| Token::parse(TokenKind::Session, value).ok())
    }

    async fn person(&self, id: Uuid) -> Result<Option<Arc<Person>>> {
        let look_up = async { Ok(self.people.person(id).await?.map(Arc::new)) };
        self.cache.try_get_with(id, look_up).await.map_err(share)
    }

    /// The person of a session; `None` where the session, or the person, may nothing any more.
    async fn person_of(&self, session: &Session) -> Result<Option<Arc<Person>>> {
        let mut person = self.person(session.user).await?;
        if person.as_ref().is_none_or(|person| person.epoch < session.epoch) {
            // What is believed is older than the session.
            self.cache.invalidate(&session.user).await;
            person = self.person(session.user).await?;
        }
        Ok(person.filter(|person| person.epoch == session.epoch))
    }

    /// # Errors
    /// [`Error::Forbidden`] `origin_not_allowed` for a page that is none of ours.
    fn check_origin(&self, headers: &HeaderMap) -> Result<()> {
        let Some(sent) = headers.get(ORIGIN) else { return Ok(()) };
        let own = || sent.to_str().ok()?.split_once("://").map(|(_, authority)| authority);
        let allowed = match self.settings.origins.as_slice() {
            [] => own().is_some_and(|authority| headers.get(HOST).is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))),
            origins => origins.iter().any(|origin| origin.as_bytes() == sent.as_bytes()),
        };
        if allowed { Ok(()) } else { Err(Error::Forbidden { code: "origin_not_allowed", detail: "pages of this origin may not use sessions here".to_owned() }) }
    }
}

/// Methods that change nothing (RFC 9110, section 9.2.1).
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// # Errors
/// [`Error::Forbidden`] `csrf_token_missing` for a request that could change something and does not bring the token.
fn check_csrf(method: &Method, headers: &HeaderMap, token: &str) -> Result<()> {
    let sent = headers.get(CSRF_TOKEN).map(|sent| sent.as_bytes()).unwrap_or_default();
    if is_safe(method) || bool::from(sent.ct_eq(token.as_bytes())) {
        return Ok(());
    }
    let detail = "with a session, what changes something must bring the token of that session in X-CSRF-Token; GET /v1/me tells it";
    Err(Error::Forbidden { code: "csrf_token_missing", detail: detail.to_owned() })
}

/// What is told of a tenant that is not the person's, or is not at all: which of the two cannot be told.
pub(super) fn no_member() -> Error {
    Error::Forbidden { code: "not_a_member", detail: "you do not belong to this tenant, or there is none of this id".to_owned() }
}

impl Authenticator {
    /// Who is signed in, if anybody is.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a request that a page of another may have made; [`Error::Unavailable`] where Redis or Postgres cannot tell.
    pub(super) async fn signed_in(&self, parts: &Parts) -> Result<Option<SignedIn>> {
        let Some(door) = &self.0.door else { return Ok(None) };
        let Some(token) = door.token(&parts.headers) else { return Ok(None) };
        let Some(signed_in) = self.of_token(door, token.hash(), token.derived(CSRF_PURPOSE)).await? else { return Ok(None) };
        door.check_origin(&parts.headers)?;
        check_csrf(&parts.method, &parts.headers, &signed_in.csrf_token)?;
        Ok(Some(signed_in))
    }

    async fn of_token(&self, door: &Door, hash: TokenHash, csrf_token: String) -> Result<Option<SignedIn>> {
        let Some(session) = door.sessions.find(&hash).await? else { return Ok(None) };
        let person = door.person_of(&session).await?;
        Ok(person.map(|person| SignedIn { person, session, hash, csrf_token }))
    }

    pub(super) async fn still_signed_in(&self, before: &SignedIn) -> Result<SignedIn> {
        let door = self.0.door.as_ref().ok_or(Error::Unauthenticated)?;
        self.of_token(door, before.hash, before.csrf_token.clone()).await?.ok_or(Error::Unauthenticated)
    }

    /// Begins a session for a person who has just shown who they are, and answers it with the line that sets its cookie. A session
    /// that the request brought along is ended: none is taken over from before the login.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nobody is logged in.
    pub async fn begin_session(&self, user: Uuid, epoch: i64, headers: &HeaderMap, origin: &Origin) -> Result<(SignedIn, String)> {
        let door = self.0.door.as_ref().ok_or_else(|| Error::internal("beginning a session", "there are none here"))?;
        if let Some(before) = door.token(headers)
            && let Some(session) = door.sessions.find(&before.hash()).await?
        {
            door.sessions.end(session.user, &before.hash()).await?;
        }
        let (token, session) = door.sessions.begin(user, epoch, origin.address.clone()).await?;
        let person = door.person_of(&session).await?.ok_or(Error::WrongLogin)?;
        let cookie = door.cookie(token.reveal(), door.settings.absolute);
        Ok((SignedIn { person, session, hash: token.hash(), csrf_token: token.derived(CSRF_PURPOSE) }, cookie))
    }

    /// The line that takes the cookie of a session away.
    #[must_use]
    pub fn no_cookie(&self) -> String {
        self.0.door.as_ref().map(|door| door.cookie("", Duration::ZERO)).unwrap_or_default()
    }

    /// Forgets what is believed of a user: for the process that has just changed it.
    pub async fn forget(&self, user: Uuid) {
        if let Some(door) = &self.0.door {
            door.cache.invalidate(&user).await;
        }
    }
}

impl Door {
    fn cookie(&self, value: &str, max_age: Duration) -> String {
        let secure = if self.settings.secure_cookie { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", self.cookie_name(), max_age.as_secs())
    }
}

impl SignedIn {
    /// Who this is, for what is recorded of changes.
    #[must_use]
    pub fn by(&self, origin: Origin) -> By {
        By::new(Actor::User(self.person.id), origin)
    }

    /// The tenant that a request is about: the one that it names, else the only one.
    pub(super) fn chosen_tenant(&self, headers: &HeaderMap) -> Result<&TenantId> {
        match (headers.get(TENANT), self.person.memberships.as_slice()) {
            (Some(named), _) => {
                let named = named.to_str().ok().and_then(|id| TenantId::parse(id.trim()).ok());
                named.and_then(|id| self.person.in_tenant(&id)).map(|membership| &membership.tenant).ok_or_else(no_member)
            }
            (None, [only]) => Ok(&only.tenant),
            (None, []) => Err(no_member()),
            (None, _) => {
                let detail = "you belong to several tenants: the header X-Tenant must say which is meant";
                let fault = Fault { index: None, field: Some("X-Tenant".to_owned()), code: "required".to_owned(), detail: detail.to_owned(), place: None };
                Err(Error::Invalid { code: "tenant_required", detail: detail.to_owned(), faults: vec![fault] })
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Authenticator::from_ref(state).signed_in(parts).await?.ok_or(Error::Unauthenticated)
    }
}

/// Somebody who may be signed in, on a route that does not ask for it.
#[derive(Debug, Clone)]
pub struct MaybeSignedIn(pub Option<SignedIn>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeSignedIn
where
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Authenticator::from_ref(state).signed_in(parts).await.map(Self)
    }
}

/// A request that no page of another made: for routes that ask for no session, and change something.
#[derive(Debug, Clone, Copy)]
pub struct OwnPages(());

impl<S: Send + Sync> FromRequestParts<S> for OwnPages
where
    Authenticator: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let auth = Authenticator::from_ref(state);
        auth.0.door.as_ref().map_or(Ok(()), |door| door.check_origin(&parts.headers)).map(|()| Self(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{Membership, Role};
    use crate::retention::Retention;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    fn signed_in(tenants: &[&str]) -> SignedIn {
        let membership = |id: &&str| Membership { tenant: TenantId::parse(id).expect("an id"), role: Role::Viewer, suspended: false, retention: Retention::default() };
        let person = Person { id: Uuid::nil(), epoch: 1, memberships: tenants.iter().map(membership).collect() };
        let session = Session { id: Uuid::nil(), user: Uuid::nil(), epoch: 1, began_at: 0, address: None };
        let token = Token::generate(TokenKind::Session);
        SignedIn { person: Arc::new(person), session, hash: token.hash(), csrf_token: token.derived(CSRF_PURPOSE) }
    }

    #[test]
    fn what_changes_something_must_bring_the_token() {
        let token = "the token";
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(check_csrf(&method, &headers(&[]), token).is_ok(), "{method}");
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE, Method::from_bytes(b"BREW").expect("a method")] {
            assert!(check_csrf(&method, &headers(&[("x-csrf-token", token)]), token).is_ok(), "{method}");
            for wrong in [&[][..], &[("x-csrf-token", "")], &[("x-csrf-token", "another")]] {
                assert!(matches!(check_csrf(&method, &headers(wrong), token), Err(Error::Forbidden { code: "csrf_token_missing", .. })), "{method} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_request_is_about_the_named_tenant_or_the_only_one() {
        let (one, two, none) = (signed_in(&["tenant_a"]), signed_in(&["tenant_a", "tenant_b"]), signed_in(&[]));
        let chosen = |who: &SignedIn, pairs: &[(&'static str, &str)]| who.chosen_tenant(&headers(pairs)).map(TenantId::to_string);
        assert_eq!(chosen(&one, &[]).ok().as_deref(), Some("tenant_a"));
        assert_eq!(chosen(&two, &[("x-tenant", "tenant_b")]).ok().as_deref(), Some("tenant_b"));
        assert!(matches!(chosen(&two, &[]), Err(Error::Invalid { code: "tenant_required", .. })));
        for (who, named) in [(&one, "tenant_b"), (&one, "Not an id"), (&none, "tenant_a"), (&one, "")] {
            assert!(matches!(chosen(who, &[("x-tenant", named)]), Err(Error::Forbidden { code: "not_a_member", .. })), "{named}");
        }
        assert!(matches!(chosen(&none, &[]), Err(Error::Forbidden { code: "not_a_member", .. })));
    }
}
