//! From a URL to an open WebSocket, with every buffer set.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Error as WebSocketError};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use proto::limits;

/// An open WebSocket, plain or through TLS.
pub(super) type Socket = WebSocketStream<Stream>;

/// Where the hub is and how to get there. Cheap to clone; thousands of devices share its parts.
#[derive(Debug, Clone)]
pub struct HostConfig {
    uri: Uri,
    host: Arc<str>,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    source: Option<IpAddr>,
    resolved: Option<SocketAddr>,
}

/// Why a text is not the URL of a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It can't be read.
    #[error("`{0}` is not a url")]
    NotUrl(String),
    /// Neither `ws` nor `wss`.
    #[error("the url must begin with wss:// (or ws:// on loopback)")]
    Scheme,
    /// `wss` needs TLS settings and `ws` must not have any.
    #[error("wss:// needs tls settings, and ws:// takes none")]
    Tls,
}

impl HostConfig {
    /// A hub at `wss://host[:port]` or `ws://host[:port]`. Without a path, it is the protocol's own.
    ///
    /// # Errors
    /// The URL can't be read, or doesn't fit `tls`.
    pub fn new(url: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self, UrlError> {
        let not_url = || UrlError::NotUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| not_url())?;
        let port_default = match uri.scheme_str() {
            Some("wss") if tls.is_some() => 443,
            Some("ws") if tls.is_none() => 80,
            Some("ws" | "wss") => return Err(UrlError::Tls),
            Some(_) | None => return Err(UrlError::Scheme),
        };
        let host: Arc<str> = uri.host().ok_or_else(not_url)?.trim_matches(['[', ']']).into();
        let port = uri.port_u16().unwrap_or(port_default);
        let uri = match uri.path() {
            "" | "/" => {
                let base = url.trim_end_matches('/');
                format!("{base}{}", proto::WEBSOCKET_PATH).parse().map_err(|_| not_url())?
            }
            _ => uri,
        };
        let resolved = host.parse().ok().map(|address: IpAddr| SocketAddr::new(address, port));
        Ok(Self { uri, host, port, tls, source: None, resolved })
    }

    /// Connects from this local address: one address has no more than 64 Ki ports.
    #[must_use]
    pub fn from_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Connects to this address whatever the name resolves to; TLS still checks the name.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.resolved = Some(address);
        self
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("`{0}` has no address")]
    NoAddress(Arc<str>),
    /// The name is none that TLS could check.
    #[error("`{0}` is no name for tls")]
    ServerName(Arc<str>),
    /// TCP or TLS failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The hub did not upgrade the connection.
    #[error(transparent)]
    WebSocket(#[from] Box<WebSocketError>),
}

/// Opens a WebSocket to the hub. The machine's time-out bounds it: it drops this future.
pub(super) async fn connect(host: HostConfig) -> Result<Box<Socket>, ConnectError> {
    let tcp = connect_tcp(&host).await?;
    let stream = match &host.tls {
        None => Stream::Plain(tcp),
        Some(config) => {
            let name = ServerName::try_from(host.host.to_string())
                .map_err(|_| ConnectError::ServerName(host.host.clone()))?;
            let connector = TlsConnector::from(config.clone());
            // On the heap: the struct is over 1 KiB and would be copied into every future around it.
            Stream::Tls(Box::new(connector.connect(name, tcp).await?))
        }
    };
    let request = ClientRequestBuilder::new(host.uri).with_sub_protocol(proto::SUBPROTOCOL);
    let (socket, _) = client_async_with_config(request, stream, Some(websocket_config()))
        .await
        .map_err(Box::new)?;
    Ok(Box::new(socket))
}

async fn connect_tcp(host: &HostConfig) -> Result<TcpStream, ConnectError> {
    let address = match host.resolved {
        Some(address) => address,
        None => lookup_host((&*host.host, host.port))
            .await?
            .next()
            .ok_or_else(|| ConnectError::NoAddress(host.host.clone()))?,
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = host.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let tcp = socket.connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// The library's defaults keep 128 KiB a connection; a lamp needs little more than one command.
fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(1024)
        .max_write_buffer_size(limits::MESSAGE_BYTES_MAX * 2)
        .max_message_size(Some(limits::MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limits::MESSAGE_BYTES_MAX))
}

/// Bytes to the hub.
#[derive(Debug)]
pub(super) enum Stream {
    /// For loopback and tests.
    Plain(TcpStream),
    /// Through TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
