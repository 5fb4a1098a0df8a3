//! How a subscription begins and ends.
//!
//! The subscription is entered and its position taken in one step of the order: every message up to
//! the position is in what the channels keep, every later one is offered to the mailbox. So a reader
//! that first gets what is kept and then what waits has no gap and no double.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use proto::ChannelPattern;
use proto::envelope::Position;

use super::channel::{Inner, Revisions};
use super::reader::Choice;
use super::shape::newest;
use super::{Broker, Channel};
use crate::codec::request::Subscription;
use crate::codec::{Frame, Refusal};
use crate::mailbox::Mailbox;
use crate::twin::Recovery;

/// Messages that one recovery may bring; a reader that missed more takes a snapshot.
const RECOVERED_MAX: usize = 10_000;

/// What a new subscription starts with.
#[derive(Debug)]
pub struct Beginning {
    /// Live messages come after this.
    pub position: Position<'static>,
    /// What was missed, oldest first, if all of it is still there.
    pub recovered: Option<Vec<Arc<Frame>>>,
    /// The last values to send first, if wanted.
    pub snapshot: Option<Revisions>,
    /// How it is to be given.
    pub choice: Choice,
}

impl Broker {
    /// Begins a subscription. The caller has checked the right to.
    ///
    /// # Errors
    /// It names a new channel, and there are as many as may be.
    pub fn subscribe(
        &self,
        wanted: &Subscription,
        mailbox: &Arc<Mailbox>,
    ) -> Result<Beginning, Refusal> {
        let exact = self.exact_channel(&wanted.pattern)?;
        let position = self.enter(&wanted.pattern, exact.as_deref(), mailbox);
        let since = wanted
            .since
            .filter(|(epoch, offset)| *epoch == position.epoch && *offset <= position.offset)
            .map(|(_, offset)| offset);
        let mut recovered =
            since.and_then(|offset| self.missed(&wanted.pattern, offset, position.offset));
        if let Some(frames) = &mut recovered {
            frames.retain(|frame| mailbox.may_see(frame));
            if wanted.pace.is_some() {
                *frames = newest(std::mem::take(frames));
            }
        }
        // Whoever was here before in this epoch holds all values up to its position.
        let snapshot = (wanted.snapshot && recovered.is_none())
            .then(|| Revisions { after: since.unwrap_or(0), up_to: position.offset });
        Ok(Beginning { position, recovered, snapshot, choice: Choice::of(wanted) })
    }

    /// Begins several subscriptions at one position, as a reader wants that names all it reads in one
    /// request and keeps one position: what was missed of all of them comes in one order and none
    /// twice, and is recovered for all or for none. How it is given is the
    /// door's affair. The caller has checked the right to.
    ///
    /// # Errors
    /// One names a new channel, and there are as many as may be.
    pub fn subscribe_all(
        &self,
        patterns: &[ChannelPattern],
        since: Option<(u64, u64)>,
        snapshot: bool,
        mailbox: &Arc<Mailbox>,
    ) -> Result<Beginning, Refusal> {
        let position = self.enter_all(patterns, mailbox)?;
        let since = since
            .filter(|(epoch, offset)| *epoch == position.epoch && *offset <= position.offset)
            .map(|(_, offset)| offset);
        let recovered = since.and_then(|offset| {
            let mut missed = Vec::new();
            for pattern in patterns {
                missed.extend(self.missed(pattern, offset, position.offset)?);
            }
            missed.sort_unstable_by_key(|frame: &Arc<Frame>| frame.offset());
            missed.dedup_by_key(|frame| frame.offset());
            missed.retain(|frame| mailbox.may_see(frame));
            (missed.len() <= RECOVERED_MAX).then_some(missed)
        });
        let snapshot = (snapshot && recovered.is_none())
            .then(|| Revisions { after: since.unwrap_or(0), up_to: position.offset });
        Ok(Beginning { position, recovered, snapshot, choice: Choice::default() })
    }

