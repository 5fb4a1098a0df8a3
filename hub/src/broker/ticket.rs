//! What waits for a commit, and what happens when it is done.

use std::sync::Arc;

use parking_lot::Mutex;
use proto::CommandId;

use super::Broker;
use crate::mailbox::Mailbox;
use crate::twin::ReportId;

/// Waits for the commit that covers it.
#[derive(Debug)]
pub enum Ticket {
    /// A device's report: raise the cumulative ack of its session.
    Report {
        /// Where the device reads.
        mailbox: Arc<Mailbox>,
        /// The highest durable report of the device.
        durable: Arc<Mutex<ReportId>>,
        /// This report.
        report: ReportId,
    },
    /// An answer that says that something is durable: an envelope with its length.
    Answer {
        /// Where the asker reads.
        mailbox: Arc<Mailbox>,
        /// What it is told.
        envelope: bytes::Bytes,
    },
    /// A step of a command.
    Command {
        /// Which command.
        command: CommandId,
        /// The step that is durable now.
        step: u32,
    },
    /// A fleet command with all its targets: it begins. Someone may wait for that.
    Fleet(crate::fleet::FleetId, tokio::sync::oneshot::Sender<()>),
    /// Someone waits in a task of the runtime.
    Waiter(tokio::sync::oneshot::Sender<()>),
}

impl Broker {
    /// Everything that waited for a commit. Runs on the store's thread.
    pub(crate) fn committed(&self, tickets: Vec<Ticket>) {
        let mut steps = Vec::new();
        let mut reports = 0;
        for ticket in tickets {
            match ticket {
                Ticket::Report { mailbox, durable, report } => {
                    reports += 1;
                    let mut highest = durable.lock();
                    *highest = (*highest).max(report);
                    drop(highest);
                    mailbox.acknowledge(report.boot, report.seq).wake();
                }
                Ticket::Answer { mailbox, envelope } => mailbox.answer(envelope).wake(),
                Ticket::Command { command, step } => steps.push((command, step)),
                Ticket::Fleet(fleet, waiter) => {
                    self.fleet_durable(fleet);
                    // It begins, whether or not its sender is still there.
                    waiter.send(()).ok();
                }
                // The waiter may have given up; what it asked for is durable all the same.
                Ticket::Waiter(waiter) => drop(waiter.send(())),
            }
        }
        self.metrics.acks_durable.inc_by(reports);
        self.commands_durable(&steps);
    }
}
