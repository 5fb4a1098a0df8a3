//! What must be true once a run is over, and what must have happened in it.

use std::collections::BTreeMap;

use proto::CommandState;
use proto::id::CommandId;

use super::world::World;
use crate::ledger::{Input, Ledger};

/// How often the things happened that a run is about.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub(super) ends: [u64; 12],
    pub(super) late: u64,
    pub(super) hub_crashes: u64,
    pub(super) refused: u64,
    pub(super) repeated: u64,
    pub(super) redelivered: u64,
}

impl World {
    pub(super) fn check_end(&mut self) {
        self.seen.redelivered += self.ledger.stats().redeliveries;
        let mut starts = BTreeMap::<CommandId, u32>::new();
        for device in &self.devices {
            // Ids count up in the order of acceptance.
            if device.started.windows(2).any(|pair| pair[0] > pair[1]) {
                self.faults.push(format!("{} started out of order", device.id));
            }
            device.started.iter().for_each(|id| *starts.entry(*id).or_default() += 1);
        }
        for known in &self.known {
            let id = known.new.command;
            let started = starts.get(&id).copied().unwrap_or(0);
            if started > 1 {
                self.faults.push(format!("{id} started twice"));
            }
            let view = self.ledger.command(&id);
            if known.acked && !view.is_some_and(|view| view.state().is_terminal()) {
                self.faults.push(format!("{id} was lost at the end"));
            }
            let never = match view.map(|view| view.state()) {
                None | Some(CommandState::Canceled | CommandState::Superseded) => true,
                Some(CommandState::Expired) => true,
                Some(_) => known.refused,
            };
            if never && started > 0 {
                self.faults.push(format!("{id} should not have started"));
            }
            if view.is_some_and(|it| it.state() == CommandState::Succeeded) && started == 0 {
                self.faults.push(format!("{id} never started"));
            }
        }
        self.check_forgotten();
    }

    /// A day later nothing is left of it all.
    fn check_forgotten(&mut self) {
        (0..self.devices.len()).for_each(|index| self.cut_power(index));
        for device in self.devices.iter().map(|device| device.id.clone()).collect::<Vec<_>>() {
            self.feed(Input::DeviceRemoved { device });
        }
        self.pass(self.limits.retention);
        self.commit(usize::MAX);
        let Ledger { commands, queues, requests, agenda, stats, .. } = &self.ledger;
        let left = [commands.len(), queues.len(), requests.len(), stats.bytes, self.disk.len()];
        if left != [0; 5] || agenda.next().is_some() || stats.by_state.iter().any(|n| *n > 0) {
            self.faults.push(format!("left behind: {left:?}, {agenda:?}, {stats:?}"));
        }
    }
}
impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.ends.iter_mut().zip(other.ends).for_each(|(sum, more)| *sum += more);
        self.late += other.late;
        self.hub_crashes += other.hub_crashes;
        self.refused += other.refused;
        self.repeated += other.repeated;
        self.redelivered += other.redelivered;
    }

    pub(super) fn check(self) {
        println!("{self:?}");
        for state in CommandState::ALL.iter().filter(|state| state.is_terminal()) {
            let expected = *state != CommandState::Rejected;
            assert!(!expected || self.ends[*state as usize] > 0, "no command was {state:?}");
        }
        let rest = [self.late, self.hub_crashes, self.refused, self.repeated, self.redelivered];
        assert!(rest.iter().all(|count| *count > 100), "{self:?}");
    }
}
