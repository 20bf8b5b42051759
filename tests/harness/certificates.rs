//! A certificate authority of a story's own, and a certificate of it for this machine.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::name::Name;
use super::own_engine::folder;

/// `ca.pem`, `cert.pem` and `key.pem` in a folder, until this is dropped.
#[derive(Debug)]
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    pub(crate) fn make() -> Self {
        let folder = folder().join(Name::fresh().as_str());
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut authority = CertificateParams::new(Vec::<String>::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Else both have rcgen's name, and OpenSSL takes the other one for signed by itself.
        authority.distinguished_name.push(DnType::CommonName, "a story's authority");
        let (authority_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let trusted = authority.self_signed(&authority_key).expect("a certificate");
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &Issuer::new(authority, authority_key)).expect("a certificate");
        for (name, pem) in [("ca.pem", trusted.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
            std::fs::write(folder.join(name), pem).expect("a file");
        }
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// What `LOGGERHUB_CA_FILE` is set to.
    pub(crate) fn authority(&self) -> String {
        self.0.join("ca.pem").to_string_lossy().into_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
