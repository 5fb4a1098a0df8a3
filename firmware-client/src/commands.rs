//! Commands from their delivery to the hub's knowledge of how they ended.
//!
//! ```text
//!   Deliver ─▶ Queued ──▶ Running ──▶ Done ──▶ Settled ──▶ (the slot may be used again)
//!                │ STARTED   ▲   DONE   ▲ │      hub's ack of the report
//!                │ durable   │  durable │ └─ reported in each connection until then
//!                └───────────│──────────┘ EXPIRED, REJECTED: never began, kept in memory only
//!            Interrupted ────┘ power failed while an idempotent command ran; waits to come again
//! ```
//!
//! One command runs at a time, in the order of their delivery. A slot holds what the journal holds,
//! byte by byte. Payloads wait in the caller's buffer, oldest first.
//!
//! # Guarantees
//!
//! - A command starts only after STARTED is durable, and never after its deadline.
//! - A command that is in a slot is never queued again, however often it is delivered.
//! - A slot is given away only when the hub knows the outcome of its command, or if the device was
//!   interrupted in it and nothing else is free.

use proto::envelope::{CommandReport, Deliver};
use proto::{CommandId, CommandState, limits};

use crate::config::clip;
use crate::journal::{Durability, ENTRY_OVERHEAD, EntryPhase, Journal, JournalEntry, settle};
use crate::time::Millis;

mod slot;

pub use slot::{Outcome, OutcomeError, Verdict};
use slot::{Slot, State};

/// All commands that the device knows of.
#[derive(Debug)]
pub(crate) struct Commands<'b, const SLOTS: usize, const ENTRY: usize> {
    slots: [Slot<ENTRY>; SLOTS],
    payloads: &'b mut [u8],
    used: usize,
    next_order: u64,
}

/// What came of trying to start the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Nothing,
    /// STARTED is durable; the command runs.
    Started,
    /// It could not be recorded, and was rejected.
    JournalFailed,
}

/// A report that the hub should have, and where it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owed {
    slot: usize,
    state: CommandState,
    percent: u8,
}

impl Owed {
    /// Whether the report must be answered by the hub.
    pub(crate) const fn is_outcome(self) -> bool {
        self.state.is_terminal()
    }
}

impl<'b, const SLOTS: usize, const ENTRY: usize> Commands<'b, SLOTS, ENTRY> {
    /// Reads the journal. What was running when power failed is UNKNOWN, or waits to come again.
    pub(crate) fn load<J: Journal>(
        payloads: &'b mut [u8],
        journal: &mut J,
    ) -> Result<Self, J::Error> {
        const {
            assert!(SLOTS > limits::COMMANDS_IN_FLIGHT_MAX, "the hub may have 8 in flight");
            assert!(ENTRY >= ENTRY_OVERHEAD + 32, "an outcome needs some words");
        }
        let mut commands = Self { slots: [Slot::FREE; SLOTS], payloads, used: 0, next_order: 1 };
        for (at, slot) in commands.slots.iter_mut().enumerate() {
            let length = journal.load(at, &mut slot.entry)?.min(ENTRY);
            let Some(entry) = JournalEntry::decode(&slot.entry[..length]) else { continue };
            (slot.id, slot.order, slot.entry_len, slot.recorded) =
                (entry.id, entry.order, length, true);
            match entry.phase {
                EntryPhase::Started { idempotent: true } => slot.state = State::Interrupted,
                EntryPhase::Started { idempotent: false } => {
                    slot.end(CommandState::Unknown, "power failed while it ran");
                }
                EntryPhase::Done(state) => {
                    slot.state = State::Done(state);
                    slot.owes_outcome = true;
                }
                EntryPhase::Settled(state) => slot.state = State::Settled(state),
            }
            commands.next_order = commands.next_order.max(slot.order.saturating_add(1));
        }
        Ok(commands)
    }

    /// Takes a delivery. False if it must be ignored: its id is none, or no slot can be given.
    pub(crate) fn deliver(&mut self, now: Millis, deliver: &Deliver<'_>) -> bool {
        let Ok(id) = CommandId::parse(deliver.command) else { return false };
        let deadline = now.after(u64::from(deliver.remaining_ms));
        let known = self.slots.iter().position(|slot| slot.state != State::Free && slot.id == id);
        let interrupted = known.filter(|at| self.slots[*at].state == State::Interrupted);
        if let (Some(at), None) = (known, interrupted) {
            self.delivered_again(at, deadline);
            return true;
        }
        let Some(at) = interrupted.or_else(|| self.slot_to_give()) else { return false };
        let order = self.next_order;
        self.next_order += 1;
        let (begun, owes_delivered) = (interrupted.is_some(), true);
        self.slots[at] =
            Slot { state: State::Queued, id, order, deadline, begun, owes_delivered, ..Slot::FREE };
        if let Err(detail) = self.keep_payload(at, deliver) {
            self.slots[at].end(CommandState::Rejected, detail);
        }
        true
    }

