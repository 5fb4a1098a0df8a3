//! TLS by rustls: version 1.3, 1.2 only if asked for; HTTP/1.1 only; client certificates by an own CA.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::crl;
use crate::access::certificate::{self, CertificateNumber, Named};
use crate::broker::credentials::Certificate;
use crate::clock::Now;

/// Where the keys are, and what is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// The server's chain, PEM, leaf first.
    pub certificate: PathBuf,
    /// Its key, PEM, readable by nobody else.
    pub key: PathBuf,
    /// CAs that sign devices' certificates, PEM; none: devices use tokens.
    pub client_ca: Option<PathBuf>,
    /// Lists of revoked certificates of devices, PEM or DER.
    pub crl: Vec<PathBuf>,
    /// Also TLS 1.2.
    pub tls12: bool,
}

/// What was read from files: both halves come into force together.
#[derive(Debug)]
pub struct Loaded {
    /// For handshakes.
    pub config: ServerConfig,
    /// Certificates of devices that are revoked.
    pub revoked: HashSet<CertificateNumber>,
}

/// Why TLS can't start.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("can't read {file}: {source}")]
    Read { file: PathBuf, source: io::Error },
    #[error("{file} has no PEM of the right kind: {source}")]
    Pem { file: PathBuf, source: rustls_pki_types::pem::Error },
    #[error("{file} has no certificate")]
    Empty { file: PathBuf },
    #[error("the certificate {file} is not valid now, but from {from} to {to}")]
    Expired { file: PathBuf, from: String, to: String },
    #[error("others can read the key {file}; run: chmod 600 {file}")]
    KeyMode { file: PathBuf },
    #[error("the key {key} doesn't belong to the certificate {certificate}: {source}")]
    Mismatch { key: PathBuf, certificate: PathBuf, source: rustls::Error },
    #[error("a certificate in {file} is no CA: {source}")]
    BadCa { file: PathBuf, source: rustls::Error },
    #[error("the list of revoked certificates {file} {problem}")]
    Crl { file: PathBuf, problem: String },
    #[error("the CAs in {file} can't be used: {source}")]
    Verifier { file: PathBuf, source: VerifierBuilderError },
}

/// The server's side, from files.
///
/// # Errors
/// A file can't be read, is of the wrong kind or out of date, or others may read the key.
pub fn load(files: &Files, now: Now) -> Result<Loaded, TlsError> {
    check_key_mode(&files.key)?;
    let chain = certificates(&files.certificate)?;
    check_validity(&files.certificate, &chain, now)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| TlsError::Pem { file: files.key.clone(), source })?;
    let versions: &[&rustls::SupportedProtocolVersion] = if files.tls12 {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    } else {
        &[&rustls::version::TLS13]
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("the provider has suites for TLS 1.3 and 1.2");
    let lists = crl::read(&files.crl, now)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::BadCa { file: file.clone(), source })?;
            }
            // A device may come with a token instead; who comes with a certificate must be right. A CA
            // without a list has revoked nobody.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .with_crls(lists.ders)
                .allow_unknown_revocation_status()
                .allow_unauthenticated()
                .build()
                .map_err(|source| unusable(files, file, source))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|source| TlsError::Mismatch {
        key: files.key.clone(),
        certificate: files.certificate.clone(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // One ticket is enough for the one connection that a device resumes.
    config.send_tls13_tickets = 1;
    if let Ok(ticketer) = aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok(Loaded { config, revoked: lists.revoked })
}

/// Which file makes the verifier impossible: a list of a kind that it doesn't take, or the CAs.
fn unusable(files: &Files, ca: &Path, source: VerifierBuilderError) -> TlsError {
    match (source, &files.crl[..]) {
        (VerifierBuilderError::InvalidCrl(error), lists) if !lists.is_empty() => {
            let names: Vec<String> = lists.iter().map(|file| file.display().to_string()).collect();
            let problem = format!("is of a kind that can't be used: {error:?}");
            TlsError::Crl { file: names.join(", ").into(), problem }
        }
        (source, _) => TlsError::Verifier { file: ca.to_owned(), source },
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Pem { file: file.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::Empty { file: file.to_owned() });
    }
    Ok(chain)
}

/// A server with a certificate that no client accepts is better not started.
fn check_validity(
    file: &Path,
    chain: &[CertificateDer<'static>],
    now: Now,
) -> Result<(), TlsError> {
    let unix_s = (now.unix_ms / 1000).cast_signed();
    for certificate in chain {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { continue };
        let (from, to) = (parsed.validity().not_before, parsed.validity().not_after);
        if unix_s < from.timestamp() || unix_s > to.timestamp() {
            let (from, to) = (from.to_string(), to.to_string());
            return Err(TlsError::Expired { file: file.to_owned(), from, to });
        }
    }
    Ok(())
}

fn check_key_mode(file: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata =
        fs::metadata(file).map_err(|source| TlsError::Read { file: file.to_owned(), source })?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(TlsError::KeyMode { file: file.to_owned() });
    }
    Ok(())
}

/// What a verified client certificate says.
pub fn device_of(certificate: &CertificateDer<'_>) -> Certificate {
    match certificate::read(certificate) {
        Some((Named::Device(id), leaf)) => Certificate::Device(id, Box::new(leaf)),
        Some((Named::Nobody, _)) | None => Certificate::Unusable,
    }
}
