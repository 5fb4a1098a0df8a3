//! A bare connection to the hub, for observers, operators and benchmarks: envelopes over a WebSocket,
//! without the firmware's machine, its journal or its patience.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use proto::envelope::{Batch, Envelope, Hello, Kind};
use proto::{CloseCode, limits};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Error as WebSocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// From the first SYN to the hub's Welcome.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the hub is, and how to trust it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Target {
    uri: Uri,
    host: Arc<str>,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    source: Option<std::net::IpAddr>,
    read_buffer: usize,
    receive_window: Option<u32>,
}

/// Why a connection did not come about, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The hub closed it.
    #[error("the hub closed the connection with {0}")]
    Closed(u16),
    /// The other end is gone.
    #[error("the connection was lost")]
    Lost,
    /// The hub says something that no hub says here.
    #[error("the hub answered `{0}` to a greeting")]
    Greeting(&'static str),
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// The address can't be used.
    #[error("`{0}` is no address of a hub")]
    Url(String),
    /// TCP or TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// WebSocket.
    #[error(transparent)]
    WebSocket(#[from] Box<WebSocketError>),
}

impl Target {
    /// Resolves the hub's address once.
    ///
    /// # Errors
    /// The URL is none of a hub, or its name has no address.
    pub async fn new(url: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self, LinkError> {
        let not_url = || LinkError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| not_url())?;
        let port = match (uri.scheme_str(), &tls) {
            (Some("wss"), Some(_)) => uri.port_u16().unwrap_or(443),
            (Some("ws"), None) => uri.port_u16().unwrap_or(80),
            (_, _) => return Err(not_url()),
        };
        let host: Arc<str> = uri.host().ok_or_else(not_url)?.trim_matches(['[', ']']).into();
        let address = tokio::net::lookup_host((&*host, port)).await?.next().ok_or_else(not_url)?;
        let full = format!("{}{}", url.trim_end_matches('/'), proto::WEBSOCKET_PATH);
        let uri = full.parse().map_err(|_| not_url())?;
        Ok(Self { uri, host, address, tls, source: None, read_buffer: 1024, receive_window: None })
    }

    /// The hub's address, resolved.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same with another local address.
    #[must_use]
    pub fn from_source(mut self, source: Option<std::net::IpAddr>) -> Self {
        self.source = source;
        self
    }

    /// The same with a full handshake each time.
    #[must_use]
    pub fn without_resumption(mut self) -> Self {
        if let Some(tls) = &mut self.tls {
            Arc::make_mut(tls).resumption = rustls::client::Resumption::disabled();
        }
        self
    }

    /// The same with other TLS settings: another identity, or sessions of its own to resume. Nothing
    /// changes where there is no TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: &Arc<ClientConfig>) -> Self {
        if self.tls.is_some() {
            self.tls = Some(tls.clone());
        }
        self
    }

    /// The same with so many bytes that the kernel takes before anyone reads them: a reader that is
    /// slow is slow at once, and not after megabytes.
    #[must_use]
    pub fn with_receive_window(mut self, bytes: u32) -> Self {
        self.receive_window = Some(bytes);
        self
    }

    /// The same for a reader of much: 64 KiB to read into.
    #[must_use]
    pub fn for_reader(mut self) -> Self {
        self.read_buffer = limits::MESSAGE_BYTES_MAX;
        self
    }
}

/// What an admitted peer learned from Welcome.
#[derive(Debug, Clone, Copy)]
pub struct Admitted {
    /// The epoch of the hub's positions; another one is another life of the hub.
    pub epoch: u64,
    /// s over which it is to come back after a loss.
    pub reconnect_window_s: u32,
    /// Whether TLS went on with an earlier session; false without TLS.
    pub resumed: bool,
}

/// Bytes both ways, plain or through TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Stream for S {}

/// An open connection.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// The message that began with Welcome, if more stood in it: commands that waited.
    first: Option<Bytes>,
}

