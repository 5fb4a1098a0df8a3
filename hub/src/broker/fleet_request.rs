//! How a fleet command begins: whom it means, whom its sender may command, and what has to be on disk
//! before it is accepted.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use proto::envelope::ErrorCode;
use proto::{CommandId, DeviceId};
use sha2::{Digest as _, Sha256};

use super::devices::Device;
use super::fleet::put;
use super::registry::durable;
use super::{Broker, Ticket};
use crate::access::Identity;
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::fleet::{self, Again, Fleet, FleetId, Outcome, Plan};
use crate::mailbox::Wakes;
use crate::metrics::Limit;
use crate::selector::Selector;

/// Whom a fleet command is for.
#[derive(Debug, Clone)]
pub enum Whom {
    /// Devices that a selector means.
    Where(Selector),
    /// Devices of an earlier one, by what became of them.
    Again(Again),
    /// These.
    Listed(BTreeSet<DeviceId>),
}

/// The devices that a fleet command would go to, and those that it wouldn't.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// In the order of their ids.
    pub targets: Vec<DeviceId>,
    /// Targets that have a session now.
    pub connected: usize,
    /// Devices that are meant and that the sender may not command.
    pub forbidden: usize,
    /// Devices of which too little is known to tell whether they are meant.
    pub unknown: usize,
}

/// Why a fleet command was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declined {
    /// So many devices are meant, and the request didn't say that number.
    Confirm(usize),
    /// Anything else.
    Refused(Refusal),
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Broker {
    /// The devices that are meant, as the registry and their reports say now. Costs a walk over all
    /// devices; not for a task that others wait for.
    ///
    /// # Errors
    /// The earlier fleet command isn't known, or what is stored of a device can't be read.
    pub fn resolve(
        &self,
        whom: &Whom,
        may: impl Fn(&DeviceId, &BTreeMap<String, String>) -> bool,
    ) -> Result<Resolved, Refusal> {
        let look = |id: &DeviceId, device: &Device| {
            (may(id, &device.registration.labels), device.session.is_some())
        };
        let mut resolved = Resolved::default();
        let found = match whom {
            Whom::Where(selector) => {
                let selection = self.select(selector, "", |id, device| Some(look(id, device)))?;
                resolved.unknown = selection.undecided;
                selection.picked
            }
            Whom::Again(again) => {
                let wanted = self.with_fleet(again.of, |fleet| of_outcomes(fleet, &again.outcomes));
                let wanted = wanted.ok_or_else(unknown_fleet)?;
                self.registered(wanted.into_iter(), look)
            }
            Whom::Listed(ids) => {
                let found = self.registered(ids.iter().cloned(), look);
                resolved.unknown = ids.len() - found.len();
                found
            }
        };
        for (id, (allowed, connected)) in found {
            if allowed {
                resolved.connected += usize::from(connected);
                resolved.targets.push(id);
            } else {
                resolved.forbidden += 1;
            }
        }
        Ok(resolved)
    }

    /// Of these devices those that are registered, as `look` sees them.
    fn registered<R>(
        &self,
        ids: impl Iterator<Item = DeviceId>,
        look: impl Fn(&DeviceId, &Device) -> R,
    ) -> Vec<(DeviceId, R)> {
        let devices = self.devices.lock();
        let known = ids.filter_map(|id| {
            let looked = look(&id, devices.get(&id)?);
            Some((id, looked))
        });
        known.collect()
    }

    /// What an earlier request with the same id made, if there was one.
    ///
    /// # Errors
    /// It made something else.
    pub fn repeated_fleet(&self, plan: &Plan) -> Result<Option<FleetId>, Refusal> {
        self.desk.lock().fleets.same_request(plan).transpose().map_err(refusal)
    }

    /// Takes a fleet command for these targets. The answer waits for the disk; `true` comes with one
    /// that an earlier request made.
    ///
    /// # Errors
    /// Nobody is meant or may be commanded, the number wasn't confirmed, or a limit is hit.
    pub async fn send_fleet(
        &self,
        plan: Plan,
        resolved: Resolved,
        confirm: Option<usize>,
        by: Actor,
    ) -> Result<(FleetId, bool), Declined> {
        let count = resolved.targets.len();
        if count == 0 {
            return Err(nobody(&resolved).into());
        }
        let is_confirmed = confirm.map_or(count <= self.settings().confirm_above, |n| n == count);
        if !is_confirmed {
            return Err(Declined::Confirm(count));
        }
        let (done, wait) = tokio::sync::oneshot::channel();
        let id = FleetId(CommandId::from_bytes(uuid::Uuid::now_v7().into_bytes()));
        let record = Record::done(by, Verb::SendCommand, format!("fleet {id}"))
            .detail(format!("{count} devices {}", plan.type_name));
        {
            let mut desk = self.desk.lock();
            let admitted = desk.fleets.admit(id, plan, resolved.targets);
            let known = admitted.inspect_err(|why| self.count_refused(*why)).map_err(refusal)?;
            if let Some(known) = known {
                return Ok((known, true));
            }
            let operations = desk.fleets.records(id).into_iter().map(put).collect();
            if let Err(refusal) = self.submit_audited(
                Now::read(),
                operations,
                Some(Ticket::Fleet(id, done)),
                &[record],
            ) {
                desk.fleets.drop_admitted(id);
                return Err(refusal.into());
            }
        }
        durable(wait).await?;
        self.metrics.fleets_accepted.inc();
        self.metrics.fleet_targets.inc_by(count as u64);
        Ok((id, false))
    }

    fn count_refused(&self, why: fleet::Refusal) {
        match why {
            fleet::Refusal::Busy(_) => self.metrics.limit_hit(Limit::FleetCommands),
            fleet::Refusal::TooMany(_) | fleet::Refusal::NoRoom(_) => {
                self.metrics.limit_hit(Limit::FleetTargets);
            }
            fleet::Refusal::Conflict | fleet::Refusal::NotDurable => {}
        }
    }

    /// Withdraws what was not sent of a fleet command. The answer waits for the disk.
    ///
    /// # Errors
    /// It isn't known, or has ended.
    pub async fn cancel_fleet(&self, now: Now, id: FleetId, by: &Identity) -> Result<(), Refusal> {
        let (done, wait) = tokio::sync::oneshot::channel();
        {
            let mut wakes = Wakes::default();
            let mut desk = self.desk.lock();
            match desk.fleets.cancel(now, id, &by.to_string()) {
                None => return Err(unknown_fleet()),
                Some(false) => {
                    let text = "the fleet command has ended; nothing is left to withdraw";
                    return Err(Refusal::new(ErrorCode::Conflict, "id", text));
                }
                Some(true) => self.drive_fleets(now, &mut desk, &mut wakes),
            }
            // Commits are in order: this one covers what was written before.
            self.submit(Vec::new(), Some(Ticket::Waiter(done)))?;
        }
        durable(wait).await
    }

    /// Looks at a fleet command.
    pub fn with_fleet<R>(&self, id: FleetId, look: impl FnOnce(&Fleet) -> R) -> Option<R> {
        self.desk.lock().fleets.get(id).map(look)
    }

    /// Looks at fleet commands, the newest first, from before `cursor` on; at most so many.
    pub fn with_fleets<R>(
        &self,
        cursor: Option<FleetId>,
        limit: usize,
        look: impl Fn(FleetId, &Fleet) -> Option<R>,
    ) -> Vec<R> {
        let desk = self.desk.lock();
        let looked = desk.fleets.newest(cursor).filter_map(|(id, fleet)| look(id, fleet));
        looked.take(limit).collect()
    }
}

