//! The registry as a resource: `/v1/devices`.

use std::fmt;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use proto::channels::{self, PREFIX};
use proto::{ChannelName, DeviceId};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::Document;
use super::fields::Fields;
use super::problem::Problem;
use super::query::Params;
use super::version::{self, Conditions, NEVER, Version};
use super::walk::walk;
use crate::access::{Token, Verb, grant};
use crate::broker::listing::{Listing, Sort};
use crate::broker::registry::{DeviceView, Existing, NewDevice};
use crate::clock::Now;
use crate::selector::Selector;

/// Devices of one request or one page.
const DEVICES_MAX: usize = 1000;
const PAGE_DEFAULT: usize = 100;
/// Bytes of a text that is looked for.
const TEXT_BYTES_MAX: usize = 128;

/// What a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// A selector, as in `street='Queen St'`.
    #[serde(rename = "where", default)]
    #[param(required = false, example = "street='Queen St'")]
    selector: String,
    /// Stands in the id, the profile or the value of a label.
    #[serde(default)]
    #[param(required = false, max_length = 128)]
    text: String,
    /// Only those that are here, or only the others.
    online: Option<bool>,
    /// `id`, `created` (when it was registered) or `since` (since when it is here or gone); `-` in front
    /// turns the order round.
    #[param(pattern = "^-?(id|created|since)$", example = "-since")]
    sort: Option<String>,
    /// Members to show, with commas, as in `id,online,labels.street`; all if left out.
    #[param(
        pattern = "^[a-zA-Z][a-zA-Z0-9_-]*(\\.[a-zA-Z][a-zA-Z0-9_-]*)*(,[a-zA-Z][a-zA-Z0-9_-]*(\\.[a-zA-Z][a-zA-Z0-9_-]*)*)*$",
        max_length = 512
    )]
    fields: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    #[param(required = false)]
    cursor: String,
    /// Devices of a page, 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// What to do with devices that exist.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AddQuery {
    /// `new-token` gives devices that exist a new token; without it they are a conflict.
    #[param(pattern = "^new-token$")]
    existing: Option<String>,
}

/// One device, or several.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Several; all are added or none.
    Many(Vec<NewDevice>),
    /// One.
    One(NewDevice),
}

/// By hand, since the derived one forgets what is wrong, and where.
impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany, A::Error> {
                NewDevice::deserialize(MapAccessDeserializer::new(map)).map(OneOrMany::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }
        from.deserialize_any(Either)
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceList {
    /// The devices, with the members that were asked for.
    #[schema(value_type = Vec<Object>)]
    devices: Vec<Value>,
    /// How many there are on all pages.
    total: usize,
    /// The `cursor` of the next page; `null` after the last.
    next: Option<String>,
}

/// A device that was added, with the token that it connects with.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedDevice {
    /// Its id.
    id: String,
    /// Shown here and never again.
    token: String,
}

/// Devices that were added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedDevices {
    /// In the order of the request.
    devices: Vec<AddedDevice>,
}

impl From<(DeviceId, Token)> for AddedDevice {
    fn from((id, token): (DeviceId, Token)) -> Self {
        Self { id: id.as_str().to_owned(), token: token.secret().to_owned() }
    }
}

/// The version of a device: of its registration and of its presence.
pub fn version_of(device: &DeviceView) -> Version {
    Version::of_both(device.revision, device.presence_revision)
}

/// List devices: by selector, text and presence, page by page. Shows those whose `registration` the
/// caller may see.
#[utoipa::path(get, path = "/v1/devices", tag = "devices", params(ListQuery),
    responses((status = 200, description = "a page", body = DeviceList)))]
pub async fn list(
    person: Person,
    State(api): State<Api>,
    Params(query): Params<ListQuery>,
) -> Result<Json<DeviceList>, Problem> {
    let selector =
        Selector::parse(&query.selector).map_err(|error| bad(error.to_string()).at("where"))?;
    check_text(&query.text, "text")?;
    let sort = match query.sort.as_deref() {
        None => Sort::default(),
        Some(word) => Sort::parse(word)
            .ok_or_else(|| bad("takes `id`, `created` or `since`, with `-` in front").at("sort"))?,
    };
    let fields = Fields::parse(query.fields.as_deref())?;
    let limit = page_limit(query.limit, PAGE_DEFAULT, DEVICES_MAX)?;
    let (text, online, cursor) = (query.text, query.online, query.cursor);
    let listing = Listing { selector, text, online, sort, cursor, limit };
    let page = walk(&api, move |broker| {
        let identity = person.identity();
        let sees_all = identity.may_all(Verb::Subscribe);
        let may_see = |id: &DeviceId| sees_all || identity.may_see(registration(id).as_str());
        broker.list_devices(&listing, may_see)
    });
    let page = page.await??;
    let devices = page.devices.iter().map(|device| fields.of(device)).collect();
    Ok(Json(DeviceList { devices, total: page.total, next: page.next }))
}

