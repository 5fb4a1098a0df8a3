//! The types that operators add: `/v1/schemas`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::{Encoded, PROTOBUF};
use super::device::document;
use super::problem::Problem;
use super::query::Params;
use super::version::{self, Conditions, Version};
use crate::access::{Verb, resource};
use crate::broker::schemas::{Changed, SchemaView};
use crate::clock::Now;

/// What a set is to be called, and whether to take it whatever it breaks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AddQuery {
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[param(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "fleet")]
    name: String,
    /// Take it though it breaks with the version that holds.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

/// Whether to remove a set though it is used.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// Remove it though a channel rule names its messages.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

/// A descriptor set in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct SchemaPath {
    /// The name under which it was added.
    #[param(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "fleet")]
    name: String,
}

/// All descriptor sets.
#[derive(Debug, Serialize, ToSchema)]
pub struct SchemaList {
    /// By name.
    schemas: Vec<SchemaView>,
}

/// Add a `google.protobuf.FileDescriptorSet`, or a new version of it, which has to read what the version
/// before wrote. Needs `manage` on `hub.schemas`.
#[utoipa::path(post, path = "/v1/schemas", tag = "schemas", params(AddQuery),
    request_body(content(
        (Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/x-protobuf"))),
    responses(
        (status = 200, description = "this very set holds already", body = SchemaView),
        (status = 201, description = "its types hold, and it is on disk", body = SchemaView)))]
pub async fn add(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Params(query): Params<AddQuery>,
    Encoded(set): Encoded,
) -> Result<Response, Problem> {
    person.require(Verb::Manage, resource::SCHEMAS)?;
    let is_meant = |held: Option<&SchemaView>| conditions.allow(held.map(version_of).as_ref());
    let AddQuery { name, force } = query;
    match api.broker.add_schema(Now::read(), &by, &name, set, force, is_meant).await? {
        Changed::Done(view) => Ok(shown(StatusCode::CREATED, &view)),
        Changed::Unchanged(view) => Ok(shown(StatusCode::OK, &view)),
        Changed::Stale(held) => Err(stale(held.as_ref())),
    }
}

/// List the descriptor sets with their versions and what they bring. Needs `subscribe` on `hub.schemas`.
#[utoipa::path(get, path = "/v1/schemas", tag = "schemas",
    responses((status = 200, description = "the sets", body = SchemaList)))]
pub async fn list(person: Person, State(api): State<Api>) -> Result<Json<SchemaList>, Problem> {
    person.require(Verb::Subscribe, resource::SCHEMAS)?;
    Ok(Json(SchemaList { schemas: api.broker.schemas() }))
}

/// One set as it was added, for readers that decode protobuf themselves. Needs `subscribe` on
/// `hub.schemas`.
#[utoipa::path(get, path = "/v1/schemas/{name}", tag = "schemas", params(SchemaPath),
    responses((status = 200, description = "the set", body = Vec<u8>,
        content_type = "application/x-protobuf")))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    person.require(Verb::Subscribe, resource::SCHEMAS)?;
    let (bytes, hash) = api.broker.schema(&name)?;
    let version = Version::of_hash(&hash);
    let mut response = if conditions.has(&version) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes.into_response()
    };
    version::mark(&mut response, &version);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    Ok(response)
}

/// Remove a set: payloads of its types are bytes from then on. Needs `manage` on `hub.schemas`.
#[utoipa::path(delete, path = "/v1/schemas/{name}", tag = "schemas", params(SchemaPath, RemoveQuery),
    responses((status = 204, description = "gone, on disk")))]
pub async fn remove(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    Params(query): Params<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    person.require(Verb::Manage, resource::SCHEMAS)?;
    let is_meant = |held: Option<&SchemaView>| conditions.allow(held.map(version_of).as_ref());
    match api.broker.remove_schema(Now::read(), &by, &name, query.force, is_meant).await? {
        Changed::Done(_) | Changed::Unchanged(_) => Ok(StatusCode::NO_CONTENT),
        Changed::Stale(held) => Err(stale(held.as_ref())),
    }
}

fn version_of(set: &SchemaView) -> Version {
    Version::of_hash(&set.current.hash)
}

fn shown(status: StatusCode, set: &SchemaView) -> Response {
    let mut response = (status, Json(set)).into_response();
    version::mark(&mut response, &version_of(set));
    response
}

fn stale(held: Option<&SchemaView>) -> Problem {
    match held {
        Some(held) => Problem::stale(version_of(held), document(held)),
        None => Problem::unmet("there is no set of this name yet; leave If-Match out"),
    }
}
