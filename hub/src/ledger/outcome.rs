//! What becomes of commands: the device's reports, the store's answers, the end of their time.

use bytes::Bytes;
use proto::CommandState;
use proto::id::CommandId;
use proto::limits as wire;

use super::Ledger;
use super::accept::cut;
use super::command::{Command, Then};
use super::delivery::mark_sent;
use super::merge::{Merge, is_reportable, merge};
use super::types::{Effect, Refusal, Report, Step, Update};
use crate::clock::Now;

impl Ledger {
    pub(super) fn report(&mut self, now: Now, mut report: Report) {
        let queue = self.queues.get(&report.device);
        if queue.is_some_and(|queue| report.session < queue.generation) {
            // The device says it again on its newer session.
            self.stats.stale += 1;
            return;
        }
        if !is_reportable(report.state) {
            self.stats.reports_ignored += 1;
            return;
        }
        self.trim_report(&mut report);
        let known = self.commands.get_mut(&report.command);
        let known = known.filter(|it| it.durable > 0 && it.record.device == report.device);
        let Some(command) = known else {
            // The answer is the same for a command that was forgotten and for another device's.
            self.stats.reports_ignored += 1;
            return self.effects.extend(ack(&report));
        };
        match merge(command.record.state, report.state) {
            Merge::Nothing => self.effects.extend(ack(&report)),
            Merge::Progress => {
                let percent = report.percent.max(command.record.percent);
                if percent > command.record.percent || *report.detail != *command.record.detail {
                    self.advance(now, &report);
                }
                self.effects.extend(ack(&report));
            }
            Merge::Advance => {
                self.advance(now, &report);
                self.effects.extend(ack(&report));
            }
            Merge::End => {
                command.sent = true;
                let result = std::mem::take(&mut report.result);
                self.end_with(now, report.command, report.state, &report.detail, result);
                self.ack_when_durable(&report);
            }
            Merge::Late => self.late(now, &report),
        }
    }

    /// Holds a report to the limits of a record.
    fn trim_report(&mut self, report: &mut Report) {
        report.percent = report.percent.min(100);
        if report.detail.len() > wire::DETAIL_BYTES_MAX {
            report.detail = cut(&report.detail, wire::DETAIL_BYTES_MAX).into();
        }
        if report.result.len() > wire::RESULT_BYTES_MAX {
            self.stats.notes_dropped += 1;
            let limit = wire::RESULT_BYTES_MAX;
            report.detail = format!("the result was longer than {limit} bytes and not kept").into();
            report.result = Bytes::new();
        }
    }

    /// The device has the command, or is further with it. This costs no write: after a crash the
    /// device says it again.
    fn advance(&mut self, now: Now, report: &Report) {
        let Some(command) = self.commands.get_mut(&report.command) else { return };
        mark_sent(&mut self.agenda, &self.limits, command);
        command.record.state = report.state;
        Self::show(&mut self.stats, command, report.state);
        command.record.percent = command.record.percent.max(report.percent);
        command.record.detail = report.detail.clone();
        let step = command.step(now, &report.detail);
        command.add_progress(step);
        let update = command.update(report.state, now.unix_ms);
        self.effects.push_back(Effect::Update(Update { detail: report.detail.clone(), ..update }));
    }

    /// A result for a command that has ended: the same one again, or another that is only noted.
    fn late(&mut self, now: Now, report: &Report) {
        let Some(command) = self.commands.get_mut(&report.command) else { return };
        let record = &command.record;
        let repeated = record.state == report.state && record.result == report.result;
        if !repeated && !command.has_note(report.state, &report.detail) {
            self.stats.reports_late += 1;
            if command.has_room_for_note() {
                let revision = command.revision + 1;
                let (state, unix_ms) = (report.state, now.unix_ms);
                let step = command.step(now, &report.detail);
                command.add_step(Step { state, late: true, revision, ..step });
                self.effects.push_back(command.persist());
                let (detail, result) = (report.detail.clone(), report.result.clone());
                if !command.wait(revision, Then::ShowLate { state, unix_ms, detail, result }) {
                    self.stats.notes_dropped += 1;
                }
            } else {
                self.stats.notes_dropped += 1;
            }
        }
        self.ack_when_durable(report);
    }

    fn ack_when_durable(&mut self, report: &Report) {
        let Some(command) = self.commands.get_mut(&report.command) else { return };
        let Some(token) = report.reply else { return };
        if command.durable == command.revision {
            self.effects.extend(ack(report));
        } else if !command.wait(command.revision, Then::Ack { session: report.session, token }) {
            self.stats.acks_dropped += 1;
        }
    }

    /// The disk has a record: what it says may be told, and what waited for it may go on.
    pub(super) fn durable(&mut self, now: Now, id: CommandId, step: u32) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        let before = command.durable;
        command.durable = before.max(step.min(command.revision));
        let after = command.durable;
        let has = |revision: u32| before < revision && revision <= after;
        let (first, ended) = (has(1), command.ending.is_some_and(has));
        if first {
            let unix_ms = command.record.accepted_unix_ms;
            let update = command.update(CommandState::Accepted, unix_ms);
            self.effects.push_back(Effect::Update(update));
        }
        if ended {
            let state = command.record.state;
            Self::show(&mut self.stats, command, state);
            self.effects.push_back(Effect::Update(end_of(command)));
        }
        command.settle(&mut self.effects);
        let device = command.record.device.clone();
        if first {
            self.supersede(now, id);
        }
        if ended {
            self.retire(now, id);
        }
        self.pump(now, &device);
    }

    /// The disk has no room for a record. A command that was not accepted never was; anything else
    /// is offered again until it fits.
    pub(super) fn not_stored(&mut self, now: Now, id: CommandId, step: u32) {
        self.stats.records_refused += 1;
        let Some(command) = self.commands.get_mut(&id) else { return };
        if step != command.revision {
            // A later record, which says more, is on its way.
        } else if command.durable == 0 {
            let device = command.record.device.clone();
            let unanswered = self.remove(id).into_iter().flat_map(Command::into_unanswered);
            for token in unanswered {
                self.refuse(token, Refusal::StoreFull);
            }
            self.pump(now, &device);
        } else if !command.retrying {
            command.retrying = true;
            self.agenda.retries.push_back((now.mono + self.limits.retry, id));
        }
    }

    pub(super) fn offer_again(&mut self, id: CommandId) {
        let Some(command) = self.commands.get_mut(&id) else { return };
        command.retrying = false;
        if command.durable < command.revision {
            self.effects.push_back(command.persist());
        }
    }

    /// The command's time is over.
    pub(super) fn run_out(&mut self, now: Now, id: CommandId) {
        let sent = self.commands.get(&id).is_some_and(|command| command.sent);
        let (state, detail) = if sent {
            (CommandState::Unknown, "it was sent, and no result came by its deadline")
        } else {
            (CommandState::Expired, "its deadline passed before it could be sent")
        };
        self.end(now, id, state, detail);
    }
}

fn ack(report: &Report) -> Option<Effect> {
    let Report { device, session, command, reply, .. } = report;
    let (device, session, command) = (device.clone(), *session, *command);
    reply.map(|token| Effect::AckReport { device, session, command, token })
}

fn end_of(command: &Command) -> Update {
    let record = &command.record;
    Update {
        detail: record.detail.clone(),
        result: record.result.clone(),
        ..command.update(record.state, record.ended_unix_ms)
    }
}
