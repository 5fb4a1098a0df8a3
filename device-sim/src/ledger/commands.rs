//! The book of all commands of a run: sent, acknowledged, begun, ended.
//!
//! Three witnesses write into it: whoever sent a command (its request, the hub's answer), the lamp (its
//! effect began), and whoever watches the channel of commands (its states). A command is known by the
//! hub's id, a request by its number; the two meet in the first ack or update that names both.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use proto::{CommandId, CommandState};
use serde::{Deserialize, Serialize};

use super::{Breach, Findings};
use crate::clock::Micros;

/// P6: after the deadline, the hub has so long to say how a command ended.
const TERMINAL_GRACE: Duration = Duration::from_secs(60);

/// A command that was sent or will be.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Index of the lamp in the fleet.
    pub device: u32,
    /// Hash of the payload.
    pub hash: u64,
    /// When it should have been sent.
    pub intended: Micros,
    /// How long it may wait and start.
    pub ttl: Duration,
    id: Option<CommandId>,
    acked: Option<Acked>,
    refused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Acked {
    at: Micros,
    number: u64,
}

/// What became of one id.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    request: Option<u64>,
    announced: bool,
    executions: u32,
    /// Device, order of start, hash, moment of the first effect.
    began: Option<Began>,
    terminal: Option<CommandState>,
}

#[derive(Debug, Clone, Copy)]
struct Began {
    device: u32,
    number: u64,
    hash: u64,
    at: Micros,
}

#[derive(Debug, Default)]
struct Books {
    orders: HashMap<u64, Order>,
    lives: HashMap<CommandId, Life>,
    acks: u64,
    begins: u64,
    counts: Counts,
}

/// Totals for the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that were due.
    pub sent: u64,
    /// Acknowledged as durable.
    pub acked: u64,
    /// Refused.
    pub refused: u64,
    /// Effects that began.
    pub executed: u64,
    /// Ended as SUCCEEDED.
    pub succeeded: u64,
    /// Ended as FAILED or REJECTED by the lamp.
    pub failed: u64,
    /// Ended as EXPIRED, CANCELED or SUPERSEDED.
    pub not_executed: u64,
    /// Ended as UNKNOWN.
    pub unknown: u64,
    /// Acknowledged, without an end, and not late yet.
    pub open: u64,
}

/// What an event meant for latency: µs since the command's intended moment.
pub type SinceIntended = Option<u64>;

/// A command whose state must be asked of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Which.
    pub id: CommandId,
    /// The terminal state that was seen, if one was.
    pub seen: Option<CommandState>,
    /// The hub acknowledged it, so it must know it.
    pub acked: bool,
    /// It must have a terminal state by now.
    pub overdue: bool,
}

/// All commands of a run. Shared.
#[derive(Debug, Default)]
pub struct Commands {
    books: Mutex<Books>,
}

impl Commands {
    /// A command is about to be sent for the first time.
    pub fn attempt(&self, request: u64, device: u32, hash: u64, intended: Micros, ttl: Duration) {
        let order = Order { device, hash, intended, ttl, id: None, acked: None, refused: false };
        let mut books = self.books.lock();
        books.counts.sent += 1;
        books.orders.insert(request, order);
    }

    /// The hub acknowledged a request. Returns the latency of a first ack.
    pub fn acked(
        &self,
        findings: &Findings,
        request: u64,
        id: CommandId,
        now: Micros,
    ) -> SinceIntended {
        let mut books = self.books.lock();
        books.bind(findings, request, id);
        let number = books.acks + 1;
        let order = books.orders.get_mut(&request)?;
        if order.acked.is_some() {
            return None;
        }
        order.acked = Some(Acked { at: now, number });
        let since = now.since(order.intended);
        books.acks = number;
        books.counts.acked += 1;
        Some(since)
    }

