//! A last value as a document: never without its revision and its age.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::clock::Now;
use crate::codec::Frame;

/// A value of a channel. 64-bit numbers are text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Value)]
pub struct ValueDocument {
    /// Where it was published.
    channel: String,
    /// Full name of its message; empty for bytes.
    #[serde(rename = "type")]
    type_name: String,
    /// Its place in the order of all messages; the channel's ETag.
    revision: String,
    /// The start of the device that reported it; 0 if none did.
    boot: u32,
    /// The report's number in that start.
    seq: String,
    /// ms since 1970 by the device's clock; 0 unknown.
    measured_unix_ms: u64,
    /// ms since 1970 when the hub got it.
    time_unix_ms: u64,
    /// ms since it was measured, or since the hub got it where that is unknown.
    age_ms: u64,
    /// The message in proto3 JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    data: Option<Value>,
    /// The bytes in base64, where they have no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Why there is no JSON of a value that has a type.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl ValueDocument {
    /// The document of a message, as it is now.
    pub fn of(broker: &Broker, frame: &Frame, now: Now) -> Self {
        let message = frame.message();
        let age_from = match message.measured_unix_ms {
            0 => message.time_unix_ms,
            measured => measured,
        };
        let payload = message.payload.unwrap_or_default();
        let (data, problem) = match message.type_name {
            "" => (None, None),
            name => match broker.types.payload_to_json(name, payload) {
                Ok(text) => (serde_json::from_str::<Value>(&text).ok(), None),
                Err(error) => (None, Some(error.to_string())),
            },
        };
        Self {
            channel: message.channel.to_owned(),
            type_name: message.type_name.to_owned(),
            revision: message.offset.to_string(),
            boot: message.boot,
            seq: message.seq.to_string(),
            measured_unix_ms: message.measured_unix_ms,
            time_unix_ms: message.time_unix_ms,
            age_ms: now.unix_ms.saturating_sub(age_from),
            payload: data.is_none().then(|| STANDARD.encode(payload)),
            data,
            problem,
        }
    }
}
