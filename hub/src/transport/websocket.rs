//! Frames of WebSocket, as a server reads and writes them (RFC 6455, section 5).
//!
//! Frames are taken apart where they were received, and unmasked in place; a message in one frame, as
//! all small ones are, is not copied. What is kept between two reads is the beginning of a frame and
//! the pieces of a message; the caller keeps the first, the [`Assembler`] the second.

use std::borrow::Cow;
use std::io::Cursor;

use proto::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{self, Control, Data, OpCode};

/// Room for the head of a frame that the hub sends: without a mask.
pub const HEAD_BYTES_MAX: usize = 10;
/// What a control frame may carry (section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// What a peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'b> {
    /// A binary message.
    Binary(Cow<'b, [u8]>),
    /// A text message.
    Text(Cow<'b, str>),
    /// To be answered with the same bytes.
    Ping(&'b [u8]),
    /// Answers a ping, or none.
    Pong,
    /// Nothing follows; to be answered with the same code.
    Close(Option<u16>),
}

/// What a peer must not do, as the code that closes the connection.
pub type Violation = CloseCode;

/// The head of a frame whose bytes are all there.
struct Head {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    length: usize,
    payload_length: usize,
}

/// Puts the pieces of messages together.
#[derive(Debug)]
pub struct Assembler {
    bytes_max: usize,
    pieces: Option<Box<Pieces>>,
}

/// A message that came in pieces, as far as it came.
#[derive(Debug)]
struct Pieces {
    is_text: bool,
    bytes: Vec<u8>,
}

impl Assembler {
    /// For messages of up to so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, pieces: None }
    }

    /// Takes the next message or control frame from the front of `bytes`, which may end in the
    /// beginning of another. Returns it, if one is whole, and how many bytes were used.
    ///
    /// # Errors
    /// The peer breaks the protocol; nothing that follows means anything.
    pub fn next<'b>(
        &mut self,
        mut bytes: &'b mut [u8],
    ) -> Result<(Option<Received<'b>>, usize), Violation> {
        let mut used = 0;
        while let Some(head) = self.head(bytes)? {
            let (frame, rest) = bytes.split_at_mut(head.length + head.payload_length);
            bytes = rest;
            used += frame.len();
            let payload = &mut frame[head.length..];
            unmask(payload, head.mask);
            let received = match head.opcode {
                OpCode::Control(control) => Some(control_frame(control, payload)?),
                OpCode::Data(data) => self.piece(data, head.is_final, payload)?,
            };
            if received.is_some() {
                return Ok((received, used));
            }
        }
        Ok((None, used))
    }

    /// The head of the frame in front, once all of the frame is there. A frame that will not be taken
    /// is refused as soon as its head is there.
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::PROTOCOL)?;
        let Some((header, payload_length)) = parsed else { return Ok(None) };
        let length = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let mask = header.mask.ok_or(CloseCode::PROTOCOL)?;
        let is_control = matches!(header.opcode, OpCode::Control(_));
        let extended = header.rsv1 || header.rsv2 || header.rsv3;
        let longer_than_needed = header.len(payload_length) != length;
        let bad_control = is_control && (!header.is_final || payload_length > CONTROL_BYTES_MAX);
        if extended || longer_than_needed || bad_control {
            return Err(CloseCode::PROTOCOL);
        }
        let held = self.pieces.as_ref().map_or(0, |pieces| pieces.bytes.len());
        let payload_length = usize::try_from(payload_length).unwrap_or(usize::MAX);
        if !is_control && payload_length > self.bytes_max.saturating_sub(held) {
            return Err(CloseCode::TOO_BIG);
        }
        if bytes.len() - length < payload_length {
            return Ok(None);
        }
        let (opcode, is_final) = (header.opcode, header.is_final);
        Ok(Some(Head { opcode, is_final, mask, length, payload_length }))
    }

    /// A message, if this frame is all of it or its end.
    fn piece<'b>(
        &mut self,
        data: Data,
        is_final: bool,
        payload: &'b [u8],
    ) -> Result<Option<Received<'b>>, Violation> {
        let continues = data == Data::Continue;
        if continues != self.pieces.is_some() {
            return Err(CloseCode::PROTOCOL);
        }
        if is_final && !continues {
            return message(data == Data::Text, Cow::Borrowed(payload)).map(Some);
        }
        let mut pieces = self
            .pieces
            .take()
            .unwrap_or_else(|| Box::new(Pieces { is_text: data == Data::Text, bytes: Vec::new() }));
        pieces.bytes.extend_from_slice(payload);
        if is_final {
            return message(pieces.is_text, Cow::Owned(pieces.bytes)).map(Some);
        }
        self.pieces = Some(pieces);
        Ok(None)
    }
}

