//! What waits of senders who may send no more: it is withdrawn, within a tick.
//!
//! Whatever takes a right away says so by [`Broker::senders_changed`]; the next tick looks at all commands
//! that wait unsent, and at the fleet commands that have not ended. What was sent goes on: it can't be
//! called back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proto::{CommandId, CommandState, DeviceId};

use super::Broker;
use super::commands::Desk;
use crate::access::{Subject, Verb as Right, grant};
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::fleet::FleetId;
use crate::ledger::Input;
use crate::mailbox::Wakes;

/// Who withdraws, and why, as it stands in the command's last step.
const BY: &str = "the hub: sender revoked";

impl Broker {
    /// A token, a role or an issuer is gone, or a role grants less.
    pub(crate) fn senders_changed(&self) {
        self.senders_changed.store(true, Ordering::Release);
    }

    /// Withdraws what waits of senders who may send no more, if there may be such. Costs a walk over all
    /// commands then.
    pub(crate) fn withdraw_of_revoked(&self, now: Now, desk: &mut Desk, wakes: &mut Wakes) {
        if !self.senders_changed.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut known: HashMap<Arc<str>, bool> = HashMap::new();
        let mut stands = |sender: &Arc<str>| {
            *known.entry(sender.clone()).or_insert_with(|| self.sender_stands(sender))
        };
        let unsent = desk.ledger.commands().filter(|view| view.state() == CommandState::Accepted);
        let orphans: Vec<CommandId> = unsent
            .filter(|view| !stands(view.sender()) || !self.may_still(view.sender(), view.device()))
            .map(|view| view.id())
            .collect();
        let fleets: Vec<FleetId> = desk
            .fleets
            .newest(None)
            .filter(|(_, fleet)| !stands(&fleet.plan().sender.as_str().into()))
            .map(|(id, _)| id)
            .collect();
        for command in orphans {
            let reply = desk.token_of_nobody();
            let record = Record::done(Actor::hub(), Verb::CancelCommand, command.to_string());
            desk.record_next(record.detail(BY));
            self.drive(now, desk, wakes, Input::Cancel { command, by: BY.into(), reply });
            desk.record_nothing();
        }
        for fleet in fleets {
            if desk.fleets.cancel(now, fleet, BY) == Some(true) {
                let record = Record::done(Actor::hub(), Verb::CancelCommand, fleet.to_string());
                let recorded = self.submit_audited(now, Vec::new(), None, &[record.detail(BY)]);
                if let Err(refusal) = recorded {
                    tracing::error!(%fleet, reason = %refusal.message, "not in the audit log");
                }
            }
        }
        self.drive_fleets(now, desk, wakes);
    }

    /// Whether anybody may still act under this name, as [`crate::access::Identity`] writes it: a token of
    /// the hub, or an issuer, stands for it, and its role exists.
    fn sender_stands(&self, sender: &str) -> bool {
        // The hub's own.
        let Some((role, name)) = sender.split_once(' ') else { return true };
        let policy = self.policy();
        if policy.roles.get(role).is_none() {
            return false;
        }
        let is_theirs = |subject: &Subject| matches!(subject, Subject::Person { role: r, name: n } if r == role && n == name);
        let has_token = self.directory.read().has(is_theirs);
        has_token || policy.issuers.iter().any(|issuer| issuer.stands_for(name))
    }

    /// Whether the role of this name's sender grants commands to the device.
    fn may_still(&self, sender: &str, device: &DeviceId) -> bool {
        let Some((role, _)) = sender.split_once(' ') else { return true };
        let name = grant::device_name(device);
        self.role(role).is_ok_and(|role| role.allows(Right::Command, &name).is_some())
    }
}
