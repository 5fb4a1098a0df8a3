//! Records in a folder of sled 0.34.7, made durable by our own syncs.
//!
//! sled's `flush` writes its log with `sync_file_range`, which leaves data in the cache of the drive
//! and the file's own description in the cache of the kernel. A commit is therefore: apply the batch
//! (sled recovers a batch whole or not at all), sync what lies beside the log, flush the log, and
//! `fdatasync` sled's file.
//!
//! - The file is opened here a second time. sled's background thread syncs too and only logs an
//!   error; the kernel tells each description of a file once, so ours hears of that error as well.
//!   That both are the same file is proved: sled holds its lock, so we can't get it.
//! - sled puts a page of more than 128 KiB (a quarter of a segment) into a file of its own in
//!   `blobs/`, and never syncs that. A page holds up to about 20 records, not one, so values of 8 KiB
//!   are enough to make one. Every blob that appeared since the last commit is synced before the
//!   log is flushed. Larger segments would avoid blobs, but write more than twice as much (measured).
//! - `snap.*` is written and synced by sled while it opens; the folder is synced after that.
//!
//! sled is never asked for `flush_async`: it deadlocks with several callers.
//!
//! # What remains
//!
//! sled may use the space of a segment again once the pages moved out of it are written, which can
//! be up to one sync before they are safe on a drive that loses its cache. Only another engine
//! can close that gap.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ::sled::{Batch, Config, Db, Mode as SledMode};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::{Operation, Records, Store, StoreError, Table, Visitor};

/// A file of ours beside sled's: while it is there, an opening reads every record.
pub(super) const DISTRUST_MARK: &CStr = c"distrusted";

/// Bytes that sled keeps of its pages. The hub reads them only during and after the start.
const CACHE_SIZE: u64 = 64 * 1_024 * 1_024;

/// Milliseconds between two rounds of sled's own thread, the only one that reclaims space.
const HOUSEKEEPING_INTERVAL_MS: u64 = 200;

/// A sled database that no other process uses.
#[derive(Debug)]
pub struct SledStore {
    db: Db,
    /// Our description of sled's log.
    log: File,
    blobs: OwnedFd,
    /// Names of the blobs that are known to be on disk.
    blobs_synced: HashSet<CString>,
    /// A commit failed; there is no other.
    broken: bool,
    /// sled reaches its files through this (see `path_of`), so it has to go last.
    folder: Arc<OwnedFd>,
}

/// Reads a database beside its [`SledStore`].
#[derive(Debug)]
struct SledRecords {
    db: Db,
    /// Goes last, as in [`SledStore`].
    folder: Arc<OwnedFd>,
}

impl SledStore {
    /// Opens or creates the database in `folder`, and makes its files durable. It may panic or hang
    /// inside sled if the files are damaged, so only `open` calls it, in a thread of its own.
    pub(super) fn open(folder: Arc<OwnedFd>) -> Result<Self, ::sled::Error> {
        let db = Config::new()
            .path(path_of(&folder))
            .mode(SledMode::HighThroughput)
            .cache_capacity(CACHE_SIZE)
            .flush_every_ms(Some(HOUSEKEEPING_INTERVAL_MS))
            .open()?;
        let log = open_in(&folder, c"db", OFlags::RDWR)?;
        prove_same_file(&log)?;
        let blobs = open_in(&folder, c"blobs", OFlags::RDONLY | OFlags::DIRECTORY)?;
        // sled does not sync the file that tells it its own format.
        open_in(&folder, c"conf", OFlags::RDONLY)?.sync_all()?;
        log.sync_all()?;
        rustix::fs::fsync(&folder).map_err(io::Error::from)?;
        let blobs = OwnedFd::from(blobs);
        Ok(Self { db, log, blobs, blobs_synced: HashSet::new(), broken: false, folder })
    }

