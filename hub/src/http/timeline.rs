//! What happened to a device, and why it did not do what was wanted: `/v1/devices/{id}/timeline`.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::auth::Person;
use super::devices::{DevicePath, bad, device_id, not_registered};
use super::problem::Problem;
use super::query::Params;
use crate::access::Verb;
use crate::broker::timeline::Timeline;
use crate::clock::Now;

/// ms: what is shown if nothing is said.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Which stretch of time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// ms since 1970, UTC; a day before `to` if not said.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    from: Option<u64>,
    /// ms since 1970, UTC; now if not said.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    to: Option<u64>,
}

/// Get what happened to a device, and why it did not do what was wanted. Needs `subscribe` on all of the
/// device's channels.
#[utoipa::path(get, path = "/v1/devices/{id}/timeline", tag = "devices",
    params(DevicePath, TimelineQuery),
    responses((status = 200, description = "the timeline", body = Timeline)))]
pub async fn of_device(
    person: Person,
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(query): Params<TimelineQuery>,
) -> Result<Json<Timeline>, Problem> {
    let id = device_id(&id)?;
    for channel in proto::channels::ALL {
        person.require(Verb::Subscribe, channel.of(&id).as_str())?;
    }
    for (time, field) in [(query.from, "from"), (query.to, "to")] {
        if time.is_some_and(|time| i64::try_from(time).is_err()) {
            return Err(bad("is no time in ms since 1970").at(field));
        }
    }
    let now = Now::read();
    let to = query.to.unwrap_or(now.unix_ms);
    let from = query.from.unwrap_or_else(|| to.saturating_sub(DAY_MS));
    if from > to {
        return Err(bad("is after `to`; both are ms since 1970").at("from"));
    }
    let found = api.broker.timeline(now, &id, from, to)?;
    found.map(Json).ok_or_else(|| not_registered(&id))
}
