//! Single values of JSON as protobuf has them on the wire.
//!
//! Numbers may also be written as text, as proto3 JSON allows: 64-bit ones have to be, beyond 2^53.
//! A text counts as an integer only in the form in which it would be written.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, Kind};
use serde_json::Value;

use crate::json::JsonError;
use crate::wire::Sink as _;

/// One value, ready to be written.
pub(super) enum Content {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(Vec<u8>),
    /// Like bytes, and never a default.
    Message(Vec<u8>),
}

impl Content {
    /// Whether a field without presence leaves it out.
    pub(super) fn is_default(&self) -> bool {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => *value == 0,
            Self::Fixed32(value) => *value == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Message(_) => false,
        }
    }

    /// Writes it with the number of its field.
    pub(super) fn write(&self, out: &mut Vec<u8>, field: u32) {
        let wire_type = match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) | Self::Message(_) => 2,
            Self::Fixed32(_) => 5,
        };
        out.varint(u64::from(field) << 3 | wire_type);
        self.write_bare(out);
    }

    /// Writes it as it stands in a packed list.
    pub(super) fn write_bare(&self, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => out.varint(*value),
            Self::Fixed32(value) => out.raw(&value.to_le_bytes()),
            Self::Fixed64(value) => out.raw(&value.to_le_bytes()),
            Self::Bytes(bytes) | Self::Message(bytes) => {
                out.varint(bytes.len() as u64);
                out.raw(bytes);
            }
        }
    }
}

/// A value of any kind but messages.
pub(super) fn scalar(kind: &Kind, value: &Value) -> Result<Content, JsonError> {
    Ok(match kind {
        Kind::Double => Content::Fixed64(double(value)?.to_bits()),
        Kind::Float => Content::Fixed32(float(value)?.to_bits()),
        Kind::Bool => {
            let value = value.as_bool().ok_or_else(|| JsonError::mismatch("true or false"))?;
            Content::Varint(u64::from(value))
        }
        Kind::String => Content::Bytes(text(value)?.as_bytes().to_vec()),
        Kind::Bytes => Content::Bytes(bytes(text(value)?)?),
        Kind::Enum(values) => enumerated(values, value)?,
        Kind::Message(message) => {
            return Err(JsonError::mismatch(format!("a `{}`", message.full_name())));
        }
        integers => integer(integers, whole(value))?,
    })
}

/// A map's key, which JSON only has as text.
pub(super) fn map_key(kind: &Kind, key: &str) -> Result<Content, JsonError> {
    match kind {
        Kind::String => Ok(Content::Bytes(key.as_bytes().to_vec())),
        Kind::Bool => match key {
            "true" => Ok(Content::Varint(1)),
            "false" => Ok(Content::Varint(0)),
            _ => Err(JsonError::mismatch("`true` or `false`")),
        },
        integers => integer(integers, whole_text(key)),
    }
}

fn text(value: &Value) -> Result<&str, JsonError> {
    value.as_str().ok_or_else(|| JsonError::mismatch("a text"))
}

fn bytes(text: &str) -> Result<Vec<u8>, JsonError> {
    const EITHER_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).map_err(|_| JsonError::mismatch("base64"))
}

fn enumerated(values: &EnumDescriptor, value: &Value) -> Result<Content, JsonError> {
    let number = match value {
        Value::Null if values.full_name() == "google.protobuf.NullValue" => Some(0),
        Value::String(name) => values.get_value_by_name(name).map(|value| value.number()),
        Value::Number(number) => number.as_i64().and_then(|number| number.try_into().ok()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number {
        Some(number) => Ok(Content::Varint(i64::from(number).cast_unsigned())),
        None => Err(JsonError::mismatch(format!("a name of `{}`", values.full_name()))),
    }
}

fn double(value: &Value) -> Result<f64, JsonError> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.ok_or_else(|| JsonError::mismatch("a number"))
}

#[allow(clippy::cast_possible_truncation, reason = "a float keeps the nearest value by design")]
fn float(value: &Value) -> Result<f32, JsonError> {
    let number = double(value)?;
    let nearest = number as f32;
    if number.is_finite() && !nearest.is_finite() {
        return Err(JsonError::mismatch("a number of at most 3.4e38"));
    }
    Ok(nearest)
}

/// The whole number that a value stands for.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Some(number.into()),
            (None, Some(number), _) => Some(number.into()),
            (None, None, Some(number)) => whole_double(number),
            (None, None, None) => None,
        },
        Value::String(text) => whole_text(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn whole_double(number: f64) -> Option<i128> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i128)
}

fn whole_text(text: &str) -> Option<i128> {
    let number: i128 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn integer(kind: &Kind, number: Option<i128>) -> Result<Content, JsonError> {
    let (low, high) = match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (i64::MIN.into(), i64::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, i128::from(u32::MAX)),
        _ => (0, i128::from(u64::MAX)),
    };
    let wanted = || JsonError::mismatch(format!("a whole number from {low} to {high}"));
    let number = number.filter(|number| (low..=high).contains(number)).ok_or_else(wanted)?;
    // Two's complement: the low bits of a number inside its range are the number.
    let bits = low_bits(number);
    Ok(match kind {
        Kind::Sint32 | Kind::Sint64 => Content::Varint(zigzag(bits.cast_signed())),
        Kind::Fixed32 | Kind::Sfixed32 => Content::Fixed32((bits & u64::from(u32::MAX)) as u32),
        Kind::Fixed64 | Kind::Sfixed64 => Content::Fixed64(bits),
        _ => Content::Varint(bits),
    })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low bits are meant"
)]
fn low_bits(number: i128) -> u64 {
    number as u64
}

/// Small numbers of either sign become small ones without.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}
