//! Overrides: set and ended by people, brought by commands, ended by time.
//!
//! A device has one; the last one wins, whichever way it came, so the resource and the commands never
//! disagree. Each change is in the store before it is answered.

use proto::DeviceId;
use proto::envelope::{CommandState, ErrorCode};
use proto::messages::lighting::v1 as lighting;
use proto::messages::lighting::v1::command::Action;

use super::commands::Desk;
use super::registry::{durable, json, operation};
use super::restore::ceiling_operation;
use super::{Broker, Ticket};
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::ledger::Update;
use crate::light::{OVERRIDE_S_MAX, Override};
use crate::store::{Operation, Table};

/// An override to be set: it begins now.
#[derive(Debug, Clone)]
pub struct NewOverride {
    /// %, 0 to 100.
    pub level_pct: u8,
    /// ms since 1970; the device's own default if left out.
    pub until_unix_ms: Option<u64>,
    /// For people.
    pub reason: String,
}

/// How a change ended.
#[derive(Debug)]
pub enum Overridden {
    /// It is made and durable.
    Done {
        /// What stands now.
        set: Option<Override>,
        /// Nothing stood before.
        is_new: bool,
    },
    /// It wasn't made: this stands, and not what was meant.
    Stale(Option<Override>),
    /// There is no such device.
    NoDevice,
}

/// Reads a stored override.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<(DeviceId, Override), String> {
    let id = std::str::from_utf8(key).map_err(|error| error.to_string())?;
    let id = DeviceId::parse(id).map_err(|error| error.to_string())?;
    serde_json::from_slice(value).map(|set| (id, set)).map_err(|error| error.to_string())
}

/// Whether a record from elsewhere is one that a hub would read.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(key: &[u8], value: &[u8]) -> Result<(), String> {
    read(key, value).map(drop)
}

fn put(id: &DeviceId, set: &Override) -> Operation {
    operation(Table::Override, id.as_str().as_bytes(), Some(json(set)))
}

fn delete(id: &DeviceId) -> Operation {
    operation(Table::Override, id.as_str().as_bytes(), None)
}

impl Broker {
    /// A revision above all that was given, and the ceiling that has to be stored with it, if any.
    pub(super) fn next_revision(&self) -> (u64, Option<u64>) {
        self.sequence.lock().advance()
    }

    /// The store took it.
    pub(super) fn ceiling_is_stored(&self, ceiling: Option<u64>) {
        if let Some(ceiling) = ceiling {
            self.sequence.lock().store_took(ceiling);
        }
    }

    /// The override of a device that is not over.
    pub fn override_of(&self, now: Now, id: &DeviceId) -> Option<Override> {
        let state = self.lights.state.lock();
        state.overrides.get(id).filter(|set| !set.is_over(now.unix_ms)).cloned()
    }

    /// Sets the override of a device if `is_meant` says so of the one that stands. Waits for the disk.
    ///
    /// # Errors
    /// Its end is over or too far, or the store has no room.
    pub async fn set_override(
        &self,
        now: Now,
        id: &DeviceId,
        by: &Actor,
        is_meant: impl FnOnce(Option<&Override>) -> bool + Send,
        new: NewOverride,
    ) -> Result<Overridden, Refusal> {
        let default_ms = u64::from(self.override_default_s(id)) * 1000;
        let until = new.until_unix_ms.unwrap_or(now.unix_ms + default_ms);
        check_end(now, until)?;
        let mut record = Record::done(by.clone(), Verb::SetOverride, id.as_str());
        record = record.detail(format!("{} % until {until} {}", new.level_pct, new.reason));
        let set = |revision| Override {
            level_pct: new.level_pct,
            from_unix_ms: now.unix_ms,
            until_unix_ms: until,
            reason: new.reason,
            by: by.who.clone(),
            command: String::new(),
            revision,
        };
        self.change_override(now, id, is_meant, record, |revision| Some(set(revision))).await
    }

    /// Ends the override of a device if `is_meant` says so of it. Waits for the disk.
    ///
    /// # Errors
    /// The store has no room.
    pub async fn end_override(
        &self,
        now: Now,
        id: &DeviceId,
        by: &Actor,
        is_meant: impl FnOnce(Option<&Override>) -> bool + Send,
    ) -> Result<Overridden, Refusal> {
        let record = Record::done(by.clone(), Verb::EndOverride, id.as_str());
        self.change_override(now, id, is_meant, record, |_| None).await
    }

