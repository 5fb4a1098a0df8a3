//! What one connection subscribed to, and what becomes of a message by that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use proto::ChannelPattern;

use crate::broker::Broker;
use crate::broker::filter::Filter;
use crate::broker::shape::Shape;
use crate::codec::request::Subscription;
use crate::codec::{Encoding, Frame};
use crate::metrics::Drop as Dropped;

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

/// The subscriptions of one connection, in the order in which they began. What most messages ask of them
/// stands beside the list: whoever publishes to a thousand connections pays for each line of memory.
#[derive(Debug, Default)]
pub struct Choices {
    list: Vec<(ChannelPattern, Choice)>,
    /// How all write the content, unless they differ.
    encoding: Option<Encoding>,
    /// They didn't all ask for the same encoding.
    differ: bool,
    /// One of them wants less than all.
    chooses: bool,
}

impl Choices {
    /// Takes up a subscription; returns what waited for the beat of the one that it replaces.
    pub fn begin(&mut self, pattern: &ChannelPattern, choice: Choice) -> VecDeque<Arc<Frame>> {
        let shape = match self.at(pattern) {
            Some(at) => std::mem::replace(&mut self.list[at].1, choice).shape,
            None => {
                if self.list.is_empty() {
                    // Most have one.
                    self.list.reserve_exact(1);
                }
                self.list.push((pattern.clone(), choice));
                None
            }
        };
        self.compare();
        shape.map(|mut shape| shape.take_all()).unwrap_or_default()
    }

    /// Ends a subscription.
    pub fn end(&mut self, pattern: &ChannelPattern) {
        self.list.retain(|(known, _)| known != pattern);
        self.compare();
    }

    /// The patterns subscribed to.
    pub fn patterns(&self) -> impl Iterator<Item = &ChannelPattern> {
        self.list.iter().map(|(pattern, _)| pattern)
    }

    /// What becomes of this message: the first subscription that wants it decides. Costs a comparison
    /// where all want all in the same encoding.
    /// One that was missed, and so isn't live, waits for no beat: the peer's position is behind it already.
    pub fn sift(&mut self, broker: &Broker, frame: &Arc<Frame>, is_live: bool) -> Sifted {
        if !self.differ && !self.chooses {
            return Sifted::Send(self.encoding);
        }
        let channel = frame.message().channel;
        for (pattern, choice) in &mut self.list {
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
        let mut list = self.list.iter_mut();
        list.find_map(|(_, choice)| Some((choice.shape.as_mut()?.next(now)?, choice.encoding)))
    }

    /// When the next beat is that something waits for; `None` if nothing does.
    pub fn beat(&self) -> Option<Instant> {
        if !self.chooses {
            return None;
        }
        self.list.iter().filter_map(|(_, choice)| choice.shape.as_ref()?.beat()).min()
    }

    /// Whether something of what waits for its beat has to be sent before more is taken.
    pub fn is_full(&self) -> bool {
        self.chooses && self.shapes().any(Shape::is_full)
    }

    /// How the values of this subscription's snapshot are to be written, if it says so.
    pub fn encoding_for(&self, pattern: &ChannelPattern) -> Option<Encoding> {
        self.list[self.at(pattern)?].1.encoding
    }

    /// Whether a subscription asks for JSON, which is longer.
    pub fn asks_for_json(&self) -> bool {
        self.list.iter().any(|(_, choice)| choice.encoding == Some(Encoding::Json))
    }

    /// Whether live messages may wait while a snapshot is on its way: one of the subscriptions wants less than
    /// all, and what waits for a beat leaves room.
    pub fn takes_aside(&self) -> bool {
        self.chooses && self.shapes().all(Shape::has_room_aside)
    }

    /// Forgets what waits for its beat; the lowest offset of it and how many they were, of each that had some.
    pub fn clear(&mut self) -> impl Iterator<Item = (u64, u64)> {
        let shapes = self.list.iter_mut().filter_map(|(_, choice)| choice.shape.as_mut());
        shapes.filter_map(|shape| shape.clear())
    }

    /// Leaves what a subscription's filter lets pass of a page of its values.
    pub fn filter(
        &mut self,
        pattern: &ChannelPattern,
        broker: &Broker,
        values: &mut Vec<Arc<Frame>>,
    ) {
        let at = self.at(pattern);
        if let Some(filter) = at.and_then(|at| self.list[at].1.filter.as_mut()) {
            values.retain(|frame| filter.passes(broker, frame.message().channel));
        }
    }

    fn at(&self, pattern: &ChannelPattern) -> Option<usize> {
        self.patterns().position(|known| known == pattern)
    }

    fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.list.iter().filter_map(|(_, choice)| choice.shape.as_deref())
    }

    fn compare(&mut self) {
        let mut encodings = self.list.iter().map(|(_, choice)| choice.encoding);
        self.encoding = encodings.next().flatten();
        self.differ = encodings.any(|encoding| encoding != self.encoding);
        let is_choosy =
            |(_, choice): &(_, Choice)| choice.filter.is_some() || choice.shape.is_some();
        self.chooses = self.list.iter().any(is_choosy);
    }
}
