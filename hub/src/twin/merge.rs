//! How a partial value meets a held one on a channel that merges.
//!
//! The rule is shallow: a top-level field that the new value sets replaces all of that field, and
//! what it doesn't set stays. It works on encoded protobuf, so no schema is needed and fields that
//! nobody here knows survive. Subscribers always get the merged value: each message is the whole
//! state, and leaving one out loses nothing.

use proto::wire::{Reader, WireError};

/// The held value with the fields of `patch` replaced.
///
/// # Errors
/// One of the two is not well-formed protobuf.
pub fn merge(held: &[u8], patch: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut replaced = Vec::new();
    let mut fields = Reader::new(patch);
    while let Some((number, _)) = fields.field()? {
        if !replaced.contains(&number) {
            replaced.push(number);
        }
    }

    let mut merged = Vec::with_capacity(held.len() + patch.len());
    let mut fields = Reader::new(held);
    let mut before = fields.rest();
    while let Some((number, _)) = fields.field()? {
        if !replaced.contains(&number) {
            merged.extend_from_slice(&before[..before.len() - fields.rest().len()]);
        }
        before = fields.rest();
    }
    merged.extend_from_slice(patch);
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use proto::wire::Sink as _;

    use super::*;

    #[test]
    fn a_field_that_the_patch_sets_replaces_all_of_that_field() {
        let mut held = Vec::new();
        held.uint(1, 10);
        held.bytes(2, b"a");
        held.bytes(2, b"b");
        held.uint(99, 7);
        let mut patch = Vec::new();
        patch.bytes(2, b"c");

        let mut merged = Vec::new();
        merged.uint(1, 10);
        merged.uint(99, 7);
        merged.bytes(2, b"c");
        assert_eq!(merge(&held, &patch), Ok(merged));
    }

    #[test]
    fn what_is_not_protobuf_is_refused() {
        assert!(merge(b"", &[0xff]).is_err());
        assert!(merge(&[0x0a, 9], b"").is_err());
    }
}
