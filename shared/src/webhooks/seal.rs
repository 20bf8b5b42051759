//! How secrets of webhooks lie in the database: sealed by a key that is not there, where the settings name one, else as they are.
//!
//! AES-256-GCM with a random nonce; the webhook's id is bound in, so that a secret that is moved to another webhook does not open.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::SigningSecret;

/// What a sealed secret begins with; then base64 of nonce, ciphertext and tag.
const SEALED: &str = "sealed1:";
/// Length of a key.
const KEY_BYTES: usize = 32;

/// Seals and opens secrets.
#[derive(Clone, Default)]
pub struct Sealer {
    /// The first seals; each opens.
    keys: Arc<[RandomizedNonceKey]>,
}

impl FromStr for Sealer {
    type Err = &'static str;

    /// Reads keys: 32 bytes each in base64, with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = |text: &str| STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES).and_then(|bytes| RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok());
        let keys: Option<Vec<_>> = text.split(',').map(key).collect();
        keys.map(|keys| Self { keys: keys.into() }).ok_or("it must be 32 bytes in base64, or several of those with commas between them")
    }
}

impl Sealer {
    /// A webhook's secret, as it is written down.
    #[must_use]
    pub fn seal(&self, webhook: Uuid, secret: &SigningSecret) -> String {
        let Some(key) = self.keys.first() else { return secret.reveal().to_owned() };
        let mut text = secret.reveal().as_bytes().to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(webhook.as_bytes()), &mut text).expect("a short text can be sealed");
        let sealed = [nonce.as_ref().as_slice(), &text].concat();
        format!("{SEALED}{}", STANDARD.encode(sealed))
    }

    /// A webhook's secret that was written down; `None` where no key of ours opens it.
    #[must_use]
    pub fn open(&self, webhook: Uuid, written: &str) -> Option<SigningSecret> {
        let Some(sealed) = written.strip_prefix(SEALED) else { return SigningSecret::parse(written) };
        let sealed = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        self.keys.iter().find_map(|key| {
            let (nonce, mut text) = (Nonce::try_assume_unique_for_key(nonce).ok()?, sealed.to_vec());
            let opened = key.open_in_place(nonce, Aad::from(webhook.as_bytes()), &mut text).ok()?;
            SigningSecret::parse(std::str::from_utf8(opened).ok()?)
        })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(keys)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(keys: &[u8]) -> Sealer {
        let keys: Vec<String> = keys.iter().map(|byte| STANDARD.encode([*byte; KEY_BYTES])).collect();
        keys.join(",").parse().expect("keys")
    }

    #[test]
    fn what_is_sealed_opens_by_its_key_for_its_webhook() {
        let (webhook, secret) = (Uuid::now_v7(), SigningSecret::generate());
        let written = sealer(&[1]).seal(webhook, &secret);
        assert!(written.starts_with(SEALED) && !written.contains(secret.reveal()));
        assert_ne!(written, sealer(&[1]).seal(webhook, &secret), "a nonce is used once");
        let opened = |sealer: &Sealer, webhook, written: &str| sealer.open(webhook, written).map(|opened| opened.reveal() == secret.reveal());
        assert_eq!(opened(&sealer(&[1]), webhook, &written), Some(true));
        assert_eq!(opened(&sealer(&[2, 1]), webhook, &written), Some(true), "the old key opens what the new one does not");
        assert_eq!(opened(&sealer(&[2]), webhook, &written), None);
        assert_eq!(opened(&Sealer::default(), webhook, &written), None);
        assert_eq!(opened(&sealer(&[1]), Uuid::now_v7(), &written), None, "it was moved to another webhook");
        for damaged in ["sealed1:", "sealed1:?", "sealed1:AAAA", &format!("{written}AAAA"), &written.replacen("sealed1:", "sealed1:A", 1)] {
            assert_eq!(opened(&sealer(&[1]), webhook, damaged), None, "{damaged}");
        }
    }

    #[test]
    fn without_a_key_it_lies_there_as_it_is_and_a_key_that_comes_later_changes_nothing() {
        let (webhook, secret) = (Uuid::now_v7(), SigningSecret::generate());
        let written = Sealer::default().seal(webhook, &secret);
        assert_eq!(written, secret.reveal());
        assert_eq!(sealer(&[1]).open(webhook, &written).expect("it opens").reveal(), secret.reveal());
        for bad in ["", "short", &STANDARD.encode([1; 31]), &format!("{},", STANDARD.encode([1; 32]))] {
            assert!(bad.parse::<Sealer>().is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", sealer(&[1])), "(keys)");
    }
}