    /// The same delivery again: nothing happens twice, but the hub gets its answers again.
    fn delivered_again(&mut self, at: usize, deadline: Millis) {
        let slot = &mut self.slots[at];
        match slot.state {
            State::Queued => {
                // The first message was measured closest to the hub's own clock.
                slot.deadline = slot.deadline.min(deadline);
                slot.owes_delivered = true;
            }
            State::Running => slot.owes_running = slot.owes_running.or(Some(0)),
            State::Done(_) | State::Settled(_) => {
                slot.owes_outcome = true;
                slot.request = 0;
            }
            State::Free | State::Interrupted => {}
        }
    }

    /// A free slot, or that of the oldest command whose outcome the hub knows, or the oldest
    /// interrupted one.
    fn slot_to_give(&self) -> Option<usize> {
        let rank = |slot: &Slot<ENTRY>| match slot.state {
            State::Free => Some(0),
            State::Settled(_) if !slot.owes() => Some(1),
            State::Interrupted => Some(2),
            State::Settled(_) | State::Queued | State::Running | State::Done(_) => None,
        };
        let ranked = self.slots.iter().enumerate();
        let ranked = ranked.filter_map(|(at, slot)| rank(slot).map(|rank| (rank, slot.order, at)));
        ranked.min().map(|(_, _, at)| at)
    }

