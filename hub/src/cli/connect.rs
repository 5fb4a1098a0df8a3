//! Where the hub is, whom to trust, and who we are: flags become a [`Target`].
//!
//! # Guarantees
//!
//! - A token never goes over plain text beyond loopback.
//! - A token file that others could read isn't used: who could read it could be us.

use std::fs;
use std::io::{BufReader, Read};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Url;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::exit::Failure;

/// Flags that say which hub and who we are; every subcommand takes them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Connection {
    /// The hub: wss://host:port, or ws://127.0.0.1:port on this machine
    #[arg(
        long,
        global = true,
        env = "LAMPLIGHTER_HUB",
        value_name = "URL",
        default_value = "wss://127.0.0.1:8443",
        help_heading = "Connection"
    )]
    pub(crate) hub: String,
    /// Certificates to trust instead of the system's, PEM
    #[arg(
        long,
        global = true,
        env = "LAMPLIGHTER_CA_FILE",
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// A file with our token, readable by nobody else
    #[arg(
        long,
        global = true,
        env = "LAMPLIGHTER_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub(crate) token_file: Option<PathBuf>,
}

/// A hub that can be dialled.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Without scheme: what goes into `Host`, and a name or an address.
    pub(crate) host: String,
    /// TCP.
    pub(crate) port: u16,
    /// `None` for plain text on loopback.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Who we are; empty where the command needs no identity.
    pub(crate) token: Token,
}

/// A secret. Its debug form doesn't show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The secret itself, for the hub alone.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl Connection {
    /// The hub with an identity.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let file = self.token_file.as_deref().ok_or_else(|| {
            let text = "no token: give --token-file FILE or set LAMPLIGHTER_TOKEN_FILE";
            Failure::Auth(text.to_owned())
        })?;
        let token = read_token(file)?;
        Ok(Target { token, ..self.anonymous_target()? })
    }

    /// The hub, for questions that need no identity.
    pub(crate) fn anonymous_target(&self) -> Result<Target, Failure> {
        let (scheme, host, port) = parse_hub(&self.hub)?;
        let tls = match scheme {
            Scheme::Plain => None,
            Scheme::Tls => Some(Arc::new(tls_config(self.ca_file.as_deref())?)),
        };
        Ok(Target { host, port, tls, token: Token::default() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Plain,
    Tls,
}

/// Takes apart `wss://host:port`. Plain text is for loopback only.
fn parse_hub(text: &str) -> Result<(Scheme, String, u16), Failure> {
    let wrong = |why: &str| {
        Failure::Usage(format!(
            "--hub: {why}; it is wss://host:port, or ws://127.0.0.1:port on this machine"
        ))
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    let scheme = match url.scheme() {
        "ws" | "http" => Scheme::Plain,
        "wss" | "https" => Scheme::Tls,
        _ => return Err(wrong("this scheme isn't spoken")),
    };
    let host = url.host_str().ok_or_else(|| wrong("no host"))?.to_owned();
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("only scheme, host and port are taken"));
    }
    if scheme == Scheme::Plain && !is_loopback(&host) {
        return Err(wrong("without TLS the token would travel in the clear"));
    }
    let port = url.port_or_known_default().ok_or_else(|| wrong("no port"))?;
    Ok((scheme, host, port))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// TLS 1.3 and 1.2, one protocol: HTTP/1.1, which the upgrade to WebSocket needs.
fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let roots = match ca_file {
        Some(file) => roots_of_file(file)?,
        None => roots_of_system()?,
    };
    let mut config = builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS that trusts nobody: for clients that will only ever speak plain text on loopback.
pub(crate) fn tls_without_trust() -> ClientConfig {
    builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// The provider is named, because two of them may be linked and none is the process's default.
fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
}

fn roots_of_file(file: &Path) -> Result<RootCertStore, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("--ca-file {}: {why}", file.display()));
    let opened = fs::File::open(file).map_err(|error| wrong(&error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(opened)) {
        let certificate = certificate.map_err(|error| wrong(&format!("not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(&format!("not a certificate: {error}")))?;
    }
    if roots.is_empty() { Err(wrong("holds no certificate")) } else { Ok(roots) }
}

fn roots_of_system() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text = "this system trusts no certificate: name the hub's with --ca-file FILE";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(roots)
}

/// Reads a token. What is wrong with the file is told with its fix.
fn read_token(file: &Path) -> Result<Token, Failure> {
    let shown = file.display();
    let refuse = |why: String| Failure::Auth(format!("token file {shown} {why}"));
    let meta = fs::metadata(file).map_err(|error| {
        refuse(format!("can't be read ({}): name another with --token-file FILE", error.kind()))
    })?;
    // Asked before opening: opening a pipe would wait for its writer.
    if !meta.is_file() {
        return Err(refuse("is not a regular file: name one with --token-file FILE".to_owned()));
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(refuse(format!(
            "can be read by others (mode {mode:04o}): run chmod 600 {shown}"
        )));
    }
    let most = proto::limits::TOKEN_BYTES_MAX;
    let mut text = String::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX) + 2;
    fs::File::open(file).and_then(|opened| opened.take(limit).read_to_string(&mut text)).map_err(
        |error| refuse(format!("can't be read ({}): run chmod 600 {shown}", error.kind())),
    )?;
    let token = text.trim();
    let legal = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_empty() || token.len() > most || !legal {
        return Err(refuse("holds no token: one line of printable text".to_owned()));
    }
    Ok(Token(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_scheme_host_and_port() {
        let parsed =
            |text| parse_hub(text).map(|(scheme, host, port)| (scheme == Scheme::Tls, host, port));
        assert_eq!(parsed("wss://hub.example:8443"), Ok((true, "hub.example".to_owned(), 8443)));
        assert_eq!(parsed("wss://hub.example"), Ok((true, "hub.example".to_owned(), 443)));
        assert_eq!(parsed("ws://127.0.0.1:9/"), Ok((false, "127.0.0.1".to_owned(), 9)));
        assert_eq!(parsed("ws://[::1]:9"), Ok((false, "[::1]".to_owned(), 9)));
        for text in [
            "",
            "hub:8443",
            "ftp://hub",
            "wss://hub/v1/ws",
            "wss://a:b@hub",
            "ws://10.0.0.1:1",
            "wss://hub:99999",
        ] {
            assert_eq!(parsed(text).map_err(|failure| failure.code()), Err(2), "`{text}`");
        }
    }

    #[test]
    fn a_token_file_that_others_can_read_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = dir.path().join("token");
        fs::write(&file, "secret-1\n").expect("writable");
        set_mode(&file, 0o600);
        assert_eq!(read_token(&file).as_ref().map(Token::secret), Ok("secret-1"));
        set_mode(&file, 0o644);
        refused(&file, "chmod 600");
        refused(&dir.path().join("none"), "--token-file");
        refused(dir.path(), "regular file");
        set_mode(&file, 0o600);
        fs::write(&file, " \n").expect("writable");
        refused(&file, "holds no token");
    }

    #[track_caller]
    fn refused(file: &Path, fix: &str) {
        let failure = read_token(file).expect_err("must be refused");
        assert_eq!(failure.code(), 3);
        assert!(failure.to_string().contains(fix), "{failure}");
    }

    fn set_mode(file: &Path, mode: u32) {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("our own file");
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", Token("secret-1".to_owned())).contains("secret"));
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let failure = tls_config(Some(file.path())).expect_err("nothing in it");
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("no certificate"), "{failure}");
    }
}
