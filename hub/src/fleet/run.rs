//! One fleet command on its way: who is next, who answered, when it is over.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use proto::{CommandId, DeviceId};

use super::plan::{Plan, Stop, StopKind};
use super::record::{CHUNK, Header};
use super::target::{Counts, Outcome, Target};
use super::{Answer, Effect, FleetId, Limits};
use crate::clock::Now;

/// How far a fleet command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its window has not begun.
    Scheduled,
    /// Some targets wait for their turn.
    Sending,
    /// All were handed over, and some have not ended.
    Waiting,
    /// Nothing more comes.
    Ended,
}

impl Phase {
    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }
}

/// One fleet command.
#[derive(Debug)]
pub struct Fleet {
    pub(super) plan: Arc<Plan>,
    pub(super) stop: Option<Stop>,
    pub(super) ended_unix_ms: u64,
    /// In the order of their ids.
    pub(super) targets: Vec<Target>,
    pub(super) counts: Counts,
    /// Its records are on disk.
    pub(super) durable: bool,
    /// Targets that wait and are not with the ledger.
    pub(super) queue: VecDeque<u32>,
    /// Targets that are with the ledger, without its answer.
    pub(super) handed: usize,
    /// Targets that may be handed over now.
    pub(super) credit: f64,
    pub(super) credited_at: Option<Instant>,
    /// Targets left of the wave.
    pub(super) wave_left: u32,
    /// Nothing before this.
    pub(super) resume_at: Option<Instant>,
    /// Chunks that the disk has in an older form.
    pub(super) unwritten: BTreeSet<u16>,
    pub(super) header_unwritten: bool,
    pub(super) written_at: Option<Instant>,
    /// Something happened since it was published.
    pub(super) unsaid: bool,
}

impl Fleet {
    pub(super) fn new(plan: Plan, targets: Vec<DeviceId>) -> Self {
        let mut fleet = Self::around(Header { plan, stop: None, ended_unix_ms: 0 });
        fleet.targets = targets.into_iter().map(Target::new).collect();
        fleet.take_stock();
        fleet
    }

    pub(super) fn around(header: Header) -> Self {
        Self {
            wave_left: header.plan.waves.size,
            plan: Arc::new(header.plan),
            stop: header.stop,
            ended_unix_ms: header.ended_unix_ms,
            targets: Vec::new(),
            counts: Counts::default(),
            durable: false,
            queue: VecDeque::new(),
            handed: 0,
            credit: 0.0,
            credited_at: None,
            resume_at: None,
            unwritten: BTreeSet::new(),
            header_unwritten: false,
            written_at: None,
            unsaid: true,
        }
    }

    pub(super) fn take_stock(&mut self) {
        self.counts = Counts::of_targets(&self.targets);
        self.requeue();
    }

    pub(super) fn requeue(&mut self) {
        let waiting = self.targets.iter().zip(0..);
        let waiting = waiting.filter(|(target, _)| target.outcome == Outcome::Waiting);
        self.queue = waiting.map(|(_, index)| index).collect();
    }

    pub(super) fn begin(&mut self) {
        self.durable = true;
    }

    // Getters

    /// What was asked.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// All targets, in the order of their ids.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// How many targets stand where.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Why it goes no further, if it was stopped.
    pub fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// ms since 1970, UTC; 0 until it ended.
    pub fn ended_unix_ms(&self) -> u64 {
        self.ended_unix_ms
    }

    /// How far it is.
    pub fn phase(&self, now: Now) -> Phase {
        if self.ended_unix_ms > 0 {
            Phase::Ended
        } else if self.counts.of(Outcome::Waiting) == 0 {
            Phase::Waiting
        } else if now.unix_ms < self.plan.window.from_unix_ms {
            Phase::Scheduled
        } else {
            Phase::Sending
        }
    }

    pub(super) fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether time changes nothing any more.
    pub(super) fn is_settled(&self) -> bool {
        let said = !self.unsaid && self.unwritten.is_empty() && !self.header_unwritten;
        self.ended_unix_ms > 0 && said
    }

    // Inputs

    pub(super) fn answer(
        &mut self,
        now: Now,
        limits: &Limits,
        index: u32,
        answer: Answer,
        effects: &mut VecDeque<Effect>,
    ) {
        let at = index as usize;
        let Some(target) = self.targets.get_mut(at).filter(|target| target.handed) else { return };
        target.handed = false;
        self.handed -= 1;
        match answer {
            Answer::Accepted { command, outcome } => {
                self.accepted(at, command, outcome, "", effects)
            }
            Answer::Refused { detail } => self.set(at, Outcome::Rejected, &detail),
            Answer::Later if target.outcome != Outcome::Waiting => {}
            Answer::Later => match self.stop.clone() {
                Some(stop) => self.set(at, ended_by(stop.kind), &stop.detail),
                None => {
                    self.queue.push_back(index);
                    self.resume_at = Some(now.mono + limits.retry);
                }
            },
        }
    }

