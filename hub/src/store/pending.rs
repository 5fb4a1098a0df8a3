//! The queue of the writer: what the next commit will hold, as a pure structure.
//!
//! It keeps one operation a key, the last one, and the tickets in the order of submission. What is
//! over a limit is refused before anything is touched, so a refusal leaves no trace.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;

use super::{Operation, Table, size_of_record};

/// What may wait for the next commit. While one batch is written another fills up, so the memory
/// that is taken can be twice this.
#[derive(Debug, Clone, Copy)]
pub struct PendingLimits {
    /// Keys, 1 or more. One submission with more operations than this is always refused.
    pub operations_max: usize,
    /// Bytes of keys and values, 1 or more.
    pub bytes_max: usize,
    /// Tickets, 1 or more.
    pub tickets_max: usize,
}

impl Default for PendingLimits {
    fn default() -> Self {
        Self { operations_max: 65_536, bytes_max: 32 * 1_024 * 1_024, tickets_max: 262_144 }
    }
}

/// The limit that a submission would have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusyReason {
    #[error("bytes")]
    Bytes,
    #[error("operations")]
    Operations,
    #[error("tickets")]
    Tickets,
}

/// What was submitted since the writer last took a batch.
#[derive(Debug)]
pub(super) struct Pending<T> {
    limits: PendingLimits,
    /// By stored key.
    operations: HashMap<Box<[u8]>, (Table, Option<Bytes>)>,
    tickets: Vec<T>,
    /// Of all keys and values in `operations`.
    bytes: usize,
}

/// What one commit writes, and whom it answers.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) operations: Vec<Operation>,
    pub(super) tickets: Vec<T>,
    pub(super) bytes: usize,
}

impl<T> Pending<T> {
    pub(super) fn new(limits: PendingLimits) -> Self {
        Self { limits, operations: HashMap::new(), tickets: Vec::new(), bytes: 0 }
    }

    /// Says whether `operations` and one ticket more would fit. It counts as if no key were there
    /// already, so that it needs no look-up.
    pub(super) fn check(&self, operations: &[Operation], ticket: bool) -> Result<(), BusyReason> {
        let limits = &self.limits;
        let bytes: usize = operations.iter().map(Operation::size).sum();
        if self.operations.len() + operations.len() > limits.operations_max {
            Err(BusyReason::Operations)
        } else if self.bytes + bytes > limits.bytes_max {
            Err(BusyReason::Bytes)
        } else if self.tickets.len() + usize::from(ticket) > limits.tickets_max {
            Err(BusyReason::Tickets)
        } else {
            Ok(())
        }
    }

    /// Takes in what `check` allowed. Returns how many operations replaced an older one.
    pub(super) fn add(
        &mut self,
        operations: impl IntoIterator<Item = Operation>,
        ticket: Option<T>,
    ) -> u64 {
        let mut coalesced = 0;
        for Operation { table, stored_key, value } in operations {
            self.bytes += size_of_record(&stored_key, value.as_ref());
            let key_size = stored_key.len();
            if let Some((_, older)) = self.operations.insert(stored_key, (table, value)) {
                self.bytes -= key_size + older.map_or(0, |older| older.len());
                coalesced += 1;
            }
        }
        self.tickets.extend(ticket);
        coalesced
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.tickets.is_empty()
    }

    /// Whether waiting for the window to end risks refusing someone.
    pub(super) fn is_half_full(&self) -> bool {
        self.operations.len() > self.limits.operations_max / 2
            || self.bytes > self.limits.bytes_max / 2
            || self.tickets.len() > self.limits.tickets_max / 2
    }

    pub(super) fn take(&mut self) -> Batch<T> {
        // The map keeps its room, so the steady state allocates no table.
        let operations = self
            .operations
            .drain()
            .map(|(stored_key, (table, value))| Operation { table, stored_key, value })
            .collect();
        Batch {
            operations,
            tickets: mem::take(&mut self.tickets),
            bytes: mem::take(&mut self.bytes),
        }
    }

    pub(super) fn operations(&self) -> usize {
        self.operations.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn tickets(&self) -> usize {
        self.tickets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_value_of_a_key_is_kept() {
        let mut pending = Pending::<u32>::new(PendingLimits::default());

        let coalesced = pending.add([put("a", "older"), put("b", "other"), put("a", "new")], None);

        assert_eq!(coalesced, 1);
        let mut batch = pending.take();
        batch.operations.sort_by(|left, right| left.key().cmp(right.key()));
        assert_eq!(batch.operations, [put("a", "new"), put("b", "other")]);
    }

    #[test]
    fn a_deletion_replaces_a_value_and_gives_its_bytes_back() {
        let mut pending = Pending::<u32>::new(PendingLimits::default());
        let deletion = Operation::delete(Table::LastValue, b"a").expect("short");

        pending.add([put("a", "12345"), deletion.clone()], None);

        assert_eq!(pending.bytes(), deletion.size());
        assert_eq!(pending.take().operations, [deletion]);
        assert_eq!(pending.bytes(), 0);
    }

    #[test]
    fn the_same_key_in_two_tables_is_two_records() {
        let mut pending = Pending::<u32>::new(PendingLimits::default());
        let other = Operation::put(Table::Device, b"a", Bytes::new()).expect("short");

        assert_eq!(pending.add([put("a", ""), other], None), 0);

        assert_eq!(pending.take().operations.len(), 2);
    }

    #[test]
    fn each_limit_is_named_when_it_refuses() {
        let limits = PendingLimits { operations_max: 2, bytes_max: 20, tickets_max: 1 };
        let mut pending = Pending::new(limits);
        pending.add([put("a", "1")], Some(1));

        assert_eq!(pending.check(&[put("b", "1")], false), Ok(()));
        assert_eq!(pending.check(&[put("b", "1")], true), Err(BusyReason::Tickets));
        assert_eq!(
            pending.check(&[put("b", "1"), put("c", "1")], false),
            Err(BusyReason::Operations)
        );
        assert_eq!(pending.check(&[put("b", "12345678901234567")], false), Err(BusyReason::Bytes));
    }

    fn put(key: &str, value: &str) -> Operation {
        let value = Bytes::copy_from_slice(value.as_bytes());
        Operation::put(Table::LastValue, key.as_bytes(), value).expect("short")
    }
}
