//! Walks an encoded message by its descriptor without building it.
//!
//! This comes before every decoding: it bounds the nesting, refuses groups and wrong wire types, and
//! finds numbers that are none. It allocates only to name what it found.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::types::PayloadError;
use crate::limits;
use crate::wire::{Reader, Value, WireError};

/// Checks that the bytes are a message of this type; unknown fields are let pass.
///
/// Returns the path of the first NaN or infinity, if there is one.
///
/// # Errors
/// They aren't, or are nested over [`limits::NESTING_MAX`] deep.
pub(super) fn walk(
    message: &MessageDescriptor,
    bytes: &[u8],
) -> Result<Option<String>, PayloadError> {
    let mut not_finite = None;
    walk_message(message, bytes, 1, &mut not_finite)?;
    Ok(not_finite)
}

fn walk_message(
    message: &MessageDescriptor,
    bytes: &[u8],
    depth: usize,
    not_finite: &mut Option<String>,
) -> Result<(), PayloadError> {
    if depth > limits::NESTING_MAX {
        return Err(PayloadError::TooDeep);
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        let Some(field) = message.get_field(number) else { continue };
        let found_before = not_finite.is_some();
        walk_field(&field, value, depth, not_finite)?;
        if let (false, Some(path)) = (found_before, not_finite.as_mut()) {
            let dot = if path.is_empty() { "" } else { "." };
            *path = format!("{}{dot}{path}", field.name());
        }
    }
    Ok(())
}

fn walk_field(
    field: &FieldDescriptor,
    value: Value<'_>,
    depth: usize,
    not_finite: &mut Option<String>,
) -> Result<(), PayloadError> {
    let kind = field.kind();
    let finite = match (&kind, value) {
        (Kind::Message(inner), Value::Bytes(bytes)) if !field.is_group() => {
            return walk_message(inner, bytes, depth + level(inner), not_finite);
        }
        (Kind::String, Value::Bytes(bytes)) => {
            let number = field.number();
            str::from_utf8(bytes).map_err(|_| WireError::Utf8 { field: number })?;
            true
        }
        (Kind::Bytes, Value::Bytes(_)) => true,
        (Kind::Message(_) | Kind::String | Kind::Bytes, _) => return Err(wrong(field)),
        (_, Value::Bytes(bytes)) if field.is_list() => all_finite(&kind, bytes, field)?,
        _ => is_finite(&kind, value).ok_or_else(|| wrong(field))?,
    };
    if !finite && not_finite.is_none() {
        *not_finite = Some(String::new());
    }
    Ok(())
}

/// Levels that a message adds. The parts of `google.protobuf.Value` and the entries of maps are one
/// with what holds them, so that nesting means the same in both encodings.
fn level(message: &MessageDescriptor) -> usize {
    let part = message.is_map_entry()
        || matches!(message.full_name(), "google.protobuf.Struct" | "google.protobuf.ListValue");
    usize::from(!part)
}

fn wrong(field: &FieldDescriptor) -> PayloadError {
    WireError::Value { field: field.number() }.into()
}

/// Whether a single number is finite; `None` if it is in another wire type.
fn is_finite(kind: &Kind, value: Value<'_>) -> Option<bool> {
    match (kind, value) {
        (Kind::Double, Value::Fixed64(bits)) => Some(f64::from_bits(bits).is_finite()),
        (Kind::Float, Value::Fixed32(bits)) => Some(f32::from_bits(bits).is_finite()),
        (Kind::Fixed64 | Kind::Sfixed64, Value::Fixed64(_))
        | (Kind::Fixed32 | Kind::Sfixed32, Value::Fixed32(_)) => Some(true),
        (
            Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Bool
            | Kind::Enum(_),
            Value::Varint(_),
        ) => Some(true),
        _ => None,
    }
}

/// Whether all numbers of a packed list are finite.
fn all_finite(kind: &Kind, bytes: &[u8], field: &FieldDescriptor) -> Result<bool, PayloadError> {
    let whole = |size: usize| {
        if bytes.len().is_multiple_of(size) { Ok(()) } else { Err(wrong(field)) }
    };
    match kind {
        Kind::Double => {
            whole(8)?;
            let (items, _) = bytes.as_chunks();
            Ok(items.iter().all(|item| f64::from_le_bytes(*item).is_finite()))
        }
        Kind::Float => {
            whole(4)?;
            let (items, _) = bytes.as_chunks();
            Ok(items.iter().all(|item| f32::from_le_bytes(*item).is_finite()))
        }
        Kind::Fixed64 | Kind::Sfixed64 => whole(8).map(|()| true),
        Kind::Fixed32 | Kind::Sfixed32 => whole(4).map(|()| true),
        _ => {
            let mut reader = Reader::new(bytes);
            while !reader.rest().is_empty() {
                reader.varint()?;
            }
            Ok(true)
        }
    }
}
