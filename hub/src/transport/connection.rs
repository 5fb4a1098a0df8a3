//! One connection: the task that owns a socket, its session and its mailbox.
//!
//! ```text
//!    socket ──▶ codec ──▶ session ──▶ effect ──▶ broker
//!      ▲                                           │
//!      └── outgoing ◀── what is owed, mailbox ◀────┘
//! ```
//!
//! Each turn takes one thing that happened, carries out what follows from it, then writes everything
//! that is ready with one flush. Nothing else awaits: what a request asks of the broker is done when
//! the call returns, or comes through the mailbox.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures_util::StreamExt as _;
use proto::CloseCode;
use proto::envelope::{Ack, Envelope, Kind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::outgoing::{self, Socket, WriteError};
use super::upgrade::Origin;
use super::{Shared, incoming};
use crate::broker::channel::{PAGE_BYTES, PAGE_BYTES_AS_JSON};
use crate::broker::reader::{Piece, gap};
use crate::broker::{Peer, Reader};
use crate::clock::{self, Now};
use crate::codec::{Encoding, Outbound, encode, outbound};
use crate::mailbox::{Item, Taken};
use crate::metrics::Limit;
use crate::session::{Input, Session};

/// What is joined into one WebSocket message: enough to be worth a write, little enough to be freed.
pub const BATCH_BYTES: usize = 16 * 1024;
/// How long a peer may take to answer a close frame.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Received messages that one turn handles before it writes.
const MESSAGES_PER_TURN: usize = 32;

/// Everything of a connection but its socket.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) origin: Arc<Origin>,
    pub(super) session: Session,
    pub(super) peer: Option<Box<Peer>>,
    pub(super) reader: Reader,
    pub(super) outbound: Outbound,
    timer: Pin<Box<Sleep>>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The hub closes, with a code.
    Close(CloseCode),
    /// The peer said good-bye.
    Left,
    /// The peer is gone.
    Lost,
    /// The peer doesn't read: cut without a word.
    Stalled,
}

/// Something that happened.
enum Event {
    Received(Option<Result<Message, Error>>),
    Mail,
    Owed,
    Timer,
}

impl From<WriteError> for End {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stalled => Self::Stalled,
            WriteError::Broken => Self::Lost,
        }
    }
}

/// Runs a connection to its end.
pub async fn run<S>(mut socket: Socket<S>, shared: Arc<Shared>, origin: Arc<Origin>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    shared.broker.metrics.connections.inc();
    let session = Session::new(&shared.settings.session, clock::mono());
    let deadline = session.deadline().unwrap_or_else(clock::mono);
    let mut link = Link {
        shared,
        origin,
        session,
        peer: None,
        reader: Reader::default(),
        outbound: Outbound::new(Encoding::Protobuf),
        timer: Box::pin(tokio::time::sleep_until(deadline.into())),
    };
    let mut taken = Taken::default();
    let end = loop {
        let event = link.wait(&mut socket, &mut taken).await;
        if let Err(end) = link.turn(&mut socket, event, &mut taken).await {
            if matches!(end, End::Close(_)) {
                // What explains the close goes before it; a peer that is gone needs no explanation.
                let stall = link.shared.settings.write_stall;
                drop(outgoing::feed(&mut socket, &mut link.outbound, stall).await);
            }
            break end;
        }
    };
    link.leave(end);
    finish(socket, &link, end).await;
    link.shared.broker.metrics.connections.dec();
}

