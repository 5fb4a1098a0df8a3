//! What the device says: envelopes, as many as fit, into one binary WebSocket message.
//!
//! Order of precedence: the greeting alone; then readiness, the wish for the light, what the hub must know of commands, a
//! ping, and reports in the order of their numbers, as far as window, pace and the hub's patience go.

use proto::envelope::{Envelope, Hello, Kind, Ping, Publish, Ready, Subscribe};
use proto::name::check_name;
use proto::wire::SliceSink;
use proto::{CloseCode, channels, limits};

use super::{Client, Phase};
use crate::journal::Journal;
use crate::outbox::{Report, ReportError};
use crate::ring::Stamp;
use crate::time::Millis;

/// One message under way.
struct Outgoing<'m> {
    buffer: &'m mut [u8],
    used: usize,
    /// The hub owes an answer to something in it.
    asks: bool,
}

impl Outgoing<'_> {
    /// Adds an envelope and returns its length, or `None` if it doesn't fit any more.
    fn put(&mut self, request: u64, kind: Kind<'_>, asks: bool) -> Option<usize> {
        let mut sink = SliceSink::new(&mut self.buffer[self.used..]);
        Envelope { request, kind }.encode_delimited(&mut sink);
        let length = sink.finish()?;
        self.used += length;
        self.asks |= asks;
        Some(length)
    }
}

/// What an envelope around a payload takes, about; the pace needs no more.
const PUBLISH_BYTES: usize = 48;

