//! One command in memory: its durable record, and what this process knows beyond it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::CommandState;
use smallvec::SmallVec;

use super::limits::{Limits, NOTES_MAX, STEPS_MAX, WAITING_MAX};
use super::record::Record;
use super::types::{Accepted, Effect, NewCommand, ReplyToken, Step, Update};
use super::view::CommandView;
use crate::clock::Now;

/// A command, from its acceptance until it is forgotten.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) record: Record,
    /// What everybody may see. Behind `record.state` while the record of an end is on its way
    /// to the disk.
    pub(super) shown: CommandState,
    /// It may not start later.
    pub(super) deadline: Instant,
    /// When the ledger acts on it unasked: ends it or, once ended, forgets it.
    pub(super) due: Instant,
    /// It was delivered, or may have been by an earlier process.
    pub(super) sent: bool,
    /// The session of the last delivery.
    pub(super) sent_on: Option<Hop>,
    /// Counts the records asked for.
    pub(super) revision: u32,
    /// The newest revision known to be on disk; 0 for none.
    pub(super) durable: u32,
    /// The first revision that says that the command may have been sent.
    pub(super) dispatch: Option<u32>,
    /// The revision that holds the end.
    pub(super) ending: Option<u32>,
    /// It stands in the list of records to be offered again.
    pub(super) retrying: bool,
    waiting: SmallVec<[Waiting; 1]>,
}

/// One session of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) session: u64,
    pub(super) boot: u32,
}

/// What happens once a revision is durable.
#[derive(Debug)]
struct Waiting {
    revision: u32,
    then: Then,
}

#[derive(Debug)]
pub(super) enum Then {
    Ack { session: u64, token: ReplyToken },
    Reply { token: ReplyToken, duplicate: bool },
    ShowLate { state: CommandState, unix_ms: u64, detail: Box<str>, result: Bytes },
}

impl Command {
    pub(super) fn new(now: Now, order: u64, new: NewCommand) -> Self {
        let ttl_ms = u64::try_from(new.ttl.as_millis()).unwrap_or(u64::MAX);
        let deadline = now.mono + new.ttl;
        let first = Step {
            state: CommandState::Accepted,
            unix_ms: now.unix_ms,
            attempt: 0,
            detail: Box::default(),
            late: false,
            revision: 1,
        };
        let record = Record {
            id: new.command,
            order,
            state: CommandState::Accepted,
            dispatched: false,
            percent: 0,
            attempt: 0,
            losses: 0,
            accepted_unix_ms: now.unix_ms,
            deadline_unix_ms: now.unix_ms.saturating_add(ttl_ms),
            ended_unix_ms: 0,
            device: new.device,
            sender: new.sender,
            request_id: new.request_id,
            supersede_key: new.supersede_key,
            type_name: new.type_name,
            payload: new.payload,
            detail: Box::default(),
            result: Bytes::new(),
            steps_dropped: 0,
            steps: vec![first],
        };
        let mut command = Self::around(record, deadline);
        command.wait(0, Then::Reply { token: new.reply, duplicate: false });
        command
    }

    /// The command as a restarted process knows it. What is left of its time follows from the
    /// wall clock, and is never more than the command had at first.
    pub(super) fn restored(now: Now, limits: &Limits, mut record: Record) -> Self {
        let until = |unix_ms: u64, most: Duration| {
            now.mono + Duration::from_millis(unix_ms.saturating_sub(now.unix_ms)).min(most)
        };
        let ttl = record.deadline_unix_ms.saturating_sub(record.accepted_unix_ms);
        let ttl = Duration::from_millis(ttl).min(limits.ttl_max);
        let after = |unix_ms: u64, wait: Duration| {
            unix_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
        };
        let ended = record.state.is_terminal();
        record.dispatched |= record.state > CommandState::Accepted && !ended;
        let due = if ended {
            until(after(record.ended_unix_ms, limits.retention), limits.retention)
        } else if record.dispatched {
            record.state = record.state.max(CommandState::Sent);
            record.attempt = record.attempt.max(1);
            until(after(record.deadline_unix_ms, limits.grace), ttl + limits.grace)
        } else {
            until(record.deadline_unix_ms, ttl)
        };
        let deadline = until(record.deadline_unix_ms, ttl);
        let mut command = Self::around(record, deadline);
        command.due = due;
        command.revision = 1;
        command.durable = 1;
        command.sent = command.record.dispatched;
        command.dispatch = command.record.dispatched.then_some(1);
        command.ending = ended.then_some(1);
        command
    }

    fn around(record: Record, deadline: Instant) -> Self {
        Self {
            shown: record.state,
            record,
            deadline,
            due: deadline,
            sent: false,
            sent_on: None,
            revision: 0,
            durable: 0,
            dispatch: None,
            ending: None,
            retrying: false,
            waiting: SmallVec::new(),
        }
    }

