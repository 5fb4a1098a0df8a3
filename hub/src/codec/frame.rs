//! A message on its way to its subscribers: encoded at most once per encoding, however many there are.
//!
//! The publisher writes a [`Draft`] before any lock is taken. Inside the lock that orders messages it
//! only gets its offset and its length in front: a few bytes each. The draft leaves room for them.
//!
//! ```text
//!   ┌ room ┬ length, tag, length ┬ fields of the Message ┬ offset ┐
//!                                └───────── body ─────────────────┘
//!          └────────────── binary ────────────────────────────────┘
//! ```
//!
//! Readers differ in two things, how envelopes are written and how their content is: so there are four
//! forms of a message, and each is made at most once.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use proto::envelope::Message;
use proto::wire::{Encode as _, Sink as _, varint_len};

use super::{Encoding, LiveTypes};

/// Field number of `Envelope.message`, with wire type 2.
const MESSAGE_KEY: u64 = 9 << 3 | 2;
/// Room for two lengths of up to 4 bytes and the key.
const ROOM: usize = 9;
const OFFSET_FIELD: u32 = 4;
/// Key and varint of the offset.
const OFFSET_BYTES_MAX: usize = 11;

/// A message without its offset.
#[derive(Debug)]
pub struct Draft {
    bytes: Vec<u8>,
}

impl Draft {
    /// Encodes all but the offset of `message`.
    pub fn new(message: &Message<'_>) -> Self {
        debug_assert_eq!(message.offset, 0, "the offset comes later");
        let length = message.encoded_len();
        let mut bytes = Vec::with_capacity(ROOM + length + OFFSET_BYTES_MAX);
        bytes.resize(ROOM, 0);
        message.encode(&mut bytes);
        Self { bytes }
    }

    /// The message in its place in the order. Costs no allocation.
    pub fn place(mut self, offset: u64) -> Frame {
        self.bytes.uint(OFFSET_FIELD, offset);
        let head = head(self.bytes.len() - ROOM, 0);
        let start = ROOM - head.len();
        self.bytes[start..ROOM].copy_from_slice(&head);
        let binary = Bytes::from(self.bytes).slice(start..);
        Frame::new(binary, head.len() as u8, offset)
    }
}

/// What stands before a body of so many bytes, with exactly `room` for more.
fn head(body_len: usize, room: usize) -> Vec<u8> {
    let body_len = body_len as u64;
    let envelope_len = body_len + 1 + varint_len(body_len) as u64;
    let head_len = varint_len(envelope_len) + 1 + varint_len(body_len);
    let mut head = Vec::with_capacity(head_len + room);
    head.varint(envelope_len);
    head.varint(MESSAGE_KEY);
    head.varint(body_len);
    head
}

/// A message in its place, shared by everyone who receives or keeps it.
#[derive(Debug)]
pub struct Frame {
    binary: Bytes,
    head_len: u8,
    /// Where the name of its type stands in `binary`: it is asked for with every message of its channel.
    type_name: Range<usize>,
    offset: u64,
    /// Made for the first reader that doesn't take the message as it is.
    forms: OnceLock<Box<Forms>>,
}

/// Other forms of a message, each made for the first reader that wants it and shared by all others.
#[derive(Debug, Default)]
struct Forms {
    /// The line of JSON, its content as JSON.
    text: OnceLock<Box<str>>,
    /// The line of JSON, its content as payload.
    plain_text: OnceLock<Box<str>>,
    /// In protobuf, its content as JSON.
    json: OnceLock<Frame>,
}

impl Frame {
    /// A message that was stored: its body as [`Frame::body`] gave it.
    ///
    /// # Errors
    /// The bytes are not a message.
    pub fn restore(body: &[u8]) -> Result<Self, proto::wire::WireError> {
        let offset = Message::decode(body)?.offset;
        let mut binary = head(body.len(), body.len());
        let head_len = binary.len() as u8;
        binary.extend_from_slice(body);
        Ok(Self::new(binary.into(), head_len, offset))
    }

    /// A message whose bytes are known to be one.
    fn new(binary: Bytes, head_len: u8, offset: u64) -> Self {
        let unnamed = Self { binary, head_len, type_name: 0..0, offset, forms: OnceLock::new() };
        let name = unnamed.message().type_name;
        let type_name = match name.as_ptr().addr().checked_sub(unnamed.binary.as_ptr().addr()) {
            Some(start) if !name.is_empty() => start..start + name.len(),
            _ => 0..0,
        };
        Self { type_name, ..unnamed }
    }

