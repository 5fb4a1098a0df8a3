//! Keeps the hub's state over restarts.
//!
//! While the hub runs, the truth is in memory; the store is read once, during and after the start, and
//! then only written. It knows no lamps and no commands: a record is a key in a [`Table`] with a value of
//! bytes that `twin`, `ledger` and the registries encode.
//!
//! ```text
//!                 submit                commit               apply, flush, fdatasync
//!   broker ──▶ Writer ──▶ Pending ──▶ thread `store` ──▶ Store ─┬─▶ SledStore ──▶ <data>/state/
//!     ▲                                  │                      └─▶ MemoryStore
//!     └────────── tickets, in order ◀────┘
//!
//!   broker ◀── Records ◀── read by anyone, until all is in memory
//! ```
//!
//! Read this file first, then `writer` (and `pending`, its queue), then `sled`, then `open` (and
//! `folder`) for the start. `conformance` is the suite that every [`Store`] passes; [`export`] writes all of it as text.
//!
//! # Guarantees
//!
//! - What a completed ticket covers is on disk: it was synced, not merely written.
//! - A batch is there whole after a crash, or not at all.
//! - The first commit that fails is the last: nothing is acknowledged after it, and nothing is
//!   tried again, because a failed sync says nothing about the data of earlier writes.
//! - A folder that the engine can't open, or whose records can't be read, is renamed and never deleted.
//!
//! # Cost
//!
//! One OS thread, one sync a commit, at most one commit in [`WriterSettings::window`]. Memory is
//! bounded by the limits of [`WriterSettings`], twice: one batch waits while one is written.

pub mod export;
mod folder;
mod lock;
mod memory;
mod open;
mod pending;
mod sled;
mod tap;
mod writer;

#[cfg(test)]
mod conformance;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

pub use self::memory::MemoryStore;
pub(crate) use self::open::panic_message;
pub use self::open::{DataLock, FORMAT_VERSION, OpenError, OpenSettings, Opened, open};
pub use self::pending::{BusyReason, PendingLimits};
pub use self::sled::SledStore;
pub use self::tap::Tap;
pub use self::writer::{Failed, Health, Refusal, Writer, WriterSettings, WriterStats};

/// Bytes: the longest key of a record.
pub const KEY_SIZE_MAX: usize = 1_024;

/// Bytes: the longest value of a record.
pub const VALUE_SIZE_MAX: usize = 64 * 1_024;

/// The key of [`Table::Meta`] that holds the version of the stored format. The store writes it.
pub const FORMAT_KEY: &[u8] = b"format";

/// What a record is about. The discriminant is the first byte of the stored key: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// What the hub knows of itself: format, epoch, positions.
    Meta = b'm',
    /// The last value of each durable channel.
    LastValue = b'v',
    /// The commands and where each stands in its life.
    Command = b'c',
    /// Fleet commands and their targets.
    Fleet = b'f',
    /// The registered devices.
    Device = b'd',
    /// The hashes of the tokens that let peers in.
    Token = b't',
    /// The descriptor sets that operators added.
    Schema = b's',
    /// The records of the audit log, by their number.
    Audit = b'a',
    /// Profiles of light, by their names.
    Profile = b'p',
    /// Overrides, by their devices.
    Override = b'o',
    /// Keys of devices' certificates, pinned and revoked, by their hashes.
    Certificate = b'k',
    /// The recent past of channels, many of them a record; not part of exports.
    Series = b'h',
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 12] = [
        Self::Meta,
        Self::LastValue,
        Self::Command,
        Self::Fleet,
        Self::Device,
        Self::Token,
        Self::Schema,
        Self::Audit,
        Self::Profile,
        Self::Override,
        Self::Certificate,
        Self::Series,
    ];

    /// Whether it is state that an export has. What is not comes back by itself.
    pub const fn is_exported(self) -> bool {
        !matches!(self, Self::Series)
    }

    /// The first byte of every stored key of this table.
    const fn prefix(self) -> u8 {
        self as u8
    }
}

/// One change of one record. A value of this type is within the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    table: Table,
    /// As it is stored: the table's prefix, then the caller's key.
    stored_key: Box<[u8]>,
    value: Option<Bytes>,
}

