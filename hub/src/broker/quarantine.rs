//! Payloads that are not of their channel's type: refused, or let through as bytes and shown.
//!
//! What the rule of a channel says decides. Where it says `quarantine`, the payload goes the way of
//! every other: it is ordered, kept and acknowledged, and readers of protobuf get it as it is; readers
//! of JSON get it as payload, with the reason. Beside it the hub publishes what happened on
//! `quarantine.<channel>`, with the beginning of the payload, the reason and the sender, so that
//! somebody sees it without having to watch everything.
//!
//! Two things are refused in any case: a number that is not finite, which can be decoded and nobody can
//! use; and, where values merge, what is no protobuf at all, since nothing could be merged with it.

use proto::envelope::{ErrorCode, Quarantined};
use proto::json::PayloadError;
use proto::wire::Encode as _;
use proto::{ChannelName, channels};

use super::publish::{Receipt, Sender, Value};
use super::{Broker, Channel};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::mailbox::Wakes;
use crate::metrics::{Drop as Dropped, Undecodable as Reason};
use crate::twin::{Keep, ReportId, Undecodable, merge};

/// Bytes of a payload that are shown.
const SHOWN_MAX: usize = 1024;
/// Where a channel's quarantine is if its own name leaves no room for another segment.
const ELSEWHERE: &str = "quarantine.elsewhere";

impl Broker {
    /// Checks a payload against its type. `Some` says why it goes on as bytes.
    ///
    /// # Errors
    /// It is not of its type, and the channel's rule refuses it then.
    pub(super) fn judge_payload(
        &self,
        channel: &Channel,
        value: &Value<'_>,
    ) -> Result<Option<PayloadError>, Refusal> {
        if value.type_name.is_empty() {
            return Ok(None);
        }
        let Err(error) = self.types.check_payload(value.type_name, value.payload) else {
            return Ok(None);
        };
        let reason = match &error {
            PayloadError::NotFinite { .. } => None,
            PayloadError::UnknownType { .. } => Some(Reason::UnknownType),
            PayloadError::TooDeep => Some(Reason::TooDeep),
            PayloadError::Wire(_) | PayloadError::Decode { .. } | PayloadError::Json(_) => {
                Some(Reason::Malformed)
            }
        };
        if let Some(reason) = reason {
            self.metrics.undecodable(reason);
            let fits = channel.rule.keep != Keep::Merge || merge::merge(&[], value.payload).is_ok();
            if channel.rule.undecodable == Undecodable::Quarantine && fits {
                return Ok(Some(error));
            }
        }
        self.metrics.dropped(Dropped::BadValue, 1);
        Err(Refusal::new(ErrorCode::BadValue, "publish.payload", error.to_string()))
    }

    /// Shows a payload that went on as bytes. What can't be shown is logged and stops nobody.
    pub(super) fn show_quarantined(
        &self,
        now: Now,
        channel: &Channel,
        value: &Value<'_>,
        problem: &PayloadError,
        sender: Sender<'_>,
        wakes: &mut Wakes,
    ) {
        let name = channel.name.as_str();
        let (problem, sender) = (problem.to_string(), sender.to_string());
        let shown = Quarantined {
            channel: name,
            type_name: value.type_name,
            payload: &value.payload[..value.payload.len().min(SHOWN_MAX)],
            payload_bytes: u32::try_from(value.payload.len()).unwrap_or(u32::MAX),
            problem: &problem,
            sender: &sender,
            boot: value.report.boot,
            seq: value.report.seq,
            ..Quarantined::default()
        };
        let mut payload = Vec::with_capacity(shown.encoded_len());
        shown.encode(&mut payload);
        let value = Value {
            type_name: channels::QUARANTINED_TYPE,
            payload: &payload,
            report: ReportId::default(),
            measured_unix_ms: value.measured_unix_ms,
            instead_of: None,
        };
        let published = self
            .channel(&quarantine_of(name))
            .and_then(|shown| self.publish(now, &shown, value, &Receipt::None, wakes));
        if let Err(refusal) = published {
            tracing::warn!(channel = name, reason = %refusal.message,
                "a payload in quarantine is not shown");
        }
    }
}

/// The channel on which the quarantine of another is shown.
fn quarantine_of(channel: &str) -> ChannelName {
    let name = ChannelName::parse(&format!("{}.{channel}", channels::QUARANTINE_PREFIX));
    name.unwrap_or_else(|_| ChannelName::parse(ELSEWHERE).expect("a valid name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_without_room_for_another_segment_is_shown_elsewhere() {
        assert_eq!(quarantine_of("a.b").as_str(), "quarantine.a.b");
        assert_eq!(quarantine_of("a.b.c.d.e.f.g.h").as_str(), ELSEWHERE);
        let long = format!("{0}.{0}", "x".repeat(60));
        assert_eq!(quarantine_of(&long).as_str(), ELSEWHERE);
    }
}
