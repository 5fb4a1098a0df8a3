//! What leaves on one connection, and the right to write it.
//!
//! A message for a peer that waits is written to its socket by the task that publishes it: the peer's
//! own task isn't woken, which costs as much as the write. Whoever may write holds the lock of the
//! [`Line`]; inside is everything that decides what comes next, so the order is the same whoever
//! writes:
//!
//! ```text
//!   publisher ─▶ mailbox ─▶ Outlet::wake ── lock free, nothing owed ──▶ Line::pump ─▶ socket
//!                                │ else                                     ▲
//!                                └─▶ the connection's task ─────────────────┘
//! ```
//!
//! # Guarantees
//!
//! - The connection's task holds the lock for each of its turns: an answer and what it announces are
//!   never overtaken by a message from elsewhere.
//! - Nobody waits for a line but its own task. A publisher that finds it locked, full or behind wakes
//!   the task and goes on.
//! - A mailbox that has something is always someone's business: its waker is registered again only
//!   when it was found empty, under its lock, or when the task is on its way.
//!
//! # Many messages in one moment
//!
//! A write costs as much as the rest of a message's way. So a line that was delivered to a moment ago
//! ([`CLOSE_TOGETHER`]) *gathers*: its task is called, goes once to the end of its worker's queue, and
//! then writes what came from all who had their turn before it. A hub with nothing else to do writes at
//! once; a busy one writes less often, the busier it is. A full batch doesn't wait.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use proto::CloseCode;
use proto::envelope::{Ack, Envelope, Kind};

use super::Shared;
use super::buffers;
use super::connection::End;
use super::websocket::{self, Assembler, HEAD_BYTES_MAX};
use super::wire::Wire;
use crate::broker::channel::{PAGE_BYTES, PAGE_BYTES_AS_JSON};
use crate::broker::reader::{Piece, Sifted, gap};
use crate::broker::{Broker, Reader};
use crate::clock;
use crate::codec::{Encoding, Frame, Outbound, encode, outbound};
use crate::mailbox::{Item, Mailbox, Taken};

/// What is joined into one WebSocket message: enough to be worth a write, little enough to be freed.
pub(super) const BATCH_BYTES: usize = 16 * 1024;
/// Messages that one call writes before others have their turn.
const BATCHES_PER_PUMP: usize = 4;
/// Deliveries that are closer together than this are gathered: from 4,000 messages a second on.
const CLOSE_TOGETHER: Duration = Duration::from_micros(250);

/// The sending side of a connection, shared with those who publish to it. As a waker it writes.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) shared: Arc<Shared>,
    task: AtomicWaker,
    line: Mutex<Line>,
}

/// Everything that decides what is written next.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) wire: Wire,
    /// The beginning of a frame.
    pub(super) unread: Vec<u8>,
    pub(super) assembler: Assembler,
    pub(super) outbound: Outbound,
    pub(super) reader: Reader,
    pub(super) mailbox: Option<Arc<Mailbox>>,
    /// The beat that the task's timer knows of.
    pub(super) armed_for: Option<Instant>,
    /// When something was there to be delivered last.
    delivered: Option<Instant>,
    pub(super) gathering: Gathering,
    /// Why the connection ends, as a publisher found; or that it has ended.
    end: Option<End>,
}

/// How far the task is that writes what was gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathering {
    /// Nothing is.
    Not,
    /// It was called.
    Called,
    /// It lets others go first.
    Waits,
}

impl Gathering {
    /// Whether the task has yet to be called for what came.
    fn call(&mut self) -> bool {
        let is_first = *self == Self::Not;
        if is_first {
            *self = Self::Called;
        }
        is_first
    }

    /// Whether the task, having its turn, lets others go first: once a call, or it would never write.
    pub(super) fn lets_others_go_first(&mut self) -> bool {
        let is_called = *self == Self::Called;
        *self = if is_called { Self::Waits } else { Self::Not };
        is_called
    }
}

/// How far [`Line::pump`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing waits.
    Dry,
    /// More waits, for the next turn.
    More,
    /// The socket is full.
    Blocked,
}

