//! Brings commands to devices: the life of every command, without socket, disk and clock.
//!
//! The driver (`broker`) owns all three. It feeds the ledger [`Input`]s and carries out the
//! [`Effect`]s that come back:
//!
//! ```text
//!   requests, reports, sessions, ─▶ handle() ─▶ Ledger ─▶ poll_effect() ─▶ store, sessions,
//!   what the store wrote, time                     └────▶ deadline()    ─▶ timer     channels
//!
//!   ACCEPTED ─▶ SENT ─▶ DELIVERED ─▶ RUNNING ─▶ SUCCEEDED | FAILED | REJECTED | UNKNOWN
//!      └────────▶ EXPIRED | CANCELED | SUPERSEDED
//! ```
//!
//! Read this file first, then `accept`, `delivery`, `outcome` in the order of a command's life;
//! `record` is what the disk has of it, `agenda` its timers, `retention` how it is forgotten.
//!
//! # Contract with the driver
//!
//! Start with [`Ledger::restore`] for every record of the store. After each `restore` and each
//! [`Ledger::handle`], take effects until there are none, in their order; call back with
//! [`Input::Timeout`] when [`Ledger::deadline`] is reached. `now.mono` never goes backwards.
//! Records are written in the order asked for, so what survives a crash is what was asked for up to
//! some moment; each [`Effect::Persist`] is answered once. Inputs about one device come in the
//! order in which they happened. Permission was checked before an input.
//!
//! # Invariants
//!
//! - A sender hears of an acceptance, and anybody of an end, once the disk has it. The first end
//!   stands; a different one that comes later is kept as a note.
//! - A command is delivered once a durable record says that it may have been sent. If the device
//!   is ready when it is accepted, that is the record of its acceptance: one commit.
//! - A device gets its commands in the order of acceptance, again after each reconnect, at most a
//!   window of them at once, none after its deadline.
//! - Every accepted command ends by its deadline, or `grace` after it if it may have been sent.
//! - Deadlines run on monotonic time. Over a restart, what is left of a command's time is computed
//!   from the wall clock and never more than it had at first: a clock set back while the hub was
//!   down gives time again, one set ahead takes it; neither changes the order of commands.
//!
//! # Cost
//!
//! An input walks at most one device's queue, whose length is bounded, and moves a timer in
//! O(log n). Memory is bounded by [`Limits`]; progress reports cost no write.

mod accept;
mod agenda;
mod command;
mod delivery;
mod limits;
mod merge;
mod outcome;
mod queue;
mod record;
mod retention;
#[cfg(test)]
mod tests;
mod types;
mod view;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use proto::CommandState;
use proto::id::{CommandId, DeviceId};

use self::agenda::{Agenda, Due};
use self::command::Command;
use self::queue::Queue;
use crate::clock::Now;

pub use self::limits::Limits;
pub use self::record::RecordError;
pub use self::types::{
    Accepted, Delivery, Effect, Input, NewCommand, Refusal, ReplyToken, Report, Stats, Step, Update,
};
pub use self::view::CommandView;

/// All commands of a hub, from their acceptance until they are forgotten.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    /// Boxed, since the table moves all that it holds when it grows.
    commands: HashMap<CommandId, Box<Command>>,
    queues: HashMap<DeviceId, Queue>,
    /// By sender and request id.
    requests: HashMap<(Arc<str>, Arc<str>), CommandId>,
    agenda: Agenda,
    order_next: u64,
    stats: Stats,
    effects: VecDeque<Effect>,
}

impl Ledger {
    /// A ledger without commands.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            commands: HashMap::new(),
            queues: HashMap::new(),
            requests: HashMap::new(),
            agenda: Agenda::default(),
            order_next: 0,
            stats: Stats::default(),
            effects: VecDeque::new(),
        }
    }

    // Inputs

    /// Takes one record of the store, before any other input. The order of records is free.
    ///
    /// # Errors
    ///
    /// The record can't be read; the ledger is as it was.
    pub fn restore(&mut self, now: Now, record: &[u8]) -> Result<CommandId, RecordError> {
        self.take_record(now, record)
    }

    /// Advances by one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Accept(new) => self.accept(now, new),
            Input::Cancel { command, by, reply } => self.cancel(now, command, &by, reply),
            Input::DeviceGone { device, session } => self.device_gone(&device, session),
            Input::DeviceReady { device, session, boot, window } => {
                self.device_ready(now, &device, command::Hop { session, boot }, window);
            }
            Input::DeviceRemoved { device } => self.device_removed(now, &device),
            Input::Durable { command, step } => self.durable(now, command, step),
            Input::NotStored { command, step } => self.not_stored(now, command, step),
            Input::Report(report) => self.report(now, report),
            Input::Timeout => self.timeout(now),
        }
    }

    fn timeout(&mut self, now: Now) {
        for _ in 0..limits::TIMEOUT_BATCH {
            match self.agenda.pop(now.mono) {
                Some(Due::End(id)) => self.run_out(now, id),
                Some(Due::Retry(id)) => self.offer_again(id),
                Some(Due::Forget(id)) => self.forget(id),
                None => break,
            }
        }
    }

    // Outputs

    /// The next thing to do; `None` until the next input.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The latest moment at which the driver must call back with [`Input::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        self.agenda.next()
    }

    // Getters

    /// One command; `None` if it is not durable, or forgotten.
    pub fn command(&self, id: &CommandId) -> Option<CommandView<'_>> {
        self.commands.get(id)?.view()
    }

    /// The command that a sender's request made; `None` as above.
    pub fn find(&self, sender: &str, request_id: &str) -> Option<CommandView<'_>> {
        self.command(self.requests.get(&(sender.into(), request_id.into()))?)
    }

    /// All commands of a device that are remembered, in no order. Costs a walk over all commands.
    pub fn of_device(&self, device: &DeviceId) -> impl Iterator<Item = CommandView<'_>> {
        let commands = self.commands.values().filter(move |it| it.record.device == *device);
        commands.filter_map(|command| command.view())
    }

    /// All commands that are durable and not forgotten, in no order.
    pub fn commands(&self) -> impl Iterator<Item = CommandView<'_>> {
        self.commands.values().filter_map(|command| command.view())
    }

    /// The commands of a device that have not ended, in the order of acceptance.
    pub fn queue(&self, device: &DeviceId) -> impl Iterator<Item = CommandView<'_>> {
        let ids = self.queues.get(device).into_iter().flat_map(Queue::ids);
        ids.filter_map(|id| self.command(&id))
    }

    /// What happened since the start, and how many commands there are.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // What all parts need

    /// Shows a command in another state.
    fn show(stats: &mut Stats, command: &mut Command, state: CommandState) {
        stats.by_state[command.shown as usize] -= 1;
        stats.by_state[state as usize] += 1;
        command.shown = state;
    }

    /// Decides how a command ends. It stays in its queue until the disk has it.
    fn end(&mut self, now: Now, id: CommandId, state: CommandState, detail: &str) {
        self.end_with(now, id, state, detail, bytes::Bytes::new());
    }

    fn end_with(
        &mut self,
        now: Now,
        id: CommandId,
        state: CommandState,
        detail: &str,
        result: bytes::Bytes,
    ) {
        let Some(command) = self.commands.get_mut(&id).filter(|command| !command.is_ended()) else {
            return;
        };
        self.agenda.live.remove(&(command.due, id));
        self.stats.bytes += result.len();
        command.end(now, state, detail, result);
        self.effects.push_back(command.persist());
    }
}
