//! Requests of senders: to accept a command, and to withdraw one.

use std::sync::Arc;

use proto::CommandState;
use proto::id::{CommandId, DeviceId};
use proto::limits as wire;

use super::command::{Command, Then};
use super::limits::SENDER_BYTES_MAX;
use super::types::{Accepted, Effect, NewCommand, Refusal, ReplyToken};
use super::{Ledger, Queue};
use crate::clock::Now;

impl Ledger {
    pub(super) fn accept(&mut self, now: Now, mut new: NewCommand) {
        new.request_id = new.request_id.filter(|id| !id.is_empty());
        new.supersede_key = new.supersede_key.filter(|key| !key.is_empty());
        match self.admit(&new) {
            Ok(None) => self.enter(now, new),
            Ok(Some(original)) => self.repeat(original, new.reply),
            Err(refusal) => self.refuse(new.reply, refusal),
        }
    }

    /// Decides about a new command. `Some` names the one that an earlier request made.
    fn admit(&mut self, new: &NewCommand) -> Result<Option<CommandId>, Refusal> {
        if let Some(original) = self.original(new) {
            let same = original.is_same_request(new);
            return if same { Ok(Some(original.record.id)) } else { Err(Refusal::Conflict) };
        }
        if self.commands.contains_key(&new.command) {
            return Err(Refusal::Conflict);
        }
        check_lengths(new)?;
        let (min, max) = (self.limits.ttl_min, self.limits.ttl_max);
        if new.ttl < min || new.ttl > max {
            return Err(Refusal::TtlOutOfRange { min, max });
        }
        self.check_queue(new)?;
        self.make_room(new.payload.len())?;
        Ok(None)
    }

    fn original(&self, new: &NewCommand) -> Option<&Command> {
        let key = (new.sender.clone(), new.request_id.clone()?);
        self.commands.get(self.requests.get(&key)?).map(Box::as_ref)
    }

    /// Whether the device's queue has room. A command that this one replaces takes none.
    fn check_queue(&self, new: &NewCommand) -> Result<(), Refusal> {
        let Some(queue) = self.queues.get(&new.device) else { return Ok(()) };
        let key = new.supersede_key.as_deref();
        let (mut count, mut bytes) = (1, new.payload.len());
        for command in queue.ids().filter_map(|id| self.commands.get(&id)) {
            if command.is_queued() && !command.has_key(key) {
                count += 1;
                bytes += command.record.payload.len();
            }
        }
        // Ended commands stay in the queue until the disk has their end, so a slow disk could make
        // it long.
        let length_max = 2 * (self.limits.queue_max + self.limits.in_flight_max);
        let full = count > self.limits.queue_max
            || bytes > self.limits.queue_bytes_max
            || queue.entries.len() >= length_max;
        if full { Err(Refusal::QueueFull) } else { Ok(()) }
    }

    fn enter(&mut self, now: Now, new: NewCommand) {
        let order = self.order_next;
        self.order_next += 1;
        let mut command = Command::new(now, order, new);
        if self.takes_at_once(&command.record.device) {
            command.dispatch();
        }
        self.effects.push_back(command.persist());
        self.insert(command);
    }

    /// Whether the device would be sent one more command without waiting for another.
    fn takes_at_once(&self, device: &DeviceId) -> bool {
        let Some(queue) = self.queues.get(device) else { return false };
        let mut commands = queue.ids().filter_map(|id| self.commands.get(&id));
        queue.session.is_some_and(|session| queue.entries.len() < session.window)
            && commands.all(|command| !command.is_queued())
    }

    /// Takes a command into all tables.
    pub(super) fn insert(&mut self, command: Command) {
        let record = &command.record;
        let id = record.id;
        if let Some(request_id) = &record.request_id {
            self.requests.insert((record.sender.clone(), request_id.clone()), id);
        }
        if command.is_ended() {
            self.agenda.ended.insert((command.due, id));
        } else {
            self.agenda.live.insert((command.due, id));
            let queue: &mut Queue = self.queues.entry(record.device.clone()).or_default();
            queue.insert(record.order, id);
        }
        self.stats.bytes += command.bytes();
        self.stats.by_state[command.shown as usize] += 1;
        self.commands.insert(id, Box::new(command));
    }