fn message(is_text: bool, bytes: Cow<'_, [u8]>) -> Result<Received<'_>, Violation> {
    if !is_text {
        return Ok(Received::Binary(bytes));
    }
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    text.map(Received::Text).ok_or(CloseCode::NOT_UTF8)
}

fn control_frame(control: Control, payload: &[u8]) -> Result<Received<'_>, Violation> {
    match control {
        Control::Ping => Ok(Received::Ping(payload)),
        Control::Pong => Ok(Received::Pong),
        Control::Close => close_frame(payload).map(Received::Close),
        Control::Reserved(_) => Err(CloseCode::PROTOCOL),
    }
}

/// Section 5.5.1: nothing, or a code that may be sent and a reason in UTF-8.
fn close_frame(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(CloseCode::PROTOCOL) };
    };
    let code = u16::from_be_bytes(*code);
    if !coding::CloseCode::from(code).is_allowed() {
        return Err(CloseCode::PROTOCOL);
    }
    std::str::from_utf8(reason).map_err(|_| CloseCode::NOT_UTF8)?;
    Ok(Some(code))
}

/// Section 5.3. By words, so that the compiler makes vectors of it.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Writes the head of a whole message to the end of `room`, and returns where it begins. The content
/// follows the room.
pub fn write_head(room: &mut [u8; HEAD_BYTES_MAX], is_text: bool, length: usize) -> usize {
    let data = if is_text { Data::Text } else { Data::Binary };
    let header = header(OpCode::Data(data));
    let start = HEAD_BYTES_MAX - header.len(length as u64);
    let written = header.format(length as u64, &mut &mut room[start..]);
    debug_assert!(written.is_ok(), "the room is that of the longest head");
    start
}

/// A whole ping, pong or close frame. More than 125 bytes of payload are cut off.
pub fn control(control: Control, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX as usize)];
    let mut frame = Vec::with_capacity(2 + payload.len());
    let written = header(OpCode::Control(control)).format(payload.len() as u64, &mut frame);
    debug_assert!(written.is_ok(), "memory takes everything");
    frame.extend_from_slice(payload);
    frame
}

/// A close frame with a code and what it means.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    control(Control::Close, &payload)
}

