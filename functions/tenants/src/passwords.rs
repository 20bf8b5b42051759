//! Passwords: hashed by argon2id on the blocking pool, a few at once, so that a flood of logins takes no more memory and no more cores than these.
//!
//! Whether there is a user must not show in how long an answer takes: where there is none, a hash is checked that no password has.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use shared::error::{Error, Result};
use tokio::sync::Semaphore;

/// Memory of one hash in KiB, passes and lanes: OWASP, "Password Storage Cheat Sheet", the first of its settings for argon2id with 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Shortest password, in characters: long enough to make up for not asking for digits and signs (NIST SP 800-63B, section 5.1.1.2, asks for 8).
pub(crate) const MIN_CHARS: usize = 12;
/// Longest password, in bytes: far longer than any that is typed.
pub(crate) const MAX_BYTES: usize = 1024;
/// Most hashes at once in a process: each keeps a core busy.
const MOST_AT_ONCE: usize = 4;
/// How long one waits for its turn: some 50 ms each, so that this is a flood.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// When to come again after that.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Hashes passwords and checks them.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

/// What became of checking a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is another.
    Wrong,
    /// It is right. Where its hash is weaker than those that are made now, here is a new one.
    Right { rehashed: Option<String> },
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Arc::new(Semaphore::new(cores.min(MOST_AT_ONCE))) }
    }
}

impl Passwords {
    /// A password's hash in the PHC string format, with a fresh salt.
    ///
    /// # Errors
    /// [`Error::Busy`] where too many wait for theirs.
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        self.in_turn(move || hash(&password)).await
    }

    /// Checks a password against a hash; without one it takes as long, and is wrong.
    ///
    /// # Errors
    /// [`Error::Busy`] where too many wait for theirs; [`Error::Internal`] for what is no hash.
    pub(crate) async fn check(&self, password: String, against: Option<String>) -> Result<Verdict> {
        self.in_turn(move || {
            let is_known = against.is_some();
            let against = against.unwrap_or_else(nobody);
            match hasher()?.verify_password(password.as_bytes(), against.as_str()) {
                Ok(()) if is_known => Ok(Verdict::Right { rehashed: if is_weaker(&against) { Some(hash(&password)?) } else { None } }),
                Ok(()) | Err(HashError::PasswordInvalid) => Ok(Verdict::Wrong),
                Err(error) => Err(internal(error)),
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let turn = tokio::time::timeout(TURN_WITHIN, Arc::clone(&self.turns).acquire_owned()).await;
        let busy = Error::Busy { code: "too_many_logins", detail: "too many log in just now", retry_after: RETRY_AFTER };
        let turn = turn.map_err(|_| busy)?.map_err(|e| Error::internal("waiting to hash a password", e))?;
        let work = move || {
            // Held by the thread: who breaks off does not let the next one in beside what goes on.
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("hashing a password", e))?
    }
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String> {
    hasher()?.hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(internal)
}

/// A hash made as all are, of which nobody knows the password: its output was not computed.
fn nobody() -> String {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${output}")
}

/// Whether a hash was made with less than what is asked now.
fn is_weaker(hash: &str) -> bool {
    let parsed = PasswordHash::new(hash).ok();
    let current = parsed.filter(|hash| hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(Version::V0x13.into()));
    let params = current.and_then(|hash| Params::try_from(&hash).ok());
    params.is_none_or(|params| params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal("hashing a password", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_is() {
        let passwords = Passwords::default();
        let hash = passwords.hash(PASSWORD.to_owned()).await.expect("it can be hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hash.contains(PASSWORD), "{hash}");
        assert_ne!(passwords.hash(PASSWORD.to_owned()).await.expect("again"), hash, "each has a salt of its own");
        let check = async |password: &str, against: Option<&str>| passwords.check(password.to_owned(), against.map(str::to_owned)).await.expect("it can be checked");
        assert_eq!(check(PASSWORD, Some(&hash)).await, Verdict::Right { rehashed: None });
        assert_eq!(check("correct horse battery stapler", Some(&hash)).await, Verdict::Wrong);
        assert_eq!(check(PASSWORD, None).await, Verdict::Wrong);
        assert!(passwords.check(PASSWORD.to_owned(), Some("no hash".to_owned())).await.is_err());
    }

    #[tokio::test]
    async fn a_weaker_hash_is_made_anew() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8 * 1024, 1, 1, None).expect("parameters"));
        let weak = weak.hash_password(PASSWORD.as_bytes()).expect("it can be hashed").to_string();
        let verdict = Passwords::default().check(PASSWORD.to_owned(), Some(weak.clone())).await.expect("it can be checked");
        let Verdict::Right { rehashed: Some(strong) } = verdict else { panic!("{verdict:?}") };
        assert!(is_weaker(&weak) && !is_weaker(&strong), "{strong}");
    }

    #[test]
    fn nobody_has_a_hash_as_all_have() {
        assert!(PasswordHash::new(&nobody()).is_ok() && !is_weaker(&nobody()));
    }
}
