//! Channels as resources: `/v1/channels`. Reading a last value and a history, and publishing.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use proto::{ChannelName, ChannelPattern};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::accept;
use super::audit::By;
use super::auth::Person;
use super::body::{Body, MergePatch, PROTOBUF};
use super::devices::{bad, page_limit};
use super::problem::Problem;
use super::query::Params;
use super::readers::ask::wait;
use super::readers::poll::apply;
use super::readers::wait::wait_for_newer;
use super::value::ValueDocument;
use super::version::{self, Conditions, Version};
use crate::access::Verb;
use crate::audit::Actor;
use crate::broker::at_once::{Publishing, Written};
use crate::broker::channel::Channel;
use crate::clock::Now;
use crate::codec::{Encoding, Frame, Refusal};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

/// A channel in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct ChannelPath {
    /// 1 to 8 segments with dots between them.
    #[param(
        pattern = "^[A-Za-z0-9_-]{1,64}(\\.[A-Za-z0-9_-]{1,64}){0,7}$",
        max_length = 128,
        example = "devices.lamp-0042.telemetry"
    )]
    name: String,
}

/// Which of the channel's values.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TypeQuery {
    /// Full name of a message; the channel's first type if left out.
    #[serde(rename = "type", default)]
    #[param(required = false, max_length = 128, example = "lighting.v1.TelemetryBatch")]
    type_name: String,
}

/// What a list of channels is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Which channels: `*` for one segment, a last `>` for the rest; all if left out.
    #[param(example = "devices.*.faults")]
    pattern: Option<String>,
    /// `next` of the page before: the name of a channel.
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}(\\.[A-Za-z0-9_-]{1,64}){0,7}$", max_length = 128)]
    cursor: Option<String>,
    /// Channels of a page, 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// From where on a history is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// After this offset; from the beginning if left out.
    #[serde(default)]
    #[param(required = false, maximum = 18_446_744_073_709_551_615_u64)]
    since: u64,
}

/// A page of last values.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelList {
    /// In the order of the channels' names, one a type.
    values: Vec<ValueDocument>,
    /// The `cursor` of the next page; `null` after the last.
    next: Option<String>,
}

/// What a channel remembers.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    /// Of this start of the hub, as in positions.
    epoch: String,
    /// Whether this is all that was published after `since`; if not, the oldest are forgotten.
    complete: bool,
    /// Oldest first.
    messages: Vec<ValueDocument>,
}

/// What became of a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct Published {
    /// The revision that it got; the channel's ETag.
    revision: String,
    /// Whether it is on disk.
    durable: bool,
}

/// List last values by pattern, page by page.
#[utoipa::path(get, path = "/v1/channels", tag = "channels", params(ListQuery),
    responses((status = 200, description = "a page", body = ChannelList)))]
pub async fn list(
    person: Person,
    State(api): State<Api>,
    Params(query): Params<ListQuery>,
) -> Result<Json<ChannelList>, Problem> {
    let pattern = query.pattern.as_deref().unwrap_or(">");
    let pattern = ChannelPattern::parse(pattern)
        .map_err(|error| bad(format!("is no pattern: {error}")).at("pattern"))?;
    let identity = person.identity();
    if !identity.may_subscribe(&pattern) {
        return Err(Problem::not_permitted(identity, Verb::Subscribe, pattern.as_str()));
    }
    let cursor = query.cursor.as_deref().map(|cursor| name_of(cursor, "cursor")).transpose()?;
    let limit = page_limit(query.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let now = Now::read();
    let (mut frames, next) = api.broker.last_values(&pattern, cursor.as_ref(), limit)?;
    // A role with labels sees of a pattern what its devices bring.
    frames.retain(|frame| identity.may_see(frame.message().channel));
    let values = frames.iter().map(|frame| ValueDocument::of(&api.broker, frame, now)).collect();
    Ok(Json(ChannelList { values, next: next.map(|name| name.as_str().to_owned()) }))
}

/// The last value of a channel, as JSON or, by `Accept: application/x-protobuf`, as its bytes. Who names by
/// `If-None-Match` the value that it has may wait for the next one.
#[utoipa::path(get, path = "/v1/channels/{name}", tag = "channels",
    params(ChannelPath, TypeQuery, ("Prefer" = Option<String>, Header,
        description = "`wait=30`: how many s to wait for another value than that of `If-None-Match`, 60 at \
                       most; then 304")),
    responses((status = 200, description = "the value", content(
        (ValueDocument = "application/json"), (Vec<u8> = "application/x-protobuf")))))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    Params(query): Params<TypeQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let channel = readable(&api, &person, &name)?;
    let type_name = channel.type_named(&query.type_name)?;
    let frame = channel.last_of(type_name);
    let mut frame = frame.ok_or_else(|| Problem::not_found("the channel keeps no such value"))?;
    let encoding = accept::preferred(&headers)?;
    let patience = wait(&headers).filter(|_| conditions.has(&accept::version(encoding, &frame)));
    if let Some(patience) = patience {
        let known = frame.offset();
        let newer = wait_for_newer(&api, &person.0, &channel.name, type_name, known, patience);
        frame = newer.await?.unwrap_or(frame);
    }
    let mut response = respond(&api, &conditions, &frame, encoding);
    apply(&mut response, patience);
    Ok(response)
}

/// What a channel remembers of its recent messages, oldest first.
#[utoipa::path(get, path = "/v1/channels/{name}/history", tag = "channels",
    params(ChannelPath, HistoryQuery),
    responses((status = 200, description = "the messages", body = History)))]
