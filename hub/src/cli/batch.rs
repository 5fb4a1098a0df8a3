//! One order for many devices, as a machine without socket and clock.
//!
//! ```text
//!   waiting ─▶ on its way ─▶ accepted ─▶ ended
//!      ▲            │            │
//!      └── lost ────┴────────────┴──▶ failed
//! ```
//!
//! The driver (`many`) sends what [`Batch::next_send`] gives, feeds the answers, and reads
//! [`Batch::rows`] at the end.
//!
//! # Guarantees
//!
//! - At most [`WINDOW`] orders wait for their answer.
//! - Each device's request id follows from the batch's, so that sending the batch again repeats
//!   nothing that was accepted. Only what ended without effect is tried anew, under the next id in
//!   its row.

use std::collections::{HashMap, VecDeque};

use proto::{CommandState, ErrorCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::client::failure_of;
use super::exit::Failure;
use super::fields::{error_code, flag, number, state, word};
use super::life;

/// Orders without an answer yet.
pub(crate) const WINDOW: usize = 64;
/// Ids that a row may use up: how often a failed order can be sent again within a day.
const RUNS_MAX: u32 = 16;
/// How often a row may be told to come back later.
const RETRIES_MAX: u32 = 5;

/// Where one device's order stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Not sent yet.
    Waiting,
    /// Sent, without an answer.
    OnItsWay,
    /// Durable at the hub, not ended.
    Accepted(CommandState),
    /// It succeeded.
    Done,
    /// It didn't, or it isn't known.
    Failed(Failure),
}

/// One device of the batch.
#[derive(Debug)]
pub(crate) struct Row {
    /// Whom it is for.
    pub(crate) device: String,
    /// Empty until it is accepted.
    pub(crate) command: String,
    /// Where it stands.
    pub(crate) stand: Stand,
    run: u32,
    retries: u32,
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NextSend {
    /// Names the answer.
    pub(crate) request: u64,
    /// Whom it is for.
    pub(crate) device: String,
    /// Its own.
    pub(crate) request_id: String,
}

/// All rows, and what is under way.
#[derive(Debug)]
pub(crate) struct Batch {
    request_id: String,
    repeatable: bool,
    stays: bool,
    rows: Vec<Row>,
    queue: VecDeque<usize>,
    pending: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
    last_request: u64,
}

impl Batch {
    /// `repeatable` orders are tried again also where their outcome is unknown. A batch that
    /// `stays` is over when each command has ended, any other when each is accepted. `last_request`
    /// is a request number that the driver used; those here are larger.
    pub(crate) fn new(
        devices: Vec<String>,
        request_id: &str,
        repeatable: bool,
        stays: bool,
        last_request: u64,
    ) -> Self {
        let row = |device| {
            let command = String::new();
            Row { device, command, stand: Stand::Waiting, run: 0, retries: 0 }
        };
        let rows: Vec<Row> = devices.into_iter().map(row).collect();
        Self {
            request_id: request_id.to_owned(),
            repeatable,
            stays,
            queue: (0..rows.len()).collect(),
            rows,
            pending: HashMap::new(),
            by_id: HashMap::new(),
            last_request,
        }
    }

    /// The next order to send; `None` while the window is full or nothing waits.
    pub(crate) fn next_send(&mut self) -> Option<NextSend> {
        if self.pending.len() >= WINDOW {
            return None;
        }
        let index = self.queue.pop_front()?;
        let row = &mut self.rows[index];
        row.stand = Stand::OnItsWay;
        let request_id = row_id(&self.request_id, &row.device, row.run);
        self.last_request += 1;
        self.pending.insert(self.last_request, index);
        self.by_id.insert(request_id.clone(), index);
        Some(NextSend { request: self.last_request, device: row.device.clone(), request_id })
    }

    /// The hub has it: now, or since an earlier run.
    pub(crate) fn acked(&mut self, request: u64, ack: &Value) {
        let Some(index) = self.pending.remove(&request) else { return };
        let reached = state(ack);
        let again = self.may_repeat(reached);
        let row = &mut self.rows[index];
        // An update that was faster than the answer has said more.
        if row.stand != Stand::OnItsWay {
            return;
        }
        row.command = word(ack, "command").to_owned();
        if again && row.run < RUNS_MAX {
            row.run += 1;
            row.stand = Stand::Waiting;
            self.queue.push_back(index);
        } else {
            row.reach(reached, "");
        }
    }

