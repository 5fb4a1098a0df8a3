//! Drives the ledger: gives it what happens, carries out what it asks.
//!
//! The ledger is pure; here it meets the store, the devices' sessions and the channels. All of it
//! happens under the ledger's lock, so its effects keep their order; who receives them is woken after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{CommandUpdate, Deliver, Envelope, ErrorCode, Kind};
use proto::wire::Encode as _;
use proto::{CommandId, DeviceId, channels};

use tokio::sync::oneshot;

use super::asker::{Asker, answered};
use super::devices::{DevicePeer, Peer};
use super::registry::operation;
use super::{Broker, Ticket};
use crate::access::Identity;
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::request::{Report, Sending};
use crate::codec::{Refusal, encode};
use crate::fleet::Fleets;
use crate::ledger::{self, Effect, Input, Ledger, ReplyToken};
use crate::mailbox::Wakes;
use crate::metrics::Limit;
use crate::store::Table;

/// Requests of peers that wait for the ledger's answer; those of fleet commands have their own bound.
const REPLIES_MAX: usize = 100_000;

/// The ledger, the fleet commands that feed it, and who waits for its answers.
#[derive(Debug)]
pub struct Desk {
    pub(crate) ledger: Ledger,
    pub(crate) fleets: Fleets,
    replies: HashMap<ReplyToken, Asker>,
    next_reply: u64,
    /// Goes into the batch of the next step that is persisted.
    record: Option<Record>,
}

impl Desk {
    pub(crate) fn new(ledger: Ledger, fleets: Fleets) -> Self {
        Self { ledger, fleets, replies: HashMap::new(), next_reply: 0, record: None }
    }

    pub(crate) fn token(&mut self, asker: Asker) -> ReplyToken {
        self.next_reply += 1;
        let token = ReplyToken(self.next_reply);
        // Targets have a bound of their own.
        if self.replies.len() < REPLIES_MAX || matches!(asker, Asker::Target(..)) {
            self.replies.insert(token, asker);
        }
        token
    }

    /// What the audit log gets in the batch of the next step that is persisted.
    pub(crate) fn record_next(&mut self, record: Record) {
        self.record = Some(record);
    }

    /// Nothing was persisted, so there is nothing to record either.
    pub(crate) fn record_nothing(&mut self) {
        self.record = None;
    }

    /// A token for a request whose answer nobody waits for.
    pub(crate) fn token_of_nobody(&mut self) -> ReplyToken {
        self.next_reply += 1;
        ReplyToken(self.next_reply)
    }
}

impl Broker {
    /// Accepts a command. The answer goes to the peer's mailbox once it is durable.
    ///
    /// # Errors
    /// The device is not registered, or the payload is not of its type.
    pub fn send(
        &self,
        now: Now,
        peer: &Peer,
        request: u64,
        sending: Sending<'_>,
    ) -> Result<(), Refusal> {
        let by = self.actor_of(peer);
        self.accept(now, &peer.identity, by, Asker::peer(peer, request), sending)
    }

    /// Accepts a command, and waits until it is durable.
    ///
    /// # Errors
    /// As [`Broker::send`], and whatever the ledger refuses.
    pub async fn send_and_wait(
        &self,
        now: Now,
        identity: &Identity,
        by: Actor,
        sending: Sending<'_>,
    ) -> Result<ledger::Accepted, Refusal> {
        let (asker, answer) = oneshot::channel();
        self.accept(now, identity, by, Asker::Task(asker), sending)?;
        answered(answer).await
    }

    fn accept(
        &self,
        now: Now,
        identity: &Identity,
        by: Actor,
        asker: Asker,
        sending: Sending<'_>,
    ) -> Result<(), Refusal> {
        if !self.devices.lock().contains_key(&sending.device) {
            let text = format!("{} is not registered", sending.device);
            return Err(Refusal::new(ErrorCode::NotFound, "send.device", text));
        }
        if !self.types.contains(sending.type_name) {
            let text = "is no message type that the hub knows; use lighting.v1.Command";
            return Err(Refusal::new(ErrorCode::BadValue, "send.type", text));
        }
        let payload = sending.content.into_payload(sending.type_name, &self.types, "send.data")?;
        self.types.check_payload(sending.type_name, &payload).map_err(|error| {
            Refusal::new(ErrorCode::BadValue, "send.payload", error.to_string())
        })?;
        let id = CommandId::from_bytes(uuid::Uuid::now_v7().into_bytes());
        let record = Record::done(by, Verb::SendCommand, sending.device.as_str())
            .detail(format!("{id} {}", sending.type_name));
        let mut wakes = Wakes::default();
        let mut desk = self.desk.lock();
        let command = ledger::NewCommand {
            command: id,
            device: sending.device,
            sender: identity.to_string().into(),
            request_id: some(sending.request_id),
            supersede_key: some(sending.supersede_key),
            type_name: sending.type_name.into(),
            payload: bytes::Bytes::copy_from_slice(&payload),
            ttl: Duration::from_secs(u64::from(sending.ttl_s)),
            reply: desk.token(asker),
        };
        desk.record = Some(record);
        self.drive(now, &mut desk, &mut wakes, Input::Accept(command));
        // A repeated request changes nothing.
        desk.record = None;
        Ok(())
    }