impl Operation {
    /// Writes `value` under `key`, whatever was there.
    pub fn put(table: Table, key: &[u8], value: Bytes) -> Result<Self, TooLarge> {
        if value.len() > VALUE_SIZE_MAX {
            return Err(TooLarge::Value { table, size: value.len() });
        }
        Ok(Self { table, stored_key: stored_key(table, key)?, value: Some(value) })
    }

    /// Removes the record under `key`; it is no fault if there is none.
    pub fn delete(table: Table, key: &[u8]) -> Result<Self, TooLarge> {
        Ok(Self { table, stored_key: stored_key(table, key)?, value: None })
    }

    pub fn table(&self) -> Table {
        self.table
    }

    pub fn key(&self) -> &[u8] {
        &self.stored_key[1..]
    }

    /// The new value; `None` deletes.
    pub fn value(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// Bytes of key and value.
    fn size(&self) -> usize {
        size_of_record(&self.stored_key, self.value.as_ref())
    }
}

fn stored_key(table: Table, key: &[u8]) -> Result<Box<[u8]>, TooLarge> {
    if key.len() > KEY_SIZE_MAX {
        return Err(TooLarge::Key { table, size: key.len() });
    }
    let mut stored = Vec::with_capacity(1 + key.len());
    stored.push(table.prefix());
    stored.extend_from_slice(key);
    Ok(stored.into_boxed_slice())
}

fn size_of_record(stored_key: &[u8], value: Option<&Bytes>) -> usize {
    stored_key.len() + value.map_or(0, Bytes::len)
}

/// A key or a value is over its limit. The sender must not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("a key of {size} bytes in table {table:?} is over the {KEY_SIZE_MAX} that are allowed")]
    Key { table: Table, size: usize },
    #[error(
        "a value of {size} bytes in table {table:?} is over the {VALUE_SIZE_MAX} that are allowed"
    )]
    Value { table: Table, size: usize },
}

/// Where records are kept. [`Writer`] is the only one that commits.
pub trait Store: Send + 'static {
    /// A way to read that stays when the store is the writer's.
    fn records(&self) -> Arc<dyn Records>;

    /// Visits all records of a table, in the order of their keys.
    fn scan(&self, table: Table, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.records().visit(table, &[], &mut |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        })
    }

    /// Whether nothing of it outlives the process: what was submitted is then as safe as it gets, and
    /// nothing is gained by waiting for a commit.
    fn is_volatile(&self) -> bool {
        false
    }

    /// Applies all operations, in their order, or none; they are on disk when this returns.
    ///
    /// After an error the store takes no further commit.
    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError>;
}

/// What a visitor of records is: it gets a key and its value, and says whether to go on.
pub type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Reads records, also while the writer commits: a record is then seen as it was or as it will be.
/// Holding it keeps the store open. It waits for the disk.
pub trait Records: std::fmt::Debug + Send + Sync {
    /// Visits the records of a table from the key `from` on, in the order of their keys, until the
    /// visitor breaks off.
    fn visit(&self, table: Table, from: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError>;

    /// Has the next opening read every record before it trusts the store. Called where reading or
    /// writing failed in a way that damage explains.
    fn distrust(&self);
}

/// Why a store can't be read or written any more. There is no retry.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("an earlier commit failed, so nothing is known of what is on disk")]
    Broken,
    #[error("the file of the database was deleted while the hub used it")]
    Deleted,
    #[error("the database engine failed: {source}")]
    Engine { source: ::sled::Error },
    #[error("the thread of the store panicked: {message}")]
    Panicked { message: String },
    #[error("reading the records does not get on")]
    Stuck,
    #[error("the data could not be synced to disk: {source}")]
    Sync { source: io::Error },
}

impl StoreError {
    /// Whether damaged files may be the reason, so that the next opening has to look at all of them.
    pub fn may_be_damage(&self) -> bool {
        match self {
            Self::Engine { source } => !open::is_refused(source),
            Self::Panicked { .. } | Self::Stuck => true,
            Self::Broken | Self::Deleted | Self::Sync { .. } => false,
        }
    }
}

impl From<::sled::Error> for StoreError {
    fn from(source: ::sled::Error) -> Self {
        Self::Engine { source }
    }
}