    async fn change_override(
        &self,
        now: Now,
        id: &DeviceId,
        is_meant: impl FnOnce(Option<&Override>) -> bool + Send,
        record: Record,
        change: impl FnOnce(u64) -> Option<Override> + Send,
    ) -> Result<Overridden, Refusal> {
        self.recall(id)?;
        if !self.devices.lock().contains_key(id) {
            return Ok(Overridden::NoDevice);
        }
        let (done, wait) = tokio::sync::oneshot::channel();
        let changed = {
            let mut state = self.lights.state.lock();
            let held = state.overrides.get(id).filter(|set| !set.is_over(now.unix_ms));
            if !is_meant(held) {
                return Ok(Overridden::Stale(held.cloned()));
            }
            let is_new = held.is_none();
            let (revision, ceiling) = self.next_revision();
            let changed = change(revision);
            let mut operations: Vec<_> = ceiling.map(ceiling_operation).into_iter().collect();
            operations.push(changed.as_ref().map_or_else(|| delete(id), |set| put(id, set)));
            self.submit_audited(now, operations, Some(Ticket::Waiter(done)), &[record])?;
            self.ceiling_is_stored(ceiling);
            match &changed {
                Some(set) => drop(state.overrides.insert(id.clone(), set.clone())),
                None => drop(state.overrides.remove(id)),
            }
            state.agenda.touch(id);
            Overridden::Done { set: changed, is_new }
        };
        self.lights.now_used();
        durable(wait).await?;
        Ok(changed)
    }

    /// A command that ended well may have been an override, or its end.
    pub(super) fn note_override(&self, now: Now, desk: &Desk, update: &Update) {
        if update.state != CommandState::Succeeded
            || update.late
            || &*update.type_name != proto::channels::COMMAND_TYPE
        {
            return;
        }
        let Some(view) = desk.ledger.command(&update.command) else { return };
        let command = <lighting::Command as prost::Message>::decode(&view.payload()[..]);
        // A command to some outputs only says nothing of the light of the whole device.
        let Some(command) = command.ok().filter(|command| command.lamp_mask == 0) else { return };
        let changed = match command.action {
            Some(Action::Override(wish)) => self.wished(now, &wish, update),
            Some(Action::Resume(_)) => None,
            Some(_) | None => return,
        };
        let id = &update.device;
        let mut state = self.lights.state.lock();
        let (revision, ceiling) = self.next_revision();
        let changed = changed.map(|set| Override { revision, ..set });
        let mut operations: Vec<_> = ceiling.map(ceiling_operation).into_iter().collect();
        operations.push(changed.as_ref().map_or_else(|| delete(id), |set| put(id, set)));
        if self.submit(operations, None).is_err() {
            // The device shows it all the same: what is said here must not be something else.
            tracing::warn!(device = %id, "an override by command is not stored");
        } else {
            self.ceiling_is_stored(ceiling);
        }
        match changed {
            Some(set) => drop(state.overrides.insert(id.clone(), set)),
            None => drop(state.overrides.remove(id)),
        }
        state.agenda.touch(id);
        drop(state);
        self.lights.now_used();
    }

    /// The override that a command brought; `None` if it is over, or has no level.
    fn wished(&self, now: Now, wish: &lighting::Override, update: &Update) -> Option<Override> {
        let level_pct = u8::try_from(wish.level_pct?).ok().filter(|level| *level <= 100)?;
        let from = if wish.start_unix_ms == 0 { now.unix_ms } else { wish.start_unix_ms };
        let default_ms = u64::from(self.override_default_s(&update.device)) * 1000;
        let longest = from.saturating_add(u64::from(OVERRIDE_S_MAX) * 1000);
        let until = match wish.expires_unix_ms {
            0 => from.saturating_add(default_ms),
            until => until.min(longest),
        };
        (until > now.unix_ms).then(|| Override {
            level_pct,
            from_unix_ms: from,
            until_unix_ms: until,
            reason: String::new(),
            by: update.sender.as_ref().to_owned(),
            command: update.command.to_string(),
            revision: 0,
        })
    }

    /// Takes an override away whose time is over.
    pub(super) fn end_if_over(&self, now: Now, id: &DeviceId) -> Result<(), Refusal> {
        let mut state = self.lights.state.lock();
        if !state.overrides.get(id).is_some_and(|set| set.is_over(now.unix_ms)) {
            return Ok(());
        }
        self.submit(vec![delete(id)], None)?;
        state.overrides.remove(id);
        self.metrics.overrides_ended.inc();
        Ok(())
    }

    /// Takes the override of a device away that is registered no more.
    pub(super) fn drop_override(&self, id: &DeviceId) -> Result<(), Refusal> {
        let mut state = self.lights.state.lock();
        if state.overrides.contains_key(id) {
            self.submit(vec![delete(id)], None)?;
            state.overrides.remove(id);
        }
        Ok(())
    }
}

fn check_end(now: Now, until_unix_ms: u64) -> Result<(), Refusal> {
    if until_unix_ms <= now.unix_ms {
        let text = "is over already; an override ends in the future";
        return Err(Refusal::new(ErrorCode::BadValue, "until", text));
    }
    if until_unix_ms > now.unix_ms + u64::from(OVERRIDE_S_MAX) * 1000 {
        let text = "is more than 7 days away; for longer use a calendar or a profile";
        return Err(Refusal::new(ErrorCode::BadValue, "until", text));
    }
    Ok(())
}
