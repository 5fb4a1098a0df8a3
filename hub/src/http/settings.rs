//! What the hub runs with: `/v1/config`, read only.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::Api;
use super::auth::Operator;

/// The configuration in force, every default filled in, as in the file. It holds no secret: keys and
/// tokens stand in files of their own.
#[utoipa::path(get, path = "/v1/config", tag = "hub",
    responses((status = 200, description = "the configuration", body = Object)))]
pub async fn config(_: Operator, State(api): State<Api>) -> Json<Value> {
    Json(api.config.as_ref().clone())
}