    fn keep_payload(&mut self, at: usize, deliver: &Deliver<'_>) -> Result<(), &'static str> {
        let (type_len, payload_len) = (deliver.type_name.len(), deliver.payload.len());
        let length = type_len.saturating_add(payload_len);
        if length > self.payloads.len() {
            return Err("too long for this device");
        }
        let Some(place) = self.payloads.get_mut(self.used..self.used + length) else {
            return Err("no room while others wait");
        };
        let (type_place, payload_place) = place.split_at_mut(type_len);
        type_place.copy_from_slice(deliver.type_name.as_bytes());
        payload_place.copy_from_slice(deliver.payload);
        self.used += length;
        (self.slots[at].type_len, self.slots[at].payload_len) = (type_len, payload_len);
        Ok(())
    }

    /// The oldest command that runs or waits; its payload lies at the start of the buffer.
    fn front(&self) -> Option<usize> {
        let live = self.slots.iter().enumerate();
        let live = live.filter(|(_, slot)| matches!(slot.state, State::Queued | State::Running));
        live.min_by_key(|(_, slot)| slot.order).map(|(at, _)| at)
    }

    fn release_payload(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        let length = slot.type_len + slot.payload_len;
        (slot.type_len, slot.payload_len) = (0, 0);
        self.payloads.copy_within(length..self.used, 0);
        self.used -= length;
    }

    /// Starts the oldest command if none runs. Those whose time is over end as EXPIRED.
    pub(crate) fn start<J: Journal>(
        &mut self,
        now: Millis,
        journal: &mut J,
        idempotent: fn(&str, &[u8]) -> bool,
    ) -> Start {
        while let Some(at) = self.front() {
            if self.slots[at].state == State::Running {
                return Start::Nothing;
            }
            if now >= self.slots[at].deadline {
                self.slots[at].end(CommandState::Expired, "the deadline passed while it waited");
                self.release_payload(at);
                continue;
            }
            let (type_name, payload) = self.payload(at);
            let phase = EntryPhase::Started { idempotent: idempotent(type_name, payload) };
            let slot = &mut self.slots[at];
            let recorded = slot.write(phase, "", &[]).is_ok()
                && journal.record(at, &slot.entry[..slot.entry_len], Durability::Now).is_ok();
            if !recorded {
                slot.end(CommandState::Rejected, "the device's journal failed");
                self.release_payload(at);
                return Start::JournalFailed;
            }
            slot.state = State::Running;
            slot.owes_running = Some(0);
            return Start::Started;
        }
        Start::Nothing
    }

    fn payload(&self, at: usize) -> (&str, &[u8]) {
        let slot = &self.slots[at];
        let (type_name, rest) = self.payloads.split_at(slot.type_len);
        // Only text was copied here, so it is never empty by default.
        (core::str::from_utf8(type_name).unwrap_or_default(), &rest[..slot.payload_len])
    }

    /// The command that runs: its id, type name, payload and deadline.
    pub(crate) fn running(&self) -> Option<(CommandId, &str, &[u8], Millis)> {
        let at = self.front().filter(|at| self.slots[*at].state == State::Running)?;
        let (type_name, payload) = self.payload(at);
        Some((self.slots[at].id, type_name, payload, self.slots[at].deadline))
    }

    pub(crate) fn progress(&mut self, percent: u8) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.state == State::Running) {
            slot.owes_running = Some(percent.min(100));
        }
    }

    /// The application's word on the command that runs. `Ok(false)` if it could not be made durable:
    /// it is reported all the same, because the hub's record then is the only one.
    pub(crate) fn done<J: Journal>(
        &mut self,
        journal: &mut J,
        id: CommandId,
        outcome: &Outcome<'_>,
    ) -> Result<bool, OutcomeError> {
        let running = |slot: &Slot<ENTRY>| slot.state == State::Running && slot.id == id;
        let at = self.slots.iter().position(running).ok_or(OutcomeError::NotRunning)?;
        let slot = &mut self.slots[at];
        let state = outcome.verdict.state();
        let detail = clip(outcome.detail, limits::DETAIL_BYTES_MAX);
        slot.write(EntryPhase::Done(state), detail, outcome.result)?;
        slot.recorded = true;
        slot.state = State::Done(state);
        slot.owes_running = None;
        slot.owes_outcome = true;
        let durable = journal.record(at, &slot.entry[..slot.entry_len], Durability::Now).is_ok();
        self.release_payload(at);
        Ok(durable)
    }

    /// A new connection: whatever the hub doesn't know is told again.
    pub(crate) fn reconnected(&mut self) {
        for slot in &mut self.slots {
            slot.request = 0;
            slot.owes_outcome |= matches!(slot.state, State::Done(_));
        }
    }

    /// The next report that the hub should get; those of older commands first.
    pub(crate) fn owed(&self) -> Option<Owed> {
        let owing = self.slots.iter().enumerate().filter(|(_, slot)| slot.owes());
        let (at, slot) = owing.min_by_key(|(_, slot)| slot.order)?;
        let report = |state, percent| Some(Owed { slot: at, state, percent });
        match (slot.owes_delivered, slot.owes_running, slot.state) {
            (true, _, _) => report(CommandState::Delivered, 0),
            (false, Some(percent), _) => report(CommandState::Running, percent),
            (false, None, State::Done(state) | State::Settled(state)) => report(state, 0),
            (false, None, State::Free | State::Queued | State::Running | State::Interrupted) => {
                None
            }
        }
    }

    /// Hands a report to `send` as the envelope wants it, and returns what `send` returns.
    pub(crate) fn with_report<R>(
        &self,
        owed: Owed,
        send: impl FnOnce(&CommandReport<'_>) -> R,
    ) -> R {
        let slot = &self.slots[owed.slot];
        let id = slot.id.text();
        let entry = owed.is_outcome().then(|| JournalEntry::decode(&slot.entry[..slot.entry_len]));
        let (detail, result) =
            entry.flatten().map_or(("", &[][..]), |entry| (entry.detail, entry.result));
        send(&CommandReport {
            command: id.as_str(),
            state: owed.state,
            percent: u32::from(owed.percent),
            detail,
            result,
            ..CommandReport::default()
        })
    }

    /// The report has left under this request number.
    pub(crate) fn reported(&mut self, owed: Owed, request: u64) {
        let slot = &mut self.slots[owed.slot];
        if owed.is_outcome() {
            slot.owes_outcome = false;
            slot.request = request;
        } else if owed.state == CommandState::Delivered {
            slot.owes_delivered = false;
        } else {
            slot.owes_running = None;
        }
    }

    /// The hub answered the report of an outcome; it won't ask again.
    pub(crate) fn settled<J: Journal>(
        &mut self,
        journal: &mut J,
        request: u64,
    ) -> Option<(CommandId, CommandState, Result<(), J::Error>)> {
        let asked = |slot: &Slot<ENTRY>| request != 0 && slot.request == request;
        let at = self.slots.iter().position(asked)?;
        let slot = &mut self.slots[at];
        slot.request = 0;
        let State::Done(state) = slot.state else { return None };
        slot.state = State::Settled(state);
        if !slot.recorded {
            return Some((slot.id, state, Ok(())));
        }
        settle(&mut slot.entry[..slot.entry_len]);
        let recorded = journal.record(at, &slot.entry[..slot.entry_len], Durability::Lazy);
        Some((slot.id, state, recorded))
    }

    /// The hub could not take the report now. False if this was no report's request.
    pub(crate) fn retry(&mut self, request: u64) -> bool {
        let asked = |slot: &&mut Slot<ENTRY>| request != 0 && slot.request == request;
        let slot = self.slots.iter_mut().find(asked);
        slot.map(|slot| {
            slot.request = 0;
            slot.owes_outcome = true;
        })
        .is_some()
    }
}