/// Add one device or up to a thousand, all or none; each gets a token, shown once. Needs `manage` on each
/// `devices.<id>`.
#[utoipa::path(post, path = "/v1/devices", tag = "devices", params(AddQuery),
    request_body = OneOrMany,
    responses((status = 201, description = "added, on disk", body = AddedDevices)))]
pub async fn add(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Params(query): Params<AddQuery>,
    Document(body): Document<OneOrMany>,
) -> Result<(StatusCode, HeaderMap, Json<AddedDevices>), Problem> {
    let existing = match query.existing.as_deref() {
        None => Existing::Refuse,
        Some("new-token") => Existing::NewToken,
        Some(_) => return Err(bad("takes `new-token` only").at("existing")),
    };
    let new = match body {
        OneOrMany::One(device) => vec![device],
        OneOrMany::Many(devices) => devices,
    };
    if new.len() > DEVICES_MAX {
        return Err(bad(format!("{} devices; at most {DEVICES_MAX} at once", new.len())));
    }
    for device in &new {
        let name = device_id(&device.id).map(|id| grant::device_name(&id));
        // An id that is none is refused below, by what is wrong with it.
        person.require(Verb::Manage, name.as_deref().unwrap_or(PREFIX))?;
    }
    let added = api.broker.add_devices(Now::read(), new, existing, &by).await?;
    let devices = added.into_iter().map(AddedDevice::from).collect();
    Ok((StatusCode::CREATED, unkept(), Json(AddedDevices { devices })))
}

/// One device, with its presence. Needs `subscribe` on its `registration`.
#[utoipa::path(get, path = "/v1/devices/{id}", tag = "devices", params(DevicePath),
    responses((status = 200, description = "the device", body = DeviceView)))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Subscribe, registration(&id).as_str())?;
    let device = api.broker.device(&id)?.ok_or_else(|| not_registered(&id))?;
    Ok(version::answer(&conditions, &version_of(&device), &device))
}

/// Take a device out: its session and its waiting commands end, its token is worth nothing. Needs `manage`
/// on `devices.<id>`.
#[utoipa::path(delete, path = "/v1/devices/{id}", tag = "devices", params(DevicePath),
    responses((status = 204, description = "gone, on disk")))]
pub async fn remove(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Manage, &grant::device_name(&id))?;
    let is_meant = |device: &DeviceView| conditions.allow(Some(&version_of(device)));
    if let Some(device) = api.broker.remove_device(Now::read(), &id, &by, is_meant).await? {
        return Err(super::device::stale(&device));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A device in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct DevicePath {
    /// The device's id.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{2,63}$", example = "lamp-0042")]
    id: String,
}

/// The device id of a path.
///
/// # Errors
/// There can be no such device.
pub fn device_id(text: &str) -> Result<DeviceId, Problem> {
    DeviceId::parse(text).map_err(|_| Problem::not_found("no device has an id like this").at("id"))
}

/// The channel whose sight is the sight of a device's entry in the registry.
pub fn registration(id: &DeviceId) -> ChannelName {
    channels::REGISTRATION.of(id)
}

/// There could be such a device, but there is none.
pub fn not_registered(id: &DeviceId) -> Problem {
    Problem::not_found(format!("{id} is not registered")).at("id")
}

/// The request makes no sense.
pub fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "BAD_VALUE", detail)
}

/// How long a page may be.
///
/// # Errors
/// More was asked for than one page may have, or nothing.
pub fn page_limit(asked: Option<usize>, default: usize, max: usize) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(default);
    if (1..=max).contains(&limit) {
        Ok(limit)
    } else {
        Err(bad(format!("is {limit}; use 1 to {max}")).at("limit"))
    }
}

/// Whether a text that is looked for is short enough.
///
/// # Errors
/// It isn't.
pub fn check_text(text: &str, field: &'static str) -> Result<(), Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(bad(format!("has {} bytes; at most {TEXT_BYTES_MAX}", text.len())).at(field));
    }
    Ok(())
}

/// The headers of an answer with a secret.
pub fn unkept() -> HeaderMap {
    HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static(NEVER))])
}
