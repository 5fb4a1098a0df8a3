//! What the generator needs to know of a server's protocol, and nothing else of it.
//!
//! A [`Dialect`] turns a few wishes (greet, listen, publish, answer) into WebSocket frames, and the content
//! of frames into [`Event`]s. It knows no sockets, no clock and no scenario, and decodes no more than
//! counting takes.
//!
//! ```text
//!   scenario ── publish ─▶ Dialect ── frames ─▶ socket
//!   scenario ◀── Event ─── Dialect ◀─ content ─ socket
//! ```

mod floor;

mod lamplighter;

mod mqtt;

mod nats;

mod socketio;

use std::sync::Arc;

use super::stamp::PAYLOAD_BYTES;

pub(super) use floor::Floor;
pub(super) use lamplighter::Lamplighter;
pub(super) use mqtt::Mqtt;
pub(super) use nats::Nats;
pub(super) use socketio::SocketIo;

/// The streams that scenarios use. Each dialect has its own name for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// One to all.
    Fan,
    /// What this sender reports.
    Report(u32),
    /// All reports: a pattern.
    AllReports,
    /// What is for this receiver alone.
    Receiver(u32),
    /// Answers of all receivers to the one that asks.
    Answers,
    /// What becomes of commands, for those who have such a thing.
    CommandStates,
}

/// Somebody who connects.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    /// What it listens to.
    pub(super) listens: Option<Channel>,
    /// Who it is, where servers ask.
    pub(super) token: Option<Arc<str>>,
    /// The id of a device; people have none.
    pub(super) device: Option<Arc<str>>,
}

/// How a WebSocket is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upgrade {
    pub(super) path: String,
    pub(super) protocol: Option<&'static str>,
}

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Yes, to a greeting, a subscription or a request.
    Accepted,
    /// No, and why.
    Refused(&'a str),
    /// It wants a sign of life.
    Ping,
    /// A message, and where its sender wants the answer.
    Message { payload: &'a [u8], answer_to: Option<&'a [u8]> },
    /// A command for a device.
    Command { id: &'a str },
    /// A command came to its end; its payload is the request id that its sender gave it.
    Ended { request_id: &'a str, succeeded: bool },
    /// The server says that it left messages out.
    Dropped,
}

/// One server's protocol. All functions that write append whole WebSocket frames.
pub(super) trait Dialect: Send + Sync {
    /// How this member asks for its WebSocket.
    fn upgrade(&self, member: &Member) -> Upgrade;

    /// What a member says first. False if there is nothing to say, so that nothing is awaited.
    fn greet(&self, member: &Member, out: &mut Vec<u8>) -> bool;

    /// Asks for a channel; the server answers with [`Event::Accepted`]. False if there is nothing to
    /// say, since the upgrade said it.
    fn listen(&self, member: &Member, channel: Channel, out: &mut Vec<u8>) -> bool;

    /// Publishes.
    fn publish(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>);

    /// Publishes and says where the answer should go, where the protocol can.
    fn request(&self, to: Channel, payload: &[u8; PAYLOAD_BYTES], out: &mut Vec<u8>) {
        self.publish(to, payload, out);
    }

    /// Sends a payload back as it came.
    fn answer(&self, payload: &[u8], answer_to: Option<&[u8]>, out: &mut Vec<u8>);

    /// Answers a ping of the protocol.
    fn pong(&self, out: &mut Vec<u8>);

    /// Hands a device's command to the server. Only where there are commands.
    fn command(&self, _device: &str, _request_id: &str, _out: &mut Vec<u8>) {}

    /// Reports that a command was carried out. Only where there are commands.
    fn report(&self, _command: &str, _out: &mut Vec<u8>) {}

    /// Reads the content of a frame. What is not whole yet stays in `carry`, which is the connection's.
    fn read(&self, content: &[u8], carry: &mut Vec<u8>, take: &mut dyn FnMut(Event<'_>));
}

/// Reads a protocol that takes the WebSocket as a stream of bytes. `next` splits the first unit off;
/// nothing if it isn't whole yet.
fn read_stream(
    content: &[u8],
    carry: &mut Vec<u8>,
    mut next: impl for<'a> FnMut(&'a [u8]) -> Option<&'a [u8]>,
) {
    // Most frames hold whole units, and need no copy.
    let mut carried = std::mem::take(carry);
    let mut rest = if carried.is_empty() {
        content
    } else {
        carried.extend_from_slice(content);
        &carried
    };
    while let Some(after) = next(rest) {
        rest = after;
    }
    carry.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    //! What all dialects' tests use.

    use super::super::ws::split_frame;
    use super::*;

    /// Frames that a member sends, each as its content without the mask.
    pub(super) fn contents(frames: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = frames.to_vec();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let head = if rest[1] & 0x7f == 126 { 8 } else { 6 };
            let mask: [u8; 4] = rest[head - 4..head].try_into().expect("four bytes");
            // The mask stands between length and content, so it is taken out to split like a server's.
            rest.drain(head - 4..head);
            rest[1] &= 0x7f;
            let (_, content, after) = split_frame(&rest).expect("whole frames");
            let content = content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
            found.push(content.collect());
            rest = after.to_vec();
        }
        found
    }

    /// What a dialect reads, in words, with the same bytes cut in two at each place.
    pub(super) fn heard(dialect: &dyn Dialect, stream: &[u8], cuts: bool) -> Vec<String> {
        let whole = heard_in(dialect, &[stream]);
        for at in (1..stream.len()).filter(|_| cuts) {
            let (first, second) = stream.split_at(at);
            assert_eq!(heard_in(dialect, &[first, second]), whole, "cut at {at}");
        }
        whole
    }

    fn heard_in(dialect: &dyn Dialect, parts: &[&[u8]]) -> Vec<String> {
        let (mut carry, mut events) = (Vec::new(), Vec::new());
        for part in parts {
            dialect.read(part, &mut carry, &mut |event| {
                events.push(match event {
                    Event::Message { payload, answer_to } => format!(
                        "message {} for {}",
                        String::from_utf8_lossy(payload),
                        String::from_utf8_lossy(answer_to.unwrap_or_default())
                    ),
                    other => format!("{other:?}"),
                });
            });
        }
        assert!(carry.is_empty(), "nothing is left over");
        events
    }
}
