//! The state of a hub as lines of text, for backup and for moving to another machine or engine.
//!
//! ```text
//!   {"lamplighter_export":1,"hub":"0.1.0","format":1,"unix_ms":1800000000000,"about":{"device":3}}
//!   {"table":"device","key":"lamp-0001","json":{"labels":{"street":"Queen St"}}}
//!   {"table":"token","hex":"9f86d0…","json":{"subject":{"person":…}}}
//!   {"table":"value","key":"devices.lamp-0001.faults\u0000lighting.v1.FaultEvent","base64":"Ch9…"}
//!   {"table":"device","key":"lamp-0002","gone":true}
//!   {"end":{"lines":4,"records":{"device":1,…},"sha256":"…","position":…}}
//! ```
//!
//! A later line about the same key counts: what changed while the export ran stands at its end, so the
//! whole is the state of one moment. The last line proves that none is missing.
//!
//! What comes back by itself is left out ([`Table::is_exported`](super::Table::is_exported)).
//!
//! Read [`line`] for a record, [`write`](mod@write) and [`read`](mod@read) for the whole.

pub mod line;
pub mod read;
pub mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use read::{ImportError, check, load};
pub use write::Export;

/// The version of the lines. A reader refuses others.
pub const VERSION: u32 = 1;
/// Bytes of a line at most: a value in base64, with its key and names.
pub const LINE_BYTES_MAX: usize = super::VALUE_SIZE_MAX * 3 / 2 + 6 * super::KEY_SIZE_MAX + 256;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub lamplighter_export: u32,
    /// The version of the hub that wrote it, for people.
    pub hub: String,
    /// Of what the records hold; a hub refuses a newer one than its own.
    pub format: u32,
    /// When it began, in ms since 1970.
    pub unix_ms: u64,
    /// What there was when it began, by table; the last line has what is in it.
    pub about: BTreeMap<String, u64>,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// All but the last one.
    pub lines: u64,
    /// Lines with a value, by table.
    pub records: BTreeMap<String, u64>,
    /// Of all lines before this one with their line ends, in hex.
    pub sha256: String,
    /// The place in the order of messages that the export stands for; none if no hub was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// A place in the order of messages, as the protocol has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Of the hub's start.
    pub epoch: String,
    /// Of the last message.
    pub offset: String,
}

/// The last line as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct LastLine {
    end: End,
}