    /// Whether its end is decided, if perhaps not yet durable.
    pub(super) fn is_ended(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether it waits for its device: not ended, and no record says that it may be sent.
    pub(super) fn is_queued(&self) -> bool {
        self.dispatch.is_none() && !self.is_ended()
    }

    pub(super) fn is_on(&self, session: u64) -> bool {
        self.sent_on.is_some_and(|hop| hop.session == session)
    }

    pub(super) fn has_key(&self, key: Option<&str>) -> bool {
        key.is_some() && self.record.supersede_key.as_deref() == key
    }

    /// Whether the request that made this command asked for the same as `new`.
    pub(super) fn is_same_request(&self, new: &NewCommand) -> bool {
        let record = &self.record;
        record.device == new.device
            && record.type_name == new.type_name
            && record.supersede_key == new.supersede_key
            && record.payload == new.payload
    }

    /// What is left of its time to start, if that is a millisecond or more.
    pub(super) fn remaining(&self, now: Now) -> Option<Duration> {
        let remaining = self.deadline.saturating_duration_since(now.mono);
        (remaining >= Duration::from_millis(1)).then_some(remaining)
    }

    /// Decides how it ends. That is shown once the next record is durable.
    pub(super) fn end(&mut self, now: Now, state: CommandState, detail: &str, result: Bytes) {
        self.record.state = state;
        self.record.detail = detail.into();
        self.record.result = result;
        self.record.ended_unix_ms = now.unix_ms;
        self.ending = Some(self.revision + 1);
        let step = Step { revision: self.revision + 1, ..self.step(now, detail) };
        self.add_step(step);
    }

    /// Bytes of content, for the ledger's budget.
    pub(super) fn bytes(&self) -> usize {
        self.record.payload.len() + self.record.result.len()
    }

    /// Asks for the record as it is now to be written.
    pub(super) fn persist(&mut self) -> Effect {
        self.revision += 1;
        Effect::Persist {
            command: self.record.id,
            record: self.record.encode(),
            step: self.revision,
        }
    }

    /// Notes that the next record says that the command may have been sent.
    pub(super) fn dispatch(&mut self) {
        self.record.dispatched = true;
        self.dispatch = Some(self.revision + 1);
    }

    pub(super) fn add_step(&mut self, step: Step) {
        if self.record.steps.len() == STEPS_MAX {
            // The first step tells when and the last ones tell how it ended.
            self.record.steps.remove(1);
            self.record.steps_dropped = self.record.steps_dropped.saturating_add(1);
        }
        self.record.steps.push(step);
    }

    /// A step that happened now in the command's present state.
    pub(super) fn step(&self, now: Now, detail: &str) -> Step {
        Step {
            state: self.record.state,
            unix_ms: now.unix_ms,
            attempt: self.record.attempt,
            detail: detail.into(),
            late: false,
            revision: 0,
        }
    }

    /// Notes progress. Of a row of progress reports the first and the last are kept, so that a
    /// talkative device can't push out the other steps.
    pub(super) fn add_progress(&mut self, step: Step) {
        let running = |step: &Step| step.state == CommandState::Running && !step.late;
        match self.record.steps.as_mut_slice() {
            [.., first, last] if running(first) && running(last) => *last = step,
            _ => self.add_step(step),
        }
    }

    /// Whether a late report was noted before.
    pub(super) fn has_note(&self, state: CommandState, detail: &str) -> bool {
        self.notes().any(|note| note.state == state && *note.detail == *detail)
    }

    pub(super) fn has_room_for_note(&self) -> bool {
        self.notes().count() < NOTES_MAX
    }

    fn notes(&self) -> impl Iterator<Item = &Step> {
        self.record.steps.iter().filter(|step| step.late)
    }

    /// Puts `then` off until this revision, at least the first, is durable. `false` if too much
    /// waits already.
    pub(super) fn wait(&mut self, revision: u32, then: Then) -> bool {
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push(Waiting { revision: revision.max(1), then });
        }
        room
    }

    /// Carries out what waited for the revisions that are durable now.
    pub(super) fn settle(&mut self, effects: &mut impl Extend<Effect>) {
        let (ready, waiting): (SmallVec<[Waiting; 1]>, _) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.revision <= self.durable);
        self.waiting = waiting;
        effects.extend(ready.into_iter().map(|ready| self.settled(ready.then)));
    }

    fn settled(&self, then: Then) -> Effect {
        let command = self.record.id;
        match then {
            Then::Ack { session, token } => {
                Effect::AckReport { device: self.record.device.clone(), session, command, token }
            }
            Then::Reply { token, duplicate } => Effect::Reply {
                token,
                answer: Ok(Accepted { command, state: self.shown, duplicate }),
            },
            Then::ShowLate { state, unix_ms, detail, result } => {
                Effect::Update(Update { late: true, detail, result, ..self.update(state, unix_ms) })
            }
        }
    }

    /// The tokens of the requests that wait for an answer.
    pub(super) fn into_unanswered(self) -> impl Iterator<Item = ReplyToken> {
        self.waiting.into_iter().filter_map(|waiting| match waiting.then {
            Then::Reply { token, .. } => Some(token),
            Then::Ack { .. } | Then::ShowLate { .. } => None,
        })
    }

    pub(super) fn update(&self, state: CommandState, unix_ms: u64) -> Update {
        let record = &self.record;
        Update {
            command: record.id,
            device: record.device.clone(),
            state,
            percent: record.percent,
            unix_ms,
            sender: record.sender.clone(),
            type_name: record.type_name.clone(),
            detail: Box::default(),
            attempt: record.attempt,
            result: Bytes::new(),
            request_id: record.request_id.clone(),
            deadline_unix_ms: record.deadline_unix_ms,
            late: false,
        }
    }

    pub(super) fn view(&self) -> Option<CommandView<'_>> {
        (self.durable > 0).then_some(CommandView::new(self))
    }
}
