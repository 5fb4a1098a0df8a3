//! All that is known of a device, in one document: every last value with its revision and age.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::auth::Person;
use super::devices::{DevicePath, device_id, not_registered, registration};
use super::problem::Problem;
use super::value::ValueDocument;
use super::version::{self, Conditions, Version};
use crate::access::Verb;
use crate::clock::Now;

/// A device and its last values.
#[derive(Debug, Serialize, ToSchema)]
pub struct Twin {
    /// The device's id.
    device: String,
    /// ms since 1970 by the hub's clock, when this was made: ages count to here.
    now_unix_ms: u64,
    /// `null` where the hub doesn't know.
    online: Option<bool>,
    /// ms since 1970 from when on; 0 if never seen.
    since_unix_ms: u64,
    /// Why it is gone or unknown.
    reason: String,
    /// For selectors.
    labels: BTreeMap<String, String>,
    /// In the order of their channels' names.
    values: Vec<ValueDocument>,
}

/// The twin: all last values of a device. Its version is the newest revision in it; ages, which are
/// different each time, don't count. Has the channels that the caller may see; needs `subscribe` on
/// `registration`.
#[utoipa::path(get, path = "/v1/devices/{id}/twin", tag = "devices", params(DevicePath),
    responses((status = 200, description = "the twin", body = Twin)))]
pub async fn of_device(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Subscribe, registration(&id).as_str())?;
    let device = api.broker.device(&id)?.ok_or_else(|| not_registered(&id))?;
    let now = Now::read();
    let mut frames = api.broker.device_values(&id)?;
    frames.retain(|frame| person.identity().may_see(frame.message().channel));
    let newest = frames.iter().map(|frame| frame.offset()).max();
    let values = frames.iter().map(|frame| ValueDocument::of(&api.broker, frame, now)).collect();
    let twin = Twin {
        device: device.id,
        now_unix_ms: now.unix_ms,
        online: device.online,
        since_unix_ms: device.since_unix_ms,
        reason: device.reason,
        labels: device.labels,
        values,
    };
    let version = Version::of(newest.unwrap_or(0).max(device.revision));
    Ok(version::answer(&conditions, &version, &twin))
}
