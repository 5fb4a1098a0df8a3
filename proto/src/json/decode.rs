//! Protobuf to JSON, by the descriptor of the message: one line, fields in the order of their numbers
//! and named as in the schema, maps in the order of their keys.

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::check;
use super::types::PayloadError;
use super::write::{base64, display, text};

/// Writes the encoded message as JSON.
///
/// # Errors
/// The bytes are not such a message.
pub(super) fn to_json(message: &MessageDescriptor, bytes: &[u8]) -> Result<String, PayloadError> {
    check::walk(message, bytes)?;
    let message = DynamicMessage::decode(message.clone(), bytes)
        .map_err(|error| PayloadError::Decode { problem: error.to_string() })?;
    // JSON of telemetry has about four times the bytes.
    let mut out = String::with_capacity(bytes.len() * 4 + 16);
    write_message(&mut out, &message)?;
    Ok(out)
}

fn write_message(out: &mut String, message: &DynamicMessage) -> Result<(), PayloadError> {
    if message.descriptor().full_name().starts_with("google.protobuf.") {
        let json = serde_json::to_string(message)
            .map_err(|error| PayloadError::Decode { problem: error.to_string() })?;
        out.push_str(&json);
        return Ok(());
    }
    out.push('{');
    for (at, (field, value)) in message.fields().enumerate() {
        separate(out, at);
        text(out, field.name());
        out.push(':');
        write_value(out, &field.kind(), value)?;
    }
    out.push('}');
    Ok(())
}

fn separate(out: &mut String, at: usize) {
    if at > 0 {
        out.push(',');
    }
}

fn write_value(out: &mut String, kind: &Kind, value: &Value) -> Result<(), PayloadError> {
    match value {
        Value::Bool(value) => display(out, format_args!("{value}")),
        Value::I32(value) => display(out, format_args!("{value}")),
        Value::U32(value) => display(out, format_args!("{value}")),
        Value::I64(value) => display(out, format_args!("\"{value}\"")),
        Value::U64(value) => display(out, format_args!("\"{value}\"")),
        // `{:?}` gives the shortest digits that read back as the same number, in a form JSON takes.
        Value::F32(value) if value.is_finite() => display(out, format_args!("{value:?}")),
        Value::F64(value) if value.is_finite() => display(out, format_args!("{value:?}")),
        Value::F32(value) => text(out, not_finite(f64::from(*value))),
        Value::F64(value) => text(out, not_finite(*value)),
        Value::String(value) => text(out, value),
        Value::Bytes(value) => base64(out, value),
        Value::EnumNumber(number) => write_enum(out, kind, *number),
        Value::Message(message) => write_message(out, message)?,
        Value::List(items) => write_list(out, kind, items)?,
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            write_map(out, kind, &entries)?;
        }
    }
    Ok(())
}

fn not_finite(value: f64) -> &'static str {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    }
}

fn write_enum(out: &mut String, kind: &Kind, number: i32) {
    match kind.as_enum().and_then(|values| values.get_value(number)) {
        Some(value) => text(out, value.name()),
        // A value from a newer schema.
        None => display(out, format_args!("{number}")),
    }
}

fn write_list(out: &mut String, kind: &Kind, items: &[Value]) -> Result<(), PayloadError> {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        separate(out, at);
        write_value(out, kind, item)?;
    }
    out.push(']');
    Ok(())
}

fn write_map(
    out: &mut String,
    kind: &Kind,
    entries: &[(&MapKey, &Value)],
) -> Result<(), PayloadError> {
    let entry = kind.as_message().expect("a map's kind is the message of its entries");
    let value_kind = entry.map_entry_value_field().kind();
    out.push('{');
    for (at, (key, value)) in entries.iter().enumerate() {
        separate(out, at);
        match key {
            MapKey::String(key) => text(out, key),
            MapKey::Bool(key) => display(out, format_args!("\"{key}\"")),
            MapKey::I32(key) => display(out, format_args!("\"{key}\"")),
            MapKey::I64(key) => display(out, format_args!("\"{key}\"")),
            MapKey::U32(key) => display(out, format_args!("\"{key}\"")),
            MapKey::U64(key) => display(out, format_args!("\"{key}\"")),
        }
        out.push(':');
        write_value(out, &value_kind, value)?;
    }
    out.push('}');
    Ok(())
}
