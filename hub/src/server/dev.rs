//! `hub serve --dev`: a CA, a server certificate and tokens of its own, for one machine.
//!
//! Everything is made once and kept in `<data>/dev`, readable by its owner only. The CA may also sign
//! device certificates; its key is as secret as the data folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::access::role;
use crate::audit::Actor;
use crate::broker::Broker;
use crate::clock::Now;
use crate::transport::tls::Files;

/// Days that dev certificates live.
const DAYS: i64 = 365;

/// Why there are no dev credentials.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("can't write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("can't make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("can't issue a token: {0}")]
    Token(String),
}

/// The certificates of the data folder, made if they are missing.
///
/// # Errors
/// They can't be made or written.
pub fn certificates(data_folder: &Path, crl: &[PathBuf]) -> Result<Files, DevError> {
    let folder = data_folder.join("dev");
    let write = |source| DevError::Write { path: folder.clone(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(write)?;
    let files = files(data_folder, crl);
    if !files.key.exists() || !files.certificate.exists() {
        make(&folder)?;
        tracing::warn!(folder = %folder.display(),
            "dev: made a CA and a server certificate for localhost; not for production");
    }
    Ok(files)
}

/// Where they are; the lists of revoked ones are those of the configuration.
pub fn files(data_folder: &Path, crl: &[PathBuf]) -> Files {
    let folder = data_folder.join("dev");
    Files {
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
        client_ca: Some(folder.join("ca.pem")),
        crl: crl.to_vec(),
        tls12: false,
    }
}

fn make(folder: &Path) -> Result<(), DevError> {
    let mut authority = CertificateParams::new(vec![])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "Lamplighter dev CA");
    limit_life(&mut authority);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, &authority_key);

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    limit_life(&mut server);
    let server_key = KeyPair::generate()?;
    let server_certificate = server.signed_by(&server_key, &issuer)?;

    write_secret(&folder.join("ca.key"), &authority_key.serialize_pem())?;
    write_secret(&folder.join("ca.pem"), &authority_certificate.pem())?;
    write_secret(&folder.join("server.pem"), &server_certificate.pem())?;
    write_secret(&folder.join("server.key"), &server_key.serialize_pem())
}

/// From yesterday on, for the life of dev certificates: strict clients refuse the library's default.
fn limit_life(params: &mut CertificateParams) {
    let now = jiff::Timestamp::from_millisecond(Now::read().unix_ms.cast_signed());
    let seconds = now.map_or(0, jiff::Timestamp::as_second);
    let day = 24 * 3600;
    params.not_before = std::time::UNIX_EPOCH.into();
    params.not_after = std::time::UNIX_EPOCH.into();
    params.not_before += std::time::Duration::from_secs((seconds - day).unsigned_abs());
    params.not_after += std::time::Duration::from_secs((seconds + DAYS * day).unsigned_abs());
}

/// Tokens for an operator and a dashboard, issued if their files are missing or don't count any more.
///
/// # Errors
/// They can't be issued or written.
pub async fn credentials(data_folder: &Path, broker: &Broker) -> Result<(), DevError> {
    let folder = data_folder.join("dev");
    for (role, file) in [(role::OPERATOR, "operator.token"), (role::VIEWER, "viewer.token")] {
        let path = folder.join(file);
        let known = fs::read_to_string(&path)
            .is_ok_and(|token| broker.identify(Now::read(), token.trim()).is_ok());
        if known {
            continue;
        }
        let issued = broker.issue_token(Now::read(), role, "dev", &Actor::hub()).await;
        let (_, token) = issued.map_err(|refusal| DevError::Token(refusal.message))?;
        write_secret(&path, token.secret())?;
    }
    tracing::warn!(folder = %folder.display(),
        "dev: the tokens operator.token and viewer.token are in the folder; loopback only");
    Ok(())
}

fn write_secret(path: &Path, text: &str) -> Result<(), DevError> {
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.trim_end().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(|source| DevError::Write { path: path.to_owned(), source })
}
