//! What happened to a device, and why it did not do what was wanted: `/v1/devices/{id}/timeline`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::Api;
use super::auth::Reader;
use super::devices::{bad, device_id, not_registered};
use super::problem::Problem;
use crate::broker::timeline::Timeline;
use crate::clock::Now;

/// ms: what is shown if nothing is said.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Which stretch of time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineQuery {
    /// ms since 1970, UTC; a day before `to` if not said.
    from: Option<u64>,
    /// ms since 1970, UTC; now if not said.
    to: Option<u64>,
}

/// `GET /v1/devices/{id}/timeline`
pub async fn of_device(
    _: Reader,
    State(api): State<Api>,
    Path(id): Path<String>,
    query: Result<Query<TimelineQuery>, QueryRejection>,
) -> Result<Json<Timeline>, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let id = device_id(&id)?;
    let now = Now::read();
    let to = query.to.unwrap_or(now.unix_ms);
    let from = query.from.unwrap_or_else(|| to.saturating_sub(DAY_MS));
    if from > to {
        return Err(bad("is after `to`; both are ms since 1970").at("from"));
    }
    let found = api.broker.timeline(now, &id, from, to)?;
    found.map(Json).ok_or_else(|| not_registered(&id))
}
