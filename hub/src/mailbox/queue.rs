//! The pure queue of a mailbox: what waits, and what happens when it is full.
//!
//! A receiver that reads too slowly doesn't stop anyone and, if it is a dashboard, isn't cut off: it
//! *lags*. The queue forgets what waits and from then on only counts; the receiver's task sends a gap
//! marker and the newest value of every channel that changed, at the pace that the receiver can take,
//! and then resumes. Memory is bounded by the limit, and what arrives is new.

use std::sync::Arc;

use bytes::Bytes;
use proto::CloseCode;
use smallvec::SmallVec;

use super::items::Items;
use crate::codec::Frame;

/// What happens to a message that finds the mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// Forget what waits, send a gap marker and then the newest values.
    Conflate,
    /// Forget the oldest messages, with a gap marker in their place.
    DropOldest,
    /// Close the connection as slow.
    Disconnect,
}

/// What a mailbox holds.
#[derive(Debug, Clone)]
pub enum Item {
    /// A message of a channel.
    Message(Arc<Frame>),
    /// An answer to this peer alone: an envelope with its length.
    Answer(Bytes),
}

/// Messages that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The first offset that may be missing.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How many.
    pub dropped: u64,
}

/// What a receiver's task took out.
#[derive(Debug, Default)]
pub struct Taken {
    /// In the order in which they came. Mostly one: a message for a peer that waits.
    pub items: SmallVec<[Item; 1]>,
    /// The highest report that is durable: boot and seq.
    pub ack: Option<(u32, u64)>,
    /// Messages were left out before `items`.
    pub gap: Option<Lag>,
    /// Messages are being left out from now on, until the task resumes.
    pub lagging: Option<Lag>,
    /// The task is to close.
    pub close: Option<CloseCode>,
    /// Nothing is left, and the receiver is written to by what comes next.
    pub is_all: bool,
}

impl Taken {
    /// Forgets everything, keeping the room unless it is large.
    pub fn clear(&mut self) {
        self.items.clear();
        if self.items.capacity() > 64 {
            self.items = SmallVec::new();
        }
        (self.ack, self.gap, self.lagging, self.close) = (None, None, None, None);
        self.is_all = false;
    }
}

/// What waits for one receiver. What is rare is boxed: a publisher goes through a thousand of these for
/// one message, and pays for each line of memory.
#[derive(Debug)]
pub struct Queue {
    items: Items,
    bytes: usize,
    bytes_max: usize,
    overflow: Overflow,
    ack: Option<(u32, u64)>,
    gap: Option<Box<Lag>>,
    lagging: Option<Box<Lagging>>,
    close: Option<CloseCode>,
    /// The receiver may get nothing more.
    ended: bool,
}

#[derive(Debug)]
struct Lagging {
    lag: Lag,
    reported: bool,
}

impl Queue {
    /// Nothing, for at most so many bytes.
    pub fn new(overflow: Overflow, bytes_max: usize) -> Self {
        Self {
            items: Items::default(),
            bytes: 0,
            bytes_max,
            overflow,
            ack: None,
            gap: None,
            lagging: None,
            close: None,
            ended: false,
        }
    }

    /// Adds a message, or does what the overflow says. `spent`: the shared budget is used up, so
    /// that a queue which holds anything counts as full.
    pub fn offer(&mut self, frame: &Arc<Frame>, spent: bool) {
        if self.ended {
            return;
        }
        if let Some(lagging) = &mut self.lagging {
            lagging.lag.to = frame.offset();
            lagging.lag.dropped += 1;
            return;
        }
        let full = self.bytes + frame.len() > self.bytes_max || (spent && self.bytes > 0);
        if !full {
            self.push(Item::Message(frame.clone()), frame.len());
            return;
        }
        match self.overflow {
            Overflow::Conflate => self.lag(frame),
            Overflow::DropOldest => {
                while self.bytes + frame.len() > self.bytes_max && self.drop_oldest() {}
                self.push(Item::Message(frame.clone()), frame.len());
            }
            Overflow::Disconnect => self.close(CloseCode::SLOW),
        }
    }

