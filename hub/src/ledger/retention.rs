//! Commands that have ended, and commands that come back from the disk.
//!
//! An ended command is remembered so that a repeated request finds it and people can ask for its
//! life. Room runs out from the oldest end on; whoever is forgotten early is counted.

use proto::id::CommandId;

use super::Ledger;
use super::command::Command;
use super::record::{Record, RecordError};
use super::types::{Effect, Refusal};
use crate::clock::Now;

impl Ledger {
    /// Moves a command whose end is durable from its queue to the remembered ones.
    pub(super) fn retire(&mut self, now: Now, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        if let Some(queue) = self.queues.get_mut(&command.record.device) {
            queue.remove(command.record.order);
        }
        command.due = now.mono + self.limits.retention;
        self.agenda.ended.insert((command.due, id));
        self.trim();
    }

    fn trim(&mut self) {
        while self.agenda.ended.len() > self.limits.retained_max {
            self.forget_oldest();
        }
    }

    /// Makes room for one more command with so many bytes.
    pub(super) fn make_room(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.commands.len() - self.agenda.ended.len() >= self.limits.live_max {
            return Err(Refusal::Busy);
        }
        while self.stats.bytes + bytes > self.limits.bytes_max {
            if !self.forget_oldest() {
                return Err(Refusal::Busy);
            }
        }
        Ok(())
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, id)) = self.agenda.ended.pop_first() else { return false };
        self.stats.forgotten_early += 1;
        self.forget(id);
        true
    }

    pub(super) fn forget(&mut self, id: CommandId) {
        let Some(mut command) = self.remove(id) else { return };
        // Whoever waits for a note's record waits for something that is being deleted.
        command.durable = command.revision;
        command.settle(&mut self.effects);
        self.effects.push_back(Effect::Forget { command: id });
    }

    /// Takes a command out of all tables.
    pub(super) fn remove(&mut self, id: CommandId) -> Option<Command> {
        let command = *self.commands.remove(&id)?;
        let record = &command.record;
        self.agenda.live.remove(&(command.due, id));
        self.agenda.ended.remove(&(command.due, id));
        if let Some(queue) = self.queues.get_mut(&record.device) {
            queue.remove(record.order);
        }
        if let Some(request_id) = &record.request_id {
            let key = (record.sender.clone(), request_id.clone());
            if self.requests.get(&key) == Some(&id) {
                self.requests.remove(&key);
            }
        }
        self.stats.bytes -= command.bytes();
        self.stats.by_state[command.shown as usize] -= 1;
        Some(command)
    }

    /// Takes a command that an earlier process wrote.
    pub(super) fn take_record(
        &mut self,
        now: Now,
        record: &[u8],
    ) -> Result<CommandId, RecordError> {
        let record = Record::decode(record)?;
        let id = record.id;
        if self.commands.contains_key(&id) {
            return Err(RecordError::Value("id"));
        }
        self.order_next = self.order_next.max(record.order.saturating_add(1));
        let command = Command::restored(now, &self.limits, record);
        let (device, key) = (command.record.device.clone(), command.record.supersede_key.clone());
        self.insert_restored(command);
        // The crash may have come between a command's record and those of the ones that it
        // replaces.
        if let (Some(queue), Some(key)) = (self.queues.get(&device), key) {
            let newest = queue.ids().rev().find(|id| {
                let command = self.commands.get(id);
                command.is_some_and(|it| it.has_key(Some(&key)) && !it.is_ended())
            });
            if let Some(newest) = newest {
                self.supersede(now, newest);
            }
        }
        self.trim();
        Ok(id)
    }

    /// A request id may stand in two records, if the older one was forgotten and its deletion got
    /// lost in the crash: the newer one counts.
    fn insert_restored(&mut self, command: Command) {
        let record = &command.record;
        let key = record.request_id.clone().map(|request| (record.sender.clone(), request));
        let other = key.as_ref().and_then(|key| self.requests.get(key)).copied();
        let order = |id: &CommandId| self.commands.get(id).map(|other| other.record.order);
        let newer = other.filter(|id| order(id) > Some(record.order));
        self.insert(command);
        if let (Some(key), Some(newer)) = (key, newer) {
            self.requests.insert(key, newer);
        }
    }
}
