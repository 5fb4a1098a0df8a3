//! One command and what its slot of the journal holds; and how an application says that it ended.

use proto::{CommandId, CommandState};

use crate::config::clip;
use crate::journal::{ENTRY_OVERHEAD, EntryPhase, JournalEntry};
use crate::time::Millis;

/// How a command ended, in the application's words.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'o> {
    /// Which of the three.
    pub verdict: Verdict,
    /// For people; cut after [`proto::limits::DETAIL_BYTES_MAX`] bytes.
    pub detail: &'o str,
    /// The proof: an encoded `lighting.v1.CommandResult`. With the detail, it must fit the slot.
    pub result: &'o [u8],
}

/// What an application can say of a command that it carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The effect is there, measured.
    Succeeded,
    /// It was tried, and the effect is not there.
    Failed,
    /// Nothing was tried: invalid, or not allowed now.
    Rejected,
}

impl Verdict {
    pub(super) const fn state(self) -> CommandState {
        match self {
            Self::Succeeded => CommandState::Succeeded,
            Self::Failed => CommandState::Failed,
            Self::Rejected => CommandState::Rejected,
        }
    }
}

/// Why an outcome was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeError {
    /// This command doesn't run.
    NotRunning,
    /// Detail and result don't fit the slot; the command still runs. Say less.
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Queued,
    Running,
    Interrupted,
    Done(CommandState),
    Settled(CommandState),
}

/// One command. `entry` is what its slot of the journal holds, or would hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<const ENTRY: usize> {
    pub(super) entry: [u8; ENTRY],
    pub(super) entry_len: usize,
    pub(super) state: State,
    pub(super) id: CommandId,
    pub(super) order: u64,
    pub(super) deadline: Millis,
    pub(super) type_len: usize,
    pub(super) payload_len: usize,
    /// Power failed while it ran: whatever hinders it now, the effect may be there.
    pub(super) begun: bool,
    /// The outcome is in the journal.
    pub(super) recorded: bool,
    pub(super) owes_delivered: bool,
    pub(super) owes_running: Option<u8>,
    pub(super) owes_outcome: bool,
    /// Names the report of the outcome that was sent in this connection; 0 for none.
    pub(super) request: u64,
}

impl<const ENTRY: usize> Slot<ENTRY> {
    pub(super) const FREE: Self = Self {
        entry: [0; ENTRY],
        entry_len: 0,
        state: State::Free,
        id: CommandId::from_bytes([0; 16]),
        order: 0,
        deadline: Millis(0),
        type_len: 0,
        payload_len: 0,
        begun: false,
        recorded: false,
        owes_delivered: false,
        owes_running: None,
        owes_outcome: false,
        request: 0,
    };

    /// Writes what the journal shall hold into `entry`.
    pub(super) fn write(
        &mut self,
        phase: EntryPhase,
        detail: &str,
        result: &[u8],
    ) -> Result<(), OutcomeError> {
        let entry = JournalEntry { phase, order: self.order, id: self.id, detail, result };
        self.entry_len = entry.encode(&mut self.entry).ok_or(OutcomeError::TooLong)?;
        Ok(())
    }

    /// Ends the command. The constant details fit every slot, by the assertion in `Commands::load`.
    pub(super) fn end(&mut self, state: CommandState, detail: &str) {
        let state = if self.begun { CommandState::Unknown } else { state };
        let written =
            self.write(EntryPhase::Done(state), clip(detail, ENTRY - ENTRY_OVERHEAD), &[]);
        debug_assert!(written.is_ok(), "the detail was cut to fit");
        self.state = State::Done(state);
        self.owes_running = None;
        self.owes_outcome = true;
    }

    pub(super) fn owes(&self) -> bool {
        self.owes_delivered || self.owes_running.is_some() || self.owes_outcome
    }
}
