//! The way of a message: judged, given its place, kept, offered to everyone who wants it.

use std::sync::Arc;

use proto::envelope::{Ack, Envelope, ErrorCode, Kind, Message};

use super::channel::Inner;
use super::registry::operation;
use super::{Broker, Channel, Ticket};
use crate::access::Identity;
use crate::audit::{Actor, Record};
use crate::clock::Now;
use crate::codec::{Draft, Frame, Refusal, encode};
use crate::mailbox::{Mailbox, Wakes};
use crate::metrics::{Drop as Dropped, Limit};
use crate::series::Origin as When;
use crate::store::{Operation, Table};
use crate::twin::{Keep, ReportId, Verdict, merge};

/// A value with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Value<'v> {
    /// Full name of the payload's message, one of the channel's types; empty if it has none.
    pub type_name: &'v str,
    /// The encoded message.
    pub payload: &'v [u8],
    /// The device's report, or 0 and 0.
    pub report: ReportId,
    /// ms since 1970 by the device's clock; 0 unknown.
    pub measured_unix_ms: u64,
    /// The revision that has to stand, 0 for none: then the value replaces it as a whole, also on a
    /// channel that merges.
    pub instead_of: Option<u64>,
}

/// The field of the refusal where another revision stands than [`Value::instead_of`] says.
pub const EXPECTED: &str = "publish.expected_revision";

/// The refusal of a write that was meant for another revision than the one that stands, 0 for none.
pub fn stale(held: u64) -> Refusal {
    let text = match held {
        0 => "no value stands yet; 0 is what to expect".to_owned(),
        held => format!("the value stands at revision {held}; read it, and write for that one"),
    };
    Refusal { revision: held, ..Refusal::new(ErrorCode::Conflict, EXPECTED, text) }
}

/// Who hears when the value is durable.
#[derive(Debug)]
pub enum Receipt<'r> {
    /// Nobody.
    None,
    /// The device, by a cumulative ack.
    Cumulative(&'r Arc<Mailbox>, &'r Arc<parking_lot::Mutex<ReportId>>),
    /// A peer that asked with this request id.
    Answer(&'r Arc<Mailbox>, u64),
}

/// Whose a value is.
#[derive(Debug, Clone, Copy)]
pub enum Sender<'s> {
    /// The hub's own.
    Hub,
    /// Of a connection.
    Peer(&'s Identity),
    /// Of a request.
    Actor(&'s Actor),
}

impl std::fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hub => f.write_str("hub"),
            Self::Peer(identity) => identity.fmt(f),
            Self::Actor(actor) => f.write_str(&actor.who),
        }
    }
}

/// From whom a value comes.
#[derive(Debug)]
pub struct Origin<'o> {
    /// Named where the payload is not of its type.
    pub sender: Sender<'o>,
    /// For the audit log, in the value's batch.
    pub record: Option<Record>,
}

impl Origin<'_> {
    /// The hub itself.
    pub fn hub() -> Self {
        Self { sender: Sender::Hub, record: None }
    }
}

/// The key of a last value in the store: the channel, and its type after a byte that no name has.
pub(crate) fn last_value_key(channel: &str, type_name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(channel.len() + 1 + type_name.len());
    key.extend_from_slice(channel.as_bytes());
    key.push(0);
    key.extend_from_slice(type_name.as_bytes());
    key.into_boxed_slice()
}

impl Inner {
    fn check_held(&self, type_name: &str, wanted: u64) -> Result<(), Refusal> {
        let held = self.state.last_of(type_name).map_or(0, |last| last.frame.offset());
        if held == wanted {
            return Ok(());
        }
        Err(stale(held))
    }
}

impl Channel {
    /// The type that `name` means on this channel.
    ///
    /// # Errors
    /// The channel doesn't carry it.
    pub fn type_named<'c>(&'c self, name: &str) -> Result<&'c str, Refusal> {
        let types = &self.rule.types;
        let found = match name {
            "" => types.first(),
            name => types.iter().find(|known| *known == name),
        };
        match found {
            Some(known) => Ok(known),
            None if name.is_empty() => Ok(""),
            None => {
                let text = if types.is_empty() {
                    "the channel has no types; leave it empty".to_owned()
                } else {
                    format!("is none of the channel's types: {}", types.join(", "))
                };
                Err(Refusal::new(ErrorCode::BadValue, "publish.type", text))
            }
        }
    }
}

