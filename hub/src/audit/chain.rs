//! The chain of records: what is to be written for the next one, and which are old enough to go.
//!
//! ```text
//!   mark 1          mark 1025          mark 2049        head
//!   ├─ 1 … 1024 ────┼─ 1025 … 2048 ────┼─ 2049 … 2310 ─┤
//!   └ goes as one when it is old; then mark 1025 is the start of the chain
//! ```
//!
//! A *mark* has the hash that the first record of a block continues from, so that what is left of the
//! chain can still be proved when older blocks are gone. The *head* has the hash of the newest record,
//! so that one can't be cut off at the end.

use std::collections::VecDeque;
use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};

use super::record::Record;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first record of a chain continues from.
pub const GENESIS: Hash = [0; 32];
/// Records of a block.
pub const BLOCK: u64 = 1024;

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records: the oldest block goes when more than these and one block are there.
    pub records_max: u64,
    /// A block goes when all of its records are older.
    pub age_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records_max: 500_000, age_max: Duration::from_secs(400 * 24 * 3600) }
    }
}

/// Where a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number of its first record.
    pub first: u64,
    /// The hash of the record before that.
    pub previous: Hash,
    /// When it began, in ms since 1970.
    pub unix_ms: u64,
}

/// The newest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 if there is none.
    pub n: u64,
    /// Its hash.
    pub hash: Hash,
}

/// A change of what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A record: its number and its line.
    Entry(u64, Vec<u8>),
    /// The beginning of a block.
    Mark(Mark),
    /// The newest record; replaces the one before.
    Head(Head),
    /// A block is gone: the number of its first record, and of the first one after it.
    Forget(u64, u64),
}

/// The end of the chain, and where its blocks begin.
#[derive(Debug)]
pub struct Chain {
    limits: Limits,
    head: Head,
    /// Oldest first.
    marks: VecDeque<Mark>,
}

/// How the chain was, for going back where a batch isn't taken.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    head: Head,
    marks: usize,
}

impl Chain {
    /// The chain as it was stored: nothing is the beginning of one.
    pub fn resume(limits: Limits, head: Option<Head>, mut marks: Vec<Mark>) -> Self {
        marks.sort_unstable_by_key(|mark| mark.first);
        let head = head.unwrap_or(Head { n: 0, hash: GENESIS });
        Self { limits, head, marks: marks.into() }
    }

    /// The newest record.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Where the chain begins, now that older records are gone.
    pub fn start(&self) -> Mark {
        let none = Mark { first: self.head.n + 1, previous: self.head.hash, unix_ms: 0 };
        self.marks.front().copied().unwrap_or(none)
    }

    /// Other bounds, from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The first record of the block in which a moment lies.
    pub fn block_at(&self, unix_ms: u64) -> u64 {
        // Up to the first that began too late: the clock may have gone back after it.
        let earlier = self.marks.iter().take_while(|mark| mark.unix_ms < unix_ms).count();
        self.marks.get(earlier.saturating_sub(1)).map_or(1, |mark| mark.first)
    }

    /// How it is now.
    pub fn save(&self) -> Saved {
        Saved { head: self.head, marks: self.marks.len() }
    }

    /// Undoes the appends since then.
    pub fn restore(&mut self, saved: Saved) {
        self.head = saved.head;
        self.marks.truncate(saved.marks);
    }

    /// Adds a record, and returns what is to be written for it.
    pub fn append(&mut self, unix_ms: u64, record: &Record) -> Vec<Write> {
        let mut writes = Vec::with_capacity(3);
        let n = self.head.n + 1;
        if (n - 1).is_multiple_of(BLOCK) || self.marks.is_empty() {
            let mark = Mark { first: n, previous: self.head.hash, unix_ms };
            self.marks.push_back(mark);
            writes.push(Write::Mark(mark));
        }
        let line = record.place(n, unix_ms, &self.head.hash).line();
        self.head = Head { n, hash: hash_of(&line) };
        writes.push(Write::Entry(n, line));
        writes.push(Write::Head(self.head));
        writes
    }

    /// The oldest block, if it is to go: the number of its first record, and of the next block's.
    pub fn surplus(&self, unix_ms: u64) -> Option<(u64, u64)> {
        let (oldest, next) = (self.marks.front()?, self.marks.get(1)?);
        let kept = self.head.n + 1 - next.first;
        let age = Duration::from_millis(unix_ms.saturating_sub(next.unix_ms));
        let surplus = kept >= self.limits.records_max || age > self.limits.age_max;
        surplus.then_some((oldest.first, next.first))
    }

    /// Lets the oldest block go, once its removal is under way.
    pub fn forget_oldest(&mut self) {
        self.marks.pop_front();
    }
}

/// The hash of a record's line.
pub fn hash_of(line: &[u8]) -> Hash {
    Sha256::digest(line).into()
}

/// A hash as records and people have it.
pub fn hex(hash: &Hash) -> String {
    HEXLOWER.encode(hash)
}

/// A hash from its hex.
pub fn from_hex(text: &str) -> Option<Hash> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Verb};

    #[test]
    fn a_batch_that_is_not_taken_leaves_no_trace_in_the_chain() {
        let mut chain = Chain::resume(Limits::default(), None, Vec::new());
        chain.append(1, &record());
        let saved = chain.save();
        let first = chain.append(2, &record());
        chain.restore(saved);
        assert_eq!(chain.append(2, &record()), first);
    }

    #[test]
    fn a_block_goes_when_there_are_enough_without_it() {
        let limits = Limits { records_max: 10, age_max: Duration::MAX };
        let mut chain = Chain::resume(limits, None, Vec::new());
        for at in 1..=BLOCK + 9 {
            chain.append(at, &record());
            assert_eq!(chain.surplus(at), None);
        }
        chain.append(BLOCK + 10, &record());
        assert_eq!(chain.surplus(0), Some((1, BLOCK + 1)));
        chain.forget_oldest();
        assert_eq!(chain.start().first, BLOCK + 1);
        assert_eq!(chain.surplus(0), None);
    }

    #[test]
    fn a_block_goes_when_all_of_it_is_old() {
        let limits = Limits { records_max: u64::MAX, age_max: Duration::from_millis(100) };
        let mut chain = Chain::resume(limits, None, Vec::new());
        for _ in 0..=BLOCK {
            chain.append(1000, &record());
        }
        assert_eq!(chain.surplus(1100), None);
        assert_eq!(chain.surplus(1101), Some((1, BLOCK + 1)));
    }

    #[test]
    fn a_moment_is_looked_for_from_the_block_in_which_it_lies() {
        let mut chain = Chain::resume(Limits::default(), None, Vec::new());
        for at in 1..=3 * BLOCK {
            chain.append(at, &record());
        }
        assert_eq!(chain.block_at(0), 1);
        assert_eq!(chain.block_at(BLOCK + 1), 1, "records of one moment may lie on both sides");
        assert_eq!(chain.block_at(BLOCK + 2), BLOCK + 1);
        assert_eq!(chain.block_at(u64::MAX), 2 * BLOCK + 1);
    }

    fn record() -> Record {
        Record::done(Actor::hub(), Verb::AddDevice, "lamp-0001")
    }
}
