//! What the hub says that the device should show: as much of `lamplighter.v1.EffectiveLight` as a lamp needs.
//!
//! It says what comes next as well, so a lamp that keeps the last one returns to its program by its own
//! clock, although the hub is gone.

use proto::wire::{Reader, Value};

/// The light that the hub wants, and what comes after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Light {
    /// %, 0 to 100; `None`: the hub decides nothing, the device's own program rules.
    pub level_pct: Option<u8>,
    /// The number of a `lighting.v1.ControlReason`.
    pub reason: u8,
    /// ms since 1970, UTC: since when level and reason are these.
    pub since_unix_ms: u64,
    /// ms since 1970, UTC: when the next ones count; 0 is never.
    pub until_unix_ms: u64,
    /// %, 0 to 100: the level from then on; `None` as above.
    pub then_level_pct: Option<u8>,
    /// Its reason.
    pub then_reason: u8,
}

const LEVEL_PCT: u32 = 1;
const REASON: u32 = 2;
const SINCE_UNIX_MS: u32 = 4;
const UNTIL_UNIX_MS: u32 = 5;
const THEN_LEVEL_PCT: u32 = 6;
const THEN_REASON: u32 = 7;

impl Light {
    /// Reads a payload; `None` if it is not well-formed. A level above 100 is 100, a reason that no byte
    /// holds is 0.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut light = Self::default();
        let mut reader = Reader::new(payload);
        while let Some((field, value)) = reader.field().ok()? {
            let Value::Varint(number) = value else { continue };
            let level = Some(u8::try_from(number.min(100)).unwrap_or(100));
            let reason = u8::try_from(number).unwrap_or(0);
            match field {
                LEVEL_PCT => light.level_pct = level,
                REASON => light.reason = reason,
                SINCE_UNIX_MS => light.since_unix_ms = number,
                UNTIL_UNIX_MS => light.until_unix_ms = number,
                THEN_LEVEL_PCT => light.then_level_pct = level,
                THEN_REASON => light.then_reason = reason,
                _ => {}
            }
        }
        Some(light)
    }
}

#[cfg(test)]
mod tests {
    use proto::wire::{Sink, SliceSink};

    use super::*;

    #[test]
    fn levels_that_are_absent_are_not_off() {
        let mut buffer = [0; 64];
        let mut sink = SliceSink::new(&mut buffer);
        sink.varint(u64::from(LEVEL_PCT << 3));
        sink.varint(0);
        sink.uint(REASON, 3);
        sink.uint(UNTIL_UNIX_MS, 1_795_007_200_000);
        let length = sink.finish().expect("it fits");
        let light = Light::decode(&buffer[..length]).expect("well-formed");
        assert_eq!((light.level_pct, light.reason), (Some(0), 3));
        assert_eq!((light.until_unix_ms, light.then_level_pct), (1_795_007_200_000, None));
        assert_eq!(Light::decode(&[]), Some(Light::default()));
        assert_eq!(Light::decode(&[0xff]), None);
    }
}
