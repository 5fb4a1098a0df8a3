//! When the ledger acts unasked: all its timers in one place.
//!
//! | timer | for | due | what happens |
//! |---|---|---|---|
//! | live | a command that was not sent | its deadline | EXPIRED |
//! | live | a command that may have been sent | its deadline + `grace` | UNKNOWN |
//! | retry | a record that the store refused | `retry` after the refusal | it is offered again |
//! | ended | a command that has ended | `retention` after the end | it is forgotten |
//!
//! A command has at most one live or ended timer, and one retry; nothing stale is left behind.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use proto::id::CommandId;

#[derive(Debug, Default)]
pub(super) struct Agenda {
    pub(super) live: BTreeSet<(Instant, CommandId)>,
    pub(super) ended: BTreeSet<(Instant, CommandId)>,
    /// In the order of time, since all wait equally long.
    pub(super) retries: VecDeque<(Instant, CommandId)>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    End(CommandId),
    Forget(CommandId),
    Retry(CommandId),
}

impl Agenda {
    pub(super) fn next(&self) -> Option<Instant> {
        let firsts = [self.live.first(), self.retries.front(), self.ended.first()];
        firsts.into_iter().flatten().map(|(due, _)| *due).min()
    }

    /// Takes what is due, ends first: they are promised by a time.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        let is_due =
            |timer: Option<&(Instant, CommandId)>| timer.is_some_and(|(due, _)| *due <= now);
        if is_due(self.live.first()) {
            self.live.pop_first().map(|(_, id)| Due::End(id))
        } else if is_due(self.retries.front()) {
            self.retries.pop_front().map(|(_, id)| Due::Retry(id))
        } else if is_due(self.ended.first()) {
            self.ended.pop_first().map(|(_, id)| Due::Forget(id))
        } else {
            None
        }
    }
}
