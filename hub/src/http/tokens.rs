//! Tokens of people and programs: `/v1/tokens`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::Document;
use super::devices::unkept;
use super::problem::Problem;
use crate::access::{Subject, Verb, resource};
use crate::clock::Now;

/// For whom a token is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it allows: `operator`, `viewer`, or a role of the configuration.
    #[schema(min_length = 1, max_length = 64, example = "viewer")]
    role: String,
    /// Whose it is, for people: 1 to 64 bytes.
    #[schema(min_length = 1, max_length = 64, pattern = "^[ -~]+$", example = "control-room")]
    name: String,
}

/// A token that was issued.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedToken {
    /// Names it without revealing it.
    id: String,
    /// What it allows.
    role: String,
    /// Whose it is.
    name: String,
    /// Shown here and never again.
    token: String,
}

/// A token as lists show it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenDocument {
    /// Names it without revealing it.
    id: String,
    /// What it allows.
    role: String,
    /// Whose it is.
    name: String,
    /// ms since 1970, UTC.
    created_unix_ms: u64,
}

/// All tokens of people and programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// Oldest first.
    tokens: Vec<TokenDocument>,
}

/// A token in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct TokenPath {
    /// The token's id: 16 hexadecimal digits.
    #[param(pattern = "^[0-9a-f]{16}$")]
    id: String,
}

/// Issue a token to a person or a program. Needs `manage` on `hub.tokens`, and a role that has all that
/// the new one has.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, description = "issued, on disk", body = IssuedToken)))]
pub async fn issue(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Document(new): Document<NewToken>,
) -> Result<(StatusCode, HeaderMap, Json<IssuedToken>), Problem> {
    person.require(Verb::Manage, resource::TOKENS)?;
    let role = api.broker.role(&new.role)?;
    // Or who may issue tokens could do everything.
    if !person.identity().role().is_some_and(|own| own.includes(&role)) {
        return Err(Problem::beyond_own_role(person.identity(), role.name()).at("role"));
    }
    let (id, token) = api.broker.issue_token(Now::read(), &new.role, &new.name, &by).await?;
    let token = token.secret().to_owned();
    let issued = IssuedToken { id, role: new.role, name: new.name, token };
    Ok((StatusCode::CREATED, unkept(), Json(issued)))
}

/// List the tokens of people and programs. Those of devices come and go with the devices.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, description = "the tokens", body = TokenList)))]
pub async fn list(person: Person, State(api): State<Api>) -> Result<Json<TokenList>, Problem> {
    person.require(Verb::Manage, resource::TOKENS)?;
    let documents = api.broker.tokens().into_iter().filter_map(|(id, credential)| {
        let created_unix_ms = credential.created_unix_ms;
        match credential.subject {
            Subject::Person { role, name } => {
                Some(TokenDocument { id, role, name, created_unix_ms })
            }
            Subject::Device(_) => None,
        }
    });
    Ok(Json(TokenList { tokens: documents.collect() }))
}

/// Revoke a token. Its sessions end at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(TokenPath),
    responses((status = 204, description = "revoked, on disk")))]
pub async fn revoke(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    person.require(Verb::Manage, resource::TOKENS)?;
    api.broker.revoke_token(Now::read(), &id, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}