impl Outlet {
    pub(super) fn new(wire: Wire, shared: Arc<Shared>) -> Arc<Self> {
        let line = Line {
            wire,
            unread: Vec::new(),
            assembler: Assembler::new(proto::limits::MESSAGE_BYTES_MAX),
            outbound: Outbound::new(Encoding::Protobuf, HEAD_BYTES_MAX),
            reader: Reader::default(),
            mailbox: None,
            armed_for: None,
            delivered: None,
            gathering: Gathering::Not,
            end: None,
        };
        Arc::new(Self { shared, task: AtomicWaker::new(), line: Mutex::new(line) })
    }

    /// The line, for a turn of the connection's task; from now on `waker` is what wakes that.
    pub(super) fn attend(&self, waker: &Waker) -> MutexGuard<'_, Line> {
        self.task.register(waker);
        self.line.lock()
    }

    /// The line, for a moment of the connection's task.
    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock()
    }

    /// No one but the task writes from now on. Returns the subscriptions that there were.
    pub(super) fn close(&self, end: End) -> Reader {
        let mut line = self.line.lock();
        line.end = Some(end);
        if let Some(mailbox) = line.mailbox.take() {
            mailbox.leave();
        }
        std::mem::take(&mut line.reader)
    }

    /// Writes what waits, if that can be done here and now; whether it is done.
    fn deliver(self: &Arc<Self>) -> bool {
        let Some(mut line) = self.line.try_lock() else { return false };
        if line.end.is_some() {
            return true;
        }
        if line.wire.is_blocked() || line.reader.is_behind() {
            return false;
        }
        if line.gathers(self) {
            return !line.gathering.call();
        }
        match line.pump(self) {
            // Only the task has a timer.
            Ok(pumped) => pumped == Pumped::Dry && line.reader.choices().beat() == line.armed_for,
            Err(end) => {
                line.end = Some(end);
                false
            }
        }
    }
}

impl Wake for Outlet {
    fn wake(self: Arc<Self>) {
        if !self.deliver() {
            self.task.wake();
        }
    }
}

impl Line {
    /// Why the connection is to end, if a publisher found a reason.
    pub(super) fn ended(&self) -> Result<(), End> {
        self.end.map_or(Ok(()), Err)
    }

    /// Whether what waits is left to the task, with what else comes in this moment.
    fn gathers(&mut self, outlet: &Arc<Outlet>) -> bool {
        let now = clock::mono();
        let before = self.delivered.replace(now);
        let is_close = before.is_some_and(|before| now - before < CLOSE_TOGETHER);
        is_close
            && self.mailbox.as_ref().is_some_and(|mailbox| {
                mailbox.wait_for_more(Waker::from(outlet.clone()), BATCH_BYTES)
            })
    }

    /// Writes what waits, oldest first, until nothing does or the socket is full; then, if it ran dry,
    /// `outlet` is what the mailbox wakes.
    pub(super) fn pump(&mut self, outlet: &Arc<Outlet>) -> Result<Pumped, End> {
        let mut taken = Taken::default();
        let waker = Waker::from(outlet.clone());
        let mut context = Context::from_waker(&waker);
        for _ in 0..BATCHES_PER_PUMP {
            if !self.wire.flush()? {
                return Ok(Pumped::Blocked);
            }
            let closing = self.fill(&outlet.shared.broker, &mut context, &mut taken);
            let sent = self.send_batch(&outlet.shared.broker)?;
            if let Some(code) = closing {
                return Err(End::Close(code));
            }
            if sent == 0 && !self.reader.is_behind() {
                // What waits holds no buffer.
                buffers::give_back(self.outbound.take());
                return Ok(Pumped::Dry);
            }
        }
        Ok(Pumped::More)
    }

    /// Sends what was joined, as one message. Returns its bytes.
    pub(super) fn send_batch(&mut self, broker: &Broker) -> Result<usize, End> {
        let length = self.outbound.len();
        if length == 0 {
            return Ok(0);
        }
        let is_text = self.outbound.encoding() == Encoding::Json;
        let mut bytes = self.outbound.take();
        let mut start = 0;
        if let Some(room) = bytes.first_chunk_mut() {
            start = websocket::write_head(room, is_text, length);
        }
        self.wire.send(&bytes[start..])?;
        buffers::give_back(bytes);
        broker.metrics.bytes_sent.inc_by(length as u64);
        Ok(length)
    }

