//! Tokens that open something for a while or once: a session, an invitation, a password reset. 256 random bits; what is kept is their SHA-256.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use sha2::{Digest, Sha256};

use super::IdError;

/// Random bytes of a token.
const SECRET_BYTES: usize = 32;

/// What a token opens. One of another kind opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A session: `lhs_`.
    Session,
    /// An invitation: `lhi_`.
    Invitation,
    /// A password reset: `lhr_`.
    PasswordReset,
}

impl TokenKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Session => "lhs_",
            Self::Invitation => "lhi_",
            Self::PasswordReset => "lhr_",
        }
    }
}

/// A token in clear. Its `Debug` shows the prefix only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A fresh one from the operating system's generator.
    #[must_use]
    pub fn generate(kind: TokenKind) -> Self {
        let mut secret = [0; SECRET_BYTES];
        rand::rngs::ThreadRng::default().fill_bytes(&mut secret);
        Self(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(secret)))
    }

    /// # Errors
    /// [`IdError::Token`] for another shape or another kind.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, IdError> {
        let secret = text.strip_prefix(kind.prefix()).and_then(|secret| URL_SAFE_NO_PAD.decode(secret).ok());
        secret.filter(|secret| secret.len() == SECRET_BYTES).map(|_| Self(text.to_owned())).ok_or(IdError::Token)
    }

    /// The token as it is sent. For the one answer or event that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is looked up instead of the token.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.0).into())
    }

    /// Another secret that only who has the token can tell, for one `purpose`.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> String {
        let digest = Sha256::new_with_prefix(purpose).chain_update([0]).chain_update(&self.0).finalize();
        URL_SAFE_NO_PAD.encode(digest)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", &self.0[..TokenKind::Session.prefix().len()])
    }
}

/// SHA-256 of a token. 256 random bits need no slow hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_what_it_was_made_for_only() {
        let token = Token::generate(TokenKind::Invitation);
        assert_eq!(Token::parse(TokenKind::Invitation, token.reveal()), Ok(token.clone()));
        assert_eq!(Token::parse(TokenKind::PasswordReset, token.reveal()), Err(IdError::Token));
        assert_ne!(token, Token::generate(TokenKind::Invitation));
        for text in ["", "lhi_", "lhi_é", &token.reveal()[..46], &format!("{}A", token.reveal()), "lh_live_x"] {
            assert_eq!(Token::parse(TokenKind::Invitation, text), Err(IdError::Token), "{text}");
        }
    }

    #[test]
    fn neither_debug_nor_what_is_derived_shows_the_secret() {
        let token = Token::generate(TokenKind::Session);
        assert_eq!(format!("{token:?}"), "lhs_...");
        assert_eq!(token.derived("csrf"), token.derived("csrf"));
        assert_ne!(token.derived("csrf"), token.derived("other"));
        assert!(!token.reveal().contains(&token.derived("csrf")));
    }
}
