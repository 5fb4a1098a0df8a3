//! What leaves on one socket: joined into few WebSocket messages, written without losing patience too
//! early or too late.
//!
//! A peer that reads slowly is waited for as long as it takes anything at all; one that takes nothing
//! for the stall time is cut.

use std::time::Duration;

use futures_util::SinkExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::meter::Metered;
use crate::codec::{Encoding, Outbound};

/// The socket, as a connection holds it.
pub type Socket<S> = WebSocketStream<Metered<S>>;

/// Why a write failed.
#[derive(Debug)]
pub enum WriteError {
    /// The peer took nothing for the stall time.
    Stalled,
    /// The connection is broken.
    Broken,
}

impl From<Error> for WriteError {
    fn from(_: Error) -> Self {
        Self::Broken
    }
}

/// Puts what is in `outbound` into the socket's buffer, as one message.
///
/// # Errors
/// The connection is broken, or stalls.
pub async fn feed<S>(
    socket: &mut Socket<S>,
    outbound: &mut Outbound,
    stall: Duration,
) -> Result<usize, WriteError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if outbound.is_empty() {
        return Ok(0);
    }
    let content = Bytes::from(outbound.take());
    let length = content.len();
    let message = match outbound.encoding() {
        Encoding::Protobuf => Message::Binary(content),
        Encoding::Json => {
            Message::Text(Utf8Bytes::try_from(content).map_err(|_| WriteError::Broken)?)
        }
    };
    send(socket, message, stall).await?;
    Ok(length)
}

/// Puts a message into the socket's buffer. What is full is flushed first, patiently.
///
/// # Errors
/// The connection is broken, or stalls.
pub async fn send<S>(
    socket: &mut Socket<S>,
    message: Message,
    stall: Duration,
) -> Result<(), WriteError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A feed into a full buffer writes; with the buffer empty it only copies.
    flush(socket, stall).await?;
    match timeout(stall, socket.feed(message)).await {
        Ok(fed) => fed.map_err(WriteError::from),
        Err(_) => Err(WriteError::Stalled),
    }
}

/// Writes all that is in the buffer.
///
/// # Errors
/// The connection is broken, or the peer takes nothing for the stall time.
pub async fn flush<S>(socket: &mut Socket<S>, stall: Duration) -> Result<(), WriteError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let before = socket.get_ref().written();
        match timeout(stall, socket.flush()).await {
            Ok(flushed) => return flushed.map_err(WriteError::from),
            Err(_) if socket.get_ref().written() > before => {}
            Err(_) => return Err(WriteError::Stalled),
        }
    }
}