    /// Withdraws a command that was not sent. The answer goes to the peer's mailbox.
    ///
    /// # Errors
    /// The command is for a device that the peer may not command.
    pub fn cancel(
        &self,
        now: Now,
        peer: &Peer,
        request: u64,
        command: CommandId,
    ) -> Result<(), Refusal> {
        let by = self.actor_of(peer);
        self.withdraw(now, &peer.identity, by, Asker::peer(peer, request), command)
    }

    /// Withdraws a command that was not sent, and waits until that is durable.
    ///
    /// # Errors
    /// There is no such command, it is for a device that the identity may not command, it was sent, or
    /// it has ended.
    pub async fn cancel_and_wait(
        &self,
        now: Now,
        identity: &Identity,
        by: Actor,
        command: CommandId,
    ) -> Result<ledger::Accepted, Refusal> {
        let (asker, answer) = oneshot::channel();
        self.withdraw(now, identity, by, Asker::Task(asker), command)?;
        answered(answer).await
    }

    fn withdraw(
        &self,
        now: Now,
        identity: &Identity,
        actor: Actor,
        asker: Asker,
        command: CommandId,
    ) -> Result<(), Refusal> {
        let mut wakes = Wakes::default();
        let mut desk = self.desk.lock();
        let device = desk.ledger.command(&command).map(|view| view.device().clone());
        if device.is_some_and(|device| !identity.may_command(&device)) {
            let text = "this identity may not command the device";
            return Err(Refusal::new(ErrorCode::NotPermitted, "cancel.command", text));
        }
        let reply = desk.token(asker);
        let by = identity.to_string().into();
        desk.record = Some(Record::done(actor, Verb::CancelCommand, command.to_string()));
        self.drive(now, &mut desk, &mut wakes, Input::Cancel { command, by, reply });
        desk.record = None;
        Ok(())
    }

    /// Takes a device's word on a command. It is acknowledged once it needs no repeating.
    pub fn report(
        &self,
        now: Now,
        peer: &Peer,
        session: &DevicePeer,
        request: u64,
        report: &Report<'_>,
    ) {
        let mut wakes = Wakes::default();
        let mut desk = self.desk.lock();
        let reply = (request != 0).then(|| desk.token(Asker::peer(peer, request)));
        let ignored = desk.ledger.stats().reports_ignored;
        let input = Input::Report(ledger::Report {
            device: session.id.clone(),
            session: session.generation,
            command: report.command,
            state: report.report.state,
            percent: u8::try_from(report.report.percent).unwrap_or(100),
            detail: report.report.detail.into(),
            result: bytes::Bytes::copy_from_slice(report.report.result),
            reply,
        });
        self.drive(now, &mut desk, &mut wakes, input);
        self.metrics.reports_ignored.inc_by(desk.ledger.stats().reports_ignored - ignored);
    }

    pub(crate) fn tell_ledger(&self, now: Now, input: Input) {
        let mut wakes = Wakes::default();
        self.drive(now, &mut self.desk.lock(), &mut wakes, input);
    }

    /// Steps of commands, and whole fleet commands, are on disk.
    pub(crate) fn commands_durable(&self, steps: &[(CommandId, u32)]) {
        if steps.is_empty() {
            return;
        }
        let now = Now::read();
        let mut wakes = Wakes::default();
        let mut desk = self.desk.lock();
        for (command, step) in steps {
            self.drive(
                now,
                &mut desk,
                &mut wakes,
                Input::Durable { command: *command, step: *step },
            );
        }
        self.drive_fleets(now, &mut desk, &mut wakes);
    }

    /// Lets the ledger's time pass. Called several times a second.
    pub(crate) fn commands_tick(&self, now: Now) {
        let mut wakes = Wakes::default();
        let mut desk = self.desk.lock();
        self.withdraw_of_revoked(now, &mut desk, &mut wakes);
        while desk.ledger.deadline().is_some_and(|deadline| deadline <= now.mono) {
            self.drive(now, &mut desk, &mut wakes, Input::Timeout);
        }
        desk.fleets.tick(now);
        self.drive_fleets(now, &mut desk, &mut wakes);
    }

    pub(crate) fn drive(&self, now: Now, desk: &mut Desk, wakes: &mut Wakes, input: Input) {
        desk.ledger.handle(now, input);
        while let Some(effect) = desk.ledger.poll_effect() {
            self.carry_out(now, desk, wakes, effect);
        }
    }

