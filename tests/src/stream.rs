//! The bytes below: TCP with TLS or without, and who the client says it is.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Hub;

/// Either kind of socket.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// An open connection to a hub.
pub type Stream = Box<dyn Bytes>;

/// The way to a hub.
#[derive(Debug, Clone)]
pub enum Via {
    /// On loopback, in the clear.
    Plain(SocketAddr),
    /// With TLS.
    Tls(SocketAddr, Arc<ClientConfig>),
}

impl Via {
    /// As the hub offers it, trusting its own CA.
    pub fn of(hub: &Hub) -> Self {
        match hub.plain_address() {
            Some(address) => Self::Plain(address),
            None => Self::Tls(hub.secure_address(), Arc::new(trusting(&hub.dev_file("ca.pem")))),
        }
    }

    /// With another idea of TLS.
    pub fn with_tls(hub: &Hub, config: ClientConfig) -> Self {
        Self::Tls(hub.secure_address(), Arc::new(config))
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, or the TLS handshake fails.
    pub async fn open(&self) -> std::io::Result<Stream> {
        match self {
            Self::Plain(address) => Ok(Box::new(tcp(*address).await?)),
            Self::Tls(address, config) => {
                let name = ServerName::try_from("localhost").expect("a name");
                let connector = TlsConnector::from(config.clone());
                Ok(Box::new(connector.connect(name, tcp(*address).await?).await?))
            }
        }
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(address) | Self::Tls(address, _) => *address,
        }
    }
}

async fn tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// The authorities of a file.
pub fn roots(ca_file: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).expect("a PEM file") {
        roots.add(certificate.expect("PEM")).expect("a CA");
    }
    roots
}

/// TLS that trusts the authorities of a file, with no certificate of its own.
pub fn trusting(ca_file: &Path) -> ClientConfig {
    builder(&[&rustls::version::TLS13]).with_root_certificates(roots(ca_file)).with_no_client_auth()
}

/// The same with a certificate of its own: the chain and the key, both PEM.
pub fn presenting(ca_file: &Path, chain: &str, key: &str) -> ClientConfig {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    builder(&[&rustls::version::TLS13])
        .with_root_certificates(roots(ca_file))
        .with_client_auth_cert(chain.expect("PEM"), key)
        .expect("a key of a kind that rustls has")
}

/// The start of a configuration with these versions.
pub fn builder(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider has suites for them")
}