impl Broker {
    /// Puts a value of the hub into a channel.
    ///
    /// # Errors
    /// As for [`Broker::publish_from`].
    pub fn publish(
        &self,
        now: Now,
        channel: &Channel,
        value: Value<'_>,
        receipt: &Receipt<'_>,
        wakes: &mut Wakes,
    ) -> Result<u64, Refusal> {
        self.publish_from(Origin::hub(), now, channel, value, receipt, wakes)
    }

    /// Puts a value into a channel. The caller has checked the right to.
    ///
    /// Who receives it is woken with `wakes`, after the caller has dropped its locks.
    ///
    /// A report that is not newer than the held one changes nothing; its receipt still comes, once
    /// what superseded it is durable. Returns the revision of the value, 0 if it changed nothing.
    ///
    /// # Errors
    /// The payload is too long or not of its type, the report comes from a boot that is over, another
    /// revision stands than was meant, or the store has no room: then nothing has happened.
    pub fn publish_from(
        &self,
        origin: Origin<'_>,
        now: Now,
        channel: &Channel,
        value: Value<'_>,
        receipt: &Receipt<'_>,
        wakes: &mut Wakes,
    ) -> Result<u64, Refusal> {
        self.check_length(&value)?;
        let problem = self.judge_payload(channel, &value)?;
        let offset = self.put(now, channel, value, receipt, wakes, origin.record)?;
        if let Some(problem) = problem.filter(|_| offset != 0) {
            self.show_quarantined(now, channel, &value, &problem, origin.sender, wakes);
        }
        Ok(offset)
    }

    /// Gives a checked value its place; returns its revision, or 0 if it changed nothing.
    fn put(
        &self,
        now: Now,
        channel: &Channel,
        value: Value<'_>,
        receipt: &Receipt<'_>,
        wakes: &mut Wakes,
        record: Option<Record>,
    ) -> Result<u64, Refusal> {
        let mut draft = Draft::new(&message(channel, &value, value.payload, now));
        let (offset, ceiling, at_once, stirs);
        {
            let mut inner = channel.inner.lock();
            if let Some(wanted) = value.instead_of {
                inner.check_held(value.type_name, wanted)?;
            }
            match inner.state.judge(value.type_name, value.report) {
                Verdict::Newer { skipped } => {
                    self.metrics.report_gaps.inc_by(u64::from(skipped > 0))
                }
                verdict @ (Verdict::Duplicate | Verdict::Late) => {
                    if verdict == Verdict::Late {
                        self.remember(now, channel, &mut inner, &value, When::Past);
                    }
                    drop(inner);
                    return self.publish_old(verdict, value.report, receipt).map(|()| 0);
                }
            };
            if channel.rule.keep == Keep::Merge
                && value.instead_of.is_none()
                && let Some(held) = inner.state.last_of(value.type_name)
            {
                let held = held.frame.message().payload.unwrap_or_default();
                let merged = self.merged(held, value.payload)?;
                draft = Draft::new(&message(channel, &value, &merged, now));
            }
            stirs = self.stirs_light(channel, &inner, &value);
            let mut sequence = self.sequence.lock();
            (offset, ceiling) = sequence.advance();
            let frame = Arc::new(draft.place(offset));
            let record = record.map(|record| (now, record));
            at_once = self.keep(channel, &value, &frame, ceiling, receipt, record)?;
            if let Some(ceiling) = ceiling {
                sequence.store_took(ceiling);
            }
            for mailbox in inner.audience.receivers(&self.router, channel.name.as_str()) {
                wakes.add(mailbox.offer(&frame));
            }
            drop(sequence);
            self.remember(now, channel, &mut inner, &value, When::News);
            inner.state.take(&channel.rule, &frame, value.report, now.unix_ms);
        }
        if stirs {
            self.touch_light_of(channel);
        }
        self.metrics.published.inc();
        if let Some(ticket) = at_once {
            self.committed(vec![ticket]);
        }
        Ok(offset)
    }

    /// A report that arrived after a newer one, or twice.
    fn publish_old(
        &self,
        verdict: Verdict,
        report: ReportId,
        receipt: &Receipt<'_>,
    ) -> Result<(), Refusal> {
        let reason = if verdict == Verdict::Duplicate { Dropped::Duplicate } else { Dropped::Late };
        self.metrics.dropped(reason, 1);
        if let Some(ticket) = ticket(receipt, report, 0, true) {
            self.submit(Vec::new(), Some(ticket))?;
        }
        Ok(())
    }

