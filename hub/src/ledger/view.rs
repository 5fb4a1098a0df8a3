//! A command as onlookers see it: `hub command <id>`, the queue of a device.

use std::sync::Arc;

use bytes::Bytes;
use proto::CommandState;
use proto::id::{CommandId, DeviceId};

use super::command::Command;
use super::types::{Step, Update};

/// As much of a command as an onlooker may see: nothing of it is lost in a crash, but reports of
/// progress, which the device repeats.
#[derive(Debug, Clone, Copy)]
pub struct CommandView<'a> {
    command: &'a Command,
}

impl<'a> CommandView<'a> {
    pub(super) fn new(command: &'a Command) -> Self {
        Self { command }
    }

    /// Its id.
    pub fn id(self) -> CommandId {
        self.command.record.id
    }

    /// Where it goes.
    pub fn device(self) -> &'a DeviceId {
        &self.command.record.device
    }

    /// Who sent it.
    pub fn sender(self) -> &'a Arc<str> {
        &self.command.record.sender
    }

    /// The sender's own name for it.
    pub fn request_id(self) -> Option<&'a Arc<str>> {
        self.command.record.request_id.as_ref()
    }

    /// A newer command of the device with this key replaces it until it is sent.
    pub fn supersede_key(self) -> Option<&'a Arc<str>> {
        self.command.record.supersede_key.as_ref()
    }

    /// Full name of the payload's message.
    pub fn type_name(self) -> &'a Arc<str> {
        &self.command.record.type_name
    }

    /// What the device is to do.
    pub fn payload(self) -> &'a Bytes {
        &self.command.record.payload
    }

    /// Grows with every durable change, and with progress.
    pub fn revision(self) -> (u32, u8) {
        (self.command.durable, self.command.record.percent)
    }

    /// A terminal state is shown once it is durable.
    pub fn state(self) -> CommandState {
        self.command.shown
    }

    /// 0 to 100.
    pub fn percent(self) -> u8 {
        self.command.record.percent
    }

    /// How often it was delivered.
    pub fn attempt(self) -> u32 {
        self.command.record.attempt
    }

    /// ms since 1970, UTC.
    pub fn accepted_unix_ms(self) -> u64 {
        self.command.record.accepted_unix_ms
    }

    /// ms since 1970, UTC: it may not start later.
    pub fn deadline_unix_ms(self) -> u64 {
        self.command.record.deadline_unix_ms
    }

    /// Why it stands where it stands, for people.
    pub fn detail(self) -> &'a str {
        if self.is_settled() { &self.command.record.detail } else { "" }
    }

    /// The device's proof; empty without one.
    pub fn result(self) -> &'a [u8] {
        if self.is_settled() { &self.command.record.result } else { &[] }
    }

    /// Its life so far, in the order in which the hub learned of it.
    pub fn steps(self) -> impl Iterator<Item = &'a Step> {
        let durable = self.command.durable;
        self.command.record.steps.iter().filter(move |step| step.revision <= durable)
    }

    /// Steps that had to make room for later ones.
    pub fn steps_dropped(self) -> u32 {
        self.command.record.steps_dropped
    }

    /// What is to be shown of it now. After a restart the driver publishes it for the newest command
    /// of each device: the crash may have come between an end's record and its news.
    pub fn update(self) -> Update {
        let last = self.steps().filter(|step| !step.late).last();
        let unix_ms = last.map_or_else(|| self.accepted_unix_ms(), |step| step.unix_ms);
        Update {
            detail: self.detail().into(),
            result: Bytes::copy_from_slice(self.result()),
            ..self.command.update(self.state(), unix_ms)
        }
    }

    fn is_settled(self) -> bool {
        self.command.shown == self.command.record.state
    }
}
