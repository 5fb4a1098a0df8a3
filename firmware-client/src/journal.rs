//! What survives a loss of power: the number of the boot, and how far each command came.
//!
//! The device gives the machine a [`Journal`]: a counter and a handful of slots of a few dozen bytes,
//! on flash, FRAM or a file. A slot holds one command, encoded here and opaque to the storage:
//!
//! ```text
//!   version 1 │ phase 1 │ order 8 │ id 16 │ detail length 1 │ result length 2 │ detail │ result │ crc 4
//! ```
//!
//! # Why
//!
//! A command's effect may start at most once, whatever is doubled, replayed or restarted. So STARTED
//! is durable before the effect, DONE is durable before the report:
//!
//! | power fails | found at the next boot | what the hub is told |
//! |---|---|---|
//! | before STARTED is durable | nothing | the command comes again and runs |
//! | after STARTED, before DONE | STARTED | idempotent: it comes again and runs again; else UNKNOWN |
//! | after DONE | DONE | the recorded outcome, without a second effect |
//! | after the hub's ack | SETTLED or DONE | at most the same outcome once more |

use proto::{CommandId, CommandState};

/// How long a write may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// [`Journal::record`] returns when the bytes survive a loss of power.
    Now,
    /// The bytes may be lost; losing them costs one repeated report.
    Lazy,
}

/// Non-volatile storage of the device.
///
/// # Contract
///
/// - A slot is replaced as a whole. After a loss of power inside [`Journal::record`], the slot holds
///   the old bytes or the new ones; a mix is noticed by its checksum, but then a command that ran may
///   run again. On flash: append to a log and erase a page only after its live slots were copied.
/// - [`Journal::raise_boot`] never returns a number that it returned before, also after a loss of
///   power. The number 0 is not used.
pub trait Journal {
    /// What can go wrong.
    type Error: core::fmt::Debug;

    /// Adds 1 to the number of the boot, makes it durable and returns it.
    ///
    /// # Errors
    /// The storage failed.
    fn raise_boot(&mut self) -> Result<u32, Self::Error>;

    /// Copies a slot's bytes into `buffer` and returns how many; 0 for a slot never written.
    ///
    /// # Errors
    /// The storage failed.
    fn load(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Self::Error>;

    /// Replaces a slot's bytes.
    ///
    /// # Errors
    /// The storage failed. With STARTED, the command is then rejected and never runs.
    fn record(
        &mut self,
        slot: usize,
        entry: &[u8],
        durability: Durability,
    ) -> Result<(), Self::Error>;
}

impl<J: Journal> Journal for &mut J {
    type Error = J::Error;

    fn raise_boot(&mut self) -> Result<u32, Self::Error> {
        (**self).raise_boot()
    }

    fn load(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        (**self).load(slot, buffer)
    }

    fn record(
        &mut self,
        slot: usize,
        entry: &[u8],
        durability: Durability,
    ) -> Result<(), Self::Error> {
        (**self).record(slot, entry, durability)
    }
}

/// A journal in memory: for tests, simulations, and devices that reject every command that isn't
/// idempotent. It forgets with the power.
#[derive(Debug, Clone)]
pub struct MemoryJournal<const SLOTS: usize = 16, const ENTRY: usize = 128> {
    boot: u32,
    slots: [([u8; ENTRY], usize); SLOTS],
}

impl<const SLOTS: usize, const ENTRY: usize> MemoryJournal<SLOTS, ENTRY> {
    /// An empty journal whose next boot is `last_boot` + 1.
    pub const fn new(last_boot: u32) -> Self {
        Self { boot: last_boot, slots: [([0; ENTRY], 0); SLOTS] }
    }
}

impl<const SLOTS: usize, const ENTRY: usize> Default for MemoryJournal<SLOTS, ENTRY> {
    fn default() -> Self {
        Self::new(0)
    }
}

/// A slot number or an entry beyond the journal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfSpace;

impl<const SLOTS: usize, const ENTRY: usize> Journal for MemoryJournal<SLOTS, ENTRY> {
    type Error = OutOfSpace;

    fn raise_boot(&mut self) -> Result<u32, OutOfSpace> {
        self.boot = self.boot.checked_add(1).ok_or(OutOfSpace)?;
        Ok(self.boot)
    }

    fn load(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, OutOfSpace> {
        let (bytes, length) = self.slots.get(slot).ok_or(OutOfSpace)?;
        let place = buffer.get_mut(..*length).ok_or(OutOfSpace)?;
        place.copy_from_slice(&bytes[..*length]);
        Ok(*length)
    }

    fn record(&mut self, slot: usize, entry: &[u8], _: Durability) -> Result<(), OutOfSpace> {
        let (bytes, length) = self.slots.get_mut(slot).ok_or(OutOfSpace)?;
        bytes.get_mut(..entry.len()).ok_or(OutOfSpace)?.copy_from_slice(entry);
        *length = entry.len();
        Ok(())
    }
}

/// How far a command came, as its slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryPhase {
    /// The effect may have begun. Whether it may begin again is said here.
    Started {
        /// Running it twice does what running it once does.
        idempotent: bool,
    },
    /// It ended so; the hub may not know.
    Done(CommandState),
    /// It ended so, and the hub knows.
    Settled(CommandState),
}

/// One slot's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEntry<'e> {
    /// How far the command came.
    pub phase: EntryPhase,
    /// Grows with each command that starts; the lowest is the oldest.
    pub order: u64,
    /// The command.
    pub id: CommandId,
    /// For people; at most [`proto::limits::DETAIL_BYTES_MAX`] bytes.
    pub detail: &'e str,
    /// The proof: an encoded `lighting.v1.CommandResult`.
    pub result: &'e [u8],
}

