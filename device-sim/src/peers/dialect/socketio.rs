//! Socket.IO 4 over its WebSocket transport, in text.
//!
//! The server is `deploy/peers/socketio.js`. Events: `join` with a room, answered; `pub` with a room and a
//! payload in base64, which goes to everybody in the room as an event named after it.

use std::io::Write as _;

use super::{Channel, Dialect, Event, Member, Upgrade};
use crate::peers::stamp::{PAYLOAD_BYTES, append_text};
use crate::peers::ws::{Opcode, frame};

/// The protocol.
#[derive(Debug)]
pub(in crate::peers) struct SocketIo;

impl Dialect for SocketIo {
    fn upgrade(&self, _member: &Member) -> Upgrade {
        Upgrade { path: "/socket.io/?EIO=4&transport=websocket".to_owned(), protocol: None }
    }

    fn greet(&self, _member: &Member, out: &mut Vec<u8>) -> bool {
        frame(out, Opcode::Text, |out| out.extend_from_slice(b"40"));
        true
    }

    fn listen(&self, _member: &Member, channel: Channel, out: &mut Vec<u8>) -> bool {
        frame(out, Opcode::Text, |out| {
            out.extend_from_slice(b"420[\"join\",\"");
            room(out, channel);
            out.extend_from_slice(b"\"]");
        });
        true
    }

    fn publish(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        publish(out, to, |out| append_text(out, payload));
    }

    fn answer(&self, payload: &[u8], _answer_to: Option<&[u8]>, out: &mut Vec<u8>) {
        publish(out, Channel::Answers, |out| out.extend_from_slice(payload));
    }

    fn pong(&self, out: &mut Vec<u8>) {
        frame(out, Opcode::Text, |out| out.push(b'3'));
    }

    fn read(&self, content: &[u8], _carry: &mut Vec<u8>, take: &mut dyn FnMut(Event<'_>)) {
        match content {
            [b'2'] => take(Event::Ping),
            [b'4', b'0' | b'3', ..] => take(Event::Accepted),
            [b'4', b'4', ..] => take(Event::Refused("the namespace")),
            [b'4', b'2', event @ ..] => {
                if let Some(payload) = last_text(event) {
                    take(Event::Message { payload, answer_to: None });
                }
            }
            _ => {}
        }
    }
}

fn publish(out: &mut Vec<u8>, to: Channel, payload: impl FnOnce(&mut Vec<u8>)) {
    frame(out, Opcode::Text, |out| {
        out.extend_from_slice(b"42[\"pub\",\"");
        room(out, to);
        out.extend_from_slice(b"\",\"");
        payload(out);
        out.extend_from_slice(b"\"]");
    });
}

fn room(out: &mut Vec<u8>, channel: Channel) {
    // Writing into a vector can't fail.
    drop(match channel {
        Channel::Fan => write!(out, "bench/fan"),
        Channel::Report(number) => write!(out, "bench/in/{number}"),
        // There are no patterns; the server puts all reports into this room.
        Channel::AllReports => write!(out, "bench/in"),
        Channel::Receiver(number) => write!(out, "bench/d/{number}"),
        Channel::Answers | Channel::CommandStates => write!(out, "bench/answers"),
    });
}

/// The last text of a list; base64 needs no unescaping.
fn last_text(list: &[u8]) -> Option<&[u8]> {
    let list = list.strip_suffix(b"\"]")?;
    let start = list.iter().rposition(|byte| *byte == b'"')?;
    Some(&list[start + 1..])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contents, heard};
    use super::*;

    #[test]
    fn what_a_member_sends_are_events_in_text() {
        let (member, mut out) = (Member::default(), Vec::new());
        SocketIo.greet(&member, &mut out);
        SocketIo.listen(&member, Channel::Receiver(9), &mut out);
        SocketIo.publish(Channel::Report(2), &[0; PAYLOAD_BYTES], &mut out);
        let sent = contents(&out);
        assert_eq!(sent[0], b"40");
        assert_eq!(sent[1], b"420[\"join\",\"bench/d/9\"]");
        assert!(sent[2].starts_with(b"42[\"pub\",\"bench/in/2\",\"AAAA"));
        assert!(sent[2].ends_with(b"AA==\"]"));
    }

    #[test]
    fn packets_are_told_apart_by_their_digits() {
        for (packet, event) in [
            ("0{\"sid\":\"x\"}", None),
            ("40{\"sid\":\"x\"}", Some("Accepted")),
            ("430[]", Some("Accepted")),
            ("2", Some("Ping")),
            ("42[\"bench/fan\",\"QUJD\"]", Some("message QUJD for ")),
        ] {
            assert_eq!(
                heard(&SocketIo, packet.as_bytes(), false).first().map(String::as_str),
                event
            );
        }
    }
}
