//! Trusted certificate authorities for `https://`.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The certificate authorities that relays are verified against: those of the web, and added ones.
#[derive(Clone, Debug, Default)]
pub struct TlsRoots {
    added: Vec<CertificateDer<'static>>,
}

impl TlsRoots {
    /// The roots of the web, and every certificate of this PEM text.
    ///
    /// # Errors
    /// [`BadCertificates`] when the text has no certificate, or one that cannot be a root.
    pub fn with_pem(pem: &[u8]) -> Result<Self, BadCertificates> {
        let added: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| BadCertificates::Pem)?;
        if added.is_empty() {
            return Err(BadCertificates::None);
        }
        let roots = Self { added };
        roots.store()?;
        Ok(roots)
    }

    /// The TLS configuration of a client, without ALPN.
    ///
    /// # Errors
    /// [`BadCertificates`] when an added certificate cannot be a root.
    pub(super) fn client_config(&self) -> Result<ClientConfig, BadCertificates> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| BadCertificates::Provider)?
            .with_root_certificates(self.store()?)
            .with_no_client_auth())
    }

    fn store(&self) -> Result<RootCertStore, BadCertificates> {
        let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in &self.added {
            store.add(certificate.clone()).map_err(|_| BadCertificates::NoRoot)?;
        }
        Ok(store)
    }
}

/// Why certificates cannot be trusted roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCertificates {
    /// The text is not PEM.
    Pem,
    /// The text has no certificate in it.
    None,
    /// A certificate cannot serve as a root.
    NoRoot,
    /// The TLS library supports no version of TLS as it was built.
    Provider,
}

impl fmt::Display for BadCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem => "the file is not PEM; it must hold -----BEGIN CERTIFICATE----- blocks",
            Self::None => "there is no certificate in the file",
            Self::NoRoot => "a certificate cannot serve as a root (X.509 version 3 is needed)",
            Self::Provider => "the TLS library was built without a version of TLS",
        })
    }
}

impl std::error::Error for BadCertificates {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_certificate_is_rejected_with_the_reason() {
        assert_eq!(TlsRoots::with_pem(b"").unwrap_err(), BadCertificates::None);
        assert_eq!(TlsRoots::with_pem(b"hello").unwrap_err(), BadCertificates::None);
        let not_x509 = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert_eq!(TlsRoots::with_pem(not_x509).unwrap_err(), BadCertificates::NoRoot);
    }

    #[test]
    fn the_roots_of_the_web_are_trusted_by_default() {
        assert!(TlsRoots::default().store().unwrap().len() > 50);
    }
}
