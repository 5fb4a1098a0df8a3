//! Envelopes that the hub sends often, as JSON without a look at the schema; a test compares them with
//! what the descriptors give.
//!
//! # Cost
//!
//! One allocation a line, and the payload's JSON is copied once. Nothing is looked up.

use core::fmt::{self, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::envelope::{Message, Position};

/// Bytes of JSON around a payload, more or less: keys, a channel, five numbers.
const FRAME_BYTES: usize = 256;

/// One [`Message`] as a whole envelope: a line without its line feed.
///
/// `data` is the payload as JSON on one line, as [`super::Types::payload_to_json`] gives it; without
/// it the line has the payload in base64. `message.data` isn't looked at.
pub fn message_json(message: &Message<'_>, data: Option<&str>) -> String {
    let mut out = String::with_capacity(capacity(message, data));
    out.push_str("{\"message\":");
    write_message(&mut out, message, data);
    out.push('}');
    out
}

/// One [`Message`] as it stands in [`snapshot_json`]'s values, without an envelope around it.
pub fn value_json(message: &Message<'_>, data: Option<&str>) -> String {
    let mut out = String::with_capacity(capacity(message, data));
    write_message(&mut out, message, data);
    out
}

/// One page of a snapshot as a whole envelope: a line without its line feed. The values are those of
/// [`value_json`].
pub fn snapshot_json<T: AsRef<str>>(
    pattern: &str,
    values: &[T],
    last: bool,
    position: Option<Position<'_>>,
) -> String {
    let bytes: usize = values.iter().map(|value| value.as_ref().len() + 1).sum();
    let mut out = String::with_capacity(bytes + FRAME_BYTES);
    out.push_str("{\"snapshot\":");
    let mut object = Object::begin(&mut out);
    object.text("pattern", pattern);
    if !values.is_empty() {
        let out = object.key("values");
        for (at, value) in values.iter().enumerate() {
            out.push(if at == 0 { '[' } else { ',' });
            out.push_str(value.as_ref());
        }
        out.push(']');
    }
    if last {
        object.key("last").push_str("true");
    }
    if let Some(position) = position {
        let mut inner = Object::begin(object.key("position"));
        inner.wide("epoch", position.epoch);
        inner.wide("offset", position.offset);
        inner.end();
    }
    object.end();
    out.push('}');
    out
}

fn capacity(message: &Message<'_>, data: Option<&str>) -> usize {
    let payload = message.payload.map_or(0, |payload| payload.len() * 4 / 3 + 4);
    data.map_or(payload, str::len) + FRAME_BYTES
}

fn write_message(out: &mut String, message: &Message<'_>, data: Option<&str>) {
    let mut object = Object::begin(out);
    object.text("channel", message.channel);
    match (data, message.payload) {
        (Some(data), _) => object.key("data").push_str(data),
        (None, Some(payload)) => base64(object.key("payload"), payload),
        (None, None) => {}
    }
    object.wide("offset", message.offset);
    object.wide("time_unix_ms", message.time_unix_ms);
    object.number("boot", message.boot);
    object.wide("seq", message.seq);
    object.wide("measured_unix_ms", message.measured_unix_ms);
    object.text("type", message.type_name);
    object.text("json", message.json);
    object.text("problem", message.problem);
    object.end();
}

/// Writes the members of one object; defaults are left out.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Writes the key, and gives where the value goes.
    fn key(&mut self, key: &str) -> &mut String {
        self.out.push_str(if self.empty { "\"" } else { ",\"" });
        self.empty = false;
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            text(self.key(key), value);
        }
    }

    fn number(&mut self, key: &str, value: u32) {
        if value != 0 {
            display(self.key(key), format_args!("{value}"));
        }
    }

    /// A 64-bit number, which JSON has as text.
    fn wide(&mut self, key: &str, value: u64) {
        if value != 0 {
            display(self.key(key), format_args!("\"{value}\""));
        }
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// Writes a text with its quotes.
pub(super) fn text(out: &mut String, value: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) {
        out.push('"');
        out.push_str(value);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(value).expect("a text is always JSON"));
    }
}

/// Writes bytes as a text with its quotes.
pub(super) fn base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    BASE64_STANDARD.encode_string(bytes, out);
    out.push('"');
}

/// Writes what has a form of its own.
pub(super) fn display(out: &mut String, value: fmt::Arguments<'_>) {
    out.write_fmt(value).expect("a string takes everything");
}
