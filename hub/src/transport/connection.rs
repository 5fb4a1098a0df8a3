//! One connection: the task that owns a session, hears its peer, and answers.
//!
//! ```text
//!    wire ──▶ websocket ──▶ codec ──▶ session ──▶ effect ──▶ broker
//!      ▲                                                       │
//!      └──────────────── line ◀── what is owed, mailbox ◀──────┘
//! ```
//!
//! Each turn writes what waits, then takes one thing that happened and carries out what follows from
//! it. Nothing awaits: what a request asks of the broker is done when the call returns, or comes through
//! the mailbox.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use proto::CloseCode;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Control;

use super::buffers::Scratch;
use super::line::{BATCH_BYTES, Line, Outlet, Pumped};
use super::upgrade::Origin;
use super::websocket::{self, Received};
use super::wire::Wire;
use super::{Shared, farewell, incoming};
use crate::broker::{Peer, Reader};
use crate::clock::{self, Now};
use crate::mailbox::Wakes;
use crate::metrics::Limit;
use crate::session::{Input, Session};

/// Received messages that one turn handles before it writes.
const MESSAGES_PER_TURN: usize = 32;
/// Bytes of messages that are heard before their receivers are written to, while more is there to be heard:
/// what one write to a receiver takes.
const HEARD_BYTES_MAX: usize = BATCH_BYTES;
/// Turns before others have theirs.
const TURNS_PER_POLL: usize = 16;
/// How often a connection whose socket is full looks whether it was ended meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Deadlines of many connections come together on a multiple of this: a hub that has nothing to do wakes up
/// 20 times a second for all of its pings, not once for each.
const DEADLINES_EVERY: Duration = Duration::from_millis(50);
/// Receivers that are written to before others have their turn: about a millisecond.
const WAKES_PER_TURN: usize = 128;

/// Everything of a connection but its line.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) origin: Arc<Origin>,
    pub(super) session: Session,
    pub(super) peer: Option<Box<Peer>>,
    /// Who receives what this peer published.
    pub(super) wakes: Wakes,
    /// Bytes that were heard since all of those were woken.
    heard: usize,
    /// More is there to be heard, and they wait for it.
    hears_on: bool,
    timer: Pin<Box<Sleep>>,
    /// Bytes that the socket had taken when the session's deadline was set.
    written: u64,
    stall: Option<Stall>,
}

/// A socket that takes nothing: until when, and how much it had taken.
#[derive(Debug, Clone, Copy)]
struct Stall {
    until: Instant,
    written: u64,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The hub closes, with a code.
    Close(CloseCode),
    /// The peer said good-bye, and was answered.
    Left,
    /// The peer is gone.
    Lost,
    /// The peer doesn't read: cut without a word.
    Stalled,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Lost
    }
}

/// Runs a connection to its end.
pub async fn run(wire: Wire, shared: Arc<Shared>, origin: Arc<Origin>) {
    let metrics = &shared.broker.metrics;
    metrics.connections.inc();
    let outlet = Outlet::new(wire, shared.clone());
    let mut link = Link::new(shared.clone(), origin);
    let end = std::future::poll_fn(|context| link.poll(&outlet, context)).await;
    let reader = outlet.close(end);
    link.leave(end, &reader);
    let address = link.origin.address;
    // What a connection needs only at its end doesn't weigh on it before.
    if !Box::pin(farewell::say(outlet, end)).await {
        tracing::debug!(%address, "no answer to the close frame");
    }
    drop(link);
    metrics.connections.dec();
}

impl Link {
    fn new(shared: Arc<Shared>, origin: Arc<Origin>) -> Self {
        let session = Session::new(&shared.settings.session, clock::mono());
        let deadline = session.deadline().unwrap_or_else(clock::mono);
        let timer = Box::pin(tokio::time::sleep_until(deadline.into()));
        Self {
            shared,
            origin,
            session,
            peer: None,
            wakes: Wakes::default(),
            heard: 0,
            hears_on: false,
            timer,
            written: 0,
            stall: None,
        }
    }

