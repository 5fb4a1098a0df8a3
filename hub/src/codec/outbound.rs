//! The way out: what waits for a peer, joined into few WebSocket messages.

use std::sync::Arc;

use proto::envelope::{Envelope, Error, GoAway, Kind, Position, Snapshot};
use proto::json;
use proto::wire::Sink as _;

use super::{Encoding, Frame, LiveTypes, Refusal};

/// Joins envelopes for one peer. Full when [`Outbound::len`] passes the caller's bound.
///
/// The bytes begin with `room` for the head of a frame, so that head and content leave in one write.
#[derive(Debug)]
pub struct Outbound {
    encoding: Encoding,
    room: usize,
    bytes: Vec<u8>,
}

/// An envelope with its length, in the form in which answers wait.
pub fn encode(envelope: &Envelope<'_>) -> bytes::Bytes {
    let mut bytes = Vec::with_capacity(64);
    envelope.encode_delimited(&mut bytes);
    bytes.into()
}

/// The envelope that tells a peer of a refusal.
pub fn refusal(request: u64, refusal: &Refusal) -> bytes::Bytes {
    let error = Error {
        code: refusal.code,
        message: &refusal.message,
        field: refusal.field,
        retry_after_ms: refusal.retry_after_ms,
        seq: refusal.seq,
        revision: refusal.revision,
        ..Error::default()
    };
    encode(&Envelope { request, kind: Kind::Error(error) })
}

/// The envelope that announces a close and says over how many seconds to come back.
pub fn go_away(code: proto::CloseCode, reconnect_window_s: u32) -> bytes::Bytes {
    let code = u32::from(code.0);
    let go_away = GoAway { code, reconnect_window_s, ..GoAway::default() };
    encode(&Envelope::new(Kind::GoAway(go_away)))
}

impl Outbound {
    /// Nothing yet, for a peer that reads this encoding.
    pub fn new(encoding: Encoding, room: usize) -> Self {
        Self { encoding, room, bytes: Vec::new() }
    }

    /// Lends it a buffer to fill, if it has begun none.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        debug_assert!(buffer.is_empty(), "what is in it would be sent");
        if self.bytes.capacity() == 0 {
            self.bytes = buffer;
        }
    }

    /// Changes the encoding of what follows; before anything was added.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        debug_assert!(self.is_empty(), "one message has one encoding");
        self.encoding = encoding;
    }

    /// Adds a message that many receive, its content as the peer's envelopes are written.
    pub fn frame(&mut self, frame: &Frame, types: &LiveTypes) {
        self.frame_as(self.encoding, frame, types);
    }

    /// Adds a message that many receive, its content written so.
    pub fn frame_as(&mut self, content: Encoding, frame: &Frame, types: &LiveTypes) {
        match (self.encoding, content) {
            (Encoding::Protobuf, Encoding::Protobuf) => self.binary(frame.binary()),
            (Encoding::Protobuf, Encoding::Json) => self.binary(frame.json(types).binary()),
            (Encoding::Json, content) => self.line(frame.line(content, types)),
        }
    }

    /// Adds an envelope made by [`encode`].
    pub fn envelope(&mut self, delimited: &[u8]) {
        match self.encoding {
            Encoding::Protobuf => self.binary(delimited),
            Encoding::Json => {
                let mut reader = proto::wire::Reader::new(delimited);
                while let Ok(envelope) = reader.delimited() {
                    match json::envelope_to_json(envelope) {
                        Ok(line) => self.line(&line),
                        Err(error) => tracing::error!(%error, "an answer has no JSON"),
                    }
                    if reader.rest().is_empty() {
                        break;
                    }
                }
            }
        }
    }

    /// Adds a page of last values, their content written so.
    pub fn page(
        &mut self,
        content: Encoding,
        pattern: &str,
        values: &[Arc<Frame>],
        last: bool,
        position: Position<'_>,
        types: &LiveTypes,
    ) {
        match self.encoding {
            Encoding::Protobuf => {
                let mut encoded_values = Vec::new();
                for value in values {
                    let value = match content {
                        Encoding::Protobuf => value,
                        Encoding::Json => value.json(types),
                    };
                    encoded_values.delimited(2, &value.body());
                }
                let encoded_values = &encoded_values;
                let page = Snapshot { pattern, encoded_values, last, position: Some(position) };
                self.binary(&encode(&Envelope::new(Kind::Snapshot(page))));
            }
            Encoding::Json => {
                let lines = values.iter().map(|value| value.value_line(content, types));
                let values: Vec<&str> = lines.collect();
                self.line(&json::snapshot_json(pattern, &values, last, Some(position)));
            }
        }
    }

    /// Adds a line of JSON.
    pub fn line(&mut self, line: &str) {
        if self.is_empty() {
            self.binary(line.as_bytes());
        } else {
            self.bytes.push(b'\n');
            self.bytes.extend_from_slice(line.as_bytes());
        }
    }

    fn binary(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(self.room + bytes.len());
            self.bytes.resize(self.room, 0);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Its encoding.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes so far, without the room.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.room)
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what is there, after the room, as the content of one WebSocket message.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