fn header(opcode: OpCode) -> FrameHeader {
    FrameHeader { opcode, is_final: true, ..FrameHeader::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY: u8 = 0x82;
    const TEXT: u8 = 0x81;
    const UNFINISHED_TEXT: u8 = 0x01;
    const CONTINUATION: u8 = 0x80;
    const UNFINISHED_CONTINUATION: u8 = 0x00;
    const PING: u8 = 0x89;
    const CLOSE: u8 = 0x88;

    #[test]
    fn frames_are_taken_one_by_one_and_the_beginning_of_another_is_left() {
        let mut bytes = [frame(BINARY, b"abcdef"), frame(PING, b"hi"), frame(TEXT, b"")].concat();
        let whole = bytes.len();
        bytes.extend_from_slice(&frame(BINARY, &[7; 300])[..250]);
        let mut assembler = Assembler::new(1000);

        let (first, used) = assembler.next(&mut bytes).expect("good frames");
        assert_eq!(first, Some(Received::Binary(Cow::Borrowed(b"abcdef"))));
        let mut at = used;
        let (second, used) = assembler.next(&mut bytes[at..]).expect("good frames");
        assert_eq!(second, Some(Received::Ping(b"hi")));
        at += used;
        let (third, used) = assembler.next(&mut bytes[at..]).expect("good frames");
        assert_eq!(third, Some(Received::Text(Cow::Borrowed(""))));
        at += used;
        assert_eq!(at, whole);
        assert_eq!(assembler.next(&mut bytes[at..]), Ok((None, 0)));
    }

    #[test]
    fn a_message_may_come_in_pieces_with_control_frames_between() {
        let mut bytes = [
            frame(UNFINISHED_TEXT, "gr\u{fc}".as_bytes().split_at(3).0),
            frame(PING, b""),
            frame(UNFINISHED_CONTINUATION, "gr\u{fc}".as_bytes().split_at(3).1),
            frame(CONTINUATION, b"n"),
        ]
        .concat();
        let mut assembler = Assembler::new(10);
        let (ping, used) = assembler.next(&mut bytes).expect("good frames");
        assert_eq!(ping, Some(Received::Ping(b"")));
        let (text, _) = assembler.next(&mut bytes[used..]).expect("good frames");
        assert_eq!(text, Some(Received::Text(Cow::Borrowed("gr\u{fc}n"))));
    }

    #[test]
    fn what_breaks_the_protocol_is_told_by_its_code() {
        let long = [&[BINARY, 0x80 | 126, 0, 5, 0, 0, 0, 0][..], b"hello"].concat();
        for (what, bytes, code) in [
            ("no mask", vec![BINARY, 0], CloseCode::PROTOCOL),
            ("a length longer than needed", long, CloseCode::PROTOCOL),
            ("a reserved bit", frame(BINARY | 0x40, b""), CloseCode::PROTOCOL),
            ("an unknown opcode", frame(0x83, b""), CloseCode::PROTOCOL),
            ("a ping in pieces", frame(0x09, b""), CloseCode::PROTOCOL),
            ("a long ping", frame(PING, &[0; 126]), CloseCode::PROTOCOL),
            ("a continuation of nothing", frame(CONTINUATION, b""), CloseCode::PROTOCOL),
            ("too long", frame(BINARY, &[0; 11]), CloseCode::TOO_BIG),
            ("too long, only the head", frame(BINARY, &[0; 200])[..8].to_vec(), CloseCode::TOO_BIG),
            ("no UTF-8", frame(TEXT, &[0xc0, 0xaf]), CloseCode::NOT_UTF8),
            ("a close code of one byte", frame(CLOSE, &[3]), CloseCode::PROTOCOL),
            ("a close code for nobody", frame(CLOSE, &[0x03, 0xed]), CloseCode::PROTOCOL),
            ("a close reason", frame(CLOSE, &[0x03, 0xe8, 0xff]), CloseCode::NOT_UTF8),
        ] {
            let result = Assembler::new(10).next(&mut bytes.clone()).map(|(_, used)| used);
            assert_eq!(result, Err(code), "{what}");
        }
    }

    #[test]
    fn pieces_together_are_bounded_like_a_whole() {
        let mut bytes = [frame(UNFINISHED_TEXT, b"123456"), frame(CONTINUATION, b"78901")].concat();
        assert_eq!(Assembler::new(10).next(&mut bytes), Err(CloseCode::TOO_BIG));
    }

    #[test]
    fn heads_are_as_short_as_can_be() {
        for (length, head) in [
            (125, vec![BINARY, 125]),
            (126, vec![BINARY, 126, 0, 126]),
            (65_536, vec![BINARY, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut room = [0; HEAD_BYTES_MAX];
            let start = write_head(&mut room, false, length);
            assert_eq!(room[start..], head);
        }
        assert_eq!(close(1000, "bye"), b"\x88\x05\x03\xe8bye");
    }

    /// As a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => vec![first, 0x80 | length],
            _ => [&[first, 0x80 | 126][..], &(payload.len() as u16).to_be_bytes()].concat(),
        };
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }
}