    /// The whole life of a connection: turn after turn, until it has to wait.
    fn poll(&mut self, outlet: &Arc<Outlet>, context: &mut Context<'_>) -> Poll<End> {
        for _ in 0..TURNS_PER_POLL {
            let heard_on = self.hears_on;
            if !heard_on && !self.write_to_receivers() {
                break;
            }
            let mut line = outlet.attend(context.waker());
            if line.gathering.lets_others_go_first() {
                break;
            }
            self.hears_on = false;
            match self.turn(outlet, &mut line, context) {
                Ok(Turned::On) if self.hears_on => break,
                // There was no more, and nobody has been written to yet.
                Ok(Turned::Wait) if heard_on => {}
                Ok(Turned::On) => {}
                Ok(Turned::Wait) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Without a lock, since they are others' sockets; whether nobody is left.
    fn write_to_receivers(&mut self) -> bool {
        let is_done = self.wakes.wake_some(WAKES_PER_TURN);
        if is_done {
            self.heard = 0;
        }
        is_done
    }

    /// One turn: write, then hear. A peer that takes nothing isn't heard either.
    fn turn(
        &mut self,
        outlet: &Arc<Outlet>,
        line: &mut Line,
        context: &mut Context<'_>,
    ) -> Result<Turned, End> {
        line.ended()?;
        let pumped = line.pump(outlet)?;
        if pumped == Pumped::Blocked {
            return self.wait_for_room(line, context);
        }
        self.stall = None;
        self.arm(clock::mono(), line.reader.choices().beat());
        line.armed_for = line.reader.choices().beat();
        let late = self.timer.as_mut().poll(context).is_ready();
        let heard = !self.is_paused() && self.hear(line, context)?;
        if late && !heard {
            // An answer that is here already is not late.
            self.timeout(line)?;
            return Ok(Turned::On);
        }
        Ok(if heard || pumped == Pumped::More { Turned::On } else { Turned::Wait })
    }

    /// Takes what the peer sent; whether there was anything.
    fn hear(&mut self, line: &mut Line, context: &mut Context<'_>) -> Result<bool, End> {
        let mut scratch = Scratch::borrow();
        if line.unread.is_empty() {
            let Poll::Ready(count) = line.wire.poll_receive(context, &mut scratch)? else {
                return Ok(false);
            };
            let used = self.messages(line, &mut scratch[..alive(count)?])?;
            line.unread.extend_from_slice(&scratch[used..count]);
            return Ok(true);
        }
        let mut unread = std::mem::take(&mut line.unread);
        let used = self.messages(line, &mut unread)?;
        unread.drain(..used);
        let mut heard = used > 0;
        if !heard && let Poll::Ready(count) = line.wire.poll_receive(context, &mut scratch)? {
            unread.extend_from_slice(&scratch[..alive(count)?]);
            heard = true;
        }
        if !unread.is_empty() {
            line.unread = unread;
        }
        Ok(heard)
    }

    /// Handles the messages in front of `bytes`, and returns how many bytes they were.
    fn messages(&mut self, line: &mut Line, bytes: &mut [u8]) -> Result<usize, End> {
        let (mut used, mut messages) = (0, 0);
        while messages < MESSAGES_PER_TURN {
            if self.is_paused() || line.outbound.len() >= BATCH_BYTES || line.wire.is_blocked() {
                break;
            }
            let next = line.assembler.next(&mut bytes[used..]);
            let (received, count) = next.map_err(|violation| self.violated(violation))?;
            used += count;
            let Some(received) = received else { break };
            self.receive(line, received)?;
            messages += 1;
        }
        self.heard += used;
        self.hears_on = messages == MESSAGES_PER_TURN && self.heard < HEARD_BYTES_MAX;
        Ok(used)
    }

    fn receive(&mut self, line: &mut Line, received: Received<'_>) -> Result<(), End> {
        let now = Now::read();
        match received {
            Received::Binary(bytes) => incoming::binary(self, line, now, &bytes),
            Received::Text(text) => incoming::text(self, line, now, &text),
            Received::Ping(payload) => {
                line.wire.send(&websocket::control(Control::Pong, payload))?;
                incoming::control(self, line, now)
            }
            Received::Pong => incoming::control(self, line, now),
            Received::Close(code) => {
                line.wire.send(&websocket::close(code.unwrap_or(CloseCode::NORMAL.0), ""))?;
                Err(End::Left)
            }
        }
    }

    fn violated(&self, code: CloseCode) -> End {
        if code == CloseCode::TOO_BIG {
            self.shared.broker.metrics.limit_hit(Limit::MessageSize);
        }
        End::Close(code)
    }

    /// The session's time has come.
    fn timeout(&mut self, line: &mut Line) -> Result<(), End> {
        let now = Now::read();
        let shared = self.shared.clone();
        let deadline = self.session.deadline();
        let input = Input::Timeout { drains: line.wire.written() > self.written };
        let effect = self.session.handle(&shared.settings.session, now.mono, input);
        if incoming::carry_out(self, line, now, 0, effect)? {
            line.wire.send(&websocket::control(Control::Ping, b""))?;
        }
        if self.session.deadline() != deadline {
            self.written = line.wire.written();
        }
        Ok(())
    }

    /// A peer that reads slowly is waited for as long as it takes anything at all.
    fn wait_for_room(&mut self, line: &mut Line, context: &mut Context<'_>) -> Result<Turned, End> {
        if line.wire.poll_flush(context)?.is_ready() {
            return Ok(Turned::On);
        }
        // A revocation doesn't wait until the peer reads.
        if let Some(code) = line.mailbox.as_ref().and_then(|mailbox| mailbox.ended()) {
            return Err(End::Close(code));
        }
        let (now, written) = (clock::mono(), line.wire.written());
        if self.session.has_ended(now) {
            return Err(End::Close(CloseCode::CREDENTIAL_EXPIRED));
        }
        let fresh = Stall { until: now + self.shared.settings.write_stall, written };
        let stall = self.stall.get_or_insert(fresh);
        if written > stall.written {
            *stall = fresh;
        } else if now >= stall.until {
            return Err(End::Stalled);
        }
        self.timer.as_mut().reset(stall.until.min(now + LOOK_EVERY).into());
        let elapsed = self.timer.as_mut().poll(context).is_ready();
        Ok(if elapsed { Turned::On } else { Turned::Wait })
    }

    pub(super) fn is_paused(&self) -> bool {
        self.session.paused_until().is_some_and(|until| clock::mono() < until)
    }

    /// Sets the timer to the earliest of the deadline, the end of a pause and the beat. A deadline that moved
    /// back is left to fire early: that is cheaper than to move the timer with every message.
    fn arm(&mut self, now: Instant, beat: Option<Instant>) {
        let deadline =
            self.session.deadline().map_or(now, |at| clock::together(at, DEADLINES_EVERY));
        let pause = self.session.paused_until().filter(|until| *until > now);
        let next = [pause, beat].into_iter().flatten().fold(deadline, Instant::min);
        let armed = self.timer.deadline().into_std();
        if self.timer.is_elapsed() || next < armed {
            self.timer.as_mut().reset(next.into());
        }
    }

    fn leave(&mut self, end: End, reader: &Reader) {
        self.wakes.wake_some(usize::MAX);
        let broker = &self.shared.broker;
        let reason = match end {
            End::Close(code) => {
                broker.metrics.closed(code.0);
                if let Some(limit) = self.session.limit_hit().or(limit_of(code)) {
                    broker.metrics.limit_hit(limit);
                }
                code.reason()
            }
            End::Stalled => {
                broker.metrics.limit_hit(Limit::WriteTime);
                broker.metrics.closed(CloseCode::SLOW.0);
                let address = self.origin.address;
                tracing::info!(%address, peer = self.session.identity().map(tracing::field::display), "cut: it reads nothing");
                CloseCode::SLOW.reason()
            }
            End::Left => CloseCode::NORMAL.reason(),
            End::Lost => "lost",
        };
        if let Some(peer) = self.peer.take() {
            tracing::debug!(peer = %peer.identity, reason, "session ended");
            broker.unsubscribe_all(reader.choices().patterns(), peer.mailbox.id());
            broker.leave(Now::read(), &peer, reason);
        }
    }
}

/// What a turn leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    /// There may be more to do.
    On,
    /// The task is woken when there is.
    Wait,
}

/// The number of bytes that were received, if the peer is still there.
fn alive(count: usize) -> Result<usize, End> {
    if count == 0 { Err(End::Lost) } else { Ok(count) }
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