impl<J: Journal, const SLOTS: usize, const ENTRY: usize> Client<'_, J, SLOTS, ENTRY> {
    /// Fills `buffer` with the next binary message and returns its length; `None` if there is nothing
    /// to say. `buffer` should hold the greeting (the token and 128 bytes more) and the longest report
    /// (its payload and 256 bytes more); a report that doesn't fit is dropped and counted as lost.
    pub fn poll_transmit(&mut self, now: Millis, buffer: &mut [u8]) -> Option<usize> {
        let end = buffer.len().min(self.link.message_size_max);
        let mut out = Outgoing { buffer: &mut buffer[..end], used: 0, asks: false };
        match self.phase {
            Phase::Greeting { hello_sent: false, give_up_at } => {
                self.put_hello(now, &mut out);
                if out.used > 0 {
                    self.phase = Phase::Greeting { hello_sent: true, give_up_at };
                }
            }
            Phase::Open { .. } => {
                self.put_ready(&mut out);
                self.put_subscribe(&mut out);
                self.put_command_reports(&mut out);
                self.put_ping(now, &mut out);
                self.put_reports(now, &mut out);
            }
            Phase::Away { .. }
            | Phase::Connecting { .. }
            | Phase::Greeting { hello_sent: true, .. }
            | Phase::Closing { .. } => {}
        }
        if out.used == 0 {
            return None;
        }
        self.link.sent(now, out.asks);
        self.stats.bytes_sent += out.used as u64;
        Some(out.used)
    }

    fn put_hello(&mut self, now: Millis, out: &mut Outgoing<'_>) {
        let hello = Hello {
            protocol: proto::PROTOCOL_VERSION,
            token: self.config.token,
            boot: self.boot,
            keepalive_s: self.config.keepalive_s,
            ready: self.ready,
            agent: self.config.agent,
            ..Hello::default()
        };
        if out.put(0, Kind::Hello(hello), false).is_none() {
            // A driver's buffer too small for the token can't be mended by waiting for an answer.
            self.close(now, CloseCode::TOO_BIG);
        }
        self.link.owes_ready = false;
    }

    fn put_ready(&mut self, out: &mut Outgoing<'_>) {
        if self.link.owes_ready && out.put(0, Kind::Ready(Ready::default()), false).is_some() {
            self.link.owes_ready = false;
        }
    }

    /// Asks for the light as it is and as it changes. The newest is enough, so there is no position.
    fn put_subscribe(&mut self, out: &mut Outgoing<'_>) {
        if !self.link.owes_subscribe {
            return;
        }
        let mut channel = [0; limits::CHANNEL_BYTES_MAX];
        let pattern = channel_name(self.config.device, channels::EFFECTIVE.suffix, &mut channel);
        let wish = Subscribe { pattern, snapshot: true, ..Subscribe::default() };
        let request = self.link.next_request();
        if out.put(request, Kind::Subscribe(wish), true).is_some() {
            self.link.owes_subscribe = false;
        }
    }

    fn put_command_reports(&mut self, out: &mut Outgoing<'_>) {
        while let Some(owed) = self.commands.owed() {
            let request = if owed.is_outcome() { self.link.next_request() } else { 0 };
            let put = self.commands.with_report(owed, |report| {
                out.put(request, Kind::CommandReport(*report), owed.is_outcome())
            });
            let Some(length) = put else { return };
            self.pacer.sent(length);
            self.commands.reported(owed, request);
        }
    }

    fn put_ping(&mut self, now: Millis, out: &mut Outgoing<'_>) {
        // A report's ack says as much as a pong, but not the time.
        if self.link.owes_ping && out.put(0, Kind::Ping(Ping::default()), true).is_some() {
            self.link.owes_ping = false;
            self.link.pinged_at = Some(now);
            self.link.resync_at = now.after(self.config.resync_after_ms);
        }
    }

    fn put_reports(&mut self, now: Millis, out: &mut Outgoing<'_>) {
        self.link.send_at = None;
        while self.outbox.in_flight() < usize::from(self.config.window) {
            let Some((lane, record)) = self.outbox.next_unsent() else { return };
            let ready_at = self.pacer.ready_at(now, record.payload.len() + PUBLISH_BYTES);
            let ready_at = ready_at.max(self.link.retry_at);
            if ready_at > now {
                self.link.send_at = Some(ready_at);
                return;
            }
            let seq = record.seq;
            let mut channel = [0; limits::CHANNEL_BYTES_MAX];
            let publish = Publish {
                channel: channel_name(self.config.device, record.channel, &mut channel),
                seq,
                time_unix_ms: match record.stamp {
                    Stamp::Unix(unix_ms) => unix_ms,
                    Stamp::Uptime(_) => 0,
                },
                payload: Some(record.payload),
                type_name: record.type_name,
                ..Publish::default()
            };
            match out.put(0, Kind::Publish(publish), true) {
                Some(length) => {
                    self.pacer.sent(length);
                    self.outbox.mark_sent(lane, seq);
                    self.stats.reports_sent += 1;
                }
                None if out.used > 0 => return,
                None => {
                    self.outbox.refuse(seq);
                    self.stats.records_lost += 1;
                }
            }
        }
    }
}

/// `devices.<device>.<suffix>` in `place`, or nothing for the telemetry channel.
fn channel_name<'p>(device: &str, suffix: &str, place: &'p mut [u8]) -> &'p str {
    if suffix.is_empty() {
        return "";
    }
    let mut end = 0;
    for part in ["devices.", device, ".", suffix] {
        let Some(room) = place.get_mut(end..end + part.len()) else { return "" };
        room.copy_from_slice(part.as_bytes());
        end += part.len();
    }
    core::str::from_utf8(&place[..end]).unwrap_or_default()
}

/// Whether a report's texts make a channel and a type. Checked once, when the report is taken.
pub(super) fn check_names(device: &str, report: &Report<'_>) -> Result<(), ReportError> {
    if report.type_name.len() > limits::TYPE_BYTES_MAX {
        return Err(ReportError::Channel);
    }
    if report.channel.is_empty() {
        return Ok(());
    }
    let mut place = [0; limits::CHANNEL_BYTES_MAX];
    let name = channel_name(device, report.channel, &mut place);
    check_name(name).map_err(|_| ReportError::Channel)
}
