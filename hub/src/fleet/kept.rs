//! A fleet command and its records: written as it goes, read after a restart.

use std::collections::VecDeque;

use proto::{CommandId, DeviceId};

use super::plan::{Plan, Stop};
use super::record::{self, CHUNK, Header, Record, RecordError};
use super::run::{Fleet, Phase};
use super::target::{Outcome, Target};
use super::{Effect, FleetId, Limits};
use crate::clock::Now;

impl Fleet {
    pub(super) fn restored(header: Header) -> Self {
        Self { durable: true, ..Self::around(header) }
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

    pub(super) fn not_stored(&mut self, records: &[Record]) {
        for record in records {
            match record.chunk {
                Some(chunk) => drop(self.unwritten.insert(chunk)),
                None => self.header_unwritten = true,
            }
        }
    }

    /// Asks for what changed to be written, if the last time was long enough ago.
    pub(super) fn write(
        &mut self,
        now: Now,
        limits: &Limits,
        id: FleetId,
        effects: &mut VecDeque<Effect>,
    ) {
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
}