impl Link {
    /// Connects, greets, and waits for Welcome.
    ///
    /// # Errors
    /// Says what went wrong on the way.
    pub async fn open(
        target: &Target,
        token: &str,
        boot: u32,
    ) -> Result<(Self, Admitted), LinkError> {
        timeout(CONNECT_TIMEOUT, Box::pin(Self::open_slowly(target, token, boot)))
            .await
            .unwrap_or(Err(LinkError::Timeout))
    }

    async fn open_slowly(
        target: &Target,
        token: &str,
        boot: u32,
    ) -> Result<(Self, Admitted), LinkError> {
        let socket =
            if target.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = target.receive_window {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(source) = target.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let tcp = socket.connect(target.address).await?;
        tcp.set_nodelay(true)?;
        let mut resumed = false;
        let stream: Box<dyn Stream> = match &target.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(target.host.to_string())
                    .map_err(|_| LinkError::Url(target.host.to_string()))?;
                let connector = tokio_rustls::TlsConnector::from(config.clone());
                let stream = connector.connect(name, tcp).await?;
                resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                Box::new(stream)
            }
        };
        let request =
            ClientRequestBuilder::new(target.uri.clone()).with_sub_protocol(proto::SUBPROTOCOL);
        let config = WebSocketConfig::default()
            .read_buffer_size(target.read_buffer)
            .write_buffer_size(1024)
            .max_write_buffer_size(4 * limits::MESSAGE_BYTES_MAX)
            .max_message_size(Some(limits::MESSAGE_BYTES_MAX * 4));
        let (socket, _) =
            client_async_with_config(request, stream, Some(config)).await.map_err(Box::new)?;
        let mut link = Self { socket, first: None };
        let admitted = link.greet(token, boot).await?;
        Ok((link, Admitted { resumed, ..admitted }))
    }

    async fn greet(&mut self, token: &str, boot: u32) -> Result<Admitted, LinkError> {
        let agent = concat!("device-sim/", env!("CARGO_PKG_VERSION"));
        let protocol = proto::PROTOCOL_VERSION;
        let hello = Hello { protocol, token, boot, ready: true, agent, ..Hello::default() };
        self.send(&encode(0, Kind::Hello(hello))).await?;
        let bytes = self.next().await?;
        let mut batch = Batch::parse(&bytes).into_iter().flatten();
        match batch.next().map(|envelope| envelope.kind) {
            Some(Kind::Welcome(welcome)) => {
                let (epoch, reconnect_window_s) = (welcome.epoch, welcome.reconnect_window_s);
                self.first = batch.next().is_some().then(|| bytes.clone());
                Ok(Admitted { epoch, reconnect_window_s, resumed: false })
            }
            Some(kind) => Err(LinkError::Greeting(kind.name())),
            None => Err(LinkError::Greeting("nothing that can be read")),
        }
    }

    /// Sends one WebSocket message of encoded envelopes.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, envelopes: &[u8]) -> Result<(), LinkError> {
        let message = Message::binary(Bytes::copy_from_slice(envelopes));
        Ok(self.socket.send(message).await.map_err(Box::new)?)
    }

    /// Queues one WebSocket message; it leaves with the next [`Link::flush`] or when much has gathered.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn feed(&mut self, envelopes: &[u8]) -> Result<(), LinkError> {
        let message = Message::binary(Bytes::copy_from_slice(envelopes));
        Ok(self.socket.feed(message).await.map_err(Box::new)?)
    }

    /// Lets everything queued leave.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        Ok(self.socket.flush().await.map_err(Box::new)?)
    }

    /// The next binary message, also that of Welcome if more stood in it. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn next(&mut self) -> Result<Bytes, LinkError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(CloseCode::AWAY.0, |frame| frame.code.into());
                    return Err(LinkError::Closed(code));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Box::new(error).into()),
                None => return Err(LinkError::Lost),
            }
        }
    }
}

/// One envelope with its length in front.
pub fn encode(request: u64, kind: Kind<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    Envelope { request, kind }.encode_delimited(&mut bytes);
    bytes
}