    /// The hub refused a request for good.
    pub fn refused(&self, request: u64) {
        let mut books = self.books.lock();
        if let Some(order) = books.orders.get_mut(&request)
            && !std::mem::replace(&mut order.refused, true)
        {
            books.counts.refused += 1;
        }
    }

    /// A lamp's effect function was entered.
    pub fn executed(&self, findings: &Findings, device: u32, id: CommandId, hash: u64, at: Micros) {
        let mut books = self.books.lock();
        books.begins += 1;
        books.counts.executed += 1;
        let number = books.begins;
        let life = books.lives.entry(id).or_default();
        life.executions += 1;
        if life.executions > 1 {
            let times = life.executions;
            findings.add(Breach::ExecutedTwice, || format!("{id} on lamp {device}, {times} times"));
        }
        life.began.get_or_insert(Began { device, number, hash, at });
    }

    /// µs from the intended moment of each command to the start of its effect.
    pub fn start_latencies(&self) -> Vec<u64> {
        let books = self.books.lock();
        let lives = books.lives.values();
        let latencies = lives.filter_map(|life| {
            let order = books.orders.get(&life.request?)?;
            Some(life.began?.at.since(order.intended))
        });
        latencies.collect()
    }

    /// A step of a command's life was seen. `request` is the number in its request id if that is one of
    /// this run. Returns the time since the intended moment of a first terminal state.
    pub fn updated(
        &self,
        findings: &Findings,
        id: CommandId,
        request: Option<u64>,
        state: CommandState,
        now: Micros,
    ) -> SinceIntended {
        let mut books = self.books.lock();
        if let Some(request) = request {
            books.bind(findings, request, id);
        }
        let life = books.lives.entry(id).or_default();
        life.announced = true;
        match life.terminal {
            Some(terminal) if terminal != state => {
                let (from, to) = (terminal.word(), state.word());
                findings.add(Breach::TerminalChanged, || format!("{id}: {to} after {from}"));
                None
            }
            None if state.is_terminal() => {
                life.terminal = Some(state);
                let intended = life.request.and_then(|request| books.orders.get(&request));
                intended.map(|order| now.since(order.intended))
            }
            Some(_) | None => None,
        }
    }

    /// Requests without an answer, to be sent again on a new connection.
    pub fn unanswered(&self) -> Vec<u64> {
        let books = self.books.lock();
        let orders = books.orders.iter();
        let mut open: Vec<u64> = orders
            .filter(|(_, order)| order.acked.is_none() && !order.refused)
            .map(|(request, _)| *request)
            .collect();
        open.sort_unstable();
        open
    }

    /// Acknowledged commands without a terminal state.
    pub fn open(&self) -> usize {
        let books = self.books.lock();
        let acked = books.orders.values().filter(|order| order.acked.is_some());
        acked.filter(|order| !order.id.is_some_and(|id| books.has_ended(id))).count()
    }

    /// What must be asked of the hub at the end: everything without an end, everything begun that nobody
    /// announced, and up to `sample` that ended.
    pub fn questions(&self, now: Micros, sample: usize) -> Vec<Question> {
        let books = self.books.lock();
        let mut questions = Vec::new();
        let mut ended = 0;
        for (id, life) in &books.lives {
            let order = life.request.and_then(|request| books.orders.get(&request));
            let acked = order.and_then(|order| order.acked);
            ended += usize::from(life.terminal.is_some());
            let unannounced = life.executions > 0 && !life.announced && order.is_none();
            if (life.terminal.is_some() && ended > sample) || (acked.is_none() && !unannounced) {
                continue;
            }
            let late = order.zip(acked).is_some_and(|(order, acked)| {
                now > acked.at.after(order.ttl).after(TERMINAL_GRACE)
            });
            questions.push(Question {
                id: *id,
                seen: life.terminal,
                acked: acked.is_some(),
                overdue: late,
            });
        }
        questions
    }

