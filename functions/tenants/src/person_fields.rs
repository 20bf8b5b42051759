//! What is asked of people: e-mail addresses, passwords, roles and tokens, each checked at the door.

use shared::ids::{Token, TokenKind};
use shared::people::Role;

use crate::passwords::{MAX_BYTES, MIN_CHARS};

/// Longest e-mail address, and longest part before its `@`, in bytes (RFC 5321, section 4.5.3.1; erratum 1690 of RFC 3696).
const MAX_EMAIL: usize = 254;
const MAX_LOCAL: usize = 64;

/// An e-mail address, the white space around it dropped. Whether there is such a mailbox shows when a mail arrives.
pub(crate) fn email(sent: &str) -> Result<String, String> {
    let email = sent.trim();
    let well_formed = email.rsplit_once('@').is_some_and(|(local, domain)| {
        let labels = domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
        (1..=MAX_LOCAL).contains(&local.len()) && labels && !local.contains('@')
    });
    let plain = !email.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c));
    if well_formed && plain && email.len() <= MAX_EMAIL { Ok(email.to_owned()) } else { Err("must be an e-mail address".to_owned()) }
}

/// A password to be set.
pub(crate) fn new_password(sent: &str) -> Result<String, String> {
    if sent.chars().count() < MIN_CHARS {
        return Err(format!("must have at least {MIN_CHARS} characters"));
    }
    // One letter twelve times is no better than one.
    let first = sent.chars().next();
    if sent.chars().all(|c| Some(c) == first) {
        return Err("must not be one character again and again".to_owned());
    }
    password(sent)
}

/// A password to be checked.
pub(crate) fn password(sent: &str) -> Result<String, String> {
    if sent.is_empty() || sent.len() > MAX_BYTES { Err(format!("must have 1 to {MAX_BYTES} bytes")) } else { Ok(sent.to_owned()) }
}

/// A role.
pub(crate) fn role(sent: &str) -> Result<Role, String> {
    Role::parse(sent).ok_or_else(|| format!("must be one of {}", Role::ALL.map(Role::as_str).join(", ")))
}

/// A token that somebody was mailed. What is none cannot be one that is known.
pub(crate) fn token(kind: TokenKind) -> impl FnOnce(&str) -> Result<Token, String> {
    move |sent| Token::parse(kind, sent.trim()).map_err(|_| "is not what was mailed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_mail_could_be_sent_to() {
        for good in ["a@b", "first.last+tag@example.co.uk", " jürgen@müller.example ", "x@localhost"] {
            assert_eq!(email(good).as_deref(), Ok(good.trim()));
        }
        let (long, longer) = (format!("{}@example.com", "x".repeat(65)), format!("x@{}.example", "y".repeat(250)));
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b..c", "a@.b", "a@-b", "Ann <a@b>", "a@b,c@d", "a\0@b", &long, &longer] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_password_has_twelve_characters_and_not_one_twelve_times() {
        assert!(new_password("é".repeat(11).as_str()).is_err());
        assert!(new_password("aaaaaaaaaaaaaaaa").is_err());
        assert!(new_password("twelve chars").is_ok());
        assert!(new_password(&"long ".repeat(205)).is_err());
        assert!(password("short").is_ok() && password("").is_err());
    }
}
