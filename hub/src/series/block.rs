//! Twelve slots of one field, in as few bytes as lamps allow.
//!
//! ```text
//!   2 bytes: which slots hold something (12 bits), how they are written (2 bits)
//!     0  nothing follows: all are empty
//!     1  one varint: all are the same
//!     2  one varint, then a byte a slot: how much more than the one before
//!     3  two bytes a slot
//! ```

/// Slots of a block.
pub const BLOCK_SLOTS: usize = 12;
/// What stands in a slot that holds nothing.
pub const NOTHING: i16 = i16::MIN;
/// Bytes of a field's block at most.
pub const FIELD_BYTES_MAX: usize = 2 + 2 * BLOCK_SLOTS;

/// The slots of one field; [`NOTHING`] where nothing is known.
pub type Slots = [i16; BLOCK_SLOTS];

/// A block without values.
pub const EMPTY: Slots = [NOTHING; BLOCK_SLOTS];

const SAME: u16 = 1;
const STEPS: u16 = 2;
const PLAIN: u16 = 3;
const MASK: u16 = (1 << BLOCK_SLOTS) - 1;

/// Appends the slots to `into`.
pub fn write(slots: &Slots, into: &mut Vec<u8>) {
    let held = || slots.iter().copied().filter(|value| *value != NOTHING);
    let mask = slots
        .iter()
        .enumerate()
        .fold(0, |mask, (at, value)| if *value == NOTHING { mask } else { mask | 1 << at });
    let Some(first) = held().next() else {
        return into.extend_from_slice(&[0, 0]);
    };
    let mut steps = held().zip(held().skip(1)).map(|(one, next)| i32::from(next) - i32::from(one));
    let kind = if held().all(|value| value == first) {
        SAME
    } else if steps.all(|step| i8::try_from(step).is_ok()) {
        STEPS
    } else {
        PLAIN
    };
    into.extend_from_slice(&(mask | kind << BLOCK_SLOTS).to_le_bytes());
    match kind {
        SAME => write_varint(first, into),
        STEPS => {
            write_varint(first, into);
            into.extend(
                held().zip(held().skip(1)).map(|(one, next)| (next - one).to_le_bytes()[0]),
            );
        }
        _ => into.extend(held().flat_map(i16::to_le_bytes)),
    }
}

/// Takes the slots of one field from the front of `bytes`; `None` if that is no block.
pub fn read(bytes: &mut &[u8]) -> Option<Slots> {
    let head = u16::from_le_bytes(take(bytes)?);
    let (mask, kind) = (head & MASK, head >> BLOCK_SLOTS);
    let mut slots = EMPTY;
    let mut last = match kind {
        0 if mask == 0 => return Some(slots),
        SAME | STEPS if mask != 0 => read_varint(bytes)?,
        PLAIN if mask != 0 => NOTHING,
        _ => return None,
    };
    let mut is_first = true;
    for (_, slot) in slots.iter_mut().enumerate().filter(|(at, _)| mask & 1 << at != 0) {
        match kind {
            STEPS if !is_first => {
                last = last.checked_add(i16::from(i8::from_le_bytes(take(bytes)?)))?
            }
            PLAIN => last = i16::from_le_bytes(take(bytes)?),
            _ => {}
        }
        is_first = false;
        *slot = last;
    }
    // It stands for nothing, so nobody wrote it as something.
    (slots.iter().filter(|value| **value != NOTHING).count() == mask.count_ones() as usize)
        .then_some(slots)
}

/// Zigzag, then seven bits a byte: one byte for -64 to 63, two to ±8,191, three for the rest.
fn write_varint(value: i16, into: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 15)).cast_unsigned();
    while rest >= 0x80 {
        into.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    into.push(rest.to_le_bytes()[0]);
}

fn read_varint(bytes: &mut &[u8]) -> Option<i16> {
    let mut value = 0_u32;
    for at in 0..3 {
        let [byte] = take(bytes)?;
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u16::try_from(value).ok()?;
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn length(slots: &Slots) -> usize {
        let mut bytes = Vec::new();
        write(slots, &mut bytes);
        bytes.len()
    }

    #[test]
    fn a_quiet_lamp_takes_few_bytes() {
        assert_eq!(length(&EMPTY), 2);
        assert_eq!(length(&[0; BLOCK_SLOTS]), 3);
        let mut quarters = EMPTY;
        (0..BLOCK_SLOTS).step_by(3).for_each(|at| quarters[at] = 432);
        assert_eq!(length(&quarters), 4);
        quarters[6] = 435;
        assert_eq!(length(&quarters), 2 + 2 + 3);
        quarters[9] = 3000;
        assert_eq!(length(&quarters), 2 + 4 * 2);
    }

    proptest! {
        #[test]
        fn every_block_comes_back(slots in prop::array::uniform12(prop_oneof![
            Just(NOTHING), any::<i16>(), -200_i16..200
        ])) {
            let mut bytes = Vec::new();
            write(&slots, &mut bytes);
            prop_assert!(bytes.len() <= FIELD_BYTES_MAX);
            bytes.push(7);
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest), Some(slots));
            prop_assert_eq!(rest, &[7]);
        }

        #[test]
        fn other_bytes_are_no_block_or_one_that_is_written_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(slots) = read(&mut &bytes[..]) {
                let mut again = Vec::new();
                write(&slots, &mut again);
                prop_assert_eq!(read(&mut &again[..]), Some(slots));
            }
        }
    }
}