    /// Gives the message to the store, before anyone sees it: if there is no room, it never was.
    /// Returns the ticket of an answer that doesn't wait for the disk.
    fn keep(
        &self,
        channel: &Channel,
        value: &Value<'_>,
        frame: &Frame,
        ceiling: Option<u64>,
        receipt: &Receipt<'_>,
        record: Option<(Now, Record)>,
    ) -> Result<Option<Ticket>, Refusal> {
        let mut operations = Vec::new();
        if let Some(ceiling) = ceiling {
            operations.push(super::restore::ceiling_operation(ceiling));
        }
        if channel.rule.keep != Keep::None {
            let key = last_value_key(channel.name.as_str(), value.type_name);
            let body = Some(frame.body());
            operations.push(operation(Table::LastValue, &key, body));
        }
        // A cumulative ack speaks of all of a device's channels, so it always waits for the disk.
        let waits = channel.rule.durable || matches!(receipt, Receipt::Cumulative(..));
        let mut ticket = ticket(receipt, value.report, frame.offset(), waits);
        let at_once = if waits { None } else { ticket.take() };
        if let Some((now, record)) = record {
            self.submit_audited(now, operations, ticket, &[record])?;
        } else if !operations.is_empty() || ticket.is_some() {
            self.submit(operations, ticket)?;
        }
        Ok(at_once)
    }

    pub(crate) fn submit(
        &self,
        operations: Vec<Operation>,
        ticket: Option<Ticket>,
    ) -> Result<(), Refusal> {
        let taken = self.room.check().and_then(|()| {
            self.writer().submit(operations, ticket).map_err(|refusal| refusal.to_string())
        });
        taken.map_err(|reason| {
            self.metrics.limit_hit(Limit::Store);
            self.metrics.dropped(Dropped::StoreBusy, 1);
            let text = format!("nothing was stored: {reason}; try again");
            Refusal::retry(ErrorCode::Unavailable, "", text, 1000)
        })
    }

    fn check_length(&self, value: &Value<'_>) -> Result<(), Refusal> {
        let length = value.payload.len();
        if length > proto::limits::PAYLOAD_BYTES_MAX {
            self.metrics.limit_hit(Limit::Payload);
            self.metrics.dropped(Dropped::TooLarge, 1);
            let max = proto::limits::PAYLOAD_BYTES_MAX;
            let text = format!("has {length} bytes; at most {max}");
            return Err(Refusal::new(ErrorCode::StateLimit, "publish.payload", text));
        }
        Ok(())
    }

    fn merged(&self, held: &[u8], patch: &[u8]) -> Result<Vec<u8>, Refusal> {
        let bad = |text: String| {
            self.metrics.dropped(Dropped::BadValue, 1);
            Refusal::new(ErrorCode::BadValue, "publish.payload", text)
        };
        // Bytes from before the channel merged may be no protobuf: then the patch stands alone.
        let merged = merge::merge(held, patch).or_else(|_| merge::merge(&[], patch));
        let merged = merged.map_err(|error| bad(error.to_string()))?;
        let max = proto::limits::PAYLOAD_BYTES_MAX;
        if merged.len() > max {
            return Err(bad(format!("merged with the held value it is over {max} bytes")));
        }
        Ok(merged)
    }
}

fn message<'m>(
    channel: &'m Channel,
    value: &Value<'m>,
    payload: &'m [u8],
    now: Now,
) -> Message<'m> {
    Message {
        channel: channel.name.as_str(),
        payload: Some(payload),
        time_unix_ms: now.unix_ms,
        boot: value.report.boot,
        seq: value.report.seq,
        measured_unix_ms: value.measured_unix_ms,
        type_name: value.type_name,
        ..Message::default()
    }
}

fn ticket(receipt: &Receipt<'_>, report: ReportId, revision: u64, durable: bool) -> Option<Ticket> {
    match receipt {
        Receipt::None => None,
        Receipt::Cumulative(mailbox, durable) => Some(Ticket::Report {
            mailbox: (*mailbox).clone(),
            durable: (*durable).clone(),
            report,
        }),
        Receipt::Answer(mailbox, request) => {
            let ack = Ack { revision, durable, ..Ack::default() };
            let envelope = encode(&Envelope { request: *request, kind: Kind::Ack(ack) });
            Some(Ticket::Answer { mailbox: (*mailbox).clone(), envelope })
        }
    }
}
