//! One fleet command on its way: who is next, who answered, when it is over.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::{CommandId, DeviceId};

use super::plan::{Plan, Stop, StopKind};
use super::record::{self, CHUNK, Header, Record, RecordError};
use super::target::{Counts, Outcome, Target};
use super::{Answer, Effect, FleetId, Limits};
use crate::clock::Now;

/// Targets that must have been handed over before a share of failures means anything.
const ABORT_BASE_MIN: u32 = 10;

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
    plan: Arc<Plan>,
    stop: Option<Stop>,
    ended_unix_ms: u64,
    /// In the order of their ids.
    targets: Vec<Target>,
    counts: Counts,
    /// Its records are on disk.
    durable: bool,
    /// Targets that wait and are not with the ledger.
    queue: VecDeque<u32>,
    /// Targets that are with the ledger, without its answer.
    handed: usize,
    /// Targets that may be handed over now.
    credit: f64,
    credited_at: Option<Instant>,
    /// Targets left of the wave.
    wave_left: u32,
    /// Nothing before this.
    resume_at: Option<Instant>,
    /// Chunks that the disk has in an older form.
    unwritten: BTreeSet<u16>,
    header_unwritten: bool,
    written_at: Option<Instant>,
    /// Something happened since it was published.
    unsaid: bool,
}

impl Fleet {
    pub(super) fn new(plan: Plan, targets: Vec<DeviceId>) -> Self {
        let mut fleet = Self::around(Header { plan, stop: None, ended_unix_ms: 0 });
        fleet.targets = targets.into_iter().map(Target::new).collect();
        fleet.take_stock();
        fleet
    }

    pub(super) fn restored(header: Header) -> Self {
        Self { durable: true, ..Self::around(header) }
    }

