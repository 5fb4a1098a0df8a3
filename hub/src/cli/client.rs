//! One connection to the hub's socket, in JSON: dial, greet, send, read.
//!
//! Used by what follows the life of things (`send`, `watch`); questions with one answer go over
//! [`super::http`]. One text message may carry several envelopes, one a line; [`Client::next`]
//! hands them out one by one.
//!
//! # Guarantees
//!
//! - Dialling ends within [`DIAL_MAX`], whatever the other side does.
//! - A connection that stays silent past the hub's own pings counts as lost.
//! - [`Client::next`] can be dropped while it waits, without losing an envelope.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use proto::CloseCode;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::connect::Target;
use super::exit::Failure;
use super::fields::{number, word};

/// From the first packet to the hub's welcome.
pub(crate) const DIAL_MAX: Duration = Duration::from_secs(15);
/// How long a message may take to leave.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A connection that the hub has welcomed.
pub(crate) struct Client {
    socket: WebSocketStream<Box<dyn Duplex>>,
    ready: VecDeque<Incoming>,
    /// ms since 1970, UTC: the hub's clock when it welcomed us.
    pub(crate) hub_unix_ms: u64,
    silence_max: Duration,
}

/// Plain text or TLS.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What the hub says. The values are the bodies of the envelopes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Incoming {
    /// Yes, to the request of this number.
    Ack(u64, Value),
    /// No, to the request of this number; 0 where no request is meant.
    Error(u64, Value),
    /// Values were left out.
    Gap(Value),
    /// The hub is about to close.
    GoAway(Value),
    /// A value of a channel.
    Message(Value),
    /// Something that needs no answer, or that this version doesn't know.
    Other,
    /// A page of last values.
    Snapshot(Value),
    /// The greeting.
    Welcome(Value),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    /// The hub closed, and said why.
    #[error("the hub closed: {reason} ({code})")]
    Closed {
        /// Of the close frame.
        code: u16,
        /// Of the close frame.
        reason: String,
    },
    /// The network or TLS gave up.
    #[error("{0}")]
    Broken(String),
    /// Neither a message nor a ping for too long.
    #[error("nothing heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came isn't the protocol.
    #[error("the hub's answer can't be read: {0}")]
    Unreadable(String),
}

impl Lost {
    /// The failure, where nothing is in doubt.
    pub(crate) fn into_failure(self) -> Failure {
        let text = self.to_string();
        match self {
            Self::Closed { code, .. } => Failure::from_close(CloseCode(code), text),
            Self::Broken(_) | Self::Silent(_) | Self::Unreadable(_) => Failure::Unreachable(text),
        }
    }
}

impl Client {
    /// Dials the hub and greets it.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Failure> {
        let dialled = tokio::time::timeout(DIAL_MAX, Self::dial(target)).await;
        dialled.unwrap_or_else(|_| {
            let limit = DIAL_MAX.as_secs();
            Err(Failure::Unreachable(format!("{}: no answer within {limit} s", authority(target))))
        })
    }

    async fn dial(target: &Target) -> Result<Self, Failure> {
        let stream = open(target).await?;
        let scheme = if target.tls.is_some() { "wss" } else { "ws" };
        let url = format!("{scheme}://{}{}", authority(target), proto::WEBSOCKET_PATH);
        let mut request =
            url.into_client_request().map_err(|error| Failure::Usage(format!("--hub: {error}")))?;
        let protocol = HeaderValue::from_static(proto::SUBPROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = client_async_with_config(request, stream, Some(websocket_config()))
            .await
            .map_err(|error| upgrade_failure(target, error))?;
        let mut client =
            Self { socket, ready: VecDeque::new(), hub_unix_ms: 0, silence_max: DIAL_MAX };
        client.greet(target).await?;
        Ok(client)
    }

    async fn greet(&mut self, target: &Target) -> Result<(), Failure> {
        let agent = concat!("hub-cli/", env!("CARGO_PKG_VERSION"));
        let hello = json!({
            "protocol": proto::PROTOCOL_VERSION, "token": target.token.secret(), "agent": agent,
        });
        self.send(0, "hello", hello).await.map_err(Lost::into_failure)?;
        match self.next().await.map_err(Lost::into_failure)? {
            Incoming::Welcome(welcome) => {
                let ping_s = number(&welcome, "ping_interval_s").clamp(1, 1200);
                self.hub_unix_ms = number(&welcome, "time_unix_ms");
                // The hub pings at its interval, plus a fifth, so that pings spread.
                self.silence_max = Duration::from_secs(ping_s * 2 + 10);
                Ok(())
            }
            Incoming::Error(_, error) => Err(failure_of(&error)),
            other => Err(Failure::Unreachable(format!("the hub greets with {other:?}"))),
        }
    }

    /// Sends one envelope; `kind` is the field of its content.
    pub(crate) async fn send(&mut self, request: u64, kind: &str, body: Value) -> Result<(), Lost> {
        let text = json!({"request": request.to_string(), kind: body}).to_string();
        let sent = self.socket.send(Message::text(text));
        match tokio::time::timeout(WRITE_MAX, sent).await {
            Ok(Ok(())) => Ok(()),
            // What the hub said before it closed says more than that writing failed.
            Ok(Err(error)) => Err(self.last_words().await.unwrap_or_else(|| broken(&error))),
            Err(_) => Err(Lost::Silent(WRITE_MAX)),
        }
    }

    /// The close frame, if one is already here.
    async fn last_words(&mut self) -> Option<Lost> {
        let wait = Duration::from_millis(200);
        let heard = tokio::time::timeout(wait, async {
            loop {
                match self.next().await {
                    Ok(_) => {}
                    Err(lost) => break lost,
                }
            }
        });
        heard.await.ok().filter(|lost| matches!(lost, Lost::Closed { .. }))
    }

    /// The next envelope.
    pub(crate) async fn next(&mut self) -> Result<Incoming, Lost> {
        loop {
            if let Some(envelope) = self.ready.pop_front() {
                return Ok(envelope);
            }
            let heard = tokio::time::timeout(self.silence_max, self.socket.next()).await;
            let message = heard.map_err(|_| Lost::Silent(self.silence_max))?;
            match message {
                Some(Ok(Message::Text(text))) => self.take(text.as_str())?,
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(Message::Binary(_))) => {
                    return Err(Lost::Unreadable("binary, where JSON was asked for".to_owned()));
                }
                // The library answers pings by itself while it reads.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(broken(&error)),
                None => return Err(Lost::Broken("the connection ended".to_owned())),
            }
        }
    }

    fn take(&mut self, text: &str) -> Result<(), Lost> {
        for line in text.lines().filter(|line| !line.is_empty()) {
            let envelope = serde_json::from_str::<Value>(line)
                .map_err(|error| Lost::Unreadable(error.to_string()))?;
            self.ready.push_back(Incoming::from_envelope(envelope));
        }
        Ok(())
    }

    /// Says good-bye; that we leave matters more than that it arrives.
    pub(crate) async fn close(mut self) {
        let farewell = self.socket.close(None);
        tokio::time::timeout(Duration::from_secs(1), farewell).await.ok();
    }
}