    /// The hub's answer to a question: its state now, or nothing if it doesn't know the command.
    pub fn answered(&self, findings: &Findings, question: Question, state: Option<CommandState>) {
        let id = question.id;
        match (question, state) {
            (Question { acked: true, .. }, None) => {
                findings.add(Breach::CommandLost, || format!("{id}"));
            }
            (_, None) => findings.add(Breach::ExecutedUnsent, || format!("{id}")),
            (Question { seen: Some(seen), .. }, Some(state)) if seen != state => {
                let (from, to) = (seen.word(), state.word());
                findings.add(Breach::TerminalChanged, || {
                    format!("{id}: {to} after {from}, asked later")
                });
            }
            (Question { overdue: true, .. }, Some(state)) if !state.is_terminal() => {
                findings.add(Breach::NeverTerminal, || format!("{id}: still {}", state.word()));
            }
            (_, Some(state)) => {
                let mut books = self.books.lock();
                let life = books.lives.entry(id).or_default();
                life.announced = true;
                if state.is_terminal() {
                    life.terminal = Some(state);
                }
            }
        }
    }

    /// What can be judged only when all is known; then the totals.
    pub fn close(&self, findings: &Findings) -> Counts {
        let books = self.books.lock();
        books.judge_contents(findings);
        books.judge_order(findings);
        books.count()
    }
}

impl Books {
    /// Learns that a request became a command.
    fn bind(&mut self, findings: &Findings, request: u64, id: CommandId) {
        let Some(order) = self.orders.get_mut(&request) else { return };
        match order.id {
            Some(known) if known != id => {
                findings
                    .add(Breach::CommandDoubled, || format!("request {request}: {known} and {id}"));
            }
            Some(_) => {}
            None => order.id = Some(id),
        }
        self.lives.entry(id).or_default().request.get_or_insert(request);
    }

    fn has_ended(&self, id: CommandId) -> bool {
        self.lives.get(&id).is_some_and(|life| life.terminal.is_some())
    }

    fn judge_contents(&self, findings: &Findings) {
        for (id, life) in &self.lives {
            let order = life.request.and_then(|request| self.orders.get(&request));
            let (Some(order), Some(began)) = (order, life.began) else { continue };
            if began.hash != order.hash || began.device != order.device {
                findings.add(Breach::CommandAltered, || format!("{id} on lamp {}", began.device));
            }
            if order.refused {
                findings.add(Breach::RefusedExecuted, || format!("{id}"));
            }
        }
    }

    fn judge_order(&self, findings: &Findings) {
        let mut begun: Vec<(u32, u64, u64, CommandId)> = self
            .lives
            .iter()
            .filter_map(|(id, life)| {
                let order = self.orders.get(&life.request?)?;
                let began = life.began?;
                Some((began.device, began.number, order.acked?.number, *id))
            })
            .collect();
        begun.sort_unstable();
        for pair in begun.windows(2) {
            let ((device, _, earlier, _), (next_device, _, later, id)) = (pair[0], pair[1]);
            if device == next_device && later < earlier {
                findings.add(Breach::OutOfOrder, || format!("{id} on lamp {device}"));
            }
        }
    }

    fn count(&self) -> Counts {
        let mut counts = self.counts;
        // Commands of other operators, and of other parts of the fleet, are not ours to count.
        for life in self.lives.values().filter(|life| life.request.is_some()) {
            match life.terminal {
                Some(CommandState::Succeeded) => counts.succeeded += 1,
                Some(CommandState::Failed | CommandState::Rejected) => counts.failed += 1,
                Some(CommandState::Expired | CommandState::Canceled | CommandState::Superseded) => {
                    counts.not_executed += 1;
                }
                Some(CommandState::Unknown) => counts.unknown += 1,
                Some(_) | None => {}
            }
        }
        let acked = self.orders.values().filter(|order| order.acked.is_some());
        counts.open =
            acked.filter(|order| !order.id.is_some_and(|id| self.has_ended(id))).count() as u64;
        counts
    }
}

#[cfg(test)]
mod tests;
