//! Fields that a schema doesn't know, carried over an edit in JSON, where they don't show.
//!
//! An edit takes a message as JSON, changes that, and encodes it. What the schema doesn't know follows the
//! message that it stands in:
//!
//! | it stood in | it stays if |
//! |---|---|
//! | the message itself | always |
//! | a message in a field | the field is still set |
//! | a message in a map | its key is still there |
//! | a message in a list | the item at its place is otherwise the same |
//!
//! # Cost
//!
//! A walk over both messages; items of lists are compared as JSON.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::decode;
use super::types::PayloadError;
use crate::wire::{Reader, Sink as _, Value, WireError};

/// `edited`, with what the schema doesn't know of `held`. Both have been checked against the type, so
/// their nesting is bounded.
///
/// # Errors
/// One of them is not a message of the type.
pub(super) fn carry(
    message: &MessageDescriptor,
    held: &[u8],
    edited: &[u8],
) -> Result<Vec<u8>, PayloadError> {
    // Those with a JSON of their own are a value and no group of fields.
    if message.full_name().starts_with("google.protobuf.") {
        return Ok(edited.to_vec());
    }
    let held = Held::of(message, held)?;
    let mut out = Vec::with_capacity(edited.len() + held.unknown.len());
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let mut fields = Reader::new(edited);
    let mut before = fields.rest();
    while let Some((number, value)) = fields.field()? {
        let raw = &before[..before.len() - fields.rest().len()];
        before = fields.rest();
        let place = places.entry(number).or_default();
        match (message_field(message, number), value) {
            (Some((field, inner)), Value::Bytes(content)) => {
                match held.counterpart(&field, &inner, content, *place)? {
                    Some(old) => out.delimited(number, &carry(&inner, &old, content)?),
                    None => out.raw(raw),
                }
            }
            _ => out.raw(raw),
        }
        *place += 1;
    }
    out.raw(&held.unknown);
    Ok(out)
}

/// A field that carries messages, and their type.
fn message_field(
    message: &MessageDescriptor,
    number: u32,
) -> Option<(FieldDescriptor, MessageDescriptor)> {
    let field = message.get_field(number)?;
    match field.kind() {
        Kind::Message(inner) => Some((field, inner)),
        _ => None,
    }
}

/// What a held message has.
#[derive(Default)]
struct Held<'h> {
    /// Contents of fields that carry messages, in their order.
    messages: BTreeMap<u32, Vec<&'h [u8]>>,
    /// Entries of maps, by their key.
    entries: BTreeMap<(u32, Vec<u8>), &'h [u8]>,
    /// Fields that the schema doesn't know, as they stand there.
    unknown: Vec<u8>,
}

impl<'h> Held<'h> {
    fn of(message: &MessageDescriptor, bytes: &'h [u8]) -> Result<Self, WireError> {
        let mut held = Self::default();
        let mut fields = Reader::new(bytes);
        let mut before = fields.rest();
        while let Some((number, value)) = fields.field()? {
            let raw = &before[..before.len() - fields.rest().len()];
            before = fields.rest();
            match (message_field(message, number), value) {
                (Some((field, _)), Value::Bytes(content)) if field.is_map() => {
                    held.entries.insert((number, key_of(content)?), content);
                }
                (Some(_), Value::Bytes(content)) => {
                    held.messages.entry(number).or_default().push(content);
                }
                _ if message.get_field(number).is_none() => held.unknown.extend_from_slice(raw),
                _ => {}
            }
        }
        Ok(held)
    }

    /// The message that `content` was made of, if there was one.
    fn counterpart(
        &self,
        field: &FieldDescriptor,
        inner: &MessageDescriptor,
        content: &[u8],
        place: usize,
    ) -> Result<Option<Vec<u8>>, PayloadError> {
        let number = field.number();
        if field.is_map() {
            let entry = self.entries.get(&(number, key_of(content)?));
            return Ok(entry.map(|entry| entry.to_vec()));
        }
        let Some(messages) = self.messages.get(&number) else { return Ok(None) };
        if !field.is_list() {
            // A single message that stands in pieces is all of them together.
            return Ok(Some(messages.concat()));
        }
        let Some(item) = messages.get(place) else { return Ok(None) };
        let is_same = decode::to_json(inner, item)? == decode::to_json(inner, content)?;
        Ok(is_same.then(|| item.to_vec()))
    }
}

/// The key of a map's entry: the same bytes for the same key, however it is written. Default is empty.
fn key_of(entry: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut key = Vec::new();
    let mut fields = Reader::new(entry);
    while let Some((number, value)) = fields.field()? {
        if number == 1 {
            key = match value {
                Value::Varint(0) | Value::Fixed64(0) | Value::Fixed32(0) => Vec::new(),
                Value::Varint(key) | Value::Fixed64(key) => key.to_le_bytes().to_vec(),
                Value::Fixed32(key) => key.to_le_bytes().to_vec(),
                Value::Bytes(key) => key.to_vec(),
            };
        }
    }
    Ok(key)
}
