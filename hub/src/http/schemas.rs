//! The types that operators add: `/v1/schemas`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::{Operator, Reader};
use super::devices::bad;
use super::negotiate::{self, PROTOBUF};
use super::problem::Problem;
use crate::broker::schemas::{Added, SchemaView};
use crate::clock::Now;

/// What a set is to be called, and whether to take it whatever it breaks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddQuery {
    name: String,
    #[serde(default)]
    force: bool,
}

/// Whether to remove a set though it is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    #[serde(default)]
    force: bool,
}

/// All descriptor sets.
#[derive(Debug, Serialize)]
pub struct SchemaList {
    /// By name.
    pub schemas: Vec<SchemaView>,
}

/// `POST /v1/schemas?name=…`: adds a `google.protobuf.FileDescriptorSet`, or a new version of it. 201
/// with what it brings; 200 if this very set holds already; 409 names what it breaks.
pub async fn add(
    Operator(identity): Operator,
    State(api): State<Api>,
    query: Result<Query<AddQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<SchemaView>), Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    negotiate::expect_protobuf(headers.get(header::CONTENT_TYPE))?;
    let body =
        body.map_err(|error| Problem::new(error.status(), "STATE_LIMIT", error.body_text()))?;
    let by = identity.to_string();
    let added = api.broker.add_schema(Now::read(), &by, &query.name, body, query.force).await?;
    Ok(match added {
        Added::Changed(view) => (StatusCode::CREATED, Json(view)),
        Added::Unchanged(view) => (StatusCode::OK, Json(view)),
    })
}

/// `GET /v1/schemas`: all sets with their versions and what they bring.
pub async fn list(_: Reader, State(api): State<Api>) -> Json<SchemaList> {
    Json(SchemaList { schemas: api.broker.schemas() })
}

/// `GET /v1/schemas/{name}`: the set as it was added, for readers that decode protobuf themselves.
pub async fn one(
    _: Reader,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let (bytes, hash) = api.broker.schema(&name)?;
    let headers =
        [(header::CONTENT_TYPE, PROTOBUF.to_owned()), (header::ETAG, format!("\"{hash}\""))];
    Ok((headers, bytes).into_response())
}

/// `DELETE /v1/schemas/{name}`: removes a set; payloads of its types are bytes from then on.
pub async fn remove(
    _: Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Result<Query<RemoveQuery>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    api.broker.remove_schema(&name, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}
