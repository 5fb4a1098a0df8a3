//! NATS' own protocol over WebSocket, with reply subjects for requests.
//!
//! The server takes the WebSocket as a stream, and cuts its side of it into frames as it likes.

use std::io::Write as _;

use super::{Channel, Dialect, Event, Member, Upgrade, read_stream};
use crate::peers::stamp::PAYLOAD_BYTES;
use crate::peers::ws::{Opcode, frame};

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\
    \"headers\":false,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
const LINE_END: &[u8] = b"\r\n";

/// The protocol.
#[derive(Debug)]
pub(in crate::peers) struct Nats;

impl Dialect for Nats {
    fn upgrade(&self, _member: &Member) -> Upgrade {
        Upgrade { path: "/".to_owned(), protocol: None }
    }

    fn greet(&self, _member: &Member, out: &mut Vec<u8>) -> bool {
        frame(out, Opcode::Binary, |out| out.extend_from_slice(CONNECT));
        true
    }

    fn listen(&self, _member: &Member, channel: Channel, out: &mut Vec<u8>) -> bool {
        frame(out, Opcode::Binary, |out| {
            out.extend_from_slice(b"SUB ");
            subject(out, channel);
            // A subscription has no answer of its own; the one to the ping comes after it.
            out.extend_from_slice(b" 1\r\nPING\r\n");
        });
        true
    }

    fn publish(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        publish(out, payload, |out| subject(out, to));
    }

    fn request(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        publish(out, payload, |out| {
            subject(out, to);
            out.push(b' ');
            subject(out, Channel::Answers);
        });
    }

    fn answer(&self, payload: &[u8], answer_to: Option<&[u8]>, out: &mut Vec<u8>) {
        if let Some(answer_to) = answer_to {
            publish(out, payload, |out| out.extend_from_slice(answer_to));
        }
    }

    fn pong(&self, out: &mut Vec<u8>) {
        frame(out, Opcode::Binary, |out| out.extend_from_slice(b"PONG\r\n"));
    }

    fn read(&self, content: &[u8], carry: &mut Vec<u8>, take: &mut dyn FnMut(Event<'_>)) {
        read_stream(content, carry, |bytes| {
            let (line, rest) = split_line(bytes)?;
            let Some(message) = line.strip_prefix(b"MSG ") else {
                match line.first() {
                    Some(b'-') => take(Event::Refused(&String::from_utf8_lossy(line))),
                    _ if line == b"PONG" => take(Event::Accepted),
                    _ if line == b"PING" => take(Event::Ping),
                    // INFO, +OK
                    _ => {}
                }
                return Some(rest);
            };
            let (length, answer_to) = length_and_reply(message)?;
            let (payload, rest) = rest.split_at_checked(length)?;
            let rest = rest.strip_prefix(LINE_END)?;
            take(Event::Message { payload, answer_to });
            Some(rest)
        });
    }
}

fn publish(out: &mut Vec<u8>, payload: &[u8], subjects: impl FnOnce(&mut Vec<u8>)) {
    frame(out, Opcode::Binary, |out| {
        out.extend_from_slice(b"PUB ");
        subjects(out);
        // Writing into a vector can't fail.
        drop(write!(out, " {}\r\n", payload.len()));
        out.extend_from_slice(payload);
        out.extend_from_slice(LINE_END);
    });
}

fn subject(out: &mut Vec<u8>, channel: Channel) {
    // Writing into a vector can't fail.
    drop(match channel {
        Channel::Fan => write!(out, "bench.fan"),
        Channel::Report(number) => write!(out, "bench.in.{number}"),
        Channel::AllReports => write!(out, "bench.in.*"),
        Channel::Receiver(number) => write!(out, "bench.d.{number}"),
        Channel::Answers | Channel::CommandStates => write!(out, "_INBOX.bench"),
    });
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    Some((&bytes[..end], bytes[end..].strip_prefix(LINE_END)?))
}

/// Of `<subject> <sid> [reply] <length>`. A line without a length ends what can be read.
fn length_and_reply(message: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let mut words = message.split(|byte| *byte == b' ').skip(2);
    let third = words.next()?;
    let fourth = words.next();
    let digits = fourth.unwrap_or(third);
    let length = digits.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0'))
    });
    Some((length?, fourth.and(Some(third))))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contents, heard};
    use super::*;

    #[test]
    fn what_a_member_sends_are_the_protocols_lines() {
        let (member, mut out) = (Member::default(), Vec::new());
        let payload = [b'x'; PAYLOAD_BYTES];
        Nats.listen(&member, Channel::AllReports, &mut out);
        Nats.publish(Channel::Fan, &payload, &mut out);
        Nats.request(Channel::Receiver(3), &payload, &mut out);
        Nats.answer(b"yes", Some(b"_INBOX.bench"), &mut out);
        let sent = contents(&out).into_iter().map(|sent| String::from_utf8(sent).expect("text"));
        let sent: Vec<String> = sent.map(|sent| sent.replace(&"x".repeat(64), "…")).collect();
        assert_eq!(
            sent,
            [
                "SUB bench.in.* 1\r\nPING\r\n",
                "PUB bench.fan 64\r\n…\r\n",
                "PUB bench.d.3 _INBOX.bench 64\r\n…\r\n",
                "PUB _INBOX.bench 3\r\nyes\r\n",
            ]
        );
    }

    #[test]
    fn messages_are_read_however_the_stream_is_cut() {
        let stream =
            b"INFO {\"max\":1}\r\nPONG\r\nMSG a.b 1 2\r\nhi\r\nPING\r\nMSG a 1 _I.x 3\r\na\r\n\r\n";
        let events = heard(&Nats, stream, true);
        assert_eq!(events, ["Accepted", "message hi for ", "Ping", "message a\r\n for _I.x"]);
        assert_eq!(heard(&Nats, b"-ERR 'no'\r\n", true), ["Refused(\"-ERR 'no'\")"]);
    }
}
