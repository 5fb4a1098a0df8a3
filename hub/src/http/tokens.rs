//! Tokens of operators and dashboards: `/v1/tokens`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::audit::By;
use super::auth::Operator;
use super::devices::bad;
use super::problem::Problem;
use crate::access::{Role, Subject};
use crate::clock::Now;

/// For whom a token is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    role: Role,
    name: String,
}

/// `POST /v1/tokens`
pub async fn issue(
    _: Operator,
    By(by): By,
    State(api): State<Api>,
    body: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(new) = body.map_err(|error| bad(error.body_text()))?;
    let (id, token) = api.broker.issue_token(Now::read(), new.role, &new.name, &by).await?;
    let answer = json!({ "id": id, "role": new.role, "name": new.name, "token": token.secret() });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `GET /v1/tokens`
pub async fn list(_: Operator, State(api): State<Api>) -> Json<Value> {
    let tokens: Vec<Value> = api
        .broker
        .tokens()
        .into_iter()
        .filter_map(|(id, credential)| match credential.subject {
            Subject::Person { role, name } => Some(json!({
                "id": id,
                "role": role,
                "name": name,
                "created_unix_ms": credential.created_unix_ms,
            })),
            Subject::Device(_) => None,
        })
        .collect();
    Json(json!({ "tokens": tokens }))
}

/// `DELETE /v1/tokens/{id}`
pub async fn revoke(
    _: Operator,
    By(by): By,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    api.broker.revoke_token(Now::read(), &id, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}