    fn around(header: Header) -> Self {
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

    /// Takes the targets of one record; records come in their order.
    pub(super) fn restore_targets(
        &mut self,
        chunk: u16,
        targets: Vec<Target>,
    ) -> Result<(), RecordError> {
        if self.targets.len() != usize::from(chunk) * CHUNK {
            return Err(RecordError::Targets);
        }
        self.targets.extend(targets);
        Ok(())
    }

    /// Goes on where an earlier process was: `find` tells what the ledger has of a device.
    pub(super) fn resume(
        &mut self,
        now: Now,
        find: impl Fn(&DeviceId) -> Option<(CommandId, Outcome, Box<str>)>,
    ) {
        self.take_stock();
        for index in 0..self.targets.len() {
            let target = &self.targets[index];
            if target.outcome.is_ended() {
                continue;
            }
            match find(&target.device) {
                Some((command, outcome, detail)) => {
                    self.targets[index].command = Some(command);
                    self.set(index, outcome, &detail);
                }
                None if target.outcome == Outcome::Waiting => {}
                // It was accepted, so it ended, and the ledger has forgotten how.
                None => self.set(index, Outcome::Unknown, "the hub's record of it is gone"),
            }
        }
        self.requeue();
        if let Some(Stop { kind, detail, .. }) = self.stop.clone() {
            self.drop_queue(kind, &detail);
        }
        self.unsaid = self.phase(now) != Phase::Ended || !self.unwritten.is_empty();
    }

    fn take_stock(&mut self) {
        self.counts = Counts::of_targets(&self.targets);
        self.requeue();
    }

    fn requeue(&mut self) {
        let waiting = self.targets.iter().zip(0..);
        let waiting = waiting.filter(|(target, _)| target.outcome == Outcome::Waiting);
        self.queue = waiting.map(|(_, index)| index).collect();
    }

    pub(super) fn begin(&mut self) {
        self.durable = true;
    }

    /// All its records, as they are now.
    pub(super) fn records(&self, id: FleetId) -> Vec<Record> {
        let chunks = self.targets.chunks(CHUNK).zip(0..);
        let targets = chunks.map(|(targets, chunk)| record::targets(id, chunk, targets));
        std::iter::once(self.header(id)).chain(targets).collect()
    }

    fn header(&self, id: FleetId) -> Record {
        let plan = Plan::clone(&self.plan);
        let header = Header { plan, stop: self.stop.clone(), ended_unix_ms: self.ended_unix_ms };
        record::header(id, &header)
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

    pub(super) fn not_stored(&mut self, records: &[Record]) {
        for record in records {
            match record.chunk {
                Some(chunk) => drop(self.unwritten.insert(chunk)),
                None => self.header_unwritten = true,
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

    fn go_on(&mut self, now: Now, limits: &Limits, id: FleetId, effects: &mut VecDeque<Effect>) {
        let window = self.plan.window;
        if window.to_unix_ms > 0 && self.plan.ttl_s_at(now.unix_ms).is_none() {
            if !self.queue.is_empty() {
                let detail = "the maintenance window ended before its turn".to_owned();
                self.stop(now, StopKind::WindowOver, detail, effects);
            }
        } else if let Some(share) = self.share_too_high() {
            let detail = format!("aborted: {share}");
            self.stop(now, StopKind::Aborted, detail, effects);
        } else if now.unix_ms >= window.from_unix_ms {
            self.hand_over(now, limits, id, effects);
        }
    }

    /// Why it must not go on, if too many targets failed.
    fn share_too_high(&self) -> Option<String> {
        let limit = self.plan.abort_above_pct?;
        let (total, bad) = (self.counts.total(), self.counts.bad());
        let over = total - self.counts.of(Outcome::Waiting);
        let counts = over >= ABORT_BASE_MIN.min(total);
        let share = f64::from(bad) * 100.0;
        (counts && !self.queue.is_empty() && share > limit * f64::from(over))
            .then(|| format!("{bad} of {over} failed, more than {limit} %"))
    }

    fn hand_over(
        &mut self,
        now: Now,
        limits: &Limits,
        id: FleetId,
        effects: &mut VecDeque<Effect>,
    ) {
        let rate = self.plan.waves.per_s.min(limits.per_s_max);
        self.earn(now, rate);
        if self.resume_at.is_some_and(|resume| now.mono < resume) {
            return;
        }
        self.resume_at = None;
        while self.credit >= 1.0 && self.handed < limits.handed_max {
            let Some(index) = self.queue.pop_front() else { break };
            let Some(ttl_s) = self.plan.ttl_s_at(now.unix_ms) else { break };
            self.credit -= 1.0;
            self.handed += 1;
            let target = &mut self.targets[index as usize];
            target.handed = true;
            let (device, plan) = (target.device.clone(), self.plan.clone());
            let ttl = Duration::from_secs(u64::from(ttl_s));
            effects.push_back(Effect::HandOver { fleet: id, index, device, plan, ttl });
            self.wave_left = self.wave_left.saturating_sub(1);
            if self.wave_left == 0 {
                self.wave_left = self.plan.waves.size;
                let pause = Duration::from_secs(u64::from(self.plan.waves.pause_s));
                if !pause.is_zero() {
                    self.resume_at = Some(now.mono + pause);
                    break;
                }
            }
        }
    }

    /// Credit grows with time, up to a second's worth; the first target goes at once.
    fn earn(&mut self, now: Now, rate: f64) {
        let most = rate.max(1.0);
        match self.credited_at.replace(now.mono) {
            None => self.credit = 1.0,
            Some(at) => {
                let passed = now.mono.saturating_duration_since(at).as_secs_f64();
                self.credit = (self.credit + passed * rate).min(most);
            }
        }
    }

    /// Asks for what changed to be written, if the last time was long enough ago.
    fn write(&mut self, now: Now, limits: &Limits, id: FleetId, effects: &mut VecDeque<Effect>) {
        let is_due = self.written_at.is_none_or(|at| now.mono >= at + limits.flush);
        if !is_due || (self.unwritten.is_empty() && !self.header_unwritten) {
            return;
        }
        self.written_at = Some(now.mono);
        let mut records = Vec::with_capacity(self.unwritten.len() + 1);
        for chunk in std::mem::take(&mut self.unwritten) {
            let begin = usize::from(chunk) * CHUNK;
            let end = (begin + CHUNK).min(self.targets.len());
            records.push(record::targets(id, chunk, &self.targets[begin..end]));
        }
        if std::mem::take(&mut self.header_unwritten) {
            records.push(self.header(id));
        }
        effects.push_back(Effect::Store { fleet: id, records });
    }

    fn drop_queue(&mut self, kind: StopKind, detail: &str) {
        for index in std::mem::take(&mut self.queue) {
            self.set(index as usize, ended_by(kind), detail);
        }
    }

    /// Moves a target on; never back, and never from its end.
    fn set(&mut self, at: usize, outcome: Outcome, detail: &str) {
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
