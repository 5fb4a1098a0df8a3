//! The hub's own protocol, binary.
//!
//! Senders and receivers of plain messages are people with an operator's token, so that nothing is
//! numbered or acknowledged, as with the peers. Devices come in where commands and idle connections are
//! measured.

use prost::Message as _;
use proto::envelope::{
    CommandReport, CommandUpdate, Envelope, Hello, Kind, Publish, Send, Subscribe,
};
use proto::messages::lighting::v1::command::Action;
use proto::messages::lighting::v1::{Command, ReadNow};
use proto::wire::{Reader, Value};
use proto::{CommandState, channels};

use super::{Channel, Dialect, Event, Member, Upgrade};
use crate::peers::stamp::PAYLOAD_BYTES;
use crate::peers::ws::{Opcode, frame};

const COMMAND_TTL_S: u32 = 60;
/// Asks for an answer; which request it was doesn't matter here.
const REQUEST: u64 = 1;

/// The protocol, in one run.
#[derive(Debug)]
pub(in crate::peers) struct Lamplighter {
    boot: u32,
    order: Vec<u8>,
}

impl Lamplighter {
    /// Devices say that this is their boot number `boot`.
    pub(in crate::peers) fn new(boot: u32) -> Self {
        let action = Some(Action::ReadNow(ReadNow::default()));
        Self { boot, order: Command { action, ..Command::default() }.encode_to_vec() }
    }
}

impl Dialect for Lamplighter {
    fn upgrade(&self, _member: &Member) -> Upgrade {
        Upgrade { path: proto::WEBSOCKET_PATH.to_owned(), protocol: Some(proto::SUBPROTOCOL) }
    }

    fn greet(&self, member: &Member, out: &mut Vec<u8>) -> bool {
        let is_device = member.device.is_some();
        let hello = Hello {
            protocol: proto::PROTOCOL_VERSION,
            token: member.token.as_deref().unwrap_or_default(),
            boot: if is_device { self.boot } else { 0 },
            ready: is_device,
            agent: "device-sim",
            ..Hello::default()
        };
        envelope(out, 0, Kind::Hello(hello));
        true
    }

    fn listen(&self, member: &Member, channel: Channel, out: &mut Vec<u8>) -> bool {
        // A device may hear only what is its own.
        let own = member.device.as_ref().map(|id| format!("devices.{id}.desired"));
        let pattern = own.unwrap_or_else(|| name(channel));
        let subscribe = Subscribe { pattern: &pattern, ..Subscribe::default() };
        envelope(out, REQUEST, Kind::Subscribe(subscribe));
        true
    }

    fn publish(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        publish(to, payload, out);
    }

    fn answer(&self, payload: &[u8], _answer_to: Option<&[u8]>, out: &mut Vec<u8>) {
        publish(Channel::Answers, payload, out);
    }

    fn pong(&self, _out: &mut Vec<u8>) {}

    fn command(&self, device: &str, request_id: &str, out: &mut Vec<u8>) {
        let send = Send {
            device,
            type_name: channels::COMMAND_TYPE,
            payload: Some(&self.order),
            ttl_s: COMMAND_TTL_S,
            request_id,
            ..Send::default()
        };
        envelope(out, REQUEST, Kind::Send(send));
    }

    fn report(&self, command: &str, out: &mut Vec<u8>) {
        let state = CommandState::Succeeded;
        let report = CommandReport { command, state, ..CommandReport::default() };
        envelope(out, REQUEST, Kind::CommandReport(report));
    }

