//! JSON to protobuf, by the descriptor of the message.
//!
//! Fields are written in the order of their numbers and maps in that of their keys, so the same JSON
//! always gives the same bytes: two sends of one command can be told from two commands.
//!
//! `google.protobuf.Value` and its parts are written here; the other well-known types with a JSON form
//! of their own (`Timestamp`, `Duration`, …) by `prost-reflect`.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::JsonError;
use crate::limits;
use crate::wire::Sink as _;

mod scalar;

use scalar::{Content, scalar};

/// Encodes `value` as a message of this type.
///
/// # Errors
/// A field is unknown, stands twice, or has a value that doesn't fit.
pub(super) fn encode(message: &MessageDescriptor, value: &Value) -> Result<Vec<u8>, JsonError> {
    message_bytes(message, value, 1)
}

fn message_bytes(
    message: &MessageDescriptor,
    value: &Value,
    depth: usize,
) -> Result<Vec<u8>, JsonError> {
    if depth > limits::NESTING_MAX {
        return Err(JsonError::TooDeep);
    }
    match message.full_name() {
        "google.protobuf.Value" => value_bytes(value, depth),
        "google.protobuf.Struct" => struct_bytes(object(value)?, depth),
        "google.protobuf.ListValue" => list_bytes(array(value)?, depth),
        name if name.starts_with("google.protobuf.") => well_known(message, value),
        _ => fields(message, object(value)?, depth),
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, JsonError> {
    value.as_object().ok_or_else(|| JsonError::mismatch("an object"))
}

fn array(value: &Value) -> Result<&Vec<Value>, JsonError> {
    value.as_array().ok_or_else(|| JsonError::mismatch("a list"))
}

fn fields(
    message: &MessageDescriptor,
    object: &Map<String, Value>,
    depth: usize,
) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    for (field, value) in in_order(message, object)? {
        write_field(&mut out, &field, value, depth).map_err(|error| error.inside(field.name()))?;
    }
    Ok(out)
}

/// The fields that are set, by number; null means absent.
fn in_order<'v>(
    message: &MessageDescriptor,
    object: &'v Map<String, Value>,
) -> Result<Vec<(FieldDescriptor, &'v Value)>, JsonError> {
    let mut fields: Vec<(FieldDescriptor, &Value)> = Vec::with_capacity(object.len());
    for (key, value) in object {
        let field = message
            .get_field_by_name(key)
            .or_else(|| message.get_field_by_json_name(key))
            .ok_or_else(|| JsonError::UnknownField { path: key.clone() })?;
        if fields.iter().any(|(known, _)| known.number() == field.number()) {
            return Err(JsonError::DuplicateKey { path: key.clone() });
        }
        fields.push((field, value));
    }
    fields.retain(|(field, value)| !value.is_null() || takes_null(field));
    fields.sort_by_key(|(field, _)| field.number());
    for (at, (field, _)) in fields.iter().enumerate() {
        let group = field.containing_oneof();
        let same = |(other, _): &(FieldDescriptor, &Value)| other.containing_oneof() == group;
        if group.is_some() && fields[..at].iter().any(same) {
            return Err(JsonError::mismatch("to be the only one of its kind").inside(field.name()));
        }
    }
    Ok(fields)
}

fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(values) => values.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn write_field(
    out: &mut Vec<u8>,
    field: &FieldDescriptor,
    value: &Value,
    depth: usize,
) -> Result<(), JsonError> {
    if field.is_map() {
        return write_map(out, field, object(value)?, depth);
    }
    if field.is_list() {
        return write_list(out, field, array(value)?, depth);
    }
    let content = content(&field.kind(), value, depth)?;
    if field.supports_presence() || !content.is_default() {
        content.write(out, field.number());
    }
    Ok(())
}

fn write_list(
    out: &mut Vec<u8>,
    field: &FieldDescriptor,
    items: &[Value],
    depth: usize,
) -> Result<(), JsonError> {
    let kind = field.kind();
    let mut packed = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let inside = |error: JsonError| error.inside(format_args!("[{at}]"));
        let content = content(&kind, item, depth).map_err(inside)?;
        if field.is_packed() {
            content.write_bare(&mut packed);
        } else {
            content.write(out, field.number());
        }
    }
    out.bytes(field.number(), &packed);
    Ok(())
}

fn write_map(
    out: &mut Vec<u8>,
    field: &FieldDescriptor,
    entries: &Map<String, Value>,
    depth: usize,
) -> Result<(), JsonError> {
    let kind = field.kind();
    let entry = kind.as_message().ok_or_else(|| JsonError::mismatch("a map"))?;
    let (key_kind, value_kind) =
        (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    for (key, value) in entries {
        let inside = |error: JsonError| error.inside(format_args!("[{key}]"));
        let mut bytes = Vec::new();
        scalar::map_key(&key_kind, key).map_err(inside)?.write(&mut bytes, 1);
        content(&value_kind, value, depth).map_err(inside)?.write(&mut bytes, 2);
        out.delimited(field.number(), &bytes);
    }
    Ok(())
}

fn content(kind: &Kind, value: &Value, depth: usize) -> Result<Content, JsonError> {
    match kind {
        Kind::Message(message) => message_bytes(message, value, depth + 1).map(Content::Message),
        scalar_kind => scalar(scalar_kind, value),
    }
}

/// `google.protobuf.Value`: null 1, number 2, text 3, bool 4, object 5, list 6.
fn value_bytes(value: &Value, depth: usize) -> Result<Vec<u8>, JsonError> {
    if depth > limits::NESTING_MAX {
        return Err(JsonError::TooDeep);
    }
    let mut out = Vec::new();
    match value {
        Value::Null => Content::Varint(0).write(&mut out, 1),
        Value::Number(number) => {
            let number = number.as_f64().ok_or_else(|| JsonError::mismatch("a finite number"))?;
            Content::Fixed64(number.to_bits()).write(&mut out, 2);
        }
        Value::String(text) => out.delimited(3, text.as_bytes()),
        Value::Bool(value) => Content::Varint(u64::from(*value)).write(&mut out, 4),
        Value::Object(entries) => out.delimited(5, &struct_bytes(entries, depth)?),
        Value::Array(items) => out.delimited(6, &list_bytes(items, depth)?),
    }
    Ok(out)
}

fn struct_bytes(entries: &Map<String, Value>, depth: usize) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    for (key, value) in entries {
        let mut entry = Vec::new();
        entry.delimited(1, key.as_bytes());
        entry.delimited(2, &value_bytes(value, depth + 1)?);
        out.delimited(1, &entry);
    }
    Ok(out)
}

fn list_bytes(items: &[Value], depth: usize) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    for item in items {
        out.delimited(1, &value_bytes(item, depth + 1)?);
    }
    Ok(out)
}

fn well_known(message: &MessageDescriptor, value: &Value) -> Result<Vec<u8>, JsonError> {
    DynamicMessage::deserialize(message.clone(), value)
        .map(|message| message.encode_to_vec())
        .map_err(|error| JsonError::mismatch(format!("a `{}`: {error}", message.full_name())))
}
