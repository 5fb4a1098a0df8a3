//! Drives fleet commands: hands their targets to the ledger, and keeps and says how they stand.
//!
//! [`crate::fleet`] is pure; here it meets the registry, the ledger, the store and the channels. It lives
//! behind the ledger's lock, since each feeds the other. A fleet command begins when the commit is done
//! that holds it and all its targets, on the store's thread, whether or not its sender still waits.

use std::sync::Arc;

#[cfg(test)]
mod tests;

use proto::messages::lamplighter::v1::FleetProgress;
use proto::{ChannelName, CommandId, DeviceId, channels};

use super::asker::Asker;
use super::commands::Desk;
use super::publish::{Receipt, Value, last_value_key};
use super::registry::operation;
use super::restore::{Restored, skip};
use super::{Broker, Settings};
use crate::access::{Verb, grant};
use crate::clock::Now;
use crate::fleet::{self, Answer, Effect, FleetId, Fleets, Outcome, Plan, fleet_of, request_id};
use crate::ledger::{self, Ledger};
use crate::mailbox::Wakes;
use crate::metrics::Limit;
use crate::store::{Operation, Store, StoreError, Table};
use crate::twin::ReportId;

/// Reads all fleet commands, and what the ledger has of their targets.
pub(crate) fn restore(
    settings: &Settings,
    store: &dyn Store,
    now: Now,
    ledger: &Ledger,
    restored: &mut Restored,
) -> Result<Fleets, StoreError> {
    let mut fleets = Fleets::new(settings.fleet);
    store.scan(Table::Fleet, &mut |key, value| match fleets.restore(key, value) {
        Ok(()) => restored.fleets += 1,
        Err(error) => skip("fleet command", &error, &mut restored.unreadable),
    })?;
    fleets.restored(now, |sender, request_id| {
        let command = ledger.find(sender, request_id)?;
        Some((command.id(), Outcome::of(command.state()), command.detail().into()))
    });
    Ok(fleets)
}

/// A command took a step; perhaps it is one of a fleet command.
pub(crate) fn note_update(desk: &mut Desk, update: &ledger::Update) {
    let id = update.request_id.as_deref().and_then(fleet_of).filter(|_| !update.late);
    let Some(id) = id else { return };
    if desk.fleets.get(id).is_some_and(|fleet| *fleet.plan().sender == *update.sender) {
        let step = (Outcome::of(update.state), &*update.detail);
        desk.fleets.update(id, &update.device, update.command, step);
    }
}

/// The ledger has decided about a target's command.
pub(crate) fn note_answer(
    now: Now,
    desk: &mut Desk,
    (id, index): (FleetId, u32),
    answer: &Result<ledger::Accepted, ledger::Refusal>,
) {
    let answer = match answer {
        Ok(accepted) => {
            Answer::Accepted { command: accepted.command, outcome: Outcome::of(accepted.state) }
        }
        Err(ledger::Refusal::Busy | ledger::Refusal::StoreFull) => Answer::Later,
        Err(refusal) => Answer::Refused { detail: refusal.to_string().into() },
    };
    desk.fleets.answer(now, id, index, answer);
}

impl Broker {
    pub(crate) fn fleet_durable(&self, id: FleetId) {
        let now = Now::read();
        let mut wakes = Wakes::default();
        let mut desk = self.desk.lock();
        desk.fleets.durable(now, id);
        self.drive_fleets(now, &mut desk, &mut wakes);
    }

    pub(crate) fn drive_fleets(&self, now: Now, desk: &mut Desk, wakes: &mut Wakes) {
        while let Some(effect) = desk.fleets.poll_effect() {
            match effect {
                Effect::HandOver { fleet, index, device, plan, ttl } => {
                    let target = (fleet, index);
                    self.hand_over(now, desk, wakes, target, (device, &plan, ttl));
                }
                Effect::Withdraw { command, by } => {
                    let reply = desk.token_of_nobody();
                    let cancel = ledger::Input::Cancel { command, by, reply };
                    self.drive(now, desk, wakes, cancel);
                }
                Effect::Store { fleet, records } => {
                    let operations = records.iter().cloned().map(put).collect();
                    if self.submit(operations, None).is_err() {
                        desk.fleets.not_stored(fleet, &records);
                    }
                }
                Effect::Forget { fleet, keys } => self.forget_fleet(fleet, &keys),
                Effect::Publish { fleet } => {
                    if let Some(progress) = progress(now, fleet, desk) {
                        self.say_progress(now, &progress, wakes);
                    }
                }
            }
        }
    }

