//! What one HTTP reader is given next, and up to which position it then has everything.
//!
//! The same order as on the socket: what is owed first (recovered messages, pages of values), then the
//! mailbox. What comes out is written on a [`Sheet`], which is a piece of an event stream or of a JSON
//! document.
//!
//! # Positions
//!
//! All patterns begin at one position. While pages of values are owed there is no position to come
//! back to; with the last piece that is owed there is, and from then on each message moves it.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::CloseCode;
use proto::envelope::{Envelope, Position};
use proto::wire::Encode as _;
use tokio::time::Sleep;

use super::Seat;
use super::ask::Ask;
use super::filter::Filter;
use crate::broker::channel::PAGE_BYTES_AS_JSON;
use crate::broker::reader::{Piece, gap};
use crate::broker::subscribe::Beginning;
use crate::broker::{Broker, Reader};
use crate::codec::{Frame, LiveTypes, Refusal};
use crate::mailbox::{Item, Lag, Taken};

/// What is joined into one piece of an answer.
pub const BATCH_BYTES: usize = 16 * 1024;
/// Looks at what is owed that find nothing, before others have their turn.
const LOOKS_PER_PULL: usize = 16;

/// Where a feed writes.
pub trait Sheet {
    /// A message; with the offset up to which the reader now has everything, if it does.
    fn message(&mut self, frame: &Frame, types: &LiveTypes, reached: Option<u64>);
    /// A page of last values, as above.
    fn page(&mut self, page: &Page<'_>, types: &LiveTypes, reached: Option<u64>);
    /// Messages were left out.
    fn gap(&mut self, envelope: &Envelope<'_>);
    /// Bytes so far.
    fn len(&self) -> usize;
    /// Whether nothing was written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A page of last values.
#[derive(Debug)]
pub struct Page<'p> {
    /// The subscription.
    pub pattern: &'p str,
    /// Those that the reader wants.
    pub values: &'p [Arc<Frame>],
    /// No page of this pass follows.
    pub last: bool,
    /// Complete up to here.
    pub position: Position<'p>,
}

/// How a feed began.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Live messages come after this.
    pub position: Position<'static>,
    /// All that was missed follows.
    pub recovered: bool,
    /// Last values follow.
    pub snapshot: bool,
}

/// How far a pull came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing is owed.
    Done,
    /// More is owed, for the next turn.
    More,
}

/// One reader's subscriptions, and what they still give.
#[derive(Debug)]
pub struct Feed {
    seat: Seat,
    reader: Reader,
    filter: Option<Filter>,
    taken: Taken,
    /// Until the credential ends by itself, if it does.
    expiry: Option<Pin<Box<Sleep>>>,
    /// The reader has everything up to here.
    reached: Option<u64>,
    /// It will have everything up to here when nothing is owed.
    owed_to: u64,
}

/// An envelope as one line of JSON.
pub fn text(envelope: &Envelope<'_>) -> String {
    let mut bytes = Vec::with_capacity(64);
    envelope.encode(&mut bytes);
    proto::json::envelope_to_json(&bytes).expect("an envelope of the hub is one of the schema")
}

impl Feed {
    /// Subscribes to all that was asked for. `snapshot`: whether last values come where missed
    /// messages can't, or where none were asked for.
    ///
    /// # Errors
    /// A pattern names a new channel, and there are as many as may be.
    pub fn begin(seat: Seat, ask: Ask, snapshot: bool) -> Result<(Self, Begun), Refusal> {
        let broker = seat.broker.clone();
        let beginning =
            broker.subscribe_all(&ask.patterns, ask.since, snapshot, &seat.peer.mailbox)?;
        let begun = Begun {
            position: beginning.position,
            recovered: beginning.recovered.is_some(),
            snapshot: beginning.snapshot.is_some(),
        };
        let mut reader = Reader::default();
        let mut recovered = beginning.recovered;
        for pattern in &ask.patterns {
            // What was missed stands in one list, in order, with the first.
            let recovered = recovered.take();
            let snapshot = beginning.snapshot;
            let position = beginning.position;
            // How the content is written is the sheet's affair.
            let encoding = None;
            reader.begin(pattern, Beginning { position, recovered, snapshot, encoding });
        }
        let filter = ask.labels.map(|selector| Filter::new(broker, selector));
        let expiry = seat.ends.map(|ends| Box::pin(tokio::time::sleep_until(ends.into())));
        let (taken, reached, owed_to) = (Taken::default(), None, begun.position.offset);
        let feed = Self { seat, reader, filter, taken, expiry, reached, owed_to };
        Ok((feed, begun))
    }

