//! Whether the disk has room, looked up before it is full.
//!
//! A database that runs into a full disk in the middle of a commit can't go on. So the hub keeps some
//! room back: below it nothing durable is taken, which senders are told with a retry, while reading
//! and delivery go on. When there is room again everything is taken again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that must be free for the store to take anything: more than one commit with its segments.
pub const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// The room on the disk of the data folder.
#[derive(Debug)]
pub struct Room {
    folder: Option<PathBuf>,
    free: AtomicU64,
}

impl Room {
    /// For a folder, or without limit where nothing is stored on a disk.
    pub fn new(folder: Option<PathBuf>) -> Self {
        let room = Self { folder, free: AtomicU64::new(u64::MAX) };
        room.look();
        room
    }

    /// Looks again. One system call; called several times a second.
    pub fn look(&self) {
        let Some(folder) = &self.folder else { return };
        // A folder that can't be asked about fails its commits soon enough.
        let Ok(disk) = rustix::fs::statvfs(folder) else { return };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let before = self.free.swap(free, Ordering::Relaxed);
        if free < FREE_BYTES_MIN && before >= FREE_BYTES_MIN {
            tracing::error!(free, "the disk is almost full: nothing durable is taken any more");
        } else if free >= FREE_BYTES_MIN && before < FREE_BYTES_MIN {
            tracing::warn!(free, "the disk has room again");
        }
    }

    /// Whether the store may take more.
    ///
    /// # Errors
    /// It may not; the text is for the sender.
    pub fn check(&self) -> Result<(), String> {
        let free = self.free.load(Ordering::Relaxed);
        if free >= FREE_BYTES_MIN { Ok(()) } else { Err("the hub's disk is full".to_owned()) }
    }
}
