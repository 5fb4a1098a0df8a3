//! What the hub runs with: `/v1/config`, and the part of it that the dashboard needs, `/v1/dashboard`; read
//! only.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::auth::{Operator, Person};

/// The configuration in force.
#[derive(Debug, Default)]
pub struct Settings {
    /// All of it, every default filled in, as in the file.
    pub shown: Value,
    /// Pictures below the lamps.
    pub tiles: Option<Tiles>,
}

/// Pictures below the lamps of the dashboard's map, by a server that isn't the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tiles {
    /// With `{z}`, `{x}` and `{y}` for zoom, column and row (Web Mercator).
    #[schema(example = "https://tiles.city.example/{z}/{x}/{y}.png")]
    pub url: String,
    /// Whose pictures these are.
    pub attribution: String,
    /// Whom a browser asks for them: scheme, host and port.
    #[serde(skip)]
    pub origin: String,
}

/// What the dashboard is to show beside the fleet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dashboard {
    /// None: the map has nothing below its lamps.
    #[serde(skip_serializing_if = "Option::is_none")]
    tiles: Option<Tiles>,
}

/// The configuration in force, every default filled in, as in the file. It holds no secret: keys and
/// tokens stand in files of their own.
#[utoipa::path(get, path = "/v1/config", tag = "hub",
    responses((status = 200, description = "the configuration", body = Object)))]
pub async fn config(_: Operator, State(api): State<Api>) -> Json<Value> {
    Json(api.settings.shown.clone())
}

/// What the configuration says to the dashboard.
#[utoipa::path(get, path = "/v1/dashboard", tag = "hub",
    responses((status = 200, description = "what the page needs to know", body = Dashboard)))]
pub async fn dashboard(_: Person, State(api): State<Api>) -> Json<Dashboard> {
    Json(Dashboard { tiles: api.settings.tiles.clone() })
}
