//! The commands of one device that have not ended, and its session.

use std::collections::VecDeque;

use proto::id::CommandId;

use super::command::Hop;

/// What the ledger knows of a device that is connected or has commands to come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The newest session seen; older ones are fenced.
    pub(super) generation: u64,
    /// The session that takes commands now.
    pub(super) session: Option<Session>,
    /// In the order of acceptance. At most twice what may wait and be in flight, so walking it is
    /// cheap.
    pub(super) entries: VecDeque<(u64, CommandId)>,
}

/// A session that is ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) hop: Hop,
    /// How many commands it takes at once.
    pub(super) window: usize,
}

impl Queue {
    /// Puts a command into its place, which is the end but for commands read from the store.
    pub(super) fn insert(&mut self, order: u64, id: CommandId) {
        let place = self.entries.partition_point(|(other, _)| *other < order);
        self.entries.insert(place, (order, id));
    }

    pub(super) fn remove(&mut self, order: u64) {
        if let Ok(place) = self.entries.binary_search_by_key(&order, |(other, _)| *other) {
            self.entries.remove(place);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.session.is_none() && self.entries.is_empty()
    }

    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = CommandId> {
        self.entries.iter().map(|(_, id)| *id)
    }
}