    /// Adds an answer. Answers are bounded by what the peer may ask at once; a peer that asks and
    /// never reads is closed as slow.
    pub fn answer(&mut self, envelope: Bytes) {
        if self.ended {
            return;
        }
        if self.bytes + envelope.len() > 2 * self.bytes_max {
            self.close(CloseCode::SLOW);
            return;
        }
        let length = envelope.len();
        self.push(Item::Answer(envelope), length);
    }

    /// Raises the cumulative ack.
    pub fn acknowledge(&mut self, boot: u32, seq: u64) {
        self.ack = self.ack.max(Some((boot, seq)));
    }

    /// Asks to close; the first reason stands.
    pub fn close(&mut self, code: CloseCode) {
        self.close.get_or_insert(code);
    }

    /// Forgets all that waits, takes nothing more, and asks to close.
    pub fn end(&mut self, code: CloseCode) {
        (self.ack, self.gap, self.lagging) = (None, None, None);
        self.items = Items::default();
        self.bytes = 0;
        self.ended = true;
        self.close = Some(code);
    }

    /// Moves what waits into `taken`: whole items until about `bytes_max`. False if there was nothing.
    pub fn take(&mut self, bytes_max: usize, taken: &mut Taken) -> bool {
        taken.clear();
        if self.is_idle() {
            return false;
        }
        taken.close = self.close;
        taken.ack = self.ack.take();
        taken.gap = self.gap.take().map(|gap| *gap);
        let mut bytes = 0;
        if self.bytes <= bytes_max {
            taken.items.reserve(self.items.len());
        }
        while bytes < bytes_max
            && let Some(item) = self.items.pop()
        {
            bytes += item_bytes(&item);
            taken.items.push(item);
        }
        self.bytes -= bytes;
        if self.items.is_empty()
            && let Some(lagging) = &mut self.lagging
            && !lagging.reported
        {
            lagging.reported = true;
            taken.lagging = Some(lagging.lag);
            lagging.lag.dropped = 0;
        }
        true
    }

    /// Ends lagging, and says how many messages were left out since it was reported.
    pub fn resume(&mut self) -> u64 {
        self.lagging.take().map_or(0, |lagging| lagging.lag.dropped)
    }

    /// Whether the receiver has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
            && self.ack.is_none()
            && self.gap.is_none()
            && self.close.is_none()
            && self.lagging.as_ref().is_none_or(|lagging| lagging.reported)
    }

    /// Whether messages were left out of which the receiver hasn't heard, or are still.
    pub fn has_left_out(&self) -> bool {
        self.gap.is_some() || self.lagging.is_some()
    }

    /// Whether messages are counted instead of kept.
    pub fn is_lagging(&self) -> bool {
        self.lagging.is_some()
    }

    /// Why nothing more is taken, if so.
    pub fn ended(&self) -> Option<CloseCode> {
        self.close.filter(|_| self.ended)
    }

    /// Why to close, if asked to.
    pub fn closing(&self) -> Option<CloseCode> {
        self.close
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that may wait.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn push(&mut self, item: Item, bytes: usize) {
        self.bytes += bytes;
        self.items.push(item);
    }

    /// Forgets the messages, keeps the answers, and counts from here on.
    fn lag(&mut self, frame: &Frame) {
        let mut lag = Lag { from: frame.offset(), to: frame.offset(), dropped: 1 };
        self.items.retain(|item| match item {
            Item::Message(frame) => {
                lag.from = lag.from.min(frame.offset());
                lag.dropped += 1;
                false
            }
            Item::Answer(_) => true,
        });
        self.bytes = self.items.iter().map(item_bytes).sum();
        self.lagging = Some(Box::new(Lagging { lag, reported: false }));
    }

    /// Forgets the oldest message; false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.items.take_oldest(|item| matches!(item, Item::Message(_)));
        let Some(Item::Message(frame)) = oldest else { return false };
        self.bytes -= frame.len();
        let offset = frame.offset();
        let first = || Box::new(Lag { from: offset, to: offset, dropped: 0 });
        let gap = self.gap.get_or_insert_with(first);
        gap.to = offset;
        gap.dropped += 1;
        true
    }
}

