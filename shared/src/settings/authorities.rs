//! Certificate authorities of one's own.

use std::sync::Arc;

use super::{Env, SettingError};

/// Certificates of authorities that are trusted, PEM.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<[u8]>);

impl Authorities {
    /// Reads the file that `LOGGERHUB_CA_FILE` names; `None` where it names none.
    ///
    /// # Errors
    /// [`SettingError::Unreadable`].
    pub fn from_env(env: &Env) -> Result<Option<Self>, SettingError> {
        const NAME: &str = "LOGGERHUB_CA_FILE";
        let Some(path) = env.optional(NAME) else { return Ok(None) };
        let unreadable = |reason: String| SettingError::Unreadable { name: NAME, reason };
        let pem = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(unreadable("the file holds no certificate in PEM".to_owned()));
        }
        Ok(Some(Self(pem.into())))
    }

    /// The certificates.
    #[must_use]
    pub fn pem(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_or_holds_no_certificate_is_refused_at_start() {
        for path in ["/nowhere/ca.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let error = Authorities::from_env(&Env::default().with("LOGGERHUB_CA_FILE", path)).expect_err(path).to_string();
            assert!(error.starts_with("LOGGERHUB_CA_FILE cannot be read"), "{error}");
        }
        assert!(Authorities::from_env(&Env::default()).is_ok_and(|none| none.is_none()));
    }
}