fn of_outcomes(fleet: &Fleet, outcomes: &[Outcome]) -> Vec<DeviceId> {
    let wanted = fleet.targets().iter().filter(|target| outcomes.contains(&target.outcome));
    wanted.map(|target| target.device.clone()).collect()
}

/// What tells one request from another: all that it asks for but its name and its time.
pub fn fingerprint(plan: &Plan, whom: &Whom) -> String {
    let same =
        Plan { request_id: None, fingerprint: String::new(), created_unix_ms: 0, ..plan.clone() };
    let mut asked = serde_json::to_string(&same).expect("a plan of texts and numbers has JSON");
    match whom {
        Whom::Where(_) => {}
        Whom::Again(again) => asked.extend(again.outcomes.iter().map(|outcome| outcome.word())),
        Whom::Listed(ids) => asked.extend(ids.iter().map(DeviceId::as_str)),
    }
    HEXLOWER.encode(&Sha256::digest(asked))
}

fn nobody(resolved: &Resolved) -> Refusal {
    let Resolved { forbidden, unknown, .. } = resolved;
    if *forbidden > 0 {
        let text =
            format!("none of the {forbidden} devices that are meant may be commanded by you");
        return Refusal::new(ErrorCode::NotPermitted, "where", text);
    }
    let more = match unknown {
        0 => String::new(),
        count => format!("; of {count} too little is known to tell"),
    };
    Refusal::new(ErrorCode::NotFound, "where", format!("no device is meant{more}"))
}

fn unknown_fleet() -> Refusal {
    let text = "the hub knows no such fleet command; it may be forgotten";
    Refusal::new(ErrorCode::NotFound, "id", text)
}

fn refusal(why: fleet::Refusal) -> Refusal {
    match why {
        fleet::Refusal::Busy(_) | fleet::Refusal::NoRoom(_) => Refusal::retry(
            ErrorCode::Limit,
            "",
            format!("{why}; try again when some ended"),
            60_000,
        ),
        fleet::Refusal::Conflict => {
            Refusal::new(ErrorCode::Conflict, "request_id", why.to_string())
        }
        fleet::Refusal::NotDurable => {
            Refusal::retry(ErrorCode::Unavailable, "request_id", why.to_string(), 1_000)
        }
        fleet::Refusal::TooMany(_) => Refusal::new(ErrorCode::Limit, "where", why.to_string()),
    }
}
