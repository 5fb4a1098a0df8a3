//! What is stored: one block of many devices, in the order of their ids.
//!
//! ```text
//!   key:    the block's number, 8 bytes · shard, 2 bytes · channel, as in `telemetry`
//!   value:  1 (the version) · ms of a slot, 4 bytes · how many fields · what each means, 4 bytes
//!           a device: bytes it shares with the id before · length of the rest · the rest
//!                     length of its fields · its fields, packed                      (many)
//! ```
//!
//! A hub with other fields than the one that wrote it takes those that it knows. One with another length of
//! slots takes nothing, since its slots are others.

use bytes::Bytes;
use proto::limits::DEVICE_ID_BYTES_MAX;

use super::block::{self, Slots};
use super::past::BlockNumber;

/// Parts into which all channels are cut; each is one record a block.
pub const SHARDS: u16 = 2_048;
/// Bytes of a record at most. What has no room is left out, and counted.
pub const BYTES_MAX: usize = 48 * 1024;
const VERSION: u8 = 1;

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Of all its slots.
    pub block: BlockNumber,
    /// Below [`SHARDS`].
    pub shard: u16,
    /// The last segments of the channels' names.
    pub channel: String,
}

impl Key {
    /// As it is stored.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.block.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.shard.to_be_bytes());
        bytes.extend_from_slice(self.channel.as_bytes());
        bytes
    }

    /// Back; `None` if it is none.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let block = BlockNumber::from_be_bytes(block::take(&mut bytes)?);
        let shard = u16::from_be_bytes(block::take(&mut bytes)?);
        let channel = std::str::from_utf8(bytes).ok()?.to_owned();
        (shard < SHARDS).then_some(Self { block, shard, channel })
    }
}

/// The shard of a device. The same in every version of the hub.
pub fn shard_of(device: &str) -> u16 {
    let hash = device
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The low bits of this hash alone are poor where ids differ in the last digit.
    let mixed = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    u16::try_from((mixed >> 16) % u32::from(SHARDS)).unwrap_or(0)
}

/// A record under way.
#[derive(Debug)]
pub struct Writing {
    bytes: Vec<u8>,
    before: String,
}

impl Writing {
    /// Of slots of this length and fields of these meanings.
    pub fn begin(interval_ms: u64, prints: &[u32]) -> Self {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&u32::try_from(interval_ms).unwrap_or(u32::MAX).to_le_bytes());
        bytes.push(u8::try_from(prints.len()).unwrap_or(u8::MAX));
        prints.iter().for_each(|print| bytes.extend_from_slice(&print.to_le_bytes()));
        Self { bytes, before: String::new() }
    }

    /// Adds the packed fields of a device. Its id comes after those before it. False: there is no room.
    pub fn add(&mut self, device: &str, packed: &[u8]) -> bool {
        let (Ok(length), true) = (u8::try_from(packed.len()), device.len() <= DEVICE_ID_BYTES_MAX)
        else {
            return false;
        };
        if self.bytes.len() + device.len() + packed.len() + 3 > BYTES_MAX {
            return false;
        }
        let shared = device.bytes().zip(self.before.bytes()).take_while(|(a, b)| a == b).count();
        let rest = &device.as_bytes()[shared..];
        for length in [shared, rest.len()] {
            self.bytes.push(u8::try_from(length).expect("an id is under 256 bytes"));
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.push(length);
        self.bytes.extend_from_slice(packed);
        device.clone_into(&mut self.before);
        true
    }

    /// The record.
    pub fn end(self) -> Bytes {
        self.bytes.into()
    }
}

const _: () = assert!(DEVICE_ID_BYTES_MAX < 256);

/// Why a record says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("is of slots of another length")]
    OtherInterval,
    #[error("is no record of a past")]
    Damaged,
}

/// Calls `take` with each device of a record and its fields, in the order of `prints`; empty where the
/// record has no such field.
///
/// # Errors
/// The record is of another grid, or damaged: then those before the damage were taken.
pub fn read(
    mut bytes: &[u8],
    interval_ms: u64,
    prints: &[u32],
    mut take: impl FnMut(&str, &[Slots]),
) -> Result<(), RecordError> {
    use RecordError::{Damaged, OtherInterval};
    let bytes = &mut bytes;
    let [version] = block::take(bytes).ok_or(Damaged)?;
    if version != VERSION {
        return Err(Damaged);
    }
    let stored_ms = u32::from_le_bytes(block::take(bytes).ok_or(Damaged)?);
    if u64::from(stored_ms) != interval_ms {
        return Err(OtherInterval);
    }
    let [fields] = block::take(bytes).ok_or(Damaged)?;
    let stored: Option<Vec<u32>> =
        (0..fields).map(|_| Some(u32::from_le_bytes(block::take(bytes)?))).collect();
    let stored = stored.ok_or(Damaged)?;
    let places: Vec<_> =
        prints.iter().map(|print| stored.iter().position(|known| known == print)).collect();
    let mut device = Vec::new();
    while !bytes.is_empty() {
        next_id(bytes, &mut device).ok_or(Damaged)?;
        let [length] = block::take(bytes).ok_or(Damaged)?;
        let (mut packed, rest) = bytes.split_at_checked(usize::from(length)).ok_or(Damaged)?;
        *bytes = rest;
        let read: Option<Vec<Slots>> = stored.iter().map(|_| block::read(&mut packed)).collect();
        let read = read.filter(|_| packed.is_empty()).ok_or(Damaged)?;
        let slots: Vec<_> =
            places.iter().map(|place| place.map_or(block::EMPTY, |place| read[place])).collect();
        take(std::str::from_utf8(&device).map_err(|_| Damaged)?, &slots);
    }
    Ok(())
}

