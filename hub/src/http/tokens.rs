//! Tokens of operators and dashboards: `/v1/tokens`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::auth::Person;
use super::devices::bad;
use super::problem::Problem;
use crate::access::{Subject, Verb, resource};
use crate::clock::Now;

/// For whom a token is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    role: String,
    name: String,
}

/// `POST /v1/tokens`: needs `manage` on `hub.tokens`, and a role that has all that the new one has.
pub async fn issue(
    person: Person,
    State(api): State<Api>,
    body: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    person.require(Verb::Manage, resource::TOKENS)?;
    let Json(new) = body.map_err(|error| bad(error.body_text()))?;
    let role = api.broker.role(&new.role)?;
    // Or who may issue tokens could do everything.
    if !person.identity().role().is_some_and(|own| own.includes(&role)) {
        return Err(Problem::beyond_own_role(person.identity(), role.name()).at("role"));
    }
    let (id, token) = api.broker.issue_token(Now::read(), &new.role, &new.name).await?;
    let answer = json!({ "id": id, "role": new.role, "name": new.name, "token": token.secret() });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `GET /v1/tokens`: needs `manage` on `hub.tokens`.
pub async fn list(person: Person, State(api): State<Api>) -> Result<Json<Value>, Problem> {
    person.require(Verb::Manage, resource::TOKENS)?;
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
    Ok(Json(json!({ "tokens": tokens })))
}

/// `DELETE /v1/tokens/{id}`: needs `manage` on `hub.tokens`.
pub async fn revoke(
    person: Person,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    person.require(Verb::Manage, resource::TOKENS)?;
    api.broker.revoke_token(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
