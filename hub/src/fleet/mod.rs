//! One order for many devices: which of them get it now, which later, and what became of each.
//!
//! Pure, like the ledger: no socket, no disk, no clock. A fleet command has a frozen list of targets. It
//! hands them over to the ledger at its pace, as one command each, and hears of them from there:
//!
//! ```text
//!   start, answers, updates, ─▶ Fleets ─▶ poll_effect() ─▶ ledger, store, channel `fleet.<id>`
//!   cancel, time                  │
//!                                 └─ waiting ─▶ accepted ─▶ … the states of a command
//! ```
//!
//! Read this file first, then `plan` (what is asked), `target` (who, and the counts), `run` (one fleet
//! command's way), `pace` (when, and when not), `record` and `kept` (what the disk has of it), `id`.
//!
//! # Contract with the driver
//!
//! Start with [`Fleets::restore`] for every record, then [`Fleets::restored`]. After each input take
//! effects until there are none. A fleet command that was taken by [`Fleets::admit`] does nothing until
//! [`Fleets::durable`] says that its records are on disk. [`Fleets::tick`] comes several times a second.
//!
//! # Invariants
//!
//! - Each target gets at most one command: its request id follows from fleet command and device
//!   ([`request_id`]), so handing over again finds what was accepted before, also after a restart.
//! - The counts by state always add up to the number of targets.
//! - A target's first end stands. What was not sent is withdrawn when the whole is stopped.
//!
//! # Cost
//!
//! About 80 bytes a target, as long as the fleet command is remembered. An update is a look-up by id and
//! a binary search. What changed is written once a second at most, in records of 256 targets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::{CommandId, DeviceId};

mod id;

mod kept;

mod pace;

mod plan;

mod record;

mod run;

mod target;

#[cfg(test)]
mod tests;

use crate::clock::Now;

pub use id::{FleetId, fleet_of, request_id};
pub use plan::{Again, Plan, Stop, StopKind, Waves, Window};
pub use record::{Record, RecordError};
pub use run::{Fleet, Phase};
pub use target::{Counts, Outcome, Target};

/// Bounds of fleet commands.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Fleet commands that have not ended.
    pub live_max: usize,
    /// Ended ones that are remembered; the oldest go first.
    pub ended_max: usize,
    /// Targets of one.
    pub targets_max: usize,
    /// Targets of all that are live or remembered: about 80 bytes each.
    pub targets_total_max: usize,
    /// Targets a second that one may hand over.
    pub per_s_max: f64,
    /// Targets of one that are handed over and not answered.
    pub handed_max: usize,
    /// How long an ended one is remembered.
    pub retention: Duration,
    /// The least time between two writes of what changed.
    pub flush: Duration,
    /// When a target that found no room in the ledger is handed over again.
    pub retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            live_max: 64,
            ended_max: 256,
            targets_max: 100_000,
            targets_total_max: 500_000,
            per_s_max: 5_000.0,
            handed_max: 1_024,
            retention: Duration::from_secs(24 * 3600),
            flush: Duration::from_secs(1),
            retry: Duration::from_secs(1),
        }
    }
}

/// Why a fleet command is not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} fleet commands have not ended, which is the limit")]
    Busy(usize),
    #[error("the request id stands for another fleet command")]
    Conflict,
    #[error("the fleet command of this request id is not durable yet")]
    NotDurable,
    #[error("at most {0} devices; narrow the selector")]
    TooMany(usize),
    #[error("the targets of all fleet commands have no room for so many more; at most {0}")]
    NoRoom(usize),
}

/// What the driver is to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Delete these records, and the last value of the channel.
    Forget { fleet: FleetId, keys: Vec<Box<[u8]>> },
    /// Give the target's command to the ledger, and answer with [`Fleets::answer`].
    HandOver { fleet: FleetId, index: u32, device: DeviceId, plan: Arc<Plan>, ttl: Duration },
    /// Publish [`Fleet::counts`] on the channel.
    Publish { fleet: FleetId },
    /// Write these records; if there is no room, say so with [`Fleets::not_stored`].
    Store { fleet: FleetId, records: Vec<Record> },
    /// Withdraw a command, if it was not sent.
    Withdraw { command: CommandId, by: Arc<str> },
}

/// What the ledger answered to a target's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Accepted { command: CommandId, outcome: Outcome },
    /// There was no room; a later try may succeed.
    Later,
    /// It is not taken, for good.
    Refused { detail: Box<str> },
}

