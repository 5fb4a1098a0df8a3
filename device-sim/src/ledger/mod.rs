//! What was tried, what was acknowledged, what was seen; and from these, which promises were broken.
//!
//! The ledgers stand outside the hub and believe only acks and observations:
//!
//! ```text
//!   attempted A   acknowledged K   refused F   observed O
//!   lost = K − O      phantom = O − A      F ∩ O must be empty      deliveries may repeat, effects may not
//! ```
//!
//! `device` keeps the reports of one lamp, `commands` keeps all commands, and what they find goes into
//! [`Findings`].

pub mod commands;

pub mod device;

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A way in which a promise can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// P2: an acknowledged report is not in the last value, nor is a newer one.
    ReportLost,
    /// P3: something was observed that no lamp sent.
    Phantom,
    /// P3: a report was observed with another content.
    ReportAltered,
    /// A report was observed that its lamp was told is refused.
    RefusedShown,
    /// P7, P10: within one stream, an older report came after a newer one.
    WentBack,
    /// P1: the hub doesn't know an acknowledged command.
    CommandLost,
    /// P3: a command reached its lamp with another content.
    CommandAltered,
    /// P3: a lamp carried out what nobody had sent.
    ExecutedUnsent,
    /// P5: an effect was begun twice.
    ExecutedTwice,
    /// P6: a terminal state was followed by another state.
    TerminalChanged,
    /// P6: a command had no terminal state 60 s after its deadline.
    NeverTerminal,
    /// P7: a lamp started commands in another order than they were acknowledged in.
    OutOfOrder,
    /// P28: one request id became two commands.
    CommandDoubled,
    /// A refused command was carried out.
    RefusedExecuted,
    /// A lamp was disconnected though nothing in the scenario did that; only with `--strict`.
    Disconnected,
}

impl Breach {
    /// The promise's number and what happened, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ReportLost => "P2 acknowledged report lost",
            Self::Phantom => "P3 observed what nobody sent",
            Self::ReportAltered => "P3 report with another content",
            Self::RefusedShown => "F∩O refused report was shown",
            Self::WentBack => "P7 report older than the one before",
            Self::CommandLost => "P1 acknowledged command lost",
            Self::CommandAltered => "P3 command with another content",
            Self::ExecutedUnsent => "P3 executed what nobody sent",
            Self::ExecutedTwice => "P5 effect begun twice",
            Self::TerminalChanged => "P6 terminal state changed",
            Self::NeverTerminal => "P6 no terminal state in time",
            Self::OutOfOrder => "P7 commands out of order",
            Self::CommandDoubled => "P28 one request, two commands",
            Self::RefusedExecuted => "refused command was executed",
            Self::Disconnected => "disconnected without cause",
        }
    }
}

/// How often something was broken, with the first cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Cases.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// Cases that are described; the others are counted.
const EXAMPLES_MAX: usize = 5;

/// All that was found broken, by kind. Shared by everybody who judges.
#[derive(Debug, Default)]
pub struct Findings(Mutex<BTreeMap<Breach, Finding>>);

impl Findings {
    /// Adds a case.
    pub fn add(&self, breach: Breach, example: impl FnOnce() -> String) {
        let mut findings = self.0.lock();
        let finding = findings.entry(breach).or_default();
        finding.count += 1;
        if finding.examples.len() < EXAMPLES_MAX {
            finding.examples.push(example());
        }
    }

    /// Adds all that somebody else found.
    pub fn add_all(&self, others: Self) {
        let mut findings = self.0.lock();
        for (breach, other) in others.0.into_inner() {
            let finding = findings.entry(breach).or_default();
            finding.count += other.count;
            finding.examples.extend(other.examples);
            finding.examples.truncate(EXAMPLES_MAX);
        }
    }

    /// A copy of all so far.
    pub fn all(&self) -> BTreeMap<Breach, Finding> {
        self.0.lock().clone()
    }
}

/// Names a payload in the ledgers: FNV-1a of 64 bits, mixed. Two payloads of one report that differ by
/// accident have the same name once in 2^64.
pub fn hash(payload: &[u8]) -> u64 {
    let hash = payload.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash ^ hash >> 32
}
