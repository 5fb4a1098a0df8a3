//! What leaves on one connection, and the right to write it.
//!
//! A message for a peer that waits is written to its socket by the task that publishes it: the peer's
//! own task isn't woken, which costs as much as the write. Whoever may write holds the lock of the
//! [`Line`]; inside is everything that decides what comes next, so the order is the same whoever
//! writes:
//!
//! ```text
//!   publisher ─▶ mailbox ─▶ Outlet::join ── lock free, nothing owed ──▶ Outlet::write ─▶ socket
//!                                │ else                                        ▲
//!                                └─▶ the connection's task ── Line::pump ──────┘
//! ```
//!
//! # Guarantees
//!
//! - The connection's task holds the lock for each of its turns: an answer and what it announces are
//!   never overtaken by a message from elsewhere.
//! - Nobody waits for a line but its own task. A publisher that finds it locked, full or behind wakes
//!   the task and goes on.
//! - A mailbox that has something is always someone's business: it has someone to call again only when
//!   nothing was left in it, under its lock, or when the task is on its way.
//! - What is joined and not yet written is in front: whoever has the line next writes it before all else.
//!   It counts as sent: a revocation in that moment, of some writes' length, doesn't take it back.
//!
//! # Many messages in one moment
//!
//! A write costs as much as the rest of a message's way. So a line that was delivered to a moment ago
//! ([`CLOSE_TOGETHER`]) *gathers*: its task is called, goes once to the end of its worker's queue, and
//! then writes what came from all who had their turn before it. A hub with nothing else to do writes at
//! once; a busy one writes less often, the busier it is. A full batch doesn't wait.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use proto::CloseCode;
use proto::envelope::{Ack, Envelope, Kind};

use super::Shared;
use super::buffers;
use super::connection::End;
use super::gathering::Gathering;
use super::websocket::{self, Assembler, HEAD_BYTES_MAX};
use super::wire::Wire;
use crate::broker::channel::{PAGE_BYTES, PAGE_BYTES_AS_JSON};
use crate::broker::reader::{Piece, Sifted, gap};
use crate::broker::{Broker, Reader};
use crate::clock;
use crate::codec::{Encoding, Frame, Outbound, encode, outbound};
use crate::mailbox::{Item, Mailbox, Receiver, Taken, Waiter};

/// What is joined into one WebSocket message: enough to be worth a write, little enough to be freed.
pub(super) const BATCH_BYTES: usize = 16 * 1024;
/// Messages that one call writes before others have their turn.
const BATCHES_PER_PUMP: usize = 4;
/// Deliveries that are closer together than this are gathered: from 4,000 messages a second on.
const CLOSE_TOGETHER: Duration = Duration::from_micros(250);

/// The sending side of a connection, shared with those who publish to it, who write.
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

    /// The line, if someone else than the task may write to it now; else, unless it has ended, the task is
    /// on its way.
    fn borrow(&self) -> Option<MutexGuard<'_, Line>> {
        if let Some(line) = self.line.try_lock() {
            if line.end.is_some() {
                return None;
            }
            if !line.wire.is_blocked() && !line.reader.is_behind() {
                return Some(line);
            }
        }
        self.task.wake();
        None
    }

    /// Writes all that waits, as far as that can be done here and now.
    fn finish(self: &Arc<Self>, mut line: MutexGuard<'_, Line>) {
        match line.pump(self) {
            Err(end) => self.ends(line, end),
            Ok(pumped) => self.put_back(line, pumped == Pumped::Dry),
        }
    }

    /// What isn't done is the task's business; so is a new beat, since only the task has a timer.
    fn put_back(&self, line: MutexGuard<'_, Line>, is_dry: bool) {
        let is_done = is_dry && line.reader.choices().beat() == line.armed_for;
        drop(line);
        if !is_done {
            self.task.wake();
        }
    }

    /// The connection ends, which is its task's business.
    fn ends(&self, mut line: MutexGuard<'_, Line>, end: End) {
        line.end = Some(end);
        drop(line);
        self.task.wake();
    }
}

impl Receiver for Outlet {
    fn join(self: Arc<Self>) -> Option<Arc<dyn Receiver>> {
        let broker = &self.shared.broker;
        let mut line = self.borrow()?;
        if line.gathers(&self) {
            let is_to_be_called = line.gathering.call();
            drop(line);
            if is_to_be_called {
                self.task.wake();
            }
            return None;
        }
        if !line.outbound.is_empty() {
            // Between the two steps of another: both are written here and now.
            self.finish(line);
            return None;
        }
        let mut taken = Taken::default();
        if let Some(code) = line.fill(broker, &self, &mut taken) {
            let end = line.send_batch(broker).err().unwrap_or(End::Close(code));
            self.ends(line, end);
            return None;
        }
        if !taken.is_all || line.reader.is_behind() || line.outbound.len() >= BATCH_BYTES {
            self.finish(line);
            return None;
        }
        drop(line);
        Some(self)
    }

    fn write(&self) {
        let Some(mut line) = self.borrow() else { return };
        match line.send_batch(&self.shared.broker) {
            Err(end) => self.ends(line, end),
            Ok(sent) => {
                if sent == 0 {
                    line.give_back();
                }
                let is_dry = !line.wire.is_blocked();
                self.put_back(line, is_dry);
            }
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
                mailbox.wait_for_more(Waiter::Receiver(outlet.clone()), BATCH_BYTES)
            })
    }

    /// Writes what waits, oldest first, until nothing does or the socket is full; then, if it ran dry,
    /// `outlet` is what the mailbox wakes.
    pub(super) fn pump(&mut self, outlet: &Arc<Outlet>) -> Result<Pumped, End> {
        let mut taken = Taken::default();
        for _ in 0..BATCHES_PER_PUMP {
            if !self.wire.flush()? {
                return Ok(Pumped::Blocked);
            }
            // Where something is owed the mailbox isn't asked for more, though nothing of it be wanted.
            let was_behind = self.reader.is_behind();
            let closing = self.fill(&outlet.shared.broker, outlet, &mut taken);
            let sent = self.send_batch(&outlet.shared.broker)?;
            if let Some(code) = closing {
                return Err(End::Close(code));
            }
            if sent == 0 && !was_behind && !self.reader.is_behind() {
                self.give_back();
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

    /// What waits holds no buffer.
    fn give_back(&mut self) {
        buffers::give_back(self.outbound.take());
    }

    /// Joins what waits into the next message; if nothing is left in the mailbox, `outlet`
    /// hears of what comes. Returns the code, if the mailbox says to close.
    fn fill(
        &mut self,
        broker: &Broker,
        outlet: &Arc<Outlet>,
        taken: &mut Taken,
    ) -> Option<CloseCode> {
        self.outbound.lend(buffers::spare());
        let behind = self.reader.is_behind();
        let lagging = self.reader.is_lagging();
        // While it lags the mailbox holds answers only, and they don't wait for a slow scan; else what
        // it holds comes after what is owed, or is put aside.
        let is_owed_first = behind && !lagging;
        // At least a message, however much was joined before.
        let room = BATCH_BYTES.saturating_sub(self.outbound.len()).max(1);
        let has_mail = !self.reader.choices().is_full()
            && self.mailbox.as_ref().is_some_and(|mailbox| match is_owed_first {
                true => self.reader.takes_aside() && mailbox.take_whole(room, taken),
                false => mailbox.take_or_wait(|| outlet.clone(), room, taken),
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
mod tests;