/// Bytes of an entry beside its detail and result.
pub const ENTRY_OVERHEAD: usize = HEAD_BYTES + CRC_BYTES;
const HEAD_BYTES: usize = 29;
const CRC_BYTES: usize = 4;
const VERSION: u8 = 1;
const STARTED_ONCE: u8 = 1;
const STARTED_IDEMPOTENT: u8 = 2;
const DONE: u8 = 0x20;
const SETTLED: u8 = 0x40;

impl<'e> JournalEntry<'e> {
    /// Writes the entry into `place` and returns its length, or `None` if it doesn't fit.
    pub fn encode(&self, place: &mut [u8]) -> Option<usize> {
        let length = ENTRY_OVERHEAD + self.detail.len() + self.result.len();
        let place = place.get_mut(..length)?;
        place[0] = VERSION;
        place[1] = self.phase.code();
        place[2..10].copy_from_slice(&self.order.to_le_bytes());
        place[10..26].copy_from_slice(&self.id.to_bytes());
        place[26] = u8::try_from(self.detail.len()).ok()?;
        place[27..29].copy_from_slice(&u16::try_from(self.result.len()).ok()?.to_le_bytes());
        let result = HEAD_BYTES + self.detail.len();
        place[HEAD_BYTES..result].copy_from_slice(self.detail.as_bytes());
        place[result..result + self.result.len()].copy_from_slice(self.result);
        let crc = crc32(&place[..length - CRC_BYTES]).to_le_bytes();
        place[length - CRC_BYTES..].copy_from_slice(&crc);
        Some(length)
    }

    /// Reads an entry, or says `None` of anything that was not written whole.
    pub fn decode(bytes: &'e [u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
        if crc32(body) != u32::from_le_bytes(*crc) || *body.first()? != VERSION {
            return None;
        }
        let (head, rest) = body.split_at_checked(HEAD_BYTES)?;
        let (detail, result) = rest.split_at_checked(usize::from(head[26]))?;
        if result.len() != usize::from(u16::from_le_bytes([head[27], head[28]])) {
            return None;
        }
        Some(Self {
            phase: EntryPhase::from_code(head[1])?,
            order: u64::from_le_bytes(head[2..10].try_into().ok()?),
            id: CommandId::from_bytes(head[10..26].try_into().ok()?),
            detail: core::str::from_utf8(detail).ok()?,
            result,
        })
    }
}

/// Turns the encoded entry of a command that is DONE into SETTLED, in place.
pub(crate) fn settle(entry: &mut [u8]) {
    if let Some((body, crc)) = entry.split_last_chunk_mut::<CRC_BYTES>()
        && let Some(code) = body.get_mut(1)
    {
        *code = *code & !DONE | SETTLED;
        *crc = crc32(body).to_le_bytes();
    }
}

impl EntryPhase {
    const fn code(self) -> u8 {
        match self {
            Self::Started { idempotent: false } => STARTED_ONCE,
            Self::Started { idempotent: true } => STARTED_IDEMPOTENT,
            Self::Done(state) => DONE | state as u8,
            Self::Settled(state) => SETTLED | state as u8,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        let state = CommandState::from_number(u64::from(code & 0x1f));
        match code & 0xe0 {
            0 if code == STARTED_ONCE => Some(Self::Started { idempotent: false }),
            0 if code == STARTED_IDEMPOTENT => Some(Self::Started { idempotent: true }),
            DONE if state.is_terminal() => Some(Self::Done(state)),
            SETTLED if state.is_terminal() => Some(Self::Settled(state)),
            _ => None,
        }
    }
}

/// CRC-32 of IEEE 802.3, bit by bit: an entry is short, and a table would cost 1 KiB of flash.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(phase: EntryPhase) -> JournalEntry<'static> {
        let id = CommandId::from_bytes([7; 16]);
        JournalEntry { phase, order: 300, id, detail: "lamp öff", result: b"proof" }
    }

    #[test]
    fn an_entry_reads_what_it_wrote() {
        for phase in [
            EntryPhase::Started { idempotent: false },
            EntryPhase::Started { idempotent: true },
            EntryPhase::Done(CommandState::Succeeded),
            EntryPhase::Settled(CommandState::Unknown),
        ] {
            let mut bytes = [0; 64];
            let length = entry(phase).encode(&mut bytes).expect("it fits");
            assert_eq!(JournalEntry::decode(&bytes[..length]), Some(entry(phase)));
        }
    }

    #[test]
    fn an_entry_that_was_torn_or_flipped_at_any_place_is_noticed() {
        let mut bytes = [0; 64];
        let length =
            entry(EntryPhase::Done(CommandState::Failed)).encode(&mut bytes).expect("it fits");
        for end in 0..length {
            assert_eq!(JournalEntry::decode(&bytes[..end]), None, "cut at {end}");
        }
        for bit in 0..length * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(JournalEntry::decode(&flipped[..length]), None, "bit {bit}");
        }
    }

    #[test]
    fn an_entry_that_does_not_fit_is_not_written() {
        assert_eq!(entry(EntryPhase::Started { idempotent: true }).encode(&mut [0; 40]), None);
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