    /// The same message, in no other form yet: those may be of types that hold no longer.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let (binary, type_name) = (self.binary.clone(), self.type_name.clone());
        Self { binary, type_name, forms: OnceLock::new(), ..*self }
    }

    /// The envelope with its length, as it stands in a binary WebSocket message.
    pub fn binary(&self) -> &Bytes {
        &self.binary
    }

    /// The encoded `Message` alone: what is stored, and what stands in a page of a snapshot.
    pub fn body(&self) -> Bytes {
        self.binary.slice(usize::from(self.head_len)..)
    }

    /// Its fields.
    pub fn message(&self) -> Message<'_> {
        let body = &self.binary[usize::from(self.head_len)..];
        Message::decode(body).expect("a frame holds what a draft encoded")
    }

    /// Its place in the order of all messages, and the revision of its channel's value.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Full name of its payload's message; empty if the channel has no type.
    pub fn type_name(&self) -> &str {
        std::str::from_utf8(&self.binary[self.type_name.clone()]).unwrap_or_default()
    }

    /// Bytes that it takes in a mailbox.
    pub fn len(&self) -> usize {
        self.binary.len()
    }

    /// Whether it has no bytes; it always has some.
    pub fn is_empty(&self) -> bool {
        self.binary.is_empty()
    }

    /// The envelope as one line of JSON, its content as JSON, too. Converted at the first call. What
    /// can't be converted stands there as payload, with the reason.
    pub fn text(&self, types: &LiveTypes) -> &str {
        self.forms().text.get_or_init(|| {
            let message = self.message();
            let payload = message.payload.unwrap_or_default();
            let line = match types.convert(message.type_name, payload) {
                Ok(data) => proto::json::message_json(&message, Some(&data)),
                Err(reason) => {
                    let message = Message { problem: &reason.to_string(), ..message };
                    proto::json::message_json(&message, None)
                }
            };
            line.into_boxed_str()
        })
    }

    /// The envelope as one line of JSON, its content as payload.
    pub fn plain_text(&self) -> &str {
        let line = || proto::json::message_json(&self.message(), None).into_boxed_str();
        self.forms().plain_text.get_or_init(line)
    }

    /// The envelope as one line of JSON, its content written so.
    pub fn line(&self, content: Encoding, types: &LiveTypes) -> &str {
        match content {
            Encoding::Protobuf => self.plain_text(),
            Encoding::Json => self.text(types),
        }
    }

    /// The `Message` alone as JSON, as it stands in a page of a snapshot, its content written so.
    pub fn value_line(&self, content: Encoding, types: &LiveTypes) -> &str {
        bare(self.line(content, types))
    }

    /// The message in protobuf with its content as JSON. Converted at the first call; what can't be
    /// converted stands there as payload, with the reason.
    pub fn json(&self, types: &LiveTypes) -> &Self {
        self.forms().json.get_or_init(|| {
            let message = self.message();
            let payload = message.payload.unwrap_or_default();
            let draft = Message { offset: 0, ..message };
            let draft = match types.convert(message.type_name, payload) {
                Ok(json) => Draft::new(&Message { payload: None, json: &json, ..draft }),
                Err(reason) => Draft::new(&Message { problem: &reason.to_string(), ..draft }),
            };
            draft.place(self.offset)
        })
    }

    fn forms(&self) -> &Forms {
        self.forms.get_or_init(Box::default)
    }

    /// A message with nothing but a channel and an offset.
    #[cfg(test)]
    pub fn for_test(channel: &str, offset: u64) -> Self {
        Draft::new(&Message { channel, payload: Some(b"x"), ..Message::default() }).place(offset)
    }
}

/// A line without the envelope around its message.
fn bare(line: &str) -> &str {
    let inner = line.strip_prefix("{\"message\":").and_then(|rest| rest.strip_suffix('}'));
    inner.expect("a line of JSON is a message in its envelope")
}

#[cfg(test)]
mod tests {
    use proto::envelope::{Batch, Kind};

    use super::*;

    #[test]
    fn a_placed_draft_is_the_envelope_with_its_offset() {
        for (payload, offset) in [(0, 1), (100, 127), (128, 128), (20_000, u64::MAX), (5, 1 << 40)]
        {
            let payload = vec![7; payload];
            let message =
                Message { channel: "a.b", payload: Some(&payload), seq: 3, ..Message::default() };
            let frame = Draft::new(&message).place(offset);

            let envelopes: Vec<_> = Batch::parse(frame.binary()).expect("whole").collect();
            let [envelope] = envelopes.as_slice() else { panic!("{envelopes:?}") };
            assert_eq!(envelope.kind, Kind::Message(Message { offset, ..message }));

            let restored = Frame::restore(&frame.body()).expect("a stored message");
            assert_eq!(restored.message(), frame.message());
            assert_eq!(restored.binary(), frame.binary());
            assert_eq!(restored.offset(), offset);
        }
    }

    #[test]
    fn each_reader_finds_the_content_as_it_wants_it() {
        let types = LiveTypes::built_in();
        let frame = typed(b"\x08\x01");
        assert!(frame.text(&types).contains(r#""data":{"online":true}"#), "{}", frame.text(&types));
        assert!(frame.plain_text().contains(r#""payload":"CAE=""#), "{}", frame.plain_text());

        let json = frame.json(&types);
        let message = json.message();
        assert_eq!((message.payload, message.json), (None, r#"{"online":true}"#));
        assert_eq!((json.offset(), message.offset), (7, 7));
        assert!(std::ptr::eq(json, frame.json(&types)), "converted once");
    }

    #[test]
    fn what_has_no_json_comes_as_payload_with_the_reason() {
        let types = LiveTypes::built_in();
        for (frame, reason) in [
            (Frame::for_test("a", 1), "no type"),
            (typed(b"\xff"), "is not a lamplighter.v1.Presence"),
        ] {
            assert!(frame.text(&types).contains(reason), "{}", frame.text(&types));
            assert!(frame.text(&types).contains(r#""payload":"#));
            let message = frame.json(&types).message();
            assert!(message.problem.contains(reason) && message.json.is_empty(), "{message:?}");
            assert_eq!(message.payload, frame.message().payload);
            assert_eq!(frame.message().problem, "", "who reads payloads has no problem");
        }
    }

    fn typed(payload: &[u8]) -> Frame {
        let type_name = "lamplighter.v1.Presence";
        let message =
            Message { channel: "a", payload: Some(payload), type_name, ..Message::default() };
        Draft::new(&message).place(7)
    }
}
