//! One target, where it stands, and how many stand where.

use proto::{CommandId, CommandState, DeviceId};

/// Where a target stands: it waits for its turn, or its command has this state. The order is that of
/// life; the number is in records, so never change one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Its command was not accepted yet.
    #[default]
    Waiting = 0,
    /// Durable at the hub, for the device.
    Accepted = 1,
    /// On its way to the device.
    Sent = 2,
    /// The device has it.
    Delivered = 3,
    /// The device works on it.
    Running = 4,
    /// Done and measured. An end from here on.
    Succeeded = 5,
    /// The device tried in vain.
    Failed = 6,
    /// The device or the hub refused it.
    Rejected = 7,
    /// The device was not there in time.
    Expired = 8,
    /// Withdrawn before it was sent.
    Canceled = 9,
    /// A newer one took its place.
    Superseded = 10,
    /// It was sent, and whether it was done can't be proved.
    Unknown = 11,
}

impl Outcome {
    /// All of them, by their numbers.
    pub const ALL: [Self; 12] = [
        Self::Waiting,
        Self::Accepted,
        Self::Sent,
        Self::Delivered,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Rejected,
        Self::Expired,
        Self::Canceled,
        Self::Superseded,
        Self::Unknown,
    ];

    /// The one with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// That of a command in this state.
    pub fn of(state: CommandState) -> Self {
        match state {
            CommandState::Unspecified => Self::Waiting,
            CommandState::Accepted => Self::Accepted,
            CommandState::Sent => Self::Sent,
            CommandState::Delivered => Self::Delivered,
            CommandState::Running => Self::Running,
            CommandState::Succeeded => Self::Succeeded,
            CommandState::Failed => Self::Failed,
            CommandState::Rejected => Self::Rejected,
            CommandState::Expired => Self::Expired,
            CommandState::Canceled => Self::Canceled,
            CommandState::Superseded => Self::Superseded,
            CommandState::Unknown => Self::Unknown,
        }
    }

    /// Its word in JSON and in queries.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more comes.
    pub fn is_ended(self) -> bool {
        self >= Self::Succeeded
    }

    /// Whether it counts for the abort threshold.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected | Self::Unknown)
    }
}

/// One device of a fleet command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which one.
    pub device: DeviceId,
    /// Where it stands.
    pub outcome: Outcome,
    /// Its command, once accepted.
    pub command: Option<CommandId>,
    /// Why, for people; at most 120 bytes.
    pub detail: Box<str>,
    /// Its command is with the ledger, which has not answered.
    pub(super) handed: bool,
}

impl Target {
    pub(super) fn new(device: DeviceId) -> Self {
        Self {
            device,
            outcome: Outcome::Waiting,
            command: None,
            detail: Box::default(),
            handed: false,
        }
    }
}

/// How many targets stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u32; Outcome::ALL.len()]);

impl Counts {
    pub(super) fn of_targets(targets: &[Target]) -> Self {
        let mut counts = Self::default();
        for target in targets {
            counts.0[target.outcome as usize] += 1;
        }
        counts
    }

    pub(super) fn moved(&mut self, from: Outcome, to: Outcome) {
        self.0[from as usize] -= 1;
        self.0[to as usize] += 1;
    }

    /// How many stand there.
    pub fn of(&self, outcome: Outcome) -> u32 {
        self.0[outcome as usize]
    }

    /// All targets.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Those that have ended.
    pub fn ended(&self) -> u32 {
        self.sum(Outcome::is_ended)
    }

    /// Those that count for the abort threshold.
    pub fn bad(&self) -> u32 {
        self.sum(Outcome::is_bad)
    }

    fn sum(&self, which: impl Fn(Outcome) -> bool) -> u32 {
        Outcome::ALL
            .iter()
            .filter(|outcome| which(**outcome))
            .map(|outcome| self.of(*outcome))
            .sum()
    }
}