    /// The hub's heart.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.seat.broker
    }

    /// The offset up to which the reader has everything, if there is one.
    pub fn reached(&self) -> Option<u64> {
        self.reached
    }

    /// Whether something is owed before the mailbox.
    pub fn is_behind(&self) -> bool {
        self.reader.is_behind()
    }

    /// Whether the mailbox left messages out, and the newest values are owed instead.
    pub fn is_lagging(&self) -> bool {
        self.reader.is_lagging()
    }

    /// Why the session is to end, if it is; else the task is woken when its credential ends.
    pub fn closing(&mut self, context: &mut Context<'_>) -> Option<CloseCode> {
        self.expired(context).or_else(|| self.seat.peer.mailbox.closing())
    }

    /// Why the reader may get nothing more, not even what was written for it, if so.
    pub fn ended(&self) -> Option<CloseCode> {
        self.seat.ended()
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Option<CloseCode> {
        let over = self.expiry.as_mut()?.as_mut().poll(context).is_ready();
        over.then_some(CloseCode::CREDENTIAL_EXPIRED)
    }

    /// Writes what is owed before the mailbox, until the sheet is full or nothing is.
    pub fn pull_owed(&mut self, sheet: &mut impl Sheet) -> Pulled {
        let mut looks = 0;
        while self.reader.is_behind() {
            if sheet.len() >= BATCH_BYTES || looks >= LOOKS_PER_PULL {
                return Pulled::More;
            }
            let broker = self.seat.broker.clone();
            match self.reader.next(&broker, &self.seat.peer.mailbox, PAGE_BYTES_AS_JSON) {
                Some(Piece::Message(frame)) => self.message(&frame, sheet),
                Some(Piece::Snapshot { pattern, mut values, last, position }) => {
                    if last {
                        self.owed_to = self.owed_to.max(position.offset);
                    }
                    if !self.reader.is_behind() {
                        self.reached = Some(self.owed_to);
                    }
                    if let Some(filter) = &mut self.filter {
                        values.retain(|value| filter.passes(value.message().channel));
                    }
                    let page = Page { pattern: pattern.as_str(), values: &values, last, position };
                    if last || !page.values.is_empty() {
                        let reached = self.reached.filter(|_| !self.reader.is_behind());
                        sheet.page(&page, &broker.types, reached);
                    }
                }
                None => looks += 1,
            }
        }
        self.reached = self.reached.max(Some(self.owed_to));
        Pulled::Done
    }

    /// Writes what waits in the mailbox; the code, if that says to close. Pending: there is nothing,
    /// and the task is woken when there is.
    pub fn poll_mail(
        &mut self,
        context: &mut Context<'_>,
        sheet: &mut impl Sheet,
    ) -> Poll<Option<CloseCode>> {
        if let Some(code) = self.expired(context) {
            return Poll::Ready(Some(code));
        }
        let mut taken = std::mem::take(&mut self.taken);
        let ready = self.seat.peer.mailbox.poll_take(context, BATCH_BYTES, &mut taken).is_ready();
        if ready {
            self.mail(&taken, sheet);
        }
        let close = taken.close;
        self.taken = taken;
        if ready { Poll::Ready(close) } else { Poll::Pending }
    }

    /// The next piece of a stream that doesn't end by itself: what is owed, then the mailbox.
    pub fn poll_pull(
        &mut self,
        context: &mut Context<'_>,
        sheet: &mut impl Sheet,
    ) -> Poll<Option<CloseCode>> {
        loop {
            if sheet.len() >= BATCH_BYTES {
                return Poll::Ready(None);
            }
            // While it lags the mailbox holds a close at most; else what it holds comes after what is
            // owed.
            if !self.reader.is_behind() || self.reader.is_lagging() {
                match self.poll_mail(context, sheet) {
                    Poll::Ready(None) => continue,
                    Poll::Ready(closing) => return Poll::Ready(closing),
                    Poll::Pending => {}
                }
            }
            if !self.reader.is_behind() {
                return if sheet.is_empty() { Poll::Pending } else { Poll::Ready(None) };
            }
            if let Some(code) = self.closing(context) {
                return Poll::Ready(Some(code));
            }
            match (self.pull_owed(sheet), sheet.is_empty()) {
                (Pulled::Done, _) => {}
                (Pulled::More, false) => return Poll::Ready(None),
                (Pulled::More, true) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    fn mail(&mut self, taken: &Taken, sheet: &mut impl Sheet) {
        if let Some(lag) = taken.gap {
            self.seat.broker.metrics.gaps.inc();
            sheet.gap(&gap(lag, false));
        }
        for item in &taken.items {
            match item {
                Item::Message(frame) => self.message(frame, sheet),
                // Nobody can ask for anything here.
                Item::Answer(_) => {}
            }
        }
        if let Some(lag) = taken.lagging {
            self.lag(lag, sheet);
        }
    }

    fn lag(&mut self, lag: Lag, sheet: &mut impl Sheet) {
        let envelope = self.reader.lag(&self.seat.broker, lag);
        sheet.gap(&envelope);
    }

    /// A message in its order: the reader has everything up to it.
    fn message(&mut self, frame: &Arc<Frame>, sheet: &mut impl Sheet) {
        self.reached = Some(frame.offset());
        let channel_passes = |filter: &mut Filter| filter.passes(frame.message().channel);
        if self.filter.as_mut().is_none_or(channel_passes) {
            self.seat.broker.metrics.delivered.inc();
            sheet.message(frame, &self.seat.broker.types, self.reached);
        }
    }
}
