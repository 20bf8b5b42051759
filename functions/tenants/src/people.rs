//! What is needed to let people in, and how often somebody may try.

use std::net::IpAddr;
use std::time::Duration;

use shared::error::{Error, Result};
use shared::http::Origin;
use shared::redis_link::RedisLink;
use shared::sessions::Sessions;
use shared::throttle::{Rate, Throttle};

use crate::config::PeopleSettings;
use crate::passwords::Passwords;

/// Logins from one network to accounts that nobody logged in to from there lately, right ones aside.
const FROM_A_NETWORK: Rate = Rate { burst: 30, every: Duration::from_secs(10) };
/// Logins to one account from wherever nobody has logged in to it lately: some 2,900 guesses a day, of a password that has 12 characters.
const TO_AN_ACCOUNT: Rate = Rate { burst: 10, every: Duration::from_secs(30) };
/// How long it is remembered that an account was logged in to from a network: there its owner has tries that no stranger elsewhere uses up.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Forgotten passwords from one network, and of one account: each sends a mail.
const RESETS_FROM_A_NETWORK: Rate = Rate { burst: 20, every: Duration::from_secs(60) };
const RESETS_OF_AN_ACCOUNT: Rate = Rate { burst: 3, every: Duration::from_secs(20 * 60) };
/// Invitations by one tenant: each sends a mail to whomever it likes.
const INVITATIONS_OF_A_TENANT: Rate = Rate { burst: 100, every: Duration::from_secs(60) };

/// What is needed to let people in.
#[derive(Debug, Clone)]
pub struct People {
    pub(crate) passwords: Passwords,
    pub(crate) sessions: Sessions,
    pub(crate) settings: PeopleSettings,
    throttle: Throttle,
}

/// Who tries to log in to what, and from where.
#[derive(Debug)]
pub(crate) struct Try {
    account: String,
    network: String,
    /// Somebody has logged in to the account from there.
    known: bool,
}

impl People {
    /// What Redis holds of sessions and tries.
    #[must_use]
    pub fn new(redis: RedisLink, sessions: Sessions, settings: PeopleSettings) -> Self {
        Self { passwords: Passwords::default(), sessions, settings, throttle: Throttle::new(redis) }
    }

    /// Takes a try to log in.
    ///
    /// # Errors
    /// [`Error::OverLimit`] `too_many_logins`, whether there is such an account or not; [`Error::Unavailable`].
    pub(crate) async fn take_login(&self, email: &str, origin: &Origin) -> Result<Try> {
        let (account, network) = (email.to_lowercase(), network_of(origin));
        let known = self.throttle.remembers("known", &format!("{account} {network}")).await?;
        let this = Try { account, network, known };
        // Where an account was logged in to, its tries are its own: neighbours who guess at others do not use them up.
        if !known && let Some(wait) = self.throttle.take("network", &this.network, FROM_A_NETWORK).await? {
            return Err(too_many_logins(wait));
        }
        let (bucket, of) = this.bucket();
        if let Some(wait) = self.throttle.take(bucket, &of, TO_AN_ACCOUNT).await? {
            self.give_network_back(&this).await?;
            return Err(too_many_logins(wait));
        }
        Ok(this)
    }

    async fn give_network_back(&self, taken: &Try) -> Result<()> {
        if taken.known { Ok(()) } else { self.throttle.give_back("network", &taken.network, FROM_A_NETWORK).await }
    }

    /// Notes that a try was right: it costs nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(crate) async fn was_right(&self, right: &Try) -> Result<()> {
        let (bucket, of) = right.bucket();
        self.give_network_back(right).await?;
        self.throttle.fill(bucket, &of).await?;
        self.throttle.remember("known", &right.here(), KNOWN_FOR).await
    }

    /// Notes that whoever owns an account was there: from there strangers do not keep them out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(crate) async fn was_here(&self, email: &str, origin: &Origin) -> Result<()> {
        let here = Try { account: email.to_lowercase(), network: network_of(origin), known: true };
        self.throttle.remember("known", &here.here(), KNOWN_FOR).await
    }

    /// Takes a forgotten password. Answers whether its account has had none of late, or few.
    ///
    /// # Errors
    /// [`Error::OverLimit`] `too_many_resets` for a network; [`Error::Unavailable`].
    pub(crate) async fn take_reset(&self, email: &str, origin: &Origin) -> Result<bool> {
        if let Some(wait) = self.throttle.take("resets-from", &network_of(origin), RESETS_FROM_A_NETWORK).await? {
            return Err(Error::OverLimit { code: "too_many_resets", detail: "too many passwords were forgotten here of late".to_owned(), retry_after: wait });
        }
        Ok(self.throttle.take("resets-of", &email.to_lowercase(), RESETS_OF_AN_ACCOUNT).await?.is_none())
    }

    /// Takes an invitation.
    ///
    /// # Errors
    /// [`Error::OverLimit`] `too_many_invitations`; [`Error::Unavailable`].
    pub(crate) async fn take_invitation(&self, tenant: &str) -> Result<()> {
        match self.throttle.take("invitations", tenant, INVITATIONS_OF_A_TENANT).await? {
            None => Ok(()),
            Some(wait) => Err(Error::OverLimit { code: "too_many_invitations", detail: "this tenant has invited too many of late".to_owned(), retry_after: wait }),
        }
    }
}

impl Try {
    /// Where nobody is known, all such places share the account's tries.
    fn bucket(&self) -> (&'static str, String) {
        if self.known { ("account-from", self.here()) } else { ("account", self.account.clone()) }
    }

    fn here(&self) -> String {
        format!("{} {}", self.account, self.network)
    }
}

fn too_many_logins(wait: Duration) -> Error {
    // Retry-After has whole seconds: who comes after them is not too early.
    let retry_after = Duration::from_secs(wait.as_secs() + 1);
    Error::OverLimit { code: "too_many_logins", detail: "too many tries to log in: wait a little".to_owned(), retry_after }
}

/// The network that an address is in: of IPv6 the 64 bits that a site has for itself (RFC 6177), of which every machine can have any address.
fn network_of(origin: &Origin) -> String {
    let address = origin.address.as_deref().unwrap_or("unknown");
    match address.parse() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V6(v6)) => v6.to_canonical().to_string(),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_or_the_half_of_one() {
        let of = |address: &str| network_of(&Origin { address: Some(address.to_owned()), request_id: None });
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(network_of(&Origin::default()), "unknown");
    }
}
