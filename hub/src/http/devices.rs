//! The registry as a resource: `/v1/devices`.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use proto::DeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::auth::{Operator, Reader};
use super::problem::Problem;
use crate::broker::registry::{DeviceView, Existing, NewDevice};
use crate::clock::Now;
use crate::selector::Selector;

/// Devices of one request or one page.
const DEVICES_MAX: usize = 1000;
const PAGE_DEFAULT: usize = 100;

/// What a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(rename = "where", default)]
    selector: String,
    #[serde(default)]
    cursor: String,
    limit: Option<usize>,
}

/// What to do with devices that exist.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddQuery {
    existing: Option<String>,
}

/// One device, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// An array.
    Many(Vec<NewDevice>),
    /// An object.
    One(NewDevice),
}

/// `GET /v1/devices`
pub async fn list(
    _: Reader,
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let selector =
        Selector::parse(&query.selector).map_err(|error| bad(error.to_string()).at("where"))?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=DEVICES_MAX).contains(&limit) {
        return Err(bad(format!("is {limit}; use 1 to {DEVICES_MAX}")).at("limit"));
    }
    let (devices, more) = api.broker.list_devices(&selector, &query.cursor, limit)?;
    let next = devices.last().filter(|_| more).map(|device| device.id.clone());
    Ok(Json(json!({ "devices": devices, "next": next })))
}

/// `POST /v1/devices`
pub async fn add(
    _: Operator,
    State(api): State<Api>,
    query: Result<Query<AddQuery>, QueryRejection>,
    body: Result<Json<OneOrMany>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let existing = match query.existing.as_deref() {
        None => Existing::Refuse,
        Some("new-token") => Existing::NewToken,
        Some(_) => return Err(bad("takes `new-token` only").at("existing")),
    };
    let Json(body) = body.map_err(|error| bad(error.body_text()))?;
    let new = match body {
        OneOrMany::One(device) => vec![device],
        OneOrMany::Many(devices) => devices,
    };
    if new.len() > DEVICES_MAX {
        return Err(bad(format!("{} devices; at most {DEVICES_MAX} at once", new.len())));
    }
    let added = api.broker.add_devices(Now::read(), new, existing).await?;
    let devices: Vec<Value> = added
        .iter()
        .map(|(id, token)| json!({ "id": id.as_str(), "token": token.secret() }))
        .collect();
    Ok((StatusCode::CREATED, Json(json!({ "devices": devices }))))
}

/// `GET /v1/devices/{id}`
pub async fn one(
    _: Reader,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<DeviceView>, Problem> {
    let id = device_id(&id)?;
    api.broker.device(&id)?.map(Json).ok_or_else(|| not_registered(&id))
}

/// `DELETE /v1/devices/{id}`
pub async fn remove(
    _: Operator,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = device_id(&id)?;
    api.broker.remove_device(Now::read(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The device id of a path.
///
/// # Errors
/// There can be no such device.
pub fn device_id(text: &str) -> Result<DeviceId, Problem> {
    DeviceId::parse(text).map_err(|_| Problem::not_found("no device has an id like this").at("id"))
}

/// There could be such a device, but there is none.
pub fn not_registered(id: &DeviceId) -> Problem {
    Problem::not_found(format!("{id} is not registered")).at("id")
}

/// The request makes no sense.
pub fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "BAD_VALUE", detail)
}
