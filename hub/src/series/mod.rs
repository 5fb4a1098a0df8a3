//! The recent past of a few numbers of each channel: one value a slot of some minutes, for a day or two.
//!
//! ```text
//!   payload ──▶ field ──▶ Past: slots of the open block, then closed blocks, packed
//!                          │                                   ▲
//!                          └── record ──▶ store ──▶ record ────┘  after a restart
//! ```
//!
//! Time is cut into *slots*, the same for all channels, and twelve slots are a *block*. A slot holds the
//! value that was measured last in it, or how much a counter grew by reports of it; or nothing. What nobody
//! measured is nothing, and stays so: no value is carried from one slot into another here.
//!
//! Pure state: no lock, no clock, no I/O. The broker holds one [`Past`] a channel beside its last values.
//!
//! Read [`field`] and [`sheet`] for how numbers come out of payloads, [`block`] for how twelve of them are packed, [`past`]
//! for the whole of one channel, and [`record`] for what is stored.
//!
//! # Cost
//!
//! A report costs a walk over the fields of its payload and a store into an array. A block of a lamp's level,
//! power and energy takes 10 to 40 bytes; [`past`] has a test that holds what 48 h take.

use std::time::Duration;

pub mod block;
pub mod field;
pub mod past;
pub mod record;
pub mod sheet;

pub use block::{BLOCK_SLOTS, Slots};
pub use field::{Field, Holds, Reading};
pub use past::{Origin, Past};
pub use sheet::Sheet;

/// Slots that a span may have.
pub const SLOTS_MAX: u64 = 4_032;
/// Fields of one channel.
pub const FIELDS_MAX: usize = 8;

/// What is kept of whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Length of a slot.
    pub interval: Duration,
    /// How far back slots are kept.
    pub span: Duration,
    /// Channels with a past; others have none.
    pub channels_max: usize,
    /// None: nothing is kept.
    pub fields: Vec<Field>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            span: Duration::from_secs(48 * 3600),
            channels_max: 200_000,
            fields: Vec::new(),
        }
    }
}

/// Slots, blocks and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// ms: the length of a slot.
    pub interval_ms: u64,
    /// Slots that are kept, with the open one.
    pub slots: u64,
}

impl Settings {
    /// The grid of these settings.
    pub fn grid(&self) -> Grid {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let interval_ms = ms(self.interval);
        Grid { interval_ms, slots: ms(self.span).div_ceil(interval_ms).clamp(1, SLOTS_MAX) }
    }
}

impl Grid {
    /// The slot of a moment in ms since 1970.
    pub fn slot(self, unix_ms: u64) -> u64 {
        unix_ms / self.interval_ms
    }

    /// When a slot begins, in ms since 1970.
    pub fn starts_unix_ms(self, slot: u64) -> u64 {
        slot.saturating_mul(self.interval_ms)
    }

    /// The oldest slot that is kept while `open` is the open one.
    pub fn oldest(self, open: u64) -> u64 {
        open.saturating_sub(self.slots - 1)
    }
}