impl Link {
    /// Waits for the next thing to happen: a message first, so that a busy reader is heard.
    async fn wait<S>(&mut self, socket: &mut Socket<S>, taken: &mut Taken) -> Event
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.arm(clock::mono());
        let paused = self.session.paused_until().is_some();
        std::future::poll_fn(|context| {
            if self.timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Timer);
            }
            if !(paused && self.is_paused())
                && let Poll::Ready(message) = socket.poll_next_unpin(context)
            {
                return Poll::Ready(Event::Received(message));
            }
            // While it lags the mailbox holds answers only, and they don't wait for a slow scan; else
            // what it holds comes after what is owed.
            let behind = self.reader.is_behind();
            if (!behind || self.reader.is_lagging())
                && let Some(peer) = &self.peer
                && peer.mailbox.poll_take(context, BATCH_BYTES, taken).is_ready()
            {
                return Poll::Ready(Event::Mail);
            }
            if behind { Poll::Ready(Event::Owed) } else { Poll::Pending }
        })
        .await
    }

    /// One turn: what happened, what follows, one flush.
    async fn turn<S>(
        &mut self,
        socket: &mut Socket<S>,
        event: Event,
        taken: &mut Taken,
    ) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stall = self.shared.settings.write_stall;
        match event {
            Event::Received(message) => {
                self.receive(message)?;
                for _ in 1..MESSAGES_PER_TURN {
                    if self.is_paused() || self.outbound.len() >= BATCH_BYTES {
                        break;
                    }
                    let Some(next) = ready(socket).await else { break };
                    self.receive(next)?;
                }
            }
            Event::Owed => self.owed()?,
            Event::Mail => {
                let closing = self.mail(taken);
                taken.clear();
                if let Some(code) = closing {
                    outgoing::feed(socket, &mut self.outbound, stall).await?;
                    return Err(End::Close(code));
                }
            }
            Event::Timer => {
                if self.timeout()? {
                    outgoing::send(socket, Message::Ping(Default::default()), stall).await?;
                }
            }
        }
        let sent = outgoing::feed(socket, &mut self.outbound, stall).await?;
        self.shared.broker.metrics.bytes_sent.inc_by(sent as u64);
        outgoing::flush(socket, stall).await?;
        Ok(())
    }

    /// One received WebSocket message, or the end of them.
    fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let now = Now::read();
        let malformed = End::Close(CloseCode::MALFORMED);
        match message {
            None => Err(End::Lost),
            Some(Ok(Message::Binary(bytes))) => incoming::binary(self, now, &bytes),
            Some(Ok(Message::Text(text))) => incoming::text(self, now, &text),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => incoming::control(self, now),
            // The library answers the close frame; what remains is to let go.
            Some(Ok(Message::Close(_))) => Err(End::Left),
            Some(Ok(Message::Frame(_))) => Err(malformed),
            Some(Err(error)) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &Error) -> End {
        match error {
            Error::Capacity(_) => {
                self.shared.broker.metrics.limit_hit(Limit::MessageSize);
                End::Close(CloseCode::TOO_BIG)
            }
            Error::Utf8(_) => End::Close(CloseCode::NOT_UTF8),
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => End::Lost,
            Error::Protocol(_) => End::Close(CloseCode::PROTOCOL),
            _ => End::Lost,
        }
    }

    /// The session's time has come; true if a ping is due.
    fn timeout(&mut self) -> Result<bool, End> {
        let now = Now::read();
        let shared = self.shared.clone();
        let limits = &shared.settings.session;
        let effect = self.session.handle(limits, now.mono, Input::Timeout);
        incoming::carry_out(self, now, 0, effect)
    }

    /// What is owed before the mailbox: recovered messages and pages of values.
    fn owed(&mut self) -> Result<(), End> {
        let Some(peer) = &self.peer else { return Ok(()) };
        if let Some(code) = peer.mailbox.closing() {
            return Err(End::Close(code));
        }
        let broker = &self.shared.broker;
        let page_bytes = match self.outbound.encoding() {
            Encoding::Protobuf => PAGE_BYTES,
            Encoding::Json => PAGE_BYTES_AS_JSON,
        };
        while self.outbound.len() < BATCH_BYTES && self.reader.is_behind() {
            match self.reader.next(broker, &peer.mailbox, page_bytes) {
                Some(Piece::Message(frame)) => self.outbound.frame(&frame, &broker.types),
                Some(Piece::Snapshot { pattern, values, last, position }) => {
                    // A page is a message of its own, so that none passes the limit.
                    self.outbound.page(pattern.as_str(), &values, last, position, &broker.types);
                    break;
                }
                // Looking took long enough; others have their turn.
                None => break,
            }
        }
        Ok(())
    }

    /// What was in the mailbox; the code, if it says to close.
    fn mail(&mut self, taken: &mut Taken) -> Option<CloseCode> {
        let broker = &self.shared.broker;
        if let Some((boot, seq)) = taken.ack {
            let ack = Ack { boot, seq, durable: true, ..Ack::default() };
            self.outbound.envelope(&encode(&Envelope::new(Kind::Ack(ack))));
        }
        if let Some(lag) = taken.gap {
            broker.metrics.gaps.inc();
            self.outbound.envelope(&encode(&gap(lag, false)));
        }
        for item in &taken.items {
            match item {
                Item::Message(frame) => {
                    broker.metrics.delivered.inc();
                    self.outbound.frame(frame, &broker.types);
                }
                Item::Answer(envelope) => self.outbound.envelope(envelope),
            }
        }
        if let Some(lag) = taken.lagging {
            let envelope = self.reader.lag(broker, lag);
            self.outbound.envelope(&encode(&envelope));
        }
        if taken.close == Some(CloseCode::DRAIN) {
            self.outbound
                .envelope(&outbound::go_away(CloseCode::DRAIN, broker.reconnect_window_s()));
        }
        taken.close
    }

    fn is_paused(&self) -> bool {
        self.session.paused_until().is_some_and(|until| clock::mono() < until)
    }

    /// Sets the timer to the earlier of the deadline and the end of a pause. A deadline that moved
    /// back is left to fire early: that is cheaper than to move the timer with every message.
    fn arm(&mut self, now: Instant) {
        let deadline = self.session.deadline().unwrap_or(now);
        let pause = self.session.paused_until().filter(|until| *until > now);
        let next = pause.map_or(deadline, |until| until.min(deadline));
        let armed = self.timer.deadline().into_std();
        if self.timer.is_elapsed() || next < armed {
            self.timer.as_mut().reset(next.into());
        }
    }

    fn leave(&mut self, end: End) {
        let broker = &self.shared.broker;
        let reason = match end {
            End::Close(code) => {
                broker.metrics.closed(code.0);
                if let Some(limit) = limit_of(code) {
                    broker.metrics.limit_hit(limit);
                }
                code.reason()
            }
            End::Stalled => {
                broker.metrics.limit_hit(Limit::WriteTime);
                broker.metrics.closed(CloseCode::SLOW.0);
                CloseCode::SLOW.reason()
            }
            End::Left => CloseCode::NORMAL.reason(),
            End::Lost => "lost",
        };
        if let Some(peer) = self.peer.take() {
            tracing::debug!(peer = %peer.identity, reason, "session ended");
            broker.leave(Now::read(), &peer, self.reader.patterns(), reason);
        }
    }
}

