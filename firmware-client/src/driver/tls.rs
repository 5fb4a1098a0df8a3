//! TLS settings that all devices of a process share: one allocation, one bounded session cache.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Sessions kept for resumption, over all devices that share the settings.
const SESSIONS_MAX: usize = 256;

/// A device's certificate chain and key, PEM.
#[derive(Clone, Copy)]
pub struct ClientCertificate<'p> {
    /// The certificate, and those that lead to the hub's trust anchor.
    pub chain_pem: &'p [u8],
    /// The private key, PKCS #8 or SEC 1.
    pub key_pem: &'p [u8],
}

/// Why no settings could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or not of the kind that is needed.
    #[error("the {what} can't be read: {error}")]
    Pem {
        /// Which input.
        what: &'static str,
        /// The parser's words.
        error: rustls_pki_types::pem::Error,
    },
    /// No trust anchor.
    #[error("there is no certificate among the roots")]
    NoRoot,
    /// Certificate and key don't fit each other, or are of a kind that isn't supported.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Settings for `wss`: trust these roots (PEM) only, show this certificate if the hub asks.
///
/// # Errors
/// An input can't be read, or certificate and key don't fit.
pub fn tls_config(
    roots_pem: &[u8],
    certificate: Option<ClientCertificate<'_>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in read_certificates("roots", roots_pem)? {
        roots.add(root)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoot);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let chain = read_certificates("certificate", certificate.chain_pem)?;
            let key = PrivateKeyDer::from_pem_slice(certificate.key_pem)
                .map_err(|error| TlsError::Pem { what: "key", error })?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    Ok(Arc::new(config))
}

fn read_certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<_, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.map_err(|error| TlsError::Pem { what, error })
}
