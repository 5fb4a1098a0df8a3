//! What one connection still has to send before what waits in its mailbox: recovered messages,
//! snapshots, and the newest values after it lagged.
//!
//! Everything is pulled, a page at a time, when the connection has room: a reader holds a place in
//! the list of channels and never a copy of what it will send. After a restart a page that begins
//! where nothing is loaded yet loads the next run of channels ([`super::loading`]), so a snapshot is
//! complete whenever it is asked for.
//!
//! # After a lag
//!
//! The reader scans all channels of its subscriptions for values that changed since, again and again,
//! while the mailbox counts instead of queueing. When a scan found few changes it resumes: the
//! mailbox queues again from a position on, and one last pass brings what changed up to that
//! position. A reader that is slower than the changes keeps scanning, and so gets the newest value of
//! every channel in turn, at its own pace, in bounded memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use proto::envelope::{Envelope, Gap, GapReason, Kind, Position};
use proto::{ChannelName, ChannelPattern};

use super::Broker;
use super::channel::{Page, Rest, Revisions};
use super::filter::Filter;
use super::shape::Shape;
use super::subscribe::Beginning;
use crate::codec::request::Subscription;
use crate::codec::{Encoding, Frame};
use crate::mailbox::{Lag, Mailbox};
use crate::metrics::{Drop as Dropped, Limit};

#[cfg(test)]
mod tests;

/// A scan that found no more than this share of what the mailbox holds ends the lag: as much again comes in
/// the time of one more.
const SHARE_MAX: usize = 2;
/// Bytes of live messages that are put aside while a snapshot is on its way.
const ASIDE_BYTES_MAX: usize = 256 * 1024;

/// Something to send.
#[derive(Debug)]
pub enum Piece {
    /// A message.
    Message(Arc<Frame>),
    /// A page of last values.
    Snapshot {
        /// The subscription.
        pattern: ChannelPattern,
        /// The values.
        values: Vec<Arc<Frame>>,
        /// No page of this pass follows.
        last: bool,
        /// Complete up to here.
        position: Position<'static>,
    },
}

/// The subscriptions of one connection, and what they owe it.
#[derive(Debug, Default)]
pub struct Reader {
    patterns: Vec<ChannelPattern>,
    /// What each of them asked for, in their order.
    choices: Vec<Choice>,
    /// They didn't all ask for the same encoding.
    differ: bool,
    /// One of them wants less than all.
    chooses: bool,
    work: VecDeque<Work>,
    /// Bytes of live messages in `work`.
    aside: usize,
    lagging: Option<Scan>,
}

/// How a subscription wants its messages.
#[derive(Debug, Default)]
pub struct Choice {
    /// How the content is written; none: as the peer's envelopes are.
    encoding: Option<Encoding>,
    /// Which devices' messages.
    filter: Option<Box<Filter>>,
    /// How often.
    shape: Option<Box<Shape>>,
}