    fn hand_over(
        &self,
        now: Now,
        desk: &mut Desk,
        wakes: &mut Wakes,
        (fleet, index): (FleetId, u32),
        (device, plan, ttl): (DeviceId, &Arc<Plan>, std::time::Duration),
    ) {
        if !self.devices.lock().contains_key(&device) {
            let detail = "the device is not registered any more".into();
            return desk.fleets.answer(now, fleet, index, Answer::Refused { detail });
        }
        if !self.may_still_command(&plan.sender, &device) {
            let detail = "the role of its sender doesn't grant it any more".into();
            return desk.fleets.answer(now, fleet, index, Answer::Refused { detail });
        }
        let command = ledger::NewCommand {
            command: CommandId::from_bytes(uuid::Uuid::now_v7().into_bytes()),
            request_id: Some(request_id(fleet, &device).into()),
            device,
            sender: plan.sender.as_str().into(),
            supersede_key: plan.supersede_key.as_deref().map(Arc::from),
            type_name: plan.type_name.as_str().into(),
            payload: plan.payload.clone(),
            ttl,
            reply: desk.token(Asker::Target(fleet, index)),
        };
        self.drive(now, desk, wakes, ledger::Input::Accept(command));
    }

    /// Whether the role of a sender, called as [`crate::access::Identity`] writes it, grants the command
    /// now: targets may wait for days after they were resolved.
    fn may_still_command(&self, sender: &str, device: &DeviceId) -> bool {
        let role = sender.split_once(' ').map_or(sender, |(role, _)| role);
        let name = grant::device_name(device);
        self.role(role).is_ok_and(|role| role.allows(Verb::Command, &name).is_some())
    }

    fn forget_fleet(&self, fleet: FleetId, keys: &[Box<[u8]>]) {
        let last = last_value_key(&channel_name(fleet), channels::FLEET_TYPE);
        let records = keys.iter().map(|key| operation(Table::Fleet, key, None));
        let last = operation(Table::LastValue, &last, None);
        let records: Vec<_> = records.chain([last]).collect();
        if self.writer().submit(records, None).is_err() {
            // The records are found and forgotten again after the next start.
            self.metrics.limit_hit(Limit::Store);
        }
    }

    fn say_progress(&self, now: Now, progress: &FleetProgress, wakes: &mut Wakes) {
        use prost::Message as _;
        let name = format!("{}.{}", channels::FLEET_PREFIX, progress.fleet);
        let payload = progress.encode_to_vec();
        let value = Value {
            type_name: channels::FLEET_TYPE,
            payload: &payload,
            report: ReportId::default(),
            measured_unix_ms: 0,
            instead_of: None,
        };
        let name = ChannelName::parse(&name).expect("an id is a segment");
        let said = self
            .channel(&name)
            .and_then(|channel| self.publish(now, &channel, value, &Receipt::None, wakes));
        if let Err(refusal) = said {
            tracing::warn!(channel = %name, reason = %refusal.message,
                "the progress of a fleet command was not kept");
        }
    }
}

fn channel_name(fleet: FleetId) -> String {
    format!("{}.{fleet}", channels::FLEET_PREFIX)
}

pub(super) fn put(record: fleet::Record) -> Operation {
    operation(Table::Fleet, &record.key, Some(record.value))
}

/// What is said of a fleet command on its channel.
fn progress(now: Now, id: FleetId, desk: &Desk) -> Option<FleetProgress> {
    let fleet = desk.fleets.get(id)?;
    let counts = fleet.counts();
    let stop = fleet.stopped();
    Some(FleetProgress {
        fleet: id.to_string(),
        phase: fleet.phase(now).word().to_owned(),
        stopped: stop.map(|stop| stop.kind.word().to_owned()).unwrap_or_default(),
        detail: stop.map(|stop| stop.detail.clone()).unwrap_or_default(),
        time_unix_ms: now.unix_ms,
        targets: counts.total(),
        waiting: counts.of(Outcome::Waiting),
        accepted: counts.of(Outcome::Accepted),
        sent: counts.of(Outcome::Sent),
        delivered: counts.of(Outcome::Delivered),
        running: counts.of(Outcome::Running),
        succeeded: counts.of(Outcome::Succeeded),
        failed: counts.of(Outcome::Failed),
        rejected: counts.of(Outcome::Rejected),
        expired: counts.of(Outcome::Expired),
        canceled: counts.of(Outcome::Canceled),
        superseded: counts.of(Outcome::Superseded),
        unknown: counts.of(Outcome::Unknown),
    })
}
