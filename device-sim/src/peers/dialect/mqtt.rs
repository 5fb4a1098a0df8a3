//! MQTT 3.1.1 over WebSocket, quality of service 0: Mosquitto.
//!
//! Clean sessions, no keep-alive, nothing retained. Requests name no topic for the answer, since the
//! protocol has none before version 5: answers go to one agreed topic.

use std::io::Write as _;

use super::{Channel, Dialect, Event, Member, Upgrade, read_stream};
use crate::peers::stamp::PAYLOAD_BYTES;
use crate::peers::ws::{Opcode, frame};

const CONNECT: u8 = 0x10;
const CONNECTED: u8 = 2;
const PUBLISH: u8 = 0x30;
const PUBLISHED: u8 = 3;
const SUBSCRIBE: u8 = 0x82;
const SUBSCRIBED: u8 = 9;
const CLEAN_SESSION: u8 = 2;
/// In the answer to a subscription.
const REFUSED: u8 = 0x80;

/// The protocol.
#[derive(Debug)]
pub(in crate::peers) struct Mqtt;

impl Dialect for Mqtt {
    fn upgrade(&self, _member: &Member) -> Upgrade {
        Upgrade { path: "/mqtt".to_owned(), protocol: Some("mqtt") }
    }

    fn greet(&self, _member: &Member, out: &mut Vec<u8>) -> bool {
        packet(out, CONNECT, |out| {
            text(out, |out| out.extend_from_slice(b"MQTT"));
            out.extend_from_slice(&[4, CLEAN_SESSION, 0, 0]);
            // With a clean session the server may choose the client's id.
            text(out, |_| {});
        });
        true
    }

    fn listen(&self, _member: &Member, channel: Channel, out: &mut Vec<u8>) -> bool {
        packet(out, SUBSCRIBE, |out| {
            out.extend_from_slice(&[0, 1]);
            text(out, |out| topic(out, channel));
            out.push(0);
        });
        true
    }

    fn publish(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        publish(to, payload, out);
    }

    fn answer(&self, payload: &[u8], _answer_to: Option<&[u8]>, out: &mut Vec<u8>) {
        publish(Channel::Answers, payload, out);
    }

    fn pong(&self, _out: &mut Vec<u8>) {}

    fn read(&self, content: &[u8], carry: &mut Vec<u8>, take: &mut dyn FnMut(Event<'_>)) {
        read_stream(content, carry, |bytes| {
            let (kind, body, rest) = split_packet(bytes)?;
            match (kind >> 4, body) {
                (CONNECTED, [_, 0]) => take(Event::Accepted),
                (SUBSCRIBED, [_, _, code]) if *code < REFUSED => take(Event::Accepted),
                (CONNECTED | SUBSCRIBED, _) => take(Event::Refused("CONNACK or SUBACK")),
                (PUBLISHED, body) => {
                    if let Some(payload) = payload_of(body) {
                        take(Event::Message { payload, answer_to: None });
                    }
                }
                _ => {}
            }
            Some(rest)
        });
    }
}

fn publish(to: Channel, payload: &[u8], out: &mut Vec<u8>) {
    packet(out, PUBLISH, |out| {
        text(out, |out| topic(out, to));
        out.extend_from_slice(payload);
    });
}

fn topic(out: &mut Vec<u8>, channel: Channel) {
    // Writing into a vector can't fail.
    drop(match channel {
        Channel::Fan => write!(out, "bench/fan"),
        Channel::Report(number) => write!(out, "bench/in/{number}"),
        Channel::AllReports => write!(out, "bench/in/+"),
        Channel::Receiver(number) => write!(out, "bench/d/{number}"),
        Channel::Answers | Channel::CommandStates => write!(out, "bench/answers"),
    });
}

/// A packet in a frame of its own. Its content is at most 16,383 bytes.
fn packet(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    frame(out, Opcode::Binary, |out| {
        let start = out.len();
        out.extend_from_slice(&[kind, 0]);
        write(out);
        let length = out.len() - start - 2;
        if length < 0x80 {
            out[start + 1] = length as u8;
        } else {
            out[start + 1] = (length & 0x7f) as u8 | 0x80;
            out.insert(start + 2, (length >> 7) as u8);
        }
    });
}

/// Text with its length in front.
fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let length = (out.len() - start - 2) as u16;
    out[start..start + 2].copy_from_slice(&length.to_be_bytes());
}

/// The first packet: its kind, its content, and what comes after it.
fn split_packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, mut rest) = bytes.split_first()?;
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (body, rest) = rest.split_at_checked(length)?;
    Some((kind, body, rest))
}

/// What follows the topic; there is no packet id at quality of service 0.
fn payload_of(body: &[u8]) -> Option<&[u8]> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    rest.get(usize::from(u16::from_be_bytes(*length))..)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contents, heard};
    use super::*;

    #[test]
    fn what_a_member_sends_is_as_in_the_standard() {
        let (member, mut out) = (Member::default(), Vec::new());
        Mqtt.greet(&member, &mut out);
        Mqtt.listen(&member, Channel::AllReports, &mut out);
        Mqtt.publish(Channel::Receiver(7), &[b'x'; PAYLOAD_BYTES], &mut out);
        let sent = contents(&out);
        assert_eq!(sent[0], b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00");
        assert_eq!(sent[1], b"\x82\x0f\x00\x01\x00\x0abench/in/+\x00");
        assert_eq!(sent[2][..13], *b"\x30\x4b\x00\x09bench/d/7");
        assert_eq!(sent[2][13..], [b'x'; PAYLOAD_BYTES]);
    }

    #[test]
    fn a_length_over_127_takes_two_bytes() {
        let mut out = Vec::new();
        publish(Channel::Fan, &[b'x'; 300], &mut out);
        let sent = &contents(&out)[0];
        assert_eq!(sent[..3], [PUBLISH, 0xb7, 0x02]);
        assert_eq!(split_packet(sent).map(|(_, body, _)| body.len()), Some(311));
    }

    #[test]
    fn packets_are_read_however_the_stream_is_cut() {
        let stream = b"\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x05\x00\x01tab\x30\x04\x00\x01tc";
        let events = heard(&Mqtt, stream, true);
        assert_eq!(events, ["Accepted", "Accepted", "message ab for ", "message c for "]);
        assert_eq!(heard(&Mqtt, b"\x90\x03\x00\x01\x80", true).len(), 1);
    }
}