    /// Reads the records that the hub needs before it is ready, so that damage shows now and not while
    /// it runs; every record, if an earlier run found a reason to.
    pub(super) fn verify(&self) -> Result<(), ::sled::Error> {
        let is_marked = rustix::fs::accessat(
            &self.folder,
            DISTRUST_MARK,
            rustix::fs::Access::EXISTS,
            AtFlags::empty(),
        );
        if is_marked.is_ok() {
            tracing::warn!("an earlier run could not read or write the state: reading all of it");
            return self.db.iter().try_for_each(|record| record.map(drop));
        }
        let late = [Table::Audit, Table::LastValue, Table::Series];
        let early = Table::ALL.into_iter().filter(|table| !late.contains(table));
        early.flat_map(|table| self.db.scan_prefix([table.prefix()])).try_for_each(|r| r.map(drop))
    }

    /// Takes the mark away, after everything was read.
    pub(super) fn trust(&self) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.folder, DISTRUST_MARK, AtFlags::empty()) {
            Ok(()) => Ok(rustix::fs::fsync(&self.folder)?),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        self.apply(batch)?;
        self.sync_blobs().map_err(|source| StoreError::Sync { source })?;
        self.db.flush()?;
        self.log.sync_data().map_err(|source| StoreError::Sync { source })?;
        let links = rustix::fs::fstat(&self.log).map_err(io::Error::from);
        match links.map_err(|source| StoreError::Sync { source })?.st_nlink {
            0 => Err(StoreError::Deleted),
            _ => Ok(()),
        }
    }

    fn apply(&self, batch: &[Operation]) -> Result<(), ::sled::Error> {
        // A batch begins with a note that sled writes by itself; one record is whole without.
        if let [Operation { stored_key, value, .. }] = batch {
            return match value {
                Some(value) => self.db.insert(stored_key, &**value).map(drop),
                None => self.db.remove(stored_key).map(drop),
            };
        }
        let mut writes = Batch::default();
        for operation in batch {
            match &operation.value {
                Some(value) => writes.insert(&*operation.stored_key, &**value),
                None => writes.remove(&*operation.stored_key),
            }
        }
        self.db.apply_batch(writes)
    }

    /// Syncs the blobs that appeared since the last commit. With the values of lamps there are none,
    /// and this is one look at an empty folder.
    fn sync_blobs(&mut self) -> io::Result<()> {
        let mut present = HashSet::new();
        for entry in Dir::read_from(&self.blobs)? {
            let entry = entry?;
            if entry.file_type() != FileType::Directory {
                present.insert(entry.file_name().to_owned());
            }
        }
        let mut added = false;
        for name in present.difference(&self.blobs_synced) {
            added = true;
            match open_in(&self.blobs, name, OFlags::RDONLY) {
                Ok(blob) => blob.sync_all()?,
                // sled removed it in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if added {
            rustix::fs::fsync(&self.blobs)?;
        }
        self.blobs_synced = present;
        Ok(())
    }
}

impl Records for SledRecords {
    fn visit(&self, table: Table, from: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        let mut first = Vec::with_capacity(1 + from.len());
        first.push(table.prefix());
        first.extend_from_slice(from);
        for record in self.db.range(first..) {
            let (key, value) = record?;
            if key.first() != Some(&table.prefix()) || visit(&key[1..], &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn distrust(&self) {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let marked = rustix::fs::openat(&self.folder, DISTRUST_MARK, flags, mode)
            .and_then(|_| rustix::fs::fsync(&self.folder));
        if let Err(error) = marked {
            tracing::error!(%error, "the state could not be marked for a closer look");
        }
    }
}

impl Store for SledStore {
    fn records(&self) -> Arc<dyn Records> {
        Arc::new(SledRecords { db: self.db.clone(), folder: self.folder.clone() })
    }

    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Broken);
        }
        // Also true if sled panics in there.
        self.broken = true;
        self.write(batch)?;
        self.broken = false;
        Ok(())
    }
}

/// A path that keeps leading to the folder after it was renamed. Should an opening that was given up
/// go on, it then writes into the folder that was set aside and not into the fresh one.
pub(super) fn path_of(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// Whether another process holds sled's lock on the database in `folder`.
pub(super) fn is_in_use(folder: &OwnedFd) -> io::Result<bool> {
    match open_in(folder, c"db", OFlags::RDWR) {
        Ok(log) => match log.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_in(folder: &OwnedFd, name: &CStr, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?))
}

fn prove_same_file(log: &File) -> io::Result<()> {
    match log.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Err(io::Error::other("the engine does not hold the file that is synced")),
    }
}