impl Choice {
    /// As it was asked for.
    pub fn of(wanted: &Subscription) -> Self {
        Self {
            encoding: wanted.encoding,
            filter: wanted.labels.clone().map(|labels| Box::new(Filter::new(labels))),
            shape: wanted.pace.map(|pace| Box::new(Shape::new(pace))),
        }
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sifted {
    /// It is sent, in this encoding; none: as the peer's envelopes are.
    Send(Option<Encoding>),
    /// It waits for its subscription's beat.
    Held,
    /// No subscription wants it.
    Unwanted,
}

#[derive(Debug)]
enum Work {
    Recovered(VecDeque<Arc<Frame>>),
    /// Live messages that came while something was owed.
    Aside(VecDeque<Arc<Frame>>),
    Pass {
        pattern: ChannelPattern,
        revisions: Revisions,
        cursor: Option<ChannelName>,
    },
}

/// One round over the channels of all subscriptions.
#[derive(Debug)]
struct Scan {
    /// Where the order stood when the round began.
    began: u64,
    /// Bytes of the values that it found.
    bytes: usize,
}

impl Reader {
    /// Takes up a subscription. A pattern that is there already begins anew.
    pub fn begin(&mut self, pattern: &ChannelPattern, beginning: Beginning) {
        match self.patterns.iter().position(|known| known == pattern) {
            Some(at) => {
                let older = std::mem::replace(&mut self.choices[at], beginning.choice);
                // Its new position is behind what waited for a beat: that comes first, unless the newest
                // values do.
                let waited = older.shape.map(|mut shape| shape.take_all()).unwrap_or_default();
                let is_owed = beginning.recovered.is_none() && beginning.snapshot.is_none();
                if is_owed && !waited.is_empty() {
                    self.work.push_back(Work::Recovered(waited));
                }
            }
            None => {
                self.patterns.push(pattern.clone());
                self.choices.push(beginning.choice);
            }
        }
        self.compare();
        if let Some(frames) = beginning.recovered {
            self.work.push_back(Work::Recovered(frames.into()));
        }
        if let Some(revisions) = beginning.snapshot {
            self.pass(pattern.clone(), revisions);
        }
    }

    /// Ends a subscription.
    pub fn end(&mut self, pattern: &ChannelPattern) {
        if let Some(at) = self.patterns.iter().position(|known| known == pattern) {
            self.patterns.remove(at);
            self.choices.remove(at);
        }
        self.compare();
        self.work.retain(|work| match work {
            Work::Recovered(_) | Work::Aside(_) => true,
            Work::Pass { pattern: of, .. } => of != pattern,
        });
    }

    /// The patterns subscribed to.
    pub fn patterns(&self) -> &[ChannelPattern] {
        &self.patterns
    }

    /// What becomes of this message: the first subscription that wants it decides. Costs a comparison
    /// where all want all in the same encoding.
    /// One that was missed, and so isn't live, waits for no beat: the peer's position is behind it already.
    pub fn sift(&mut self, broker: &Broker, frame: &Arc<Frame>, is_live: bool) -> Sifted {
        if !self.differ && !self.chooses {
            return Sifted::Send(self.choices.first().and_then(|choice| choice.encoding));
        }
        let channel = frame.message().channel;
        for (pattern, choice) in self.patterns.iter().zip(&mut self.choices) {
            let wants = |filter: &mut Box<Filter>| filter.passes(broker, channel);
            if !pattern.matches(channel) || !choice.filter.as_mut().is_none_or(wants) {
                continue;
            }
            let Some(shape) = choice.shape.as_mut().filter(|_| is_live) else {
                return Sifted::Send(choice.encoding);
            };
            if shape.offer(frame) {
                broker.metrics.dropped(Dropped::Conflated, 1);
            }
            return Sifted::Held;
        }
        Sifted::Unwanted
    }

    /// The next message whose beat has come, with its encoding.
    pub fn on_beat(&mut self, now: fn() -> Instant) -> Option<(Arc<Frame>, Option<Encoding>)> {
        if !self.chooses {
            return None;
        }
        let now = now();
        let mut choices = self.choices.iter_mut();
        choices.find_map(|choice| Some((choice.shape.as_mut()?.next(now)?, choice.encoding)))
    }

    /// When the next beat is that something waits for; `None` if nothing does.
    pub fn beat(&self) -> Option<Instant> {
        if !self.chooses {
            return None;
        }
        self.choices.iter().filter_map(|choice| choice.shape.as_ref()?.beat()).min()
    }

    /// Whether something of what waits for its beat has to be sent before more is taken.
    pub fn is_full(&self) -> bool {
        let is_full = |choice: &Choice| choice.shape.as_deref().is_some_and(Shape::is_full);
        self.chooses && self.choices.iter().any(is_full)
    }

    /// How the values of this subscription's snapshot are to be written, if it says so.
    pub fn encoding_for(&self, pattern: &ChannelPattern) -> Option<Encoding> {
        let at = self.patterns.iter().position(|known| known == pattern)?;
        self.choices[at].encoding
    }

    /// Whether a subscription asks for JSON, which is longer.
    pub fn asks_for_json(&self) -> bool {
        self.choices.iter().any(|choice| choice.encoding == Some(Encoding::Json))
    }

    /// The mailbox left messages out: what is owed is no queue any more but the newest values.
    pub fn lag(&mut self, broker: &Broker, mut lag: Lag) -> Envelope<'static> {
        // What waits for its beat would come after newer values.
        for shape in self.choices.iter_mut().filter_map(|choice| choice.shape.as_mut()) {
            if let Some((lowest, count)) = shape.clear() {
                lag.from = lag.from.min(lowest);
                lag.dropped += count;
            }
        }
        broker.metrics.gaps.inc();
        broker.metrics.limit_hit(Limit::Mailbox);
        broker.metrics.dropped(Dropped::SlowReader, lag.dropped);
        self.scan(broker, lag.from.saturating_sub(1));
        gap(lag, true)
    }

    /// Whether something is owed before the mailbox.
    pub fn is_behind(&self) -> bool {
        !self.work.is_empty() || self.lagging.is_some()
    }

    /// Whether the mailbox counts instead of queueing.
    pub fn is_lagging(&self) -> bool {
        self.lagging.is_some()
    }

    /// Whether live messages are put aside, since a snapshot is on its way: so a reader that wants the newest of
    /// each channel doesn't lag because of the others' changes while it gets the last values of a city.
    pub fn takes_aside(&self) -> bool {
        let has_room = |choice: &Choice| choice.shape.as_deref().is_none_or(Shape::has_room_aside);
        self.chooses
            && self.lagging.is_none()
            && self.aside < ASIDE_BYTES_MAX
            && self.choices.iter().all(has_room)
    }

    /// Puts a live message behind what is owed.
    pub fn put_aside(&mut self, frame: &Arc<Frame>) {
        self.aside += frame.len();
        if let Some(Work::Aside(frames)) = self.work.back_mut() {
            frames.push_back(frame.clone());
        } else {
            self.work.push_back(Work::Aside(VecDeque::from([frame.clone()])));
        }
    }

    /// The next thing to send, or `None` if the mailbox is next. An empty page is not sent; so this
    /// may return nothing while [`Reader::is_behind`] holds, after a bounded amount of looking.
    pub fn next(&mut self, broker: &Broker, mailbox: &Mailbox, page_bytes: usize) -> Option<Piece> {
        match self.work.front_mut() {
            None => {
                self.finish_scan(broker, mailbox);
                None
            }
            Some(Work::Recovered(frames)) => {
                let frame = frames.pop_front();
                if frames.is_empty() {
                    self.work.pop_front();
                }
                frame.map(Piece::Message)
            }
            Some(Work::Aside(frames)) => {
                let frame = frames.pop_front();
                if frames.is_empty() {
                    self.work.pop_front();
                }
                self.aside -= frame.as_ref().map_or(0, |frame| frame.len());
                frame.map(Piece::Message)
            }
            Some(Work::Pass { .. }) => self.next_page(broker, mailbox, page_bytes),
        }
    }

    fn next_page(
        &mut self,
        broker: &Broker,
        mailbox: &Mailbox,
        page_bytes: usize,
    ) -> Option<Piece> {
        let Some(Work::Pass { pattern, revisions, cursor }) = self.work.front_mut() else {
            return None;
        };
        let Page { mut values, cursor: next, rest } =
            broker.page(pattern, *revisions, cursor.as_ref(), page_bytes);
        values.retain(|frame| mailbox.may_see(frame));
        let at = self.patterns.iter().position(|known| known == pattern);
        if let Some(filter) = at.and_then(|at| self.choices[at].filter.as_mut()) {
            values.retain(|frame| filter.passes(broker, frame.message().channel));
        }
        let last = rest == Rest::Nothing;
        let scanning = self.lagging.is_some();
        if let Some(scan) = &mut self.lagging {
            scan.bytes += values.iter().map(|frame| frame.len()).sum::<usize>();
        }
        // The pages of a scan have no end that means anything; the pass that ends the lag has.
        let send = !values.is_empty() || (last && !scanning);
        let piece = send.then(|| Piece::Snapshot {
            pattern: pattern.clone(),
            values,
            last: last && !scanning,
            position: Position {
                epoch: broker.position().epoch,
                offset: if scanning { revisions.after } else { revisions.up_to },
                ..Position::default()
            },
        });
        *cursor = next;
        if last {
            self.work.pop_front();
            broker.metrics.snapshots.inc();
        }
        piece
    }

    /// A round is over: resume if little changed meanwhile, else go round again.
    fn finish_scan(&mut self, broker: &Broker, mailbox: &Mailbox) {
        let Some(scan) = self.lagging.take() else { return };
        if scan.bytes > mailbox.bytes_max() / SHARE_MAX {
            return self.scan(broker, scan.began);
        }
        let (position, dropped) = broker.resume(mailbox);
        broker.metrics.dropped(Dropped::SlowReader, dropped);
        let revisions = Revisions { after: scan.began, up_to: position.offset };
        for pattern in self.patterns.clone() {
            self.pass(pattern, revisions);
        }
    }

    fn scan(&mut self, broker: &Broker, after: u64) {
        let began = broker.position().offset;
        self.lagging = Some(Scan { began, bytes: 0 });
        for pattern in self.patterns.clone() {
            self.pass(pattern, Revisions { after, up_to: u64::MAX });
        }
    }

    fn compare(&mut self) {
        self.differ = self.choices.windows(2).any(|two| two[0].encoding != two[1].encoding);
        self.chooses =
            self.choices.iter().any(|choice| choice.filter.is_some() || choice.shape.is_some());
    }

    fn pass(&mut self, pattern: ChannelPattern, revisions: Revisions) {
        self.work.push_back(Work::Pass { pattern, revisions, cursor: None });
    }
}

/// The envelope that tells of messages that were left out.
pub fn gap(lag: Lag, snapshot_follows: bool) -> Envelope<'static> {
    Envelope::new(Kind::Gap(Gap {
        from: lag.from,
        to: lag.to,
        dropped: lag.dropped,
        reason: GapReason::SlowReader,
        snapshot_follows,
        ..Gap::default()
    }))
}
