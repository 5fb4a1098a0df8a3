//! What a channel keeps: its last values, by what order, and its history.
//!
//! Pure state: no lock, no clock, no I/O. The broker holds one [`ChannelState`] a channel behind a
//! lock, and gives every message its offset before it comes here.
//!
//! Read [`rule`] for what the configuration says, then [`order`] and [`merge`] for how a new value
//! meets the held one, then [`history`].
//!
//! # Guarantees
//!
//! - The last value is the newest *measured* by `(boot, seq)`, not the last received.
//! - Its revision, the offset of its message, only grows.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::codec::Frame;

pub mod history;
pub mod merge;
pub mod order;
pub mod rule;

pub use history::{History, Recovery};
pub use order::{ReportId, Verdict};
pub use rule::{Keep, Rule, Rules, Undecodable};

/// A last value, as the message that brought it.
#[derive(Debug, Clone)]
pub struct LastValue {
    /// The message, with its revision as offset.
    pub frame: Arc<Frame>,
    /// The identity of the report; 0 and 0 for values that no device measured.
    pub report: ReportId,
}

/// Everything that one channel keeps.
#[derive(Debug, Default)]
pub struct ChannelState {
    /// One a type; most channels have one type.
    last: SmallVec<[LastValue; 1]>,
    history: History,
}

impl ChannelState {
    /// How a report stands to the held value of its type.
    pub fn judge(&self, type_name: &str, report: ReportId) -> Verdict {
        order::judge(self.last_of(type_name).map(|last| last.report), report)
    }

    /// The held value of a type.
    pub fn last_of(&self, type_name: &str) -> Option<&LastValue> {
        self.last.iter().find(|last| last.frame.type_name() == type_name)
    }

    /// All held values, one a type.
    pub fn last(&self) -> &[LastValue] {
        &self.last
    }

    /// The highest revision held, or 0.
    pub fn revision(&self) -> u64 {
        self.last.iter().map(|last| last.frame.offset()).max().unwrap_or(0)
    }

    /// Takes a message that was judged newer.
    pub fn take(&mut self, rule: &Rule, frame: &Arc<Frame>, report: ReportId, unix_ms: u64) {
        if rule.keep != Keep::None {
            let value = LastValue { frame: frame.clone(), report };
            match self.last.iter_mut().find(|last| last.frame.type_name() == frame.type_name()) {
                Some(last) => *last = value,
                None => self.last.push(value),
            }
        }
        self.history.push(rule, frame, unix_ms);
    }

    /// Takes a value that was stored. What came before it is not known any more.
    pub fn restore(&mut self, rule: &Rule, frame: &Arc<Frame>, report: ReportId, unix_ms: u64) {
        self.take(rule, frame, report, unix_ms);
        self.history.forget(frame.offset());
    }

    /// Every message forgets in which other forms it was read.
    pub fn renew(&mut self) {
        for last in &mut self.last {
            last.frame = Arc::new(last.frame.renewed());
        }
        self.history.renew();
    }

    /// The recent messages that are still there, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.history.kept()
    }

    /// What was published after an offset.
    pub fn since(&self, offset: u64) -> Recovery<'_> {
        self.history.since(offset)
    }
}