/// All fleet commands, live and remembered.
#[derive(Debug)]
pub struct Fleets {
    limits: Limits,
    /// In the order of their ids, which is that of time.
    by_id: BTreeMap<FleetId, Fleet>,
    /// Ended ones, by when they are forgotten.
    ended: VecDeque<(Instant, FleetId)>,
    effects: VecDeque<Effect>,
}

impl Fleets {
    /// Without any.
    pub fn new(limits: Limits) -> Self {
        Self { limits, by_id: BTreeMap::new(), ended: VecDeque::new(), effects: VecDeque::new() }
    }

    // Inputs

    /// Takes one record of the store, before any other input. A fleet command's own record comes before
    /// those of its targets: that is the order of their keys.
    ///
    /// # Errors
    /// The record can't be read; nothing was changed.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        let (id, place) = record::read_key(key)?;
        match place {
            None => {
                self.by_id.insert(id, Fleet::restored(record::read_header(value)?));
            }
            Some(chunk) => {
                let fleet = self.by_id.get_mut(&id).ok_or(RecordError::Orphan)?;
                fleet.restore_targets(chunk, record::read_targets(value)?)?;
            }
        }
        Ok(())
    }

    /// Whether a record is one that [`Fleets::restore`] would read.
    ///
    /// # Errors
    /// It can't be read.
    pub fn check(key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        match record::read_key(key)?.1 {
            None => record::read_header(value).map(drop),
            Some(_) => record::read_targets(value).map(drop),
        }
    }

    /// All records were read: `find` tells, by sender and request id, what the ledger has.
    pub fn restored(
        &mut self,
        now: Now,
        find: impl Fn(&str, &str) -> Option<(CommandId, Outcome, Box<str>)>,
    ) {
        for (id, fleet) in &mut self.by_id {
            let sender = fleet.plan().sender.clone();
            fleet.resume(now, |device| find(&sender, &request_id(*id, device)));
        }
        for id in self.by_id.keys().copied().collect::<Vec<_>>() {
            self.supersede(id);
        }
        let ended = self.by_id.iter().filter(|(_, fleet)| fleet.phase(now) == Phase::Ended);
        let forget_at = now.mono + self.limits.retention;
        self.ended = ended.map(|(id, _)| (forget_at, *id)).collect();
    }

    /// Takes a fleet command; its records are to be made durable. `Ok(Some)` names the one that an
    /// earlier request with the same id made. `targets` are in the order of their ids, each once.
    ///
    /// # Errors
    /// There are too many, or the request id stands for something else.
    pub fn admit(
        &mut self,
        id: FleetId,
        plan: Plan,
        targets: Vec<DeviceId>,
    ) -> Result<Option<FleetId>, Refusal> {
        if let Some(known) = self.same_request(&plan) {
            return known.map(Some);
        }
        let limits = self.limits;
        if targets.len() > limits.targets_max {
            return Err(Refusal::TooMany(limits.targets_max));
        }
        let live = self.by_id.len() - self.ended.len();
        if live >= limits.live_max {
            return Err(Refusal::Busy(live));
        }
        while self.targets() + targets.len() > limits.targets_total_max {
            if !self.forget_oldest() {
                let left = limits.targets_total_max.saturating_sub(self.targets());
                return Err(Refusal::NoRoom(left));
            }
        }
        self.by_id.insert(id, Fleet::new(plan, targets));
        Ok(None)
    }

    /// What an earlier request of the same sender under the same id made, if there was one.
    pub fn same_request(&self, plan: &Plan) -> Option<Result<FleetId, Refusal>> {
        plan.request_id.as_ref()?;
        let (id, known) = self.by_id.iter().find(|(_, known)| {
            let known = known.plan();
            known.sender == plan.sender && known.request_id == plan.request_id
        })?;
        Some(match known.plan().fingerprint == plan.fingerprint {
            false => Err(Refusal::Conflict),
            true if !known.is_durable() => Err(Refusal::NotDurable),
            true => Ok(*id),
        })
    }

    /// All records of a fleet command, as they are to be on disk before it is accepted.
    pub fn records(&self, id: FleetId) -> Vec<Record> {
        self.by_id.get(&id).map_or_else(Vec::new, |fleet| fleet.records(id))
    }

    /// The store took none of its records: it never was.
    pub fn drop_admitted(&mut self, id: FleetId) {
        self.by_id.remove(&id);
    }

    /// Its records are on disk: it begins.
    pub fn durable(&mut self, now: Now, id: FleetId) {
        if let Some(fleet) = self.by_id.get_mut(&id) {
            fleet.begin();
            self.supersede(id);
            self.advance(now, id);
        }
    }

    /// What the ledger says to a target that was handed over.
    pub fn answer(&mut self, now: Now, id: FleetId, index: u32, answer: Answer) {
        if let Some(fleet) = self.by_id.get_mut(&id) {
            fleet.answer(now, &self.limits, index, answer, &mut self.effects);
        }
    }

    /// A step in the life of a command whose request id is of this fleet command.
    pub fn update(
        &mut self,
        id: FleetId,
        device: &DeviceId,
        command: CommandId,
        step: (Outcome, &str),
    ) {
        if let Some(fleet) = self.by_id.get_mut(&id) {
            fleet.update(device, command, step.0, step.1, &mut self.effects);
        }
    }

    /// Stops a fleet command: what was not sent is withdrawn. `false` if it has ended, `None` if it
    /// isn't known.
    pub fn cancel(&mut self, now: Now, id: FleetId, by: &str) -> Option<bool> {
        let fleet = self.by_id.get_mut(&id)?;
        if fleet.phase(now) == Phase::Ended {
            return Some(false);
        }
        fleet.stop(now, StopKind::Canceled, format!("withdrawn by {by}"), &mut self.effects);
        self.advance(now, id);
        Some(true)
    }

    /// Records were not written; they are offered again.
    pub fn not_stored(&mut self, id: FleetId, records: &[Record]) {
        if let Some(fleet) = self.by_id.get_mut(&id) {
            fleet.not_stored(records);
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Now) {
        let live: Vec<_> = self.by_id.iter().filter(|(_, fleet)| !fleet.is_settled()).collect();
        for id in live.into_iter().map(|(id, _)| *id).collect::<Vec<_>>() {
            self.advance(now, id);
        }
        while self.ended.front().is_some_and(|(due, _)| *due <= now.mono)
            || self.ended.len() > self.limits.ended_max
        {
            self.forget_oldest();
        }
    }

    // Outputs

    /// The next thing to do; `None` until the next input.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    // Getters

    /// One fleet command; `None` if it is not durable, or forgotten.
    pub fn get(&self, id: FleetId) -> Option<&Fleet> {
        self.by_id.get(&id).filter(|fleet| fleet.is_durable())
    }

    /// All of them, the newest first, from before `cursor` on.
    pub fn newest(&self, cursor: Option<FleetId>) -> impl Iterator<Item = (FleetId, &Fleet)> {
        let older = self.by_id.iter().rev().filter(move |(id, _)| cursor.is_none_or(|c| **id < c));
        older.filter(|(_, fleet)| fleet.is_durable()).map(|(id, fleet)| (*id, fleet))
    }

    fn targets(&self) -> usize {
        self.by_id.values().map(|fleet| fleet.targets().len()).sum()
    }

    fn advance(&mut self, now: Now, id: FleetId) {
        let Some(fleet) = self.by_id.get_mut(&id) else { return };
        let was_ended = fleet.phase(now) == Phase::Ended;
        fleet.advance(now, &self.limits, id, &mut self.effects);
        if !was_ended && fleet.phase(now) == Phase::Ended {
            self.ended.push_back((now.mono + self.limits.retention, id));
        }
    }

    /// Targets of older fleet commands with the same key that still wait get the newer one only.
    fn supersede(&mut self, newer: FleetId) {
        let Some(fleet) = self.by_id.get(&newer) else { return };
        let Some(key) = fleet.plan().supersede_key.clone() else { return };
        let devices: Vec<DeviceId> =
            fleet.targets().iter().map(|target| target.device.clone()).collect();
        for (_, older) in self.by_id.range_mut(..newer) {
            if older.plan().supersede_key.as_ref() == Some(&key) {
                older.supersede(&devices, newer);
            }
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, id)) = self.ended.pop_front() else { return false };
        if let Some(fleet) = self.by_id.remove(&id) {
            let keys = fleet.keys(id);
            self.effects.push_back(Effect::Forget { fleet: id, keys });
        }
        true
    }
}
