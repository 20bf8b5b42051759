//! Secrets of webhooks, and what is signed by them: Standard Webhooks 1.0, symmetric signatures.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// Length of a secret that we make; the specification asks for 24 to 64 bytes.
const BYTES: usize = 32;

/// A secret that signs what a webhook is told.
#[derive(Clone)]
pub struct SigningSecret {
    text: String,
    key: hmac::Key,
}

impl SigningSecret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        let bytes: [u8; BYTES] = rand::random();
        Self { text: format!("{PREFIX}{}", STANDARD.encode(bytes)), key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }
    }

    /// One that was made before; `None` for a text that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        Some(Self { text: text.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// The secret itself: for whoever checks signatures.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The signature of a message: its id, the time of the attempt in seconds since 1970, and its body.
    #[must_use]
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &str) -> String {
        let signature = hmac::sign(&self.key, format!("{id}.{unix_seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(signature))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_random_and_never_printed() {
        let (one, other) = (SigningSecret::generate(), SigningSecret::generate());
        assert_ne!(one.reveal(), other.reveal());
        let read = SigningSecret::parse(one.reveal()).expect("a secret");
        assert_eq!(read.sign("id", 1, "body"), one.sign("id", 1, "body"));
        assert_ne!(other.sign("id", 1, "body"), one.sign("id", 1, "body"));
        assert_eq!(format!("{one:?}"), "(secret)");
        assert!(SigningSecret::parse("whsec_?").is_none() && SigningSecret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
    }
}
