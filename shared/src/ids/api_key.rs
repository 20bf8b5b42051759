//! API keys: `lh_{live|test}_{30 base62}{6 base62 of CRC32}`. The key itself is seen once; what is kept is its hash.

use std::fmt;

use rand::Rng;
use sha2::{Digest, Sha256};

use super::IdError;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 30 characters of base62 are 178 bits.
const SECRET_LEN: usize = 30;
/// CRC32 (IEEE 802.3) over all that comes before, as six base62 digits: a typing error is refused without a look-up.
const CHECKSUM_LEN: usize = 6;
/// What is kept in clear, so that a person recognises a key: `lh_live_` and four characters.
const SHOWN_LEN: usize = 12;

/// An API key in clear. Its `Debug` shows the prefix only.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A fresh live key from the operating system's generator.
    #[must_use]
    pub fn generate() -> Self {
        let mut rng = rand::rngs::ThreadRng::default();
        let secret = (0..SECRET_LEN).map(|_| char::from(BASE62[rng.random_range(0..BASE62.len())]));
        let mut key: String = "lh_live_".chars().chain(secret).collect();
        key.push_str(&checksum(&key));
        Self(key)
    }

    /// # Errors
    /// [`IdError::ApiKey`] for another shape or a checksum that does not fit.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let secret = text.strip_prefix("lh_live_").or_else(|| text.strip_prefix("lh_test_")).ok_or(IdError::ApiKey)?;
        if secret.len() != SECRET_LEN + CHECKSUM_LEN || !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(IdError::ApiKey);
        }
        let (body, sum) = text.split_at(text.len() - CHECKSUM_LEN);
        if checksum(body) == sum { Ok(Self(text.to_owned())) } else { Err(IdError::ApiKey) }
    }

    /// The key as it is sent. For the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be stored and shown: `lh_live_` and four characters.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN_LEN]
    }

    /// What is looked up instead of the key.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", self.prefix())
    }
}

/// SHA-256 of an API key. 178 random bits need no slow hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// From what Postgres holds.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Which of the sixteen parts of the key ring holds it: its first four bits.
    #[must_use]
    pub fn part(&self) -> u8 {
        self.0[0] >> 4
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_any_changed_character_is_refused() {
        let key = ApiKey::generate();
        assert_eq!(key.reveal().len(), 44);
        assert_eq!(ApiKey::parse(key.reveal()), Ok(key.clone()));
        for at in 0..key.reveal().len() {
            let mut bytes = key.reveal().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let typo = String::from_utf8(bytes).expect("ascii");
            assert_eq!(ApiKey::parse(&typo), Err(IdError::ApiKey), "{at}");
        }
    }

    #[test]
    fn strangers_are_not_keys() {
        for text in ["", "lh_live_", "lh_live_é", "Bearer x", &"l".repeat(44), &"é".repeat(22)] {
            assert_eq!(ApiKey::parse(text), Err(IdError::ApiKey), "{text}");
        }
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let key = ApiKey::generate();
        assert!(!format!("{key:?}").contains(&key.reveal()[SHOWN_LEN..]));
    }
}