fn next_id(bytes: &mut &[u8], device: &mut Vec<u8>) -> Option<()> {
    let [shared, length] = block::take(bytes)?;
    let (own, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    if usize::from(shared) > device.len() {
        return None;
    }
    device.truncate(usize::from(shared));
    device.extend_from_slice(own);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::series::BLOCK_SLOTS;

    fn packed(blocks: &[Slots]) -> Vec<u8> {
        let mut packed = Vec::new();
        blocks.iter().for_each(|slots| block::write(slots, &mut packed));
        packed
    }

    fn all(bytes: &[u8], prints: &[u32]) -> Result<Vec<(String, Vec<Slots>)>, RecordError> {
        let mut found = Vec::new();
        read(bytes, 300_000, prints, |device, slots| {
            found.push((device.to_owned(), slots.to_vec()))
        })?;
        Ok(found)
    }

    #[test]
    fn other_fields_are_empty_and_other_slots_are_refused() {
        let (one, two) = ([1; BLOCK_SLOTS], [2; BLOCK_SLOTS]);
        let mut writing = Writing::begin(300_000, &[11, 22]);
        assert!(writing.add("lamp-1", &packed(&[one, two])));
        let record = writing.end();
        let found = all(&record, &[33, 22]).expect("readable");
        assert_eq!(found, [("lamp-1".to_owned(), vec![block::EMPTY, two])]);
        let refused = read(&record, 60_000, &[11], |_, _| {});
        assert_eq!(refused, Err(RecordError::OtherInterval));
        assert_eq!(all(&record[..record.len() - 1], &[11]), Err(RecordError::Damaged));
    }

    #[test]
    fn a_full_record_says_so() {
        let mut writing = Writing::begin(300_000, &[1]);
        let wild: Slots = std::array::from_fn(|at| if at % 2 == 0 { 30_000 } else { -30_000 });
        let packed = packed(&[wild]);
        let taken =
            (0..10_000).take_while(|n| writing.add(&format!("lamp-{n:06}"), &packed)).count();
        assert!(taken > 1_000 && writing.end().len() <= BYTES_MAX, "{taken}");
    }

    #[test]
    fn devices_are_spread_evenly_over_the_shards() {
        let mut counts = vec![0; usize::from(SHARDS)];
        for n in 0..100_000 {
            counts[usize::from(shard_of(&format!("lamp-{n:05}")))] += 1;
        }
        let most = counts.into_iter().max().expect("there are shards");
        assert!(most < 110, "{most} of 49 in the mean");
    }

    proptest! {
        #[test]
        fn every_record_comes_back(devices in prop::collection::btree_map(
            "[a-z]{1,3}-[0-9]{1,4}", prop::array::uniform12(-500_i16..500), 0..60)) {
            let mut writing = Writing::begin(300_000, &[7]);
            for (device, slots) in &devices {
                prop_assert!(writing.add(device, &packed(&[*slots])));
            }
            let found = all(&writing.end(), &[7]);
            let told = devices.into_iter().map(|(device, slots)| (device, vec![slots]));
            prop_assert_eq!(found, Ok(told.collect::<Vec<_>>()));
        }

        #[test]
        fn keys_come_back_in_the_order_of_their_blocks(block: u64, shard in 0..SHARDS) {
            let key = Key { block, shard, channel: "telemetry".to_owned() };
            prop_assert_eq!(Key::read(&key.bytes()), Some(key.clone()));
            let next = Key { block: block.saturating_add(1), shard: 0, ..key.clone() };
            prop_assert!(key.bytes() < next.bytes() || block == u64::MAX);
        }

        #[test]
        fn other_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let mut devices = 0;
            let told = read(&bytes, 0, &[1], |_, _| devices += 1);
            prop_assert!(told.is_ok() || devices <= bytes.len());
            prop_assert!(Key::read(&bytes).is_none_or(|key| key.bytes() == bytes));
        }
    }
}