    fn read(&self, content: &[u8], _carry: &mut Vec<u8>, take: &mut dyn FnMut(Event<'_>)) {
        let mut reader = Reader::new(content);
        while !reader.rest().is_empty() {
            let envelope = reader.delimited().ok();
            match envelope.map(|envelope| plain_payload(envelope).ok_or(envelope)) {
                Some(Ok(payload)) => take(Event::Message { payload, answer_to: None }),
                Some(Err(other)) => take_other(other, take),
                None => return take(Event::Refused("an envelope that is cut off")),
            }
        }
    }
}

/// The payload of a plain message: no more is decoded of it, since most of what comes is this.
fn plain_payload(envelope: &[u8]) -> Option<&[u8]> {
    const MESSAGE: u32 = 9;
    const CHANNEL: u32 = 1;
    const PAYLOAD: u32 = 2;
    let Ok(Some((MESSAGE, Value::Bytes(message)))) = Reader::new(envelope).field() else {
        return None;
    };
    let mut reader = Reader::new(message);
    while let Ok(Some((field, Value::Bytes(bytes)))) = reader.field() {
        match field {
            PAYLOAD => return Some(bytes),
            // What has to do with devices says what became of a command.
            CHANNEL if bytes.starts_with(b"devices.") => return None,
            _ => {}
        }
    }
    None
}

fn take_other(envelope: &[u8], take: &mut dyn FnMut(Event<'_>)) {
    match Envelope::decode(envelope).map(|envelope| envelope.kind) {
        Ok(Kind::Welcome(_) | Kind::Ack(_)) => take(Event::Accepted),
        Ok(Kind::Error(error)) => take(Event::Refused(error.message)),
        Ok(Kind::Gap(_)) => take(Event::Dropped),
        Ok(Kind::Deliver(deliver)) => take(Event::Command { id: deliver.command }),
        Ok(Kind::Message(message)) => take_update(message.payload.unwrap_or_default(), take),
        Ok(_) => {}
        Err(_) => take(Event::Refused("an envelope that can't be read")),
    }
}

fn take_update(payload: &[u8], take: &mut dyn FnMut(Event<'_>)) {
    if let Ok(update) = CommandUpdate::decode(payload)
        && update.state.is_terminal()
    {
        let succeeded = update.state == CommandState::Succeeded;
        take(Event::Ended { request_id: update.request_id, succeeded });
    }
}

fn publish(to: Channel, payload: &[u8], out: &mut Vec<u8>) {
    let name = name(to);
    let publish = Publish { channel: name.as_str(), payload: Some(payload), ..Publish::default() };
    envelope(out, 0, Kind::Publish(publish));
}

fn envelope(out: &mut Vec<u8>, request: u64, kind: Kind<'_>) {
    frame(out, Opcode::Binary, |out| Envelope { request, kind }.encode_delimited(out));
}

fn name(channel: Channel) -> String {
    match channel {
        Channel::Fan => "bench.fan".to_owned(),
        Channel::Report(number) => format!("bench.in.{number}"),
        Channel::AllReports => "bench.in.*".to_owned(),
        Channel::Receiver(number) => format!("bench.d.{number}"),
        Channel::Answers => "bench.answers".to_owned(),
        Channel::CommandStates => "devices.*.commands".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contents, heard};
    use super::*;
    use proto::envelope::{Ack, Batch, Deliver, Gap, Message};

    fn sent(write: impl FnOnce(&Lamplighter, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&Lamplighter::new(3), &mut out);
        contents(&out).remove(0)
    }

    #[test]
    fn a_person_publishes_without_a_number_and_asks_for_no_answer() {
        let bytes = sent(|hub, out| hub.publish(Channel::Receiver(7), &[1; PAYLOAD_BYTES], out));
        let envelope = Batch::parse(&bytes).expect("ours").next().expect("one");
        let publish = Publish {
            channel: "bench.d.7",
            payload: Some(&[1; PAYLOAD_BYTES]),
            ..Publish::default()
        };
        assert_eq!(envelope, Envelope::new(Kind::Publish(publish)));
    }

    #[test]
    fn a_device_says_its_boot_and_hears_only_what_is_its_own() {
        let member = Member { device: Some("lamp-1".into()), ..Member::default() };
        let bytes = sent(|hub, out| assert!(hub.greet(&member, out)));
        let first = Batch::parse(&bytes).expect("ours").next().expect("one");
        assert!(matches!(first.kind, Kind::Hello(hello) if hello.boot == 3 && hello.ready));
        let bytes = sent(|hub, out| assert!(hub.listen(&member, Channel::Receiver(1), out)));
        let first = Batch::parse(&bytes).expect("ours").next().expect("one");
        assert!(
            matches!(first.kind, Kind::Subscribe(it) if it.pattern == "devices.lamp-1.desired")
        );
    }

    #[test]
    fn several_envelopes_in_one_message_are_all_heard() {
        let update = CommandUpdate {
            request_id: "r",
            state: CommandState::Succeeded,
            ..CommandUpdate::default()
        };
        let mut payload = Vec::new();
        proto::wire::Encode::encode(&update, &mut payload);
        let message = |channel, payload| {
            Kind::Message(Message { channel, payload: Some(payload), ..Message::default() })
        };
        let mut bytes = Vec::new();
        for kind in [
            Kind::Ack(Ack::default()),
            message("bench.fan", b"hi"),
            message("devices.lamp-1.commands", &payload),
            Kind::Gap(Gap::default()),
            Kind::Deliver(Deliver { command: "c", ..Deliver::default() }),
        ] {
            Envelope::new(kind).encode_delimited(&mut bytes);
        }
        assert_eq!(
            heard(&Lamplighter::new(1), &bytes, false),
            [
                "Accepted",
                "message hi for ",
                "Ended { request_id: \"r\", succeeded: true }",
                "Dropped",
                "Command { id: \"c\" }",
            ]
        );
    }
}
