//! How the writer does: counters, and its health.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A commit that takes longer than this is a disk in trouble.
const COMMIT_AGE_MAX: Duration = Duration::from_secs(5);

/// Counters since the start. They only grow, but for the durations.
#[derive(Debug, Default)]
pub struct WriterStats {
    /// Syncs to disk.
    pub commits: AtomicU64,
    /// Operations that were committed, after coalescing.
    pub operations: AtomicU64,
    /// Operations that a later one of the same batch replaced.
    pub coalesced: AtomicU64,
    /// Bytes of keys and values that were committed.
    pub bytes: AtomicU64,
    /// Tickets that completed.
    pub tickets: AtomicU64,
    /// Submissions that were refused as busy.
    pub refused: AtomicU64,
    /// µs that all commits took together.
    pub commit_micros: AtomicU64,
    /// µs that the last commit took.
    pub last_commit_micros: AtomicU64,
    /// µs that the longest commit took.
    pub longest_commit_micros: AtomicU64,
}

/// How the writer is, for `/readyz` and for refusing work early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The age of the commit that is running.
    pub commit_age: Option<Duration>,
    pub has_failed: bool,
    /// What waits for the next commit.
    pub pending_operations: usize,
    pub pending_bytes: usize,
    pub pending_tickets: usize,
}

impl Health {
    /// Whether durable acknowledgements are not to be expected soon, or ever.
    pub fn is_degraded(&self) -> bool {
        self.has_failed || self.commit_age.is_some_and(|age| age > COMMIT_AGE_MAX)
    }
}