impl Incoming {
    fn from_envelope(mut envelope: Value) -> Self {
        let request = number(&envelope, "request");
        let mut take = |kind: &str| envelope.get_mut(kind).map(Value::take);
        if let Some(body) = take("message") {
            Self::Message(body)
        } else if let Some(body) = take("snapshot") {
            Self::Snapshot(body)
        } else if let Some(body) = take("ack") {
            Self::Ack(request, body)
        } else if let Some(body) = take("error") {
            Self::Error(request, body)
        } else if let Some(body) = take("gap") {
            Self::Gap(body)
        } else if let Some(body) = take("go_away") {
            Self::GoAway(body)
        } else if let Some(body) = take("welcome") {
            Self::Welcome(body)
        } else {
            Self::Other
        }
    }
}

/// The failure that the body of an error envelope stands for.
pub(crate) fn failure_of(error: &Value) -> Failure {
    let (message, field) = (word(error, "message"), word(error, "field"));
    let text = if field.is_empty() { message.to_owned() } else { format!("{field}: {message}") };
    Failure::from_error_code(super::fields::error_code(error), text)
}

/// `host:port`.
pub(crate) fn authority(target: &Target) -> String {
    format!("{}:{}", target.host, target.port)
}

async fn open(target: &Target) -> Result<Box<dyn Duplex>, Failure> {
    let unreachable = |error: &std::io::Error| {
        Failure::Unreachable(format!("{}: {error}; is the hub running?", authority(target)))
    };
    let tcp = TcpStream::connect(authority(target)).await.map_err(|error| unreachable(&error))?;
    tcp.set_nodelay(true).map_err(|error| unreachable(&error))?;
    let Some(config) = &target.tls else { return Ok(Box::new(tcp)) };
    let bare = target.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare)
        .map_err(|_| Failure::Usage("--hub: the host is no name of a certificate".to_owned()))?;
    let connector = TlsConnector::from(Arc::clone(config));
    let tls = connector.connect(name, tcp).await.map_err(|error| {
        Failure::Unreachable(format!("{}: {error}; {}", authority(target), TLS_HINT))
    })?;
    Ok(Box::new(tls))
}

/// The way out of a certificate that isn't trusted.
pub(crate) const TLS_HINT: &str = "is --ca-file the hub's, and is this its name?";

/// Small buffers, and no more than the protocol's limit in one message.
fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * proto::limits::MESSAGE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX))
}

/// JSON of a batch is longer than the batch.
const MESSAGE_MAX: usize = 16 * proto::limits::MESSAGE_BYTES_MAX;

fn upgrade_failure(target: &Target, error: tungstenite::Error) -> Failure {
    let host = authority(target);
    match error {
        tungstenite::Error::Http(response) => {
            let status = response.status().as_u16();
            Failure::from_status(status, format!("{host}: answered the upgrade with {status}"))
        }
        other => Failure::Unreachable(format!("{host}: {other}")),
    }
}

fn closed(frame: Option<tungstenite::protocol::CloseFrame>) -> Lost {
    match frame {
        Some(frame) => {
            Lost::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
        }
        None => Lost::Broken("the hub closed without a reason".to_owned()),
    }
}

fn broken(error: &tungstenite::Error) -> Lost {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    match error {
        tungstenite::Error::Io(error)
            if matches!(error.kind(), ConnectionReset | UnexpectedEof) =>
        {
            Lost::Broken("the hub is gone without a good-bye".to_owned())
        }
        other => Lost::Broken(format!("the connection broke: {other}")),
    }
}
