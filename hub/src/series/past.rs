//! The past of one channel: the open block as it is, closed blocks packed one behind the other.
//!
//! ```text
//!   closed:  blocks since the one before · length · its fields, packed     (several)
//!   open:    twelve slots a field
//! ```
//!
//! Nearly all values come into the open block, by one store into an array. A late one, of a device that
//! was away, is put into its closed block, which takes a few microseconds.

use super::block::{self, BLOCK_SLOTS, EMPTY, NOTHING, Slots};
use super::{Grid, Holds, Reading};

/// A number of a block, of which each has [`BLOCK_SLOTS`] slots.
pub type BlockNumber = u64;

/// Whether a value is news or one that came after newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The newest so far: it counts in its slot.
    News,
    /// Late, or stored before a restart: it counts where its slot holds nothing.
    Past,
}

/// What is kept of one channel.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Past {
    open: Box<[Slots]>,
    open_block: BlockNumber,
    /// The block before the first closed one; what the first length of way counts from.
    base: BlockNumber,
    closed: Vec<u8>,
}

/// The block of a slot.
pub fn block_of(slot: u64) -> BlockNumber {
    slot / BLOCK_SLOTS as u64
}

fn place_of(slot: u64) -> usize {
    usize::try_from(slot % BLOCK_SLOTS as u64).unwrap_or(0)
}

impl Past {
    /// Nothing yet, of so many fields.
    pub fn new(fields: usize) -> Self {
        Self { open: vec![EMPTY; fields].into(), ..Self::default() }
    }

    /// Puts what was read of each field into a slot. `open` is the slot of now: older ones than the grid
    /// keeps are dropped, and nothing can be put into later ones. Returns whether anything changed.
    pub fn put(
        &mut self,
        grid: Grid,
        open: u64,
        slot: u64,
        readings: &[(Holds, Reading)],
        origin: Origin,
    ) -> bool {
        if slot > open || slot < grid.oldest(open) {
            return false;
        }
        let at = place_of(slot);
        self.change(grid, block_of(slot), |block| {
            let mut is_changed = false;
            for (slots, (holds, reading)) in block.iter_mut().zip(readings) {
                // What a late report says of a counter, a newer one has said already.
                let counts = origin == Origin::News || *holds == Holds::Last;
                if let (Reading::Steps(steps), true) = (reading, counts) {
                    is_changed |= merge(&mut slots[at], *steps, *holds, origin);
                }
            }
            is_changed
        })
    }

    /// Puts a whole block under what is held of it, as it was stored before a restart.
    pub fn fill(&mut self, grid: Grid, number: BlockNumber, stored: &[Slots], holds: &[Holds]) {
        self.change(grid, number, |block| {
            let mut is_changed = false;
            for ((slots, stored), holds) in block.iter_mut().zip(stored).zip(holds) {
                for (held, value) in slots.iter_mut().zip(stored) {
                    is_changed |= merge(held, *value, *holds, Origin::Past);
                }
            }
            is_changed
        });
    }

    /// Changes one block, which is packed anew if it is a closed one.
    fn change(
        &mut self,
        grid: Grid,
        number: BlockNumber,
        change: impl FnOnce(&mut [Slots]) -> bool,
    ) -> bool {
        if number > self.open_block {
            self.close(grid, number);
        }
        if number == self.open_block {
            return change(&mut self.open);
        }
        let mut block = self.closed_block(number).unwrap_or_else(|| self.nothing());
        let is_changed = change(&mut block);
        if is_changed {
            self.replace(number, &block);
        }
        is_changed
    }

    fn nothing(&self) -> Box<[Slots]> {
        vec![EMPTY; self.open.len()].into()
    }

    /// Packs the open block, opens another, and drops what is too old by then.
    fn close(&mut self, grid: Grid, number: BlockNumber) {
        let fields = self.nothing();
        let open = std::mem::replace(&mut self.open, fields);
        let before = std::mem::replace(&mut self.open_block, number);
        if !is_empty(&open) {
            let last = self.blocks().last().map_or(self.base, |(number, _)| number);
            append(&mut self.closed, before - last, &open);
        }
        self.expire(block_of(grid.oldest(number * BLOCK_SLOTS as u64)));
        self.closed.shrink_to_fit();
    }

    /// Drops the closed blocks before this one.
    fn expire(&mut self, oldest: BlockNumber) {
        let mut rest = &self.closed[..];
        let mut base = self.base;
        while let Some((number, _, after)) = next_block(base, rest) {
            if number >= oldest {
                break;
            }
            (base, rest) = (number, after);
        }
        let gone = self.closed.len() - rest.len();
        self.closed.drain(..gone);
        self.base = base;
    }

