//! All that is known of a device, in one document: every last value with its revision and age.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Api;
use super::auth::Person;
use super::devices::{device_id, not_registered, registration};
use super::problem::Problem;
use crate::access::Verb;
use crate::broker::Broker;
use crate::clock::Now;
use crate::codec::Frame;

/// `GET /v1/devices/{id}/twin`: needs `subscribe` on its `registration`; has the values of those
/// channels that the caller may see.
pub async fn of_device(
    person: Person,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Subscribe, registration(&id).as_str())?;
    let device = api.broker.device(&id)?.ok_or_else(|| not_registered(&id))?;
    let now = Now::read();
    let mut frames = api.broker.device_values(&id)?;
    frames.retain(|frame| person.identity().may_see(frame.message().channel));
    let values: Vec<Value> = frames.iter().map(|frame| value(&api.broker, frame, now)).collect();
    Ok(Json(json!({
        "device": id.as_str(),
        "now_unix_ms": now.unix_ms,
        "online": device.online,
        "since_unix_ms": device.since_unix_ms,
        "reason": device.reason,
        "labels": device.labels,
        "values": values,
    })))
}

/// A value is never shown without its age, which counts from when it was measured, if that is known.
fn value(broker: &Broker, frame: &Frame, now: Now) -> Value {
    let message = frame.message();
    let age_from = match message.measured_unix_ms {
        0 => message.time_unix_ms,
        measured => measured,
    };
    let mut value = Map::new();
    value.insert("channel".to_owned(), message.channel.into());
    value.insert("type".to_owned(), message.type_name.into());
    value.insert("revision".to_owned(), message.offset.to_string().into());
    value.insert("boot".to_owned(), message.boot.into());
    value.insert("seq".to_owned(), message.seq.to_string().into());
    value.insert("measured_unix_ms".to_owned(), message.measured_unix_ms.into());
    value.insert("time_unix_ms".to_owned(), message.time_unix_ms.into());
    value.insert("age_ms".to_owned(), now.unix_ms.saturating_sub(age_from).into());
    let payload = message.payload.unwrap_or_default();
    let data = broker.types.payload_to_json(message.type_name, payload);
    match data.ok().and_then(|text| serde_json::from_str(&text).ok()) {
        Some(data) => value.insert("data".to_owned(), data),
        None => value.insert("payload".to_owned(), STANDARD.encode(payload).into()),
    };
    Value::Object(value)
}
