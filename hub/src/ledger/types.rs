//! What goes into the ledger and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::CommandState;
use proto::id::{CommandId, DeviceId};

/// Names a request of a peer until its answer; the ledger only hands it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyToken(pub u64);

/// What the driver tells the ledger.
#[derive(Debug)]
pub enum Input {
    /// A permitted sender wants a command to be brought to a known device.
    Accept(NewCommand),
    /// A permitted peer withdraws a command.
    Cancel { command: CommandId, by: Arc<str>, reply: ReplyToken },
    /// The session has ended, or was not there when the ledger delivered to it.
    DeviceGone { device: DeviceId, session: u64 },
    /// The device takes commands from now on. `session` is the generation of its session, from
    /// 1 on and higher for each newer one; `boot` counts the device's starts, 0 if unknown;
    /// `window` is how many commands the device takes at once.
    DeviceReady { device: DeviceId, session: u64, boot: u32, window: usize },
    /// The device was taken out of the registry.
    DeviceRemoved { device: DeviceId },
    /// The record that [`Effect::Persist`] asked for is on disk, and with it every earlier one
    /// of this command.
    Durable { command: CommandId, step: u32 },
    /// The store had no room for the record and did not write it.
    NotStored { command: CommandId, step: u32 },
    /// The device said something about a command.
    Report(Report),
    /// [`Ledger::deadline`](super::Ledger::deadline) was reached.
    Timeout,
}

/// A command as its sender states it.
#[derive(Debug, Clone)]
pub struct NewCommand {
    /// Chosen by the driver; not seen before.
    pub command: CommandId,
    pub device: DeviceId,
    /// Who sends it; request ids are told apart by sender.
    pub sender: Arc<str>,
    /// At most 64 bytes: the same id of the same sender is the same command.
    pub request_id: Option<Arc<str>>,
    /// At most 64 bytes: a newer command with the same key replaces this one until it is sent.
    pub supersede_key: Option<Arc<str>>,
    /// Full name of the payload's message.
    pub type_name: Arc<str>,
    /// At most 32 KiB; kept for as long as the command, so not a slice of a read buffer.
    pub payload: Bytes,
    /// How long the command may wait and start, 5 s to 7 days.
    pub ttl: Duration,
    pub reply: ReplyToken,
}

/// What a device says of a command.
#[derive(Debug, Clone)]
pub struct Report {
    pub device: DeviceId,
    /// The generation of the session that the report came through.
    pub session: u64,
    pub command: CommandId,
    pub state: CommandState,
    /// 0 to 100, with RUNNING.
    pub percent: u8,
    /// For people; cut off at 120 bytes.
    pub detail: Box<str>,
    /// The device's proof, at most 4 KiB.
    pub result: Bytes,
    /// `None` if the device wants no answer.
    pub reply: Option<ReplyToken>,
}

/// What the ledger asks the driver to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// The report needs no repeating: what it said is durable, or is not worth keeping.
    AckReport { device: DeviceId, session: u64, command: CommandId, token: ReplyToken },
    /// Bring the command to the device. A session that can't take it has ended: answer with
    /// [`Input::DeviceGone`].
    Deliver(Delivery),
    /// Delete the record.
    Forget { command: CommandId },
    /// Write the record under the command's id, after all those asked for earlier, and answer
    /// with [`Input::Durable`] or [`Input::NotStored`].
    Persist { command: CommandId, record: Bytes, step: u32 },
    /// Answer a request.
    Reply { token: ReplyToken, answer: Result<Accepted, Refusal> },
    /// Publish a step in a command's life.
    Update(Update),
}

/// A command on its way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub device: DeviceId,
    pub session: u64,
    pub command: CommandId,
    pub type_name: Arc<str>,
    pub payload: Bytes,
    /// How long it may still start, at least 1 ms.
    pub remaining: Duration,
    /// 1 for the first delivery.
    pub attempt: u32,
}

/// The ledger has the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub command: CommandId,
    /// Where it stands at this moment.
    pub state: CommandState,
    /// It was accepted by an earlier request with the same id.
    pub duplicate: bool,
}

/// Why the ledger does not do what was asked. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the command has ended as {}", state.word())]
    AlreadyEnded { state: CommandState },
    #[error("the command was sent; the device may have it")]
    AlreadySent,
    #[error("the hub holds as many commands as it may")]
    Busy,
    #[error("the request id stands for another command")]
    Conflict,
    #[error("no such command")]
    NotFound,
    #[error("the device's queue is full")]
    QueueFull,
    #[error("the hub's disk has no room")]
    StoreFull,
    #[error("`{field}` is longer than {limit} bytes")]
    TooLong { field: &'static str, limit: usize },
    #[error("the time to live is not within {min:?} to {max:?}")]
    TtlOutOfRange { min: Duration, max: Duration },
}

impl Refusal {
    /// Whether the same request can succeed later.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Busy | Self::QueueFull | Self::StoreFull => true,
            Self::AlreadyEnded { .. }
            | Self::AlreadySent
            | Self::Conflict
            | Self::NotFound
            | Self::TooLong { .. }
            | Self::TtlOutOfRange { .. } => false,
        }
    }
}

/// One step in a command's life, for everybody who watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub command: CommandId,
    pub device: DeviceId,
    pub state: CommandState,
    /// 0 to 100; never goes back.
    pub percent: u8,
    /// ms since 1970, UTC, when it happened.
    pub unix_ms: u64,
    pub sender: Arc<str>,
    pub type_name: Arc<str>,
    /// Why, for people.
    pub detail: Box<str>,
    /// How often it was delivered.
    pub attempt: u32,
    /// The device's proof.
    pub result: Bytes,
    pub request_id: Option<Arc<str>>,
    pub deadline_unix_ms: u64,
    /// The device reported `state` after the command had ended otherwise, which stands.
    pub late: bool,
}

/// A step that the ledger remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub state: CommandState,
    /// ms since 1970, UTC.
    pub unix_ms: u64,
    /// How often the command had been delivered.
    pub attempt: u32,
    pub detail: Box<str>,
    /// Reported after the command had ended otherwise.
    pub late: bool,
    /// Shown once this revision of the record is durable; 0 shows it at once.
    pub(super) revision: u32,
}

/// Number of states, with the unset one.
const STATES: usize = CommandState::ALL.len() + 1;

/// What can be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commands by the number of their state; index 0 is unused.
    pub by_state: [usize; STATES],
    /// Bytes of payloads and results.
    pub bytes: usize,
    /// Commands failed because their device came back too often without ending them.
    pub poisoned: u64,
    /// Deliveries beyond a command's first.
    pub redeliveries: u64,
    /// Records that the store had no room for.
    pub records_refused: u64,
    /// Reports of unknown or foreign commands, or of states that no device may report.
    pub reports_ignored: u64,
    /// Reports that came after the command had ended otherwise.
    pub reports_late: u64,
    /// Reports and readiness of sessions that a newer one has replaced.
    pub stale: u64,
    /// Ended commands forgotten before their retention, for want of room.
    pub forgotten_early: u64,
    /// Late reports that a command had no room to note, and results too long to keep.
    pub notes_dropped: u64,
    /// Acknowledgements that a device must ask for again, since too many waited.
    pub acks_dropped: u64,
}

impl Stats {
    /// How many commands stand in this state.
    pub fn in_state(&self, state: CommandState) -> usize {
        self.by_state[state as usize]
    }
}