    fn carry_out(&self, now: Now, desk: &mut Desk, wakes: &mut Wakes, effect: Effect) {
        match effect {
            Effect::Persist { command, record, step } => {
                let operation = operation(Table::Command, &command.to_bytes(), Some(record));
                let is_volatile = self.writer().is_volatile();
                let ticket = (!is_volatile).then_some(Ticket::Command { command, step });
                let records = desk.record.take();
                let taken = self.submit_audited(now, vec![operation], ticket, records.as_slice());
                match taken {
                    Err(_) => desk.ledger.handle(now, Input::NotStored { command, step }),
                    // There is no disk to wait for, so neither is there a thread to hear from.
                    Ok(()) if is_volatile => {
                        desk.ledger.handle(now, Input::Durable { command, step });
                    }
                    Ok(()) => {}
                }
            }
            Effect::Forget { command } => {
                let operation = operation(Table::Command, &command.to_bytes(), None);
                if self.writer().submit(vec![operation], None).is_err() {
                    // The record is found and forgotten again after the next start.
                    self.metrics.limit_hit(Limit::Store);
                }
            }
            Effect::Deliver(delivery) => {
                if !self.deliver(&delivery, wakes) {
                    let (device, session) = (delivery.device, delivery.session);
                    desk.ledger.handle(now, Input::DeviceGone { device, session });
                }
            }
            Effect::Update(update) => {
                self.say_update(now, &update, wakes);
                super::fleet::note_update(desk, &update);
                self.note_override(now, desk, &update);
            }
            Effect::Reply { token, answer } => {
                match desk.replies.remove(&token) {
                    Some(Asker::Target(fleet, index)) => {
                        super::fleet::note_answer(now, desk, (fleet, index), &answer);
                    }
                    Some(asker) => asker.answer(answer, wakes),
                    None => {}
                }
                match answer {
                    Err(ledger::Refusal::QueueFull) => self.metrics.limit_hit(Limit::CommandQueue),
                    Err(ledger::Refusal::Busy) => self.metrics.limit_hit(Limit::Commands),
                    Ok(_) | Err(_) => {}
                }
                if answer.is_ok_and(|accepted| !accepted.duplicate) {
                    self.metrics.commands_accepted.inc();
                }
            }
            Effect::AckReport { token, .. } => {
                if let Some(asker) = desk.replies.remove(&token) {
                    asker.acknowledge(wakes);
                }
            }
        }
    }

    /// Whether the session took it.
    fn deliver(&self, delivery: &ledger::Delivery, wakes: &mut Wakes) -> bool {
        let mailbox = {
            let devices = self.devices.lock();
            let device = devices.get(&delivery.device);
            let current = device.filter(|device| device.generation == delivery.session);
            let Some(mailbox) = current.and_then(|device| device.session.clone()) else {
                return false;
            };
            mailbox
        };
        let text = delivery.command.text();
        let deliver = Deliver {
            command: text.as_str(),
            type_name: &delivery.type_name,
            payload: &delivery.payload,
            remaining_ms: u32::try_from(delivery.remaining.as_millis()).unwrap_or(u32::MAX),
            attempt: delivery.attempt,
            ..Deliver::default()
        };
        wakes.add(mailbox.answer(encode(&Envelope::new(Kind::Deliver(deliver)))));
        true
    }

    fn say_update(&self, now: Now, update: &ledger::Update, wakes: &mut Wakes) {
        if update.state.is_terminal() && !update.late {
            self.metrics.commands_ended.inc();
        }
        let text = update.command.text();
        let message = CommandUpdate {
            command: text.as_str(),
            device: update.device.as_str(),
            state: update.state,
            percent: u32::from(update.percent),
            time_unix_ms: update.unix_ms,
            sender: &update.sender,
            type_name: &update.type_name,
            detail: &update.detail,
            attempt: update.attempt,
            result: &update.result,
            request_id: update.request_id.as_deref().unwrap_or_default(),
            deadline_unix_ms: update.deadline_unix_ms,
            late: update.late,
            ..CommandUpdate::default()
        };
        let mut payload = Vec::with_capacity(message.encoded_len());
        message.encode(&mut payload);
        self.publish_own(now, &channels::COMMANDS, &update.device, &payload, wakes);
    }

    /// What the ledger knows of a command.
    pub fn with_command<R>(
        &self,
        command: &CommandId,
        look: impl FnOnce(ledger::CommandView<'_>) -> R,
    ) -> Option<R> {
        self.desk.lock().ledger.command(command).map(look)
    }

    /// Looks at commands that `wants` picks, newest first: at up to `limit` of them, from before `cursor`
    /// on. Returns what `look` made of them, and whether there are more. Costs a walk over all.
    pub fn with_commands<R>(
        &self,
        wants: impl Fn(&ledger::CommandView<'_>) -> bool,
        cursor: Option<&CommandId>,
        limit: usize,
        look: impl FnMut(ledger::CommandView<'_>) -> R,
    ) -> (Vec<R>, bool) {
        let desk = self.desk.lock();
        let after = |id: CommandId| cursor.is_none_or(|cursor| id < *cursor);
        let mut found: Vec<_> =
            desk.ledger.commands().filter(|view| after(view.id()) && wants(view)).collect();
        // Ids begin with the time of acceptance.
        found.sort_unstable_by_key(|view| std::cmp::Reverse(view.id()));
        let more = found.len() > limit;
        (found.into_iter().take(limit).map(look).collect(), more)
    }

    /// Commands that wait for a device or run on it.
    pub fn waiting_commands(&self, device: &DeviceId) -> usize {
        self.desk.lock().ledger.queue(device).count()
    }
}

fn some(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}
