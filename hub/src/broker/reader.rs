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

use proto::envelope::{Envelope, Gap, GapReason, Kind, Position};
use proto::{ChannelName, ChannelPattern};

use super::Broker;
use super::channel::{Page, Rest, Revisions};
use super::subscribe::Beginning;
use crate::codec::Frame;
use crate::mailbox::{Lag, Mailbox};
use crate::metrics::{Drop as Dropped, Limit};

mod choices;
#[cfg(test)]
mod tests;

pub use choices::{Choice, Choices, Sifted};

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
    choices: Choices,
    /// There only while something is: most of the time nothing is.
    owed: Option<Box<Owed>>,
}

/// What is owed before the mailbox.
#[derive(Debug, Default)]
struct Owed {
    work: VecDeque<Work>,
    /// Bytes of live messages in `work`.
    aside: usize,
    lagging: Option<Scan>,
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

impl Owed {
    fn is_nothing(&self) -> bool {
        self.work.is_empty() && self.lagging.is_none()
    }

    fn pass(&mut self, pattern: ChannelPattern, revisions: Revisions) {
        self.work.push_back(Work::Pass { pattern, revisions, cursor: None });
    }
}

impl Reader {
    /// Takes up a subscription. A pattern that is there already begins anew.
    pub fn begin(&mut self, pattern: &ChannelPattern, beginning: Beginning) {
        let waited = self.choices.begin(pattern, beginning.choice);
        // Its new position is behind what waited for a beat: that comes first, unless the newest
        // values do.
        let comes_first = beginning.recovered.is_none() && beginning.snapshot.is_none();
        if comes_first && !waited.is_empty() {
            self.owe().work.push_back(Work::Recovered(waited));
        }
        if let Some(frames) = beginning.recovered {
            self.owe().work.push_back(Work::Recovered(frames.into()));
        }
        if let Some(revisions) = beginning.snapshot {
            self.owe().pass(pattern.clone(), revisions);
        }
    }

    /// Ends a subscription.
    pub fn end(&mut self, pattern: &ChannelPattern) {
        self.choices.end(pattern);
        if let Some(owed) = &mut self.owed {
            owed.work.retain(|work| match work {
                Work::Recovered(_) | Work::Aside(_) => true,
                Work::Pass { pattern: of, .. } => of != pattern,
            });
        }
        self.settle();
    }

    /// What was subscribed to, and how.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// What becomes of a message, and what waits for a beat.
    pub fn choices_mut(&mut self) -> &mut Choices {
        &mut self.choices
    }

    /// The mailbox left messages out: what is owed is no queue any more but the newest values.
    pub fn lag(&mut self, broker: &Broker, mut lag: Lag) -> Envelope<'static> {
        // What waits for its beat would come after newer values.
        for (lowest, count) in self.choices.clear() {
            lag.from = lag.from.min(lowest);
            lag.dropped += count;
        }
        broker.metrics.gaps.inc();
        broker.metrics.limit_hit(Limit::Mailbox);
        broker.metrics.dropped(Dropped::SlowReader, lag.dropped);
        self.scan(broker, lag.from.saturating_sub(1));
        gap(lag, true)
    }

    /// Whether something is owed before the mailbox.
    pub fn is_behind(&self) -> bool {
        self.owed.is_some()
    }

    /// Whether the mailbox counts instead of queueing.
    pub fn is_lagging(&self) -> bool {
        self.owed.as_deref().is_some_and(|owed| owed.lagging.is_some())
    }

    /// Whether live messages are put aside, since a snapshot is on its way: so a reader that wants the newest of
    /// each channel doesn't lag because of the others' changes while it gets the last values of a city.
    pub fn takes_aside(&self) -> bool {
        let has_room = |owed: &Owed| owed.lagging.is_none() && owed.aside < ASIDE_BYTES_MAX;
        self.choices.takes_aside() && self.owed.as_deref().is_none_or(has_room)
    }

    /// Puts a live message behind what is owed.
    pub fn put_aside(&mut self, frame: &Arc<Frame>) {
        let owed = self.owe();
        owed.aside += frame.len();
        if let Some(Work::Aside(frames)) = owed.work.back_mut() {
            frames.push_back(frame.clone());
        } else {
            owed.work.push_back(Work::Aside(VecDeque::from([frame.clone()])));
        }
    }

    /// The next thing to send, or `None` if the mailbox is next. An empty page is not sent; so this
    /// may return nothing while [`Reader::is_behind`] holds, after a bounded amount of looking.
    pub fn next(&mut self, broker: &Broker, mailbox: &Mailbox, page_bytes: usize) -> Option<Piece> {
        let owed = self.owed.as_deref_mut()?;
        let piece = match owed.work.front_mut() {
            None => {
                self.finish_scan(broker, mailbox);
                None
            }
            Some(Work::Recovered(frames)) => {
                let frame = frames.pop_front();
                if frames.is_empty() {
                    owed.work.pop_front();
                }
                frame.map(Piece::Message)
            }
            Some(Work::Aside(frames)) => {
                let frame = frames.pop_front();
                if frames.is_empty() {
                    owed.work.pop_front();
                }
                owed.aside -= frame.as_ref().map_or(0, |frame| frame.len());
                frame.map(Piece::Message)
            }
            Some(Work::Pass { .. }) => self.next_page(broker, mailbox, page_bytes),
        };
        self.settle();
        piece
    }

    fn next_page(
        &mut self,
        broker: &Broker,
        mailbox: &Mailbox,
        page_bytes: usize,
    ) -> Option<Piece> {
        let owed = self.owed.as_deref_mut()?;
        let Some(Work::Pass { pattern, revisions, cursor }) = owed.work.front_mut() else {
            return None;
        };
        let Page { mut values, cursor: next, rest } =
            broker.page(pattern, *revisions, cursor.as_ref(), page_bytes);
        values.retain(|frame| mailbox.may_see(frame));
        self.choices.filter(pattern, broker, &mut values);
        let last = rest == Rest::Nothing;
        let scanning = owed.lagging.is_some();
        if let Some(scan) = &mut owed.lagging {
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
            owed.work.pop_front();
            broker.metrics.snapshots.inc();
        }
        piece
    }

    /// A round is over: resume if little changed meanwhile, else go round again.
    fn finish_scan(&mut self, broker: &Broker, mailbox: &Mailbox) {
        // It was all that was owed.
        let Some(scan) = self.owed.take().and_then(|owed| owed.lagging) else { return };
        if scan.bytes > mailbox.bytes_max() / SHARE_MAX {
            return self.scan(broker, scan.began);
        }
        let (position, dropped) = broker.resume(mailbox);
        broker.metrics.dropped(Dropped::SlowReader, dropped);
        self.pass_all(Revisions { after: scan.began, up_to: position.offset });
    }

    fn scan(&mut self, broker: &Broker, after: u64) {
        let began = broker.position().offset;
        self.owe().lagging = Some(Scan { began, bytes: 0 });
        self.pass_all(Revisions { after, up_to: u64::MAX });
    }

    /// Gives back what held it, once nothing is owed.
    fn settle(&mut self) {
        if self.owed.as_deref().is_some_and(Owed::is_nothing) {
            self.owed = None;
        }
    }

    fn pass_all(&mut self, revisions: Revisions) {
        let owed = self.owed.get_or_insert_default();
        for pattern in self.choices.patterns() {
            owed.pass(pattern.clone(), revisions);
        }
    }

    fn owe(&mut self) -> &mut Owed {
        self.owed.get_or_insert_default()
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