pub async fn history(
    person: Person,
    State(api): State<Api>,
    Path(name): Path<String>,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<History>, Problem> {
    let channel = readable(&api, &person, &name)?;
    let now = Now::read();
    let (frames, complete) = channel.history(query.since);
    let messages = frames.iter().map(|frame| ValueDocument::of(&api.broker, frame, now)).collect();
    let epoch = api.broker.position().epoch.to_string();
    Ok(Json(History { epoch, complete, messages }))
}

/// Publish a value: JSON, or the encoded message as `application/x-protobuf`.
///
/// `If-Match` makes it depend on the value that stands; on a device's `desired` it is required.
#[utoipa::path(put, path = "/v1/channels/{name}", tag = "channels", params(ChannelPath, TypeQuery),
    request_body(content(
        (serde_json::Value = "application/json"), (Vec<u8> = "application/x-protobuf"))),
    responses((status = 200, description = "published", body = Published)))]
pub async fn put(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    Params(query): Params<TypeQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let channel = writable(&api, &person, &name, &conditions)?;
    let type_name = channel.type_named(&query.type_name)?.to_owned();
    let payload = match body {
        Body::Json(data) => from_json(&api, &type_name, &data)?,
        Body::Encoded(bytes) => bytes.to_vec(),
    };
    publish(&api, by, &channel, &type_name, |_| Ok(payload.clone()), &conditions).await
}

/// Change the value by a merge patch (RFC 7396) of its JSON: members replace, `null` takes away. Fields that
/// the hub doesn't know, which JSON doesn't show, stay.
#[utoipa::path(patch, path = "/v1/channels/{name}", tag = "channels", params(ChannelPath, TypeQuery),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "published", body = Published)))]
pub async fn patch(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    Params(query): Params<TypeQuery>,
    patch: MergePatch,
) -> Result<Response, Problem> {
    let channel = writable(&api, &person, &name, &conditions)?;
    let type_name = channel.type_named(&query.type_name)?.to_owned();
    let change = |held: Option<&Frame>| {
        let payload = held.and_then(|held| held.message().payload).unwrap_or_default();
        let patched = api.broker.patched(&type_name, payload, &patch.0);
        // The body is the patch.
        patched.map_err(|refusal| Problem::from(Refusal { field: "", ..refusal }))
    };
    publish(&api, by, &channel, &type_name, change, &conditions).await
}

fn from_json(api: &Api, type_name: &str, data: &serde_json::Value) -> Result<Vec<u8>, Problem> {
    if type_name.is_empty() {
        return Ok(data.to_string().into_bytes());
    }
    let encoded = api.broker.types.payload_from_json(type_name, data);
    encoded.map_err(|error| bad(format!("the body is not a {type_name}: {error}")))
}

async fn publish(
    api: &Api,
    by: Actor,
    channel: &Channel,
    type_name: &str,
    change: impl Fn(Option<&Frame>) -> Result<Vec<u8>, Problem> + Send,
    conditions: &Conditions,
) -> Result<Response, Problem> {
    let is_meant = |held: Option<&Frame>| {
        conditions.allow(held.map(|frame| Version::of(frame.offset())).as_ref())
    };
    let publishing = Publishing { type_name, by, is_meant, change };
    let written = api.broker.publish_at_once(channel, publishing).await?;
    let revision = match written {
        Written::Done { revision } => revision,
        Written::Stale(Some(frame)) => {
            let current = ValueDocument::of(&api.broker, &frame, Now::read());
            let version = Version::of(frame.offset());
            return Err(Problem::stale(version, super::device::document(&current)));
        }
        Written::Stale(None) => {
            return Err(Problem::unmet("the channel has no value yet; send If-None-Match: *"));
        }
    };
    let published = Published { revision: revision.to_string(), durable: channel.rule.durable };
    let mut response = Json(published).into_response();
    version::mark(&mut response, &Version::of(revision));
    Ok(response)
}

fn respond(api: &Api, conditions: &Conditions, frame: &Frame, encoding: Encoding) -> Response {
    let version = accept::version(encoding, frame);
    if encoding == Encoding::Json {
        let document = ValueDocument::of(&api.broker, frame, Now::read());
        return version::answer(conditions, &version, &document);
    }
    let mut response = if conditions.has(&version) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        frame.message().payload.unwrap_or_default().to_vec().into_response()
    };
    version::mark(&mut response, &version);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}

fn readable(api: &Api, person: &Person, name: &str) -> Result<std::sync::Arc<Channel>, Problem> {
    let name = name_of(name, "name")?;
    person.require(Verb::Subscribe, name.as_str())?;
    let unknown = || Problem::not_found("nothing was ever published there").at("name");
    api.broker.stored_channel(&name)?.ok_or_else(unknown)
}

fn writable(
    api: &Api,
    person: &Person,
    name: &str,
    conditions: &Conditions,
) -> Result<std::sync::Arc<Channel>, Problem> {
    let name = name_of(name, "name")?;
    person.require(Verb::Publish, name.as_str())?;
    let known = proto::channels::known(name.as_str());
    let is_desired = known.is_some_and(|(_, kind)| *kind == proto::channels::DESIRED);
    if is_desired && conditions.is_none() {
        return Err(Problem::version_required());
    }
    Ok(api.broker.channel(&name)?)
}

fn name_of(text: &str, field: &'static str) -> Result<ChannelName, Problem> {
    ChannelName::parse(text).map_err(|error| {
        let detail = format!("is no channel: it {error}");
        Problem::new(StatusCode::BAD_REQUEST, "BAD_CHANNEL", detail).at(field)
    })
}