    /// The hub refused. Returns how long to pause, in ms, where it asks for patience.
    pub(crate) fn refused(&mut self, request: u64, error: &Value) -> Option<u64> {
        let index = self.pending.remove(&request)?;
        let row = &mut self.rows[index];
        let pause = number(error, "retry_after_ms");
        let busy = matches!(error_code(error), Some(ErrorCode::Rate | ErrorCode::Unavailable));
        if busy && pause > 0 && row.retries < RETRIES_MAX {
            row.retries += 1;
            row.stand = Stand::Waiting;
            self.queue.push_back(index);
            return Some(pause);
        }
        row.stand = Stand::Failed(failure_of(error));
        None
    }

    /// A step of some command, perhaps one of ours.
    pub(crate) fn updated(&mut self, update: &Value) {
        let Some(index) = self.by_id.get(word(update, "request_id")) else { return };
        let row = &mut self.rows[*index];
        let command = word(update, "command");
        let ours = match row.stand {
            Stand::OnItsWay => true,
            Stand::Accepted(_) => row.command == command,
            Stand::Waiting | Stand::Done | Stand::Failed(_) => false,
        };
        if ours && !flag(update, "late") {
            row.command = command.to_owned();
            row.reach(state(update), word(update, "detail"));
        }
    }

    /// The connection is gone: what had no answer is sent again, under the same id.
    pub(crate) fn lost(&mut self) {
        let mut unanswered: Vec<usize> = self.pending.drain().map(|(_, index)| index).collect();
        unanswered.retain(|index| self.rows[*index].stand == Stand::OnItsWay);
        unanswered.sort_unstable();
        for index in unanswered.into_iter().rev() {
            self.queue.push_front(index);
        }
    }

    /// Ends all that hasn't ended. `cause` says why.
    pub(crate) fn give_up(&mut self, cause: &str) {
        self.lost();
        self.queue.clear();
        for row in &mut self.rows {
            let failure = match &row.stand {
                Stand::Waiting => Failure::Unreachable(format!("not sent: {cause}")),
                Stand::OnItsWay => Failure::Unknown(format!("outcome unknown: {cause}")),
                Stand::Accepted(reached) if self.stays => {
                    Failure::Timeout(format!("still {}: {cause}", reached.word()))
                }
                Stand::Accepted(_) | Stand::Done | Stand::Failed(_) => continue,
            };
            row.stand = Stand::Failed(failure);
        }
    }

    /// Whether nothing is left to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.pending.is_empty() && self.open() == 0
    }

    /// Whether the hub owes an answer.
    pub(crate) fn is_answer_due(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Rows that aren't decided.
    pub(crate) fn open(&self) -> usize {
        self.rows.iter().filter(|row| row.is_open(self.stays)).count()
    }

    /// Rows whose command is durable and hasn't ended.
    pub(crate) fn accepted(&self) -> Vec<String> {
        let accepted = self.rows.iter().filter(|row| matches!(row.stand, Stand::Accepted(_)));
        accepted.map(|row| row.command.clone()).collect()
    }

    /// Where each device stands.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether an order that an earlier run left in this state is sent anew. One that somebody
    /// withdrew or replaced stays so.
    fn may_repeat(&self, reached: CommandState) -> bool {
        match reached {
            CommandState::Failed | CommandState::Rejected | CommandState::Expired => true,
            CommandState::Unknown => self.repeatable,
            CommandState::Unspecified
            | CommandState::Accepted
            | CommandState::Sent
            | CommandState::Delivered
            | CommandState::Running
            | CommandState::Succeeded
            | CommandState::Canceled
            | CommandState::Superseded => false,
        }
    }
}

impl Row {
    fn is_open(&self, stays: bool) -> bool {
        match &self.stand {
            Stand::Waiting | Stand::OnItsWay => true,
            Stand::Accepted(_) => stays,
            Stand::Done | Stand::Failed(_) => false,
        }
    }

    /// States merge by their order; the first end stands.
    fn reach(&mut self, reached: CommandState, detail: &str) {
        if matches!(&self.stand, Stand::Accepted(known) if *known > reached) {
            return;
        }
        let detail = if detail.is_empty() { life::advice(reached) } else { detail };
        let text = format!("{}: {detail}", reached.word());
        self.stand = match Failure::from_state(reached, text) {
            Some(failure) => Stand::Failed(failure),
            None if reached.is_terminal() => Stand::Done,
            None => Stand::Accepted(reached),
        };
    }
}

/// The request id of one device in one run: 32 hex digits, always the same from the same words.
fn row_id(request_id: &str, device: &str, run: u32) -> String {
    let digest = Sha256::digest(format!("{request_id}\0{device}\0{run}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
