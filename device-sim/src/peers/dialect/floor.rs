//! The floor's protocol, which is hardly one: slots with numbers.
//!
//! Whoever connects names the slot it listens to in the path; a message has the slot it is for in its first
//! four bytes, little-endian, and is passed on as it is. The server is `device-sim/src/bin/floor.rs`.

use super::{Channel, Dialect, Event, Member, Upgrade};
use crate::peers::stamp::PAYLOAD_BYTES;
use crate::peers::ws::{Opcode, frame};

/// Bytes of a slot's number.
const SLOT_BYTES: usize = 4;
const FAN: u32 = 0;
const REPORTS: u32 = 1;
const ANSWERS: u32 = 2;
const RECEIVERS: u32 = 16;

/// The protocol.
#[derive(Debug)]
pub(in crate::peers) struct Floor;

impl Dialect for Floor {
    fn upgrade(&self, member: &Member) -> Upgrade {
        let slot = member.listens.map(|channel| slot(channel).to_string());
        Upgrade { path: format!("/{}", slot.unwrap_or_default()), protocol: None }
    }

    fn greet(&self, _member: &Member, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn listen(&self, _member: &Member, _channel: Channel, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn publish(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        publish(to, payload, out);
    }

    fn answer(&self, payload: &[u8], _answer_to: Option<&[u8]>, out: &mut Vec<u8>) {
        publish(Channel::Answers, payload, out);
    }

    fn pong(&self, _out: &mut Vec<u8>) {}

    fn read(&self, content: &[u8], _carry: &mut Vec<u8>, take: &mut dyn FnMut(Event<'_>)) {
        if let Some((_, payload)) = content.split_at_checked(SLOT_BYTES) {
            take(Event::Message { payload, answer_to: None });
        }
    }
}

fn publish(to: Channel, payload: &[u8], out: &mut Vec<u8>) {
    frame(out, Opcode::Binary, |out| {
        out.extend_from_slice(&slot(to).to_le_bytes());
        out.extend_from_slice(payload);
    });
}

const fn slot(channel: Channel) -> u32 {
    match channel {
        Channel::Fan => FAN,
        Channel::Report(_) | Channel::AllReports => REPORTS,
        Channel::Answers | Channel::CommandStates => ANSWERS,
        Channel::Receiver(number) => RECEIVERS + number,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contents, heard};
    use super::*;

    #[test]
    fn a_receiver_listens_to_the_slot_that_its_messages_are_sent_to() {
        let member = Member { listens: Some(Channel::Receiver(5)), ..Member::default() };
        assert_eq!(Floor.upgrade(&member).path, "/21");
        assert_eq!(Floor.upgrade(&Member::default()).path, "/");
        let mut out = Vec::new();
        Floor.publish(Channel::Receiver(5), &[b'x'; PAYLOAD_BYTES], &mut out);
        assert_eq!(contents(&out)[0][..5], *b"\x15\0\0\0x");
    }

    #[test]
    fn a_message_is_what_follows_its_slot() {
        assert_eq!(heard(&Floor, b"\0\0\0\0hi", false), ["message hi for "]);
    }
}