    /// Writes one closed block anew, among the others.
    fn replace(&mut self, number: BlockNumber, block: &[Slots]) {
        let mut blocks: Vec<(BlockNumber, Box<[Slots]>)> = self
            .blocks()
            .filter(|(known, _)| *known != number)
            .filter_map(|(known, packed)| Some((known, self.unpack(packed)?)))
            .collect();
        let at = blocks.partition_point(|(known, _)| *known < number);
        blocks.insert(at, (number, block.into()));
        let mut closed = Vec::with_capacity(self.closed.len() + 8);
        let mut last = self.base.min(number);
        self.base = last;
        for (number, block) in &blocks {
            append(&mut closed, number - last, block);
            last = *number;
        }
        closed.shrink_to_fit();
        self.closed = closed;
    }

    /// Closed blocks with their fields packed, oldest first.
    fn blocks(&self) -> impl Iterator<Item = (BlockNumber, &[u8])> {
        let mut place = (self.base, &self.closed[..]);
        std::iter::from_fn(move || {
            let (number, packed, after) = next_block(place.0, place.1)?;
            place = (number, after);
            Some((number, packed))
        })
    }

    fn unpack(&self, mut packed: &[u8]) -> Option<Box<[Slots]>> {
        (0..self.open.len()).map(|_| block::read(&mut packed)).collect()
    }

    fn closed_block(&self, number: BlockNumber) -> Option<Box<[Slots]>> {
        let (_, packed) = self.blocks().find(|(known, _)| *known == number)?;
        self.unpack(packed)
    }

    /// The fields of a block, packed as they are stored; `None` if all of it is empty.
    pub fn packed(&self, number: BlockNumber) -> Option<Vec<u8>> {
        if number == self.open_block {
            return (!is_empty(&self.open)).then(|| {
                let mut packed = Vec::new();
                self.open.iter().for_each(|slots| block::write(slots, &mut packed));
                packed
            });
        }
        self.blocks().find(|(known, _)| *known == number).map(|(_, packed)| packed.to_vec())
    }

    /// Calls `take` with each slot of a field between two that holds something, oldest first, and its
    /// number of steps.
    pub fn each(&self, field: usize, from: u64, to: u64, mut take: impl FnMut(u64, i16)) {
        let mut pass = |number: BlockNumber, slots: &Slots| {
            let first = number * BLOCK_SLOTS as u64;
            for (slot, value) in (first..).zip(slots) {
                if *value != NOTHING && (from..=to).contains(&slot) {
                    take(slot, *value);
                }
            }
        };
        for (number, mut packed) in self.blocks() {
            if number < block_of(from) || number > block_of(to) {
                continue;
            }
            let slots = (0..=field).map_while(|_| block::read(&mut packed)).nth(field);
            if let Some(slots) = slots {
                pass(number, &slots);
            }
        }
        if let Some(slots) = self.open.get(field) {
            pass(self.open_block, slots);
        }
    }

    /// Bytes that this takes in memory, without itself.
    pub fn bytes(&self) -> usize {
        self.closed.capacity() + size_of_val(&*self.open)
    }
}

fn is_empty(block: &[Slots]) -> bool {
    block.iter().flatten().all(|value| *value == NOTHING)
}

fn merge(held: &mut i16, value: i16, holds: Holds, origin: Origin) -> bool {
    let merged = match (holds, origin) {
        (_, _) if value == NOTHING => *held,
        (_, _) if *held == NOTHING => value,
        (Holds::Increase, _) => held.saturating_add(value),
        (Holds::Last, Origin::News) => value,
        (Holds::Last, Origin::Past) => *held,
    };
    let is_changed = merged != *held;
    *held = merged;
    is_changed
}

/// Appends a block: how many after the one before, its length, its fields.
fn append(closed: &mut Vec<u8>, after: u64, block: &[Slots]) {
    let mut way = after;
    while way >= 0x80 {
        closed.push(way.to_le_bytes()[0] | 0x80);
        way >>= 7;
    }
    closed.push(way.to_le_bytes()[0]);
    let length_at = closed.len();
    closed.push(0);
    block.iter().for_each(|slots| block::write(slots, closed));
    let length = closed.len() - length_at - 1;
    closed[length_at] = u8::try_from(length).expect("FIELDS_MAX fields are under 256 bytes");
}

const _: () = assert!(super::FIELDS_MAX * block::FIELD_BYTES_MAX < 256);

/// The number and the packed fields of the next block, and what comes after.
fn next_block(before: BlockNumber, bytes: &[u8]) -> Option<(BlockNumber, &[u8], &[u8])> {
    let (mut rest, mut way) = (bytes, 0_u64);
    for at in 0..10 {
        let [byte] = block::take(&mut rest)?;
        way |= u64::from(byte & 0x7f).wrapping_shl(7 * at);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let [length] = block::take(&mut rest)?;
    let (packed, after) = rest.split_at_checked(usize::from(length))?;
    Some((before.checked_add(way)?, packed, after))
}

#[cfg(test)]
mod tests;
