//! What people decide about one device: replaced, or changed member by member.

use axum::Json;
use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::{Document, MergePatch};
use super::devices::{AddedDevice, DevicePath, device_id, not_registered, unkept, version_of};
use super::problem::Problem;
use super::version::{self, Conditions};
use crate::access::{Verb, grant};
use crate::broker::registry::{DeviceView, Existing, NewDevice};
use crate::broker::revise::{DeviceSettings, Revised};
use crate::clock::Now;

/// Create or replace a device. A new one gets a token, shown once; one that exists keeps its own. Needs
/// `manage` on `devices.<id>`.
///
/// `If-None-Match: *` only creates, `If-Match` only replaces the version that it names.
#[utoipa::path(put, path = "/v1/devices/{id}", tag = "devices", params(DevicePath),
    request_body = DeviceSettings,
    responses(
        (status = 200, description = "replaced, on disk", body = DeviceView),
        (status = 201, description = "created, on disk", body = AddedDevice)))]
pub async fn put(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
    Document(settings): Document<DeviceSettings>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Manage, &grant::device_name(&id))?;
    let replacement = settings.clone();
    let change = |_: DeviceSettings| Ok::<_, Problem>(replacement);
    let is_meant = |device: &DeviceView| conditions.allow(Some(&version_of(device)));
    match api.broker.revise_device(Now::read(), &id, &by, is_meant, change).await? {
        Revised::Done(device) => Ok(changed(&device)),
        Revised::Stale(device) => Err(stale(&device)),
        Revised::Missing if !conditions.allow(None) => {
            Err(Problem::unmet(format!("{id} is not registered; there is no version of it")))
        }
        Revised::Missing => {
            let DeviceSettings { labels, profile, latitude_e7, longitude_e7 } = settings;
            let id = id.as_str().to_owned();
            let new = NewDevice { id, labels, profile, latitude_e7, longitude_e7 };
            let added =
                api.broker.add_devices(Now::read(), vec![new], Existing::Refuse, &by).await?;
            let added = added.into_iter().next().map(AddedDevice::from);
            Ok((StatusCode::CREATED, unkept(), Json(added)).into_response())
        }
    }
}

/// Change a device by a merge patch (RFC 7396): members replace, `null` takes away. Needs `manage` on
/// `devices.<id>`.
#[utoipa::path(patch, path = "/v1/devices/{id}", tag = "devices", params(DevicePath),
    request_body(content = DevicePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "changed, on disk", body = DeviceView)))]
pub async fn patch(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
    patch: MergePatch,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Manage, &grant::device_name(&id))?;
    let change = |settings: DeviceSettings| patch.apply(document(&settings));
    let is_meant = |device: &DeviceView| conditions.allow(Some(&version_of(device)));
    match api.broker.revise_device(Now::read(), &id, &by, is_meant, change).await? {
        Revised::Done(device) => Ok(changed(&device)),
        Revised::Stale(device) => Err(stale(&device)),
        Revised::Missing => Err(not_registered(&id)),
    }
}

/// A merge patch of a device: what stands in it replaces, `null` takes away.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its description is used")]
pub struct DevicePatch {
    /// For selectors; each by itself.
    labels: Option<BTreeMap<String, Option<String>>>,
    /// Which settings it shares with others.
    #[schema(max_length = 128)]
    profile: Option<String>,
    /// 1e-7 degrees, WGS 84. Goes with `longitude_e7`.
    #[schema(minimum = -900_000_000, maximum = 900_000_000)]
    latitude_e7: Option<i32>,
    /// 1e-7 degrees, WGS 84.
    #[schema(minimum = -1_800_000_000, maximum = 1_800_000_000)]
    longitude_e7: Option<i32>,
}

fn changed(device: &DeviceView) -> Response {
    let mut response = Json(device).into_response();
    version::mark(&mut response, &version_of(device));
    response
}

/// The device is not in the version that the request names.
pub fn stale(device: &DeviceView) -> Problem {
    Problem::stale(version_of(device), document(device))
}

/// A document as a value.
///
/// # Panics
/// Never: what the hub shows has text keys.
pub fn document(shown: &impl serde::Serialize) -> Value {
    serde_json::to_value(shown).expect("what is shown has JSON")
}
