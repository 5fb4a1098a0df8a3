//! The override of a device: `/v1/devices/{id}/override`. It always has an end.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use proto::{DeviceId, channels};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::audit::{By, moment};
use super::auth::Person;
use super::body::Document;
use super::devices::{DevicePath, bad, device_id, not_registered};
use super::problem::Problem;
use super::version::{self, Conditions, Version};
use crate::access::{Verb, grant};
use crate::broker::overrides::{NewOverride, Overridden};
use crate::clock::Now;
use crate::light::{OVERRIDE_S_MAX, Override, REASON_BYTES_MAX};

/// A level for a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// %: 0 is off.
    #[schema(minimum = 0, maximum = 100)]
    level_pct: u8,
    /// Its end: RFC 3339, or ms since 1970; within 7 days. Not with `for_s`. Without either it ends after the
    /// device's `default_override_s`, which is two hours where nobody said another.
    #[schema(example = "2026-11-21T23:30:00+01:00")]
    until: Option<String>,
    /// s, from now on.
    #[schema(minimum = 1, maximum = 604_800)]
    for_s: Option<u32>,
    /// Why, for people.
    #[serde(default)]
    #[schema(max_length = 128)]
    reason: String,
}

/// An override that stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverrideDocument {
    /// The device's id.
    device: String,
    /// %.
    level_pct: u8,
    /// ms since 1970, UTC.
    from_unix_ms: u64,
    /// ms since 1970, UTC: it ends by itself.
    until_unix_ms: u64,
    /// Why, for people.
    reason: String,
    /// Who set it.
    by: String,
    /// The command that brought it; empty if it was set here.
    command: String,
    /// As in the ETag.
    revision: String,
}

impl OverrideDocument {
    fn of(id: &DeviceId, set: Override) -> Self {
        let Override { level_pct, from_unix_ms, until_unix_ms, reason, by, command, revision } =
            set;
        let (device, revision) = (id.as_str().to_owned(), revision.to_string());
        Self { device, level_pct, from_unix_ms, until_unix_ms, reason, by, command, revision }
    }
}

/// The override that stands, if one does. Needs `subscribe` on the device's `effective`.
#[utoipa::path(get, path = "/v1/devices/{id}/override", tag = "light", params(DevicePath),
    responses((status = 200, description = "the override", body = OverrideDocument)))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Subscribe, channels::EFFECTIVE.of(&id).as_str())?;
    let set = api.broker.override_of(Now::read(), &id).ok_or_else(|| none(&id))?;
    let version = Version::of(set.revision);
    Ok(version::answer(&conditions, &version, &OverrideDocument::of(&id, set)))
}

/// Set the override of a device: it rules over calendar and profile until its end. Needs `command` on
/// `devices.<id>`, and `If-Match`, or `If-None-Match: *` if there is none.
#[utoipa::path(put, path = "/v1/devices/{id}/override", tag = "light", params(DevicePath),
    request_body = OverrideRequest,
    responses(
        (status = 200, description = "replaced, on disk", body = OverrideDocument),
        (status = 201, description = "set, on disk", body = OverrideDocument)))]
pub async fn put(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
    Document(wish): Document<OverrideRequest>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Command, &grant::device_name(&id))?;
    if conditions.is_none() {
        return Err(Problem::version_required());
    }
    let now = Now::read();
    let new = checked(now, wish)?;
    let is_meant = |held: Option<&Override>| meant(&conditions, held);
    match api.broker.set_override(now, &id, &by, is_meant, new).await? {
        Overridden::Done { set, is_new } => {
            let set = set.ok_or_else(|| none(&id))?;
            let version = Version::of(set.revision);
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            let mut response = (status, Json(OverrideDocument::of(&id, set))).into_response();
            version::mark(&mut response, &version);
            Ok(response)
        }
        Overridden::Stale(held) => Err(stale(&id, held)),
        Overridden::NoDevice => Err(not_registered(&id)),
    }
}

/// End the override of a device now: its program rules again. Needs `command` on `devices.<id>`, and
/// `If-Match`.
#[utoipa::path(delete, path = "/v1/devices/{id}/override", tag = "light", params(DevicePath),
    responses((status = 204, description = "ended, on disk")))]
pub async fn end(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Command, &grant::device_name(&id))?;
    let now = Now::read();
    if api.broker.override_of(now, &id).is_none() {
        return Err(none(&id));
    }
    if conditions.is_none() {
        return Err(Problem::version_required());
    }
    let is_meant = |held: Option<&Override>| held.is_some() && meant(&conditions, held);
    match api.broker.end_override(now, &id, &by, is_meant).await? {
        Overridden::Done { .. } => Ok(StatusCode::NO_CONTENT),
        Overridden::Stale(None) => Err(none(&id)),
        Overridden::Stale(held) => Err(stale(&id, held)),
        Overridden::NoDevice => Err(not_registered(&id)),
    }
}

fn meant(conditions: &Conditions, held: Option<&Override>) -> bool {
    conditions.allow(held.map(|held| Version::of(held.revision)).as_ref())
}

fn none(id: &DeviceId) -> Problem {
    Problem::not_found(format!("{id} has no override")).at("id")
}

fn stale(id: &DeviceId, held: Option<Override>) -> Problem {
    match held {
        Some(held) => {
            let version = Version::of(held.revision);
            Problem::stale(version, super::device::document(&OverrideDocument::of(id, held)))
        }
        None => Problem::unmet(format!("{id} has no override; send If-None-Match: *")),
    }
}

fn checked(now: Now, wish: OverrideRequest) -> Result<NewOverride, Problem> {
    if wish.level_pct > 100 {
        return Err(bad(format!("is {}; use 0 to 100", wish.level_pct)).at("level_pct"));
    }
    if wish.reason.len() > REASON_BYTES_MAX || wish.reason.chars().any(char::is_control) {
        let text = format!("is over {REASON_BYTES_MAX} bytes or has control characters");
        return Err(bad(text).at("reason"));
    }
    let until_unix_ms = match (wish.until.as_deref(), wish.for_s) {
        (Some(_), Some(_)) => {
            return Err(bad("and `until` exclude each other; leave one out").at("for_s"));
        }
        (Some(text), None) => Some(moment(text).ok_or_else(|| {
            bad("is no time; write 2026-11-21T23:30:00+01:00, or ms since 1970").at("until")
        })?),
        (None, Some(for_s @ 1..=OVERRIDE_S_MAX)) => Some(now.unix_ms + u64::from(for_s) * 1000),
        (None, Some(for_s)) => {
            return Err(bad(format!("is {for_s}; use 1 to {OVERRIDE_S_MAX}")).at("for_s"));
        }
        (None, None) => None,
    };
    Ok(NewOverride { level_pct: wish.level_pct, until_unix_ms, reason: wish.reason })
}
