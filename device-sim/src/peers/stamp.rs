//! The 64 bytes that every message carries: which measurement it belongs to, its number, and when it was
//! meant to be sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Micros;

/// Bytes of a payload.
pub(super) const PAYLOAD_BYTES: usize = 64;
/// Characters of the same in base64.
pub(super) const TEXT_BYTES: usize = PAYLOAD_BYTES.div_ceil(3) * 4;

/// Bytes that mean something.
const STAMP_BYTES: usize = 20;
/// Characters that hold them.
const STAMP_TEXT_BYTES: usize = STAMP_BYTES.div_ceil(3) * 4;

/// What a payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The measurement; what still arrives of an earlier one isn't counted.
    pub(super) step: u32,
    /// Counts from 0 within the measurement.
    pub(super) number: u64,
    pub(super) intended: Micros,
}

impl Stamp {
    /// As the payload of a binary protocol.
    pub(super) fn payload(self) -> [u8; PAYLOAD_BYTES] {
        let mut bytes = [b'.'; PAYLOAD_BYTES];
        bytes[..4].copy_from_slice(&self.step.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12..STAMP_BYTES].copy_from_slice(&self.intended.0.to_le_bytes());
        bytes
    }

    /// Reads a payload, as bytes or in base64; its length tells which. Nothing if it is neither.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        match payload.len() {
            PAYLOAD_BYTES => Self::from_bytes(payload),
            TEXT_BYTES => {
                let mut bytes = [0; STAMP_BYTES + 1];
                let text = &payload[..STAMP_TEXT_BYTES];
                STANDARD.decode_slice_unchecked(text, &mut bytes).ok()?;
                Self::from_bytes(&bytes)
            }
            _ => None,
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (step, rest) = bytes.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let intended = rest.first_chunk::<8>()?;
        Some(Self {
            step: u32::from_le_bytes(*step),
            number: u64::from_le_bytes(*number),
            intended: Micros(u64::from_le_bytes(*intended)),
        })
    }
}

/// Appends a payload as text.
pub(super) fn append_text(out: &mut Vec<u8>, payload: &[u8; PAYLOAD_BYTES]) {
    let mut text = [0; TEXT_BYTES];
    let length = STANDARD.encode_slice(payload, &mut text).unwrap_or(0);
    out.extend_from_slice(&text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_from_bytes_and_from_text() {
        let stamp = Stamp { step: 7, number: u64::MAX - 1, intended: Micros(1_234_567) };
        let payload = stamp.payload();
        let mut text = Vec::new();
        append_text(&mut text, &payload);
        assert_eq!(text.len(), TEXT_BYTES);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&text), Some(stamp));
        assert_eq!(Stamp::read(&payload[1..]), None);
    }
}