    /// Ends a subscription, if there was one.
    pub fn unsubscribe(&self, pattern: &ChannelPattern, mailbox: u64) {
        if pattern.is_exact() {
            if let Some(channel) = self.existing_channel(pattern.as_str()) {
                channel.inner.lock().audience.unsubscribe(mailbox);
            }
        } else {
            self.router.unsubscribe(pattern, mailbox);
        }
    }

    /// Ends all subscriptions of a receiver.
    pub fn unsubscribe_all<'p>(
        &self,
        patterns: impl IntoIterator<Item = &'p ChannelPattern>,
        mailbox: u64,
    ) {
        patterns.into_iter().for_each(|pattern| self.unsubscribe(pattern, mailbox));
    }

    /// The position from which on a mailbox that lagged is offered messages again, and how many were
    /// left out since the lag was last reported.
    pub fn resume(&self, mailbox: &Mailbox) -> (Position<'static>, u64) {
        let sequence = self.sequence.lock();
        (sequence.position(), mailbox.resume())
    }

    /// Moves with every change of any device's registration.
    pub fn registry_generation(&self) -> u64 {
        self.registry_generation.load(Ordering::Acquire)
    }

    /// Where the order stands now.
    pub fn position(&self) -> Position<'static> {
        self.sequence.lock().position()
    }

    fn exact_channel(&self, pattern: &ChannelPattern) -> Result<Option<Arc<Channel>>, Refusal> {
        if !pattern.is_exact() {
            return Ok(None);
        }
        let name = proto::ChannelName::parse(pattern.as_str());
        self.channel(&name.expect("an exact pattern is a name")).map(Some)
    }

    /// Enters all of them in one step of the order.
    fn enter_all(
        &self,
        patterns: &[ChannelPattern],
        mailbox: &Arc<Mailbox>,
    ) -> Result<Position<'static>, Refusal> {
        let mut exact = Vec::new();
        for pattern in patterns {
            exact.extend(self.exact_channel(pattern)?);
        }
        // Several channels are locked at once here alone, in the order of their names.
        exact.sort_unstable_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        exact.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let mut locked: Vec<MutexGuard<'_, Inner>> =
            exact.iter().map(|channel| channel.inner.lock()).collect();
        let sequence = self.sequence.lock();
        for inner in &mut locked {
            inner.audience.subscribe(mailbox);
        }
        for pattern in patterns.iter().filter(|pattern| !pattern.is_exact()) {
            self.router.subscribe(pattern, mailbox);
        }
        Ok(sequence.position())
    }

    fn enter(
        &self,
        pattern: &ChannelPattern,
        exact: Option<&Channel>,
        mailbox: &Arc<Mailbox>,
    ) -> Position<'static> {
        match exact {
            Some(channel) => {
                let mut inner = channel.inner.lock();
                let sequence = self.sequence.lock();
                inner.audience.subscribe(mailbox);
                sequence.position()
            }
            None => {
                let sequence = self.sequence.lock();
                self.router.subscribe(pattern, mailbox);
                sequence.position()
            }
        }
    }

    /// All messages with `since < offset <= up_to` of the channels that match, in order; `None` if
    /// any is forgotten or there are too many. Of what a device should be only the newest of each type
    /// counts: who comes back gets one update, however many changes there were.
    fn missed(&self, pattern: &ChannelPattern, since: u64, up_to: u64) -> Option<Vec<Arc<Frame>>> {
        let mut missed = Vec::new();
        let channels = self.channels.read();
        for channel in channels.matching(pattern) {
            let inner = channel.inner.lock();
            if channel.concern.is_state() {
                let last = inner.state.last().iter().map(|last| &last.frame);
                let missed_last =
                    last.filter(|frame| (since + 1..=up_to).contains(&frame.offset()));
                missed.extend(missed_last.cloned());
                continue;
            }
            match inner.state.since(since) {
                Recovery::Lost => return None,
                Recovery::Complete(frames) => {
                    let frames = frames.into_iter().filter(|frame| frame.offset() <= up_to);
                    missed.extend(frames.cloned());
                }
            }
            if missed.len() > RECOVERED_MAX {
                return None;
            }
        }
        missed.sort_unstable_by_key(|frame| frame.offset());
        Some(missed)
    }
}