    pub(super) fn update(
        &mut self,
        device: &DeviceId,
        command: CommandId,
        outcome: Outcome,
        detail: &str,
        effects: &mut VecDeque<Effect>,
    ) {
        let found = self.targets.binary_search_by(|target| target.device.cmp(device));
        let Ok(at) = found else { return };
        if self.targets[at].command.is_none_or(|known| known == command) {
            self.accepted(at, command, outcome, detail, effects);
        }
    }

    fn accepted(
        &mut self,
        at: usize,
        command: CommandId,
        outcome: Outcome,
        detail: &str,
        effects: &mut VecDeque<Effect>,
    ) {
        let target = &mut self.targets[at];
        let is_new = target.command.replace(command).is_none();
        self.set(at, outcome, detail);
        if let (true, Outcome::Accepted, Some(stop)) = (is_new, outcome, &self.stop) {
            effects.extend(withdrawal(stop, command));
        }
    }

    /// Ends it early: what waits ends now, what the ledger has and did not send is withdrawn.
    pub(super) fn stop(
        &mut self,
        now: Now,
        kind: StopKind,
        detail: String,
        effects: &mut VecDeque<Effect>,
    ) {
        if self.stop.is_some() {
            return;
        }
        let stop = Stop { kind, detail, unix_ms: now.unix_ms };
        for target in self.targets.iter().filter(|target| target.outcome == Outcome::Accepted) {
            effects.extend(target.command.and_then(|command| withdrawal(&stop, command)));
        }
        self.drop_queue(kind, &stop.detail);
        self.stop = Some(stop);
        self.header_unwritten = true;
        // Whoever stopped it wants to rely on that.
        self.written_at = None;
        self.unsaid = true;
    }

    /// Targets that still wait, and that a newer fleet command has as well. `devices` are in order.
    pub(super) fn supersede(&mut self, devices: &[DeviceId], newer: FleetId) {
        let detail = format!("replaced by the fleet command {newer}");
        let queue = std::mem::take(&mut self.queue);
        for index in queue {
            let at = index as usize;
            if devices.binary_search(&self.targets[at].device).is_ok() {
                self.set(at, Outcome::Superseded, &detail);
            } else {
                self.queue.push_back(index);
            }
        }
    }

    /// Lets time pass.
    pub(super) fn advance(
        &mut self,
        now: Now,
        limits: &Limits,
        id: FleetId,
        effects: &mut VecDeque<Effect>,
    ) {
        if !self.durable {
            return;
        }
        if self.ended_unix_ms == 0 && self.stop.is_none() {
            self.go_on(now, limits, id, effects);
        }
        if self.ended_unix_ms == 0 && self.counts.ended() == self.counts.total() {
            // A clock before 1970 must not keep it from its end.
            self.ended_unix_ms = now.unix_ms.max(1);
            self.header_unwritten = true;
            self.unsaid = true;
            self.written_at = None;
        }
        self.write(now, limits, id, effects);
        if std::mem::take(&mut self.unsaid) {
            effects.push_back(Effect::Publish { fleet: id });
        }
    }

    pub(super) fn drop_queue(&mut self, kind: StopKind, detail: &str) {
        for index in std::mem::take(&mut self.queue) {
            self.set(index as usize, ended_by(kind), detail);
        }
    }

    /// Moves a target on; never back, and never from its end.
    pub(super) fn set(&mut self, at: usize, outcome: Outcome, detail: &str) {
        let target = &mut self.targets[at];
        if target.outcome.is_ended() || outcome <= target.outcome {
            return;
        }
        self.counts.moved(target.outcome, outcome);
        target.outcome = outcome;
        let end = detail.floor_char_boundary(proto::limits::DETAIL_BYTES_MAX);
        target.detail = detail[..end].into();
        self.unsaid = true;
        // Steps in between are told again by the ledger after a restart.
        if outcome.is_ended() || outcome == Outcome::Accepted {
            self.unwritten.insert(u16::try_from(at / CHUNK).unwrap_or(u16::MAX));
        }
    }
}

/// How a target ends that waits when the whole is stopped.
fn ended_by(kind: StopKind) -> Outcome {
    match kind {
        StopKind::Aborted | StopKind::Canceled => Outcome::Canceled,
        StopKind::WindowOver => Outcome::Expired,
    }
}

/// Commands that were accepted in a window end by their own deadline, which is the window's.
fn withdrawal(stop: &Stop, command: CommandId) -> Option<Effect> {
    match stop.kind {
        StopKind::WindowOver => None,
        StopKind::Aborted | StopKind::Canceled => {
            let by = stop.detail.strip_prefix("withdrawn by ").unwrap_or(&stop.detail);
            Some(Effect::Withdraw { command, by: by.into() })
        }
    }
}
