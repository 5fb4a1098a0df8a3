//! A simulated device: a journal that survives power cuts, and a link that drops, doubles and
//! reorders.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use proto::CommandState;
use proto::id::{CommandId, DeviceId};

use super::random::Random;
use crate::ledger::{Delivery, ReplyToken, Report};

pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) boot: u32,
    /// The session that the device believes to have.
    pub(super) session: Option<u64>,
    pub(super) link_down: VecDeque<Delivery>,
    pub(super) link_up: Vec<Report>,
    /// Commands in memory, in the order of receipt, with the time by which they must start.
    received: VecDeque<(CommandId, Instant)>,
    journal: BTreeMap<CommandId, Entry>,
    /// A device that is broken on purpose has no journal.
    pub(super) forgetful: bool,
    /// Commands whose effect was started, in this order.
    pub(super) started: Vec<CommandId>,
    tokens: u64,
}

#[derive(Clone, Copy)]
enum Entry {
    Started,
    Done { state: CommandState, acked: bool },
}

impl Device {
    pub(super) fn new(id: DeviceId, forgetful: bool) -> Self {
        Self {
            id,
            boot: 1,
            session: None,
            link_down: VecDeque::new(),
            link_up: Vec::new(),
            received: VecDeque::new(),
            journal: BTreeMap::new(),
            forgetful,
            started: Vec::new(),
            tokens: 0,
        }
    }

    /// The connection is lost, with what is under way to the device; reports may still arrive.
    pub(super) fn disconnect(&mut self) {
        self.session = None;
        self.link_down.clear();
    }

    /// Power is lost between any two writes of the journal.
    pub(super) fn lose_power(&mut self) {
        self.disconnect();
        self.boot += 1;
        self.received.clear();
        if self.forgetful {
            self.journal.clear();
        }
        for entry in self.journal.values_mut() {
            if matches!(entry, Entry::Started) {
                *entry = Entry::Done { state: CommandState::Unknown, acked: false };
            }
        }
    }

    /// Takes the next command off the link.
    pub(super) fn receive(&mut self, now: Instant) {
        let Some(delivery) = self.link_down.pop_front() else { return };
        let id = delivery.command;
        match self.journal.get(&id) {
            Some(Entry::Done { state, .. }) => self.report(id, *state),
            Some(Entry::Started) => self.report(id, CommandState::Running),
            None => {
                if !self.received.iter().any(|(other, _)| *other == id) {
                    self.received.push_back((id, now + delivery.remaining));
                }
                self.report(id, CommandState::Delivered);
            }
        }
    }

    /// Ends what it works on, or starts the next.
    pub(super) fn work(&mut self, now: Instant, random: &mut Random) {
        let current = self.journal.iter().find(|(_, entry)| matches!(entry, Entry::Started));
        if let Some((&id, _)) = current {
            let state =
                if random.one_in(4) { CommandState::Failed } else { CommandState::Succeeded };
            return self.finish(id, state);
        }
        let Some((id, deadline)) = self.received.pop_front() else { return };
        if now >= deadline {
            return self.finish(id, CommandState::Expired);
        }
        self.journal.insert(id, Entry::Started);
        self.started.push(id);
        self.report(id, CommandState::Running);
    }

    fn finish(&mut self, id: CommandId, state: CommandState) {
        self.journal.insert(id, Entry::Done { state, acked: false });
        self.report(id, state);
    }

    /// Says again what the hub has not acknowledged.
    pub(super) fn repeat(&mut self) {
        let unacked: Vec<_> = self
            .journal
            .iter()
            .filter_map(|(id, entry)| match entry {
                Entry::Done { state, acked: false } => Some((*id, *state)),
                Entry::Done { acked: true, .. } | Entry::Started => None,
            })
            .collect();
        for (id, state) in unacked {
            self.report(id, state);
        }
    }

    pub(super) fn acked(&mut self, id: CommandId) {
        if let Some(Entry::Done { acked, .. }) = self.journal.get_mut(&id) {
            *acked = true;
        }
    }

    /// Takes a report off the link, not always the oldest and not always once.
    pub(super) fn next_report(&mut self, random: &mut Random) -> Option<Report> {
        let place = random.below(self.link_up.len().min(4));
        if self.link_up.is_empty() || random.one_in(20) {
            return self.link_up.pop().filter(|_| false);
        }
        let doubled = random.one_in(8);
        if doubled { self.link_up.get(place).cloned() } else { Some(self.link_up.remove(place)) }
    }

    fn report(&mut self, command: CommandId, state: CommandState) {
        let Some(session) = self.session else { return };
        self.tokens += 1;
        self.link_up.push(Report {
            device: self.id.clone(),
            session,
            command,
            state,
            percent: (self.tokens % 101) as u8,
            detail: Box::default(),
            result: Bytes::new(),
            reply: state.is_terminal().then_some(ReplyToken(self.tokens)),
        });
    }
}