    /// Joins what waits into the next message. Returns the code, if the mailbox says to close.
    fn fill(
        &mut self,
        broker: &Broker,
        context: &mut Context<'_>,
        taken: &mut Taken,
    ) -> Option<CloseCode> {
        self.outbound.lend(buffers::spare());
        let behind = self.reader.is_behind();
        let lagging = self.reader.is_lagging();
        // While it lags the mailbox holds answers only, and they don't wait for a slow scan; else what
        // it holds comes after what is owed, or is put aside.
        let is_owed_first = behind && !lagging;
        let has_mail = !self.reader.choices().is_full()
            && self.mailbox.as_ref().is_some_and(|mailbox| match is_owed_first {
                true => self.reader.takes_aside() && mailbox.take_whole(BATCH_BYTES, taken),
                false => mailbox.poll_take(context, BATCH_BYTES, taken).is_ready(),
            });
        let mut closing = if has_mail { self.mail(broker, taken) } else { None };
        if is_owed_first {
            return closing.or_else(|| self.owed(broker));
        }
        if behind && !has_mail {
            closing = self.owed(broker);
        }
        // What waits for a beat waits for the snapshot first.
        self.on_beat(broker);
        closing
    }

    /// What waited for its subscription's beat.
    fn on_beat(&mut self, broker: &Broker) {
        let own = self.outbound.encoding();
        while self.outbound.len() < BATCH_BYTES
            && let Some((frame, encoding)) = self.reader.choices_mut().on_beat(clock::mono)
        {
            broker.metrics.delivered.inc();
            self.outbound.frame_as(encoding.unwrap_or(own), &frame, &broker.types);
        }
    }

    /// What is owed before the mailbox: recovered messages and pages of values.
    fn owed(&mut self, broker: &Broker) -> Option<CloseCode> {
        let mailbox = self.mailbox.clone()?;
        if let Some(code) = mailbox.closing() {
            return Some(code);
        }
        let own = self.outbound.encoding();
        let page_bytes = match own {
            Encoding::Protobuf if !self.reader.choices().asks_for_json() => PAGE_BYTES,
            Encoding::Protobuf | Encoding::Json => PAGE_BYTES_AS_JSON,
        };
        while self.outbound.len() < BATCH_BYTES && self.reader.is_behind() {
            match self.reader.next(broker, &mailbox, page_bytes) {
                Some(Piece::Message(frame)) => self.message(&frame, false, broker),
                Some(Piece::Snapshot { pattern, values, last, position }) => {
                    // A page is a message of its own, so that none passes the limit.
                    let content = self.reader.choices().encoding_for(&pattern).unwrap_or(own);
                    let (pattern, types) = (pattern.as_str(), &broker.types);
                    self.outbound.page(content, pattern, &values, last, position, types);
                    break;
                }
                // Looking took long enough; others have their turn.
                None => break,
            }
        }
        None
    }

    /// A message that many receive, as this peer wants it.
    fn message(&mut self, frame: &Arc<Frame>, is_live: bool, broker: &Broker) {
        let own = self.outbound.encoding();
        if let Sifted::Send(content) = self.reader.choices_mut().sift(broker, frame, is_live) {
            if is_live && self.reader.is_behind() && !self.reader.is_lagging() {
                return self.reader.put_aside(frame);
            }
            broker.metrics.delivered.inc();
            self.outbound.frame_as(content.unwrap_or(own), frame, &broker.types);
        }
    }

    /// What was in the mailbox; the code, if it says to close.
    fn mail(&mut self, broker: &Broker, taken: &mut Taken) -> Option<CloseCode> {
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
                Item::Message(frame) => self.message(frame, true, broker),
                Item::Answer(envelope) => self.outbound.envelope(envelope),
            }
        }
        if let Some(lag) = taken.lagging {
            let envelope = self.reader.lag(broker, lag);
            self.outbound.envelope(&encode(&envelope));
        }
        if taken.close == Some(CloseCode::DRAIN) {
            let window = broker.reconnect_window_s();
            self.outbound.envelope(&outbound::go_away(CloseCode::DRAIN, window));
        }
        taken.close
    }
}

#[cfg(test)]
mod tests {
    use super::Gathering;

    #[test]
    fn who_gathers_lets_others_go_first_once_however_much_comes_meanwhile() {
        let mut gathering = Gathering::Not;
        assert!(gathering.call());
        assert!(!gathering.call(), "its task is on its way");
        assert!(gathering.lets_others_go_first());
        assert!(!gathering.call(), "its task waits for its turn");
        assert!(!gathering.lets_others_go_first(), "it had to wait already");
        assert!(gathering.call());
    }
}