fn item_bytes(item: &Item) -> usize {
    match item {
        Item::Message(frame) => frame.len(),
        Item::Answer(envelope) => envelope.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of one test frame.
    fn unit() -> usize {
        Frame::for_test("a", 1).len()
    }

    #[test]
    fn messages_come_out_in_the_order_in_which_they_came() {
        let mut queue = Queue::new(Overflow::Conflate, 10 * unit());
        offer(&mut queue, 1..=3);
        assert_eq!(offsets(&take(&mut queue)), [1, 2, 3]);
        assert_eq!(queue.bytes(), 0);
        assert!(queue.is_idle());
    }

    #[test]
    fn taking_stops_at_the_bound_and_goes_on_next_time() {
        let mut queue = Queue::new(Overflow::Conflate, 10 * unit());
        offer(&mut queue, 1..=3);
        let mut taken = Taken::default();
        assert!(queue.take(2 * unit(), &mut taken));
        assert_eq!(offsets(&taken), [1, 2]);
        assert_eq!(offsets(&take(&mut queue)), [3]);
    }

    #[test]
    fn a_full_dashboard_lags_with_one_gap_and_resumes() {
        let mut queue = Queue::new(Overflow::Conflate, 3 * unit());
        queue.answer(Bytes::from_static(b"x"));
        offer(&mut queue, 1..=5);

        let taken = take(&mut queue);
        assert!(matches!(taken.items.as_slice(), [Item::Answer(_)]), "answers are never forgotten");
        assert_eq!(taken.lagging, Some(Lag { from: 1, to: 5, dropped: 5 }));
        assert!(queue.is_idle(), "a lag is reported once");

        offer(&mut queue, 6..=7);
        assert!(queue.is_idle());
        assert_eq!(queue.resume(), 2);
        offer(&mut queue, 8..=8);
        assert_eq!(offsets(&take(&mut queue)), [8]);
    }

    #[test]
    fn the_oldest_are_dropped_with_a_gap_in_their_place() {
        let mut queue = Queue::new(Overflow::DropOldest, 2 * unit());
        offer(&mut queue, 1..=5);
        let taken = take(&mut queue);
        assert_eq!(taken.gap, Some(Lag { from: 1, to: 3, dropped: 3 }));
        assert_eq!(offsets(&taken), [4, 5]);
    }

    #[test]
    fn a_full_device_is_closed_as_slow() {
        let mut queue = Queue::new(Overflow::Disconnect, unit());
        offer(&mut queue, 1..=2);
        assert_eq!(take(&mut queue).close, Some(CloseCode::SLOW));
    }

    #[test]
    fn a_spent_budget_makes_a_queue_that_holds_anything_full() {
        let mut queue = Queue::new(Overflow::Conflate, 100 * unit());
        queue.offer(&Arc::new(Frame::for_test("a", 1)), true);
        assert_eq!(queue.bytes(), unit());
        queue.offer(&Arc::new(Frame::for_test("a", 2)), true);
        assert_eq!(queue.bytes(), 0);
        assert_eq!(take(&mut queue).lagging, Some(Lag { from: 1, to: 2, dropped: 2 }));
    }

    #[test]
    fn acks_are_cumulative_and_leave_as_one() {
        let mut queue = Queue::new(Overflow::Disconnect, unit());
        for (boot, seq) in [(1, 5), (1, 7), (1, 6)] {
            queue.acknowledge(boot, seq);
        }
        assert_eq!(take(&mut queue).ack, Some((1, 7)));
        assert!(queue.is_idle());
    }

    fn offer(queue: &mut Queue, offsets: std::ops::RangeInclusive<u64>) {
        for offset in offsets {
            queue.offer(&Arc::new(Frame::for_test("a", offset)), false);
        }
    }

    fn take(queue: &mut Queue) -> Taken {
        let mut taken = Taken::default();
        queue.take(usize::MAX, &mut taken);
        taken
    }

    fn offsets(taken: &Taken) -> Vec<u64> {
        let messages = taken.items.iter().filter_map(|item| match item {
            Item::Message(frame) => Some(frame.offset()),
            Item::Answer(_) => None,
        });
        messages.collect()
    }
}