    /// Answers a repeated request, no sooner than the original one.
    fn repeat(&mut self, original: CommandId, token: ReplyToken) {
        let Some(command) = self.commands.get_mut(&original) else { return };
        if command.durable > 0 {
            let state = command.shown;
            let answer = Ok(Accepted { command: original, state, duplicate: true });
            self.effects.push_back(Effect::Reply { token, answer });
        } else if !command.wait(1, Then::Reply { token, duplicate: true }) {
            self.refuse(token, Refusal::Busy);
        }
    }

    pub(super) fn cancel(&mut self, now: Now, id: CommandId, by: &str, token: ReplyToken) {
        match self.withdraw(now, id, by) {
            Ok(duplicate) => {
                let Some(command) = self.commands.get_mut(&id) else { return };
                if !command.wait(command.ending.unwrap_or(1), Then::Reply { token, duplicate }) {
                    return self.refuse(token, Refusal::Busy);
                }
                command.settle(&mut self.effects);
            }
            Err(refusal) => self.refuse(token, refusal),
        }
    }

    /// Ends a command that was not sent. `true` if it was withdrawn before.
    fn withdraw(&mut self, now: Now, id: CommandId, by: &str) -> Result<bool, Refusal> {
        let command = self.commands.get(&id).filter(|command| command.durable > 0);
        let command = command.ok_or(Refusal::NotFound)?;
        if command.record.state == CommandState::Canceled {
            Ok(true)
        } else if command.shown.is_terminal() {
            Err(Refusal::AlreadyEnded { state: command.shown })
        } else if command.sent {
            Err(Refusal::AlreadySent)
        } else if command.is_ended() {
            // How it ends must not be told before the disk has it.
            Err(Refusal::Busy)
        } else {
            let by = cut(by, wire::DETAIL_BYTES_MAX - WITHDRAWN.len());
            self.end(now, id, CommandState::Canceled, &format!("{WITHDRAWN}{by}"));
            Ok(false)
        }
    }

    /// Ends the older commands that a durable one replaces.
    pub(super) fn supersede(&mut self, now: Now, newer: CommandId) {
        let Some(newer) = self.commands.get(&newer).filter(|newer| !newer.is_ended()) else {
            return;
        };
        let Some(key) = newer.record.supersede_key.clone() else { return };
        let (id, order) = (newer.record.id, newer.record.order);
        let Some(queue) = self.queues.get(&newer.record.device) else { return };
        let older: Vec<_> = queue
            .ids()
            .filter_map(|id| self.commands.get(&id))
            .filter(|older| older.record.order < order && older.has_key(Some(&key)))
            .filter(|older| !older.sent && !older.is_ended())
            .map(|older| older.record.id)
            .collect();
        for older in older {
            self.end(now, older, CommandState::Superseded, &format!("replaced by {id}"));
        }
    }

    pub(super) fn refuse(&mut self, token: ReplyToken, refusal: Refusal) {
        self.effects.push_back(Effect::Reply { token, answer: Err(refusal) });
    }
}

const WITHDRAWN: &str = "withdrawn by ";

/// The start of a text, at most `bytes_max` long.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn check_lengths(new: &NewCommand) -> Result<(), Refusal> {
    let length = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len);
    let fields = [
        ("payload", new.payload.len(), wire::PAYLOAD_BYTES_MAX),
        ("request_id", length(&new.request_id), wire::KEY_BYTES_MAX),
        ("sender", new.sender.len(), SENDER_BYTES_MAX),
        ("supersede_key", length(&new.supersede_key), wire::KEY_BYTES_MAX),
        ("type", new.type_name.len(), wire::TYPE_BYTES_MAX),
    ];
    match fields.into_iter().find(|(_, bytes, limit)| bytes > limit) {
        Some((field, _, limit)) => Err(Refusal::TooLong { field, limit }),
        None => Ok(()),
    }
}
