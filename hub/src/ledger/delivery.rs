//! Devices and their sessions: which commands go out, when, and again.

use proto::CommandState;
use proto::id::{CommandId, DeviceId};

use super::Ledger;
use super::agenda::Agenda;
use super::command::{Command, Hop};
use super::limits::Limits;
use super::queue::Session;
use super::types::{Delivery, Effect, Stats, Update};
use crate::clock::Now;

impl Ledger {
    pub(super) fn device_ready(&mut self, now: Now, device: &DeviceId, hop: Hop, window: usize) {
        let queue = self.queues.entry(device.clone()).or_default();
        if hop.session <= queue.generation {
            self.stats.stale += 1;
            return self.drop_idle(device);
        }
        queue.generation = hop.session;
        queue.session =
            Some(Session { hop, window: window.clamp(1, self.limits.in_flight_max.max(1)) });
        self.blame(now, device, hop);
        self.pump(now, device);
    }

    pub(super) fn device_gone(&mut self, device: &DeviceId, session: u64) {
        let Some(queue) = self.queues.get_mut(device) else { return };
        if session == queue.generation {
            queue.session = None;
            self.drop_idle(device);
        } else {
            self.stats.stale += 1;
        }
    }

    pub(super) fn device_removed(&mut self, now: Now, device: &DeviceId) {
        let Some(queue) = self.queues.get_mut(device) else { return };
        queue.session = None;
        for id in queue.ids().collect::<Vec<_>>() {
            let sent = self.commands.get(&id).is_some_and(|command| command.sent);
            let state = if sent { CommandState::Unknown } else { CommandState::Canceled };
            self.end(now, id, state, "the device was removed");
        }
        self.drop_idle(device);
    }

    /// Hands out what the device's window and the order of commands allow.
    pub(super) fn pump(&mut self, now: Now, device: &DeviceId) {
        let Some(queue) = self.queues.get(device) else { return };
        let Some(session) = queue.session else { return self.drop_idle(device) };
        let mut room = session.window;
        // Every earlier command is with the device, or can't start any more.
        let mut in_order = true;
        for id in queue.ids() {
            let Some(command) = self.commands.get_mut(&id) else { continue };
            if !command.is_on(session.hop.session) {
                if command.is_ended() {
                    continue;
                }
                let Some(remaining) = command.remaining(now) else { continue };
                match command.dispatch {
                    None => {
                        command.dispatch();
                        self.effects.push_back(command.persist());
                        in_order = false;
                    }
                    Some(revision) if revision > command.durable => in_order = false,
                    Some(_) if in_order => {
                        mark_sent(&mut self.agenda, &self.limits, command);
                        deliver(&mut self.stats, command, now, session.hop);
                        let [out, shown] = delivered(command, now, remaining);
                        self.effects.extend([out, shown]);
                    }
                    Some(_) => {}
                }
            }
            room -= 1;
            if room == 0 {
                break;
            }
        }
    }

    /// Counts a restart of the device against the oldest command that it had. One that brings its
    /// device down each time must not keep the others waiting for ever. A device that only lost its
    /// connection is not counted, nor are the commands behind the oldest.
    fn blame(&mut self, now: Now, device: &DeviceId, hop: Hop) {
        let Some(queue) = self.queues.get(device) else { return };
        let is_live = |id: &CommandId| self.commands.get(id).is_some_and(|head| !head.is_ended());
        let Some(id) = queue.ids().find(is_live) else { return };
        let Some(head) = self.commands.get_mut(&id) else { return };
        let Some(before) = head.sent_on.take() else { return };
        if before.boot == hop.boot && hop.boot != 0 {
            return;
        }
        head.record.losses = head.record.losses.saturating_add(1);
        let losses = head.record.losses;
        if losses < self.limits.attempts_max {
            self.effects.push_back(head.persist());
        } else {
            self.stats.poisoned += 1;
            let detail = format!("the connection was lost {losses} times after delivery");
            self.end(now, id, CommandState::Failed, &detail);
        }
    }

    /// Gives back what is held for a device that is away and has nothing to come.
    pub(super) fn drop_idle(&mut self, device: &DeviceId) {
        if self.queues.get(device).is_some_and(super::Queue::is_idle) {
            self.queues.remove(device);
        }
    }
}

/// Notes that the device may have a command: only its word, or the end of `grace`, ends it now.
pub(super) fn mark_sent(agenda: &mut Agenda, limits: &Limits, command: &mut Command) {
    if !command.sent {
        command.sent = true;
        agenda.live.remove(&(command.due, command.record.id));
        command.due = command.deadline + limits.grace;
        agenda.live.insert((command.due, command.record.id));
    }
}

fn deliver(stats: &mut Stats, command: &mut Command, now: Now, hop: Hop) {
    command.sent_on = Some(hop);
    command.record.attempt = command.record.attempt.saturating_add(1);
    if command.record.attempt > 1 {
        stats.redeliveries += 1;
    }
    if command.record.state < CommandState::Sent {
        command.record.state = CommandState::Sent;
        Ledger::show(stats, command, CommandState::Sent);
    }
    let mut step = command.step(now, "");
    step.state = CommandState::Sent;
    command.add_step(step);
}

fn delivered(command: &Command, now: Now, remaining: std::time::Duration) -> [Effect; 2] {
    let record = &command.record;
    let out = Delivery {
        device: record.device.clone(),
        session: command.sent_on.map_or(0, |hop| hop.session),
        command: record.id,
        type_name: record.type_name.clone(),
        payload: record.payload.clone(),
        remaining,
        attempt: record.attempt,
    };
    let detail = if record.attempt > 1 { "delivered again" } else { "" };
    let shown = Update { detail: detail.into(), ..command.update(record.state, now.unix_ms) };
    [Effect::Deliver(out), Effect::Update(shown)]
}