/// The limit that was hit where a connection closes with this code.
fn limit_of(code: CloseCode) -> Option<Limit> {
    match code {
        CloseCode::AUTH_TIMEOUT => Some(Limit::Greeting),
        CloseCode::NO_PONG => Some(Limit::PongTime),
        CloseCode::RATE => Some(Limit::Inbound),
        CloseCode::SLOW => Some(Limit::Mailbox),
        _ => None,
    }
}

/// The next message, if it is there already.
async fn ready<S>(socket: &mut Socket<S>) -> Option<Option<Result<Message, Error>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    std::future::poll_fn(|context| match socket.poll_next_unpin(context) {
        Poll::Ready(message) => Poll::Ready(Some(message)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Says why, waits for the peer's close frame for a while, and lets go.
async fn finish<S>(mut socket: Socket<S>, link: &Link, end: End)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let code = match end {
        End::Close(code) => code,
        End::Stalled => return,
        End::Left | End::Lost => CloseCode::NORMAL,
    };
    let frame = CloseFrame { code: code.0.into(), reason: code.reason().into() };
    let close = async {
        // Fails if the peer closed first or is gone. In the first case the library's answer to it
        // is not on the wire yet: reading on is what sends it.
        drop(socket.close(Some(frame)).await);
        while let Some(Ok(_)) = socket.next().await {}
        let mut inner = socket.into_inner();
        drop(tokio::io::AsyncWriteExt::shutdown(&mut inner).await);
    };
    if tokio::time::timeout(CLOSE_TIMEOUT, close).await.is_err() {
        tracing::debug!(address = %link.origin.address, "no answer to the close frame");
    }
}
