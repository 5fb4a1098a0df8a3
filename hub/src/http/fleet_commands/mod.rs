//! One order for many devices: `/v1/fleet-commands`.
//!
//! Read `request` for what is asked, `document` for what is shown.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

mod document;
mod request;

use super::Api;
use super::audit::By;
use super::auth::{Person, Reader};
use super::body::Document;
use super::devices::bad;
use super::problem::Problem;
use crate::access::{Identity, Verb};
use crate::audit::{Record, Verb as Deed};
use crate::broker::Broker;
use crate::broker::fleet_request::{Declined, Resolved, Whom};
use crate::clock::Now;
use crate::fleet::{Fleet, FleetId, Outcome, Target};

pub use document::{
    CountsDocument, DryRun, FleetDocument, FleetPage, TargetDocument, TargetPage, WavesDocument,
};
pub use request::{NewFleetCommand, WavesBody, WindowBody};

/// Targets, or fleet commands, of one page.
const PAGE_MAX: usize = 1_000;
const PAGE_DEFAULT: usize = 100;
/// What a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Only targets in this state.
    state: Option<String>,
    /// Where the page before said to go on.
    #[serde(default)]
    cursor: String,
    /// 1 to 1,000; 100 if not said.
    limit: Option<usize>,
}

/// `POST /v1/fleet-commands`: 202 with the fleet command once it is durable with all its targets, 200
/// with counts for a dry run, 409 with the number of targets where that must be confirmed.
pub async fn create(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Document(new): Document<NewFleetCommand>,
) -> Result<Response, Problem> {
    let identity = person.identity();
    if !identity.commands() {
        return Err(Problem::not_permitted(identity, Verb::Command, "devices.*"));
    }
    let now = Now::read();
    let whom = request::whom(&new)?;
    let plan = request::plan(&api.broker, identity, &new, &whom, now)?;
    if !new.dry_run
        && let Some(id) = api.broker.repeated_fleet(&plan)?
    {
        return accepted(&api.broker, id, now);
    }
    let resolved = resolve(&api, identity, whom).await?;
    if new.dry_run {
        return Ok(Json(document::dry_run(&resolved)).into_response());
    }
    match api.broker.send_fleet(plan, resolved, new.confirm, by).await {
        Ok((id, _)) => accepted(&api.broker, id, now),
        Err(Declined::Refused(refusal)) => Err(refusal.into()),
        Err(Declined::Confirm(count)) => Err(Problem::unconfirmed(count)),
    }
}

/// `GET /v1/fleet-commands`
pub async fn list(
    _: Reader,
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<FleetPage>, Problem> {
    let (query, limit) = page_query(query)?;
    let cursor = match query.cursor.as_str() {
        "" => None,
        text => Some(FleetId::parse(text).ok_or_else(|| bad("is no id").at("cursor"))?),
    };
    if query.state.is_some() {
        return Err(bad("is for the targets of one fleet command").at("state"));
    }
    let now = Now::read();
    let look = |id, fleet: &Fleet| document::document(&api.broker, id, fleet, now);
    let mut found = api.broker.with_fleets(cursor, limit + 1, look);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(FleetPage { fleet_commands: found, next }))
}

/// `GET /v1/fleet-commands/{id}`
pub async fn one(
    _: Reader,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<FleetDocument>, Problem> {
    let id = fleet_id(&id)?;
    let now = Now::read();
    let found = api.broker.with_fleet(id, |fleet| document::document(&api.broker, id, fleet, now));
    found.map(Json).ok_or_else(unknown)
}

/// `GET /v1/fleet-commands/{id}/targets`
pub async fn targets(
    _: Reader,
    State(api): State<Api>,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<TargetPage>, Problem> {
    let id = fleet_id(&id)?;
    let (query, limit) = page_query(query)?;
    let state = query.state.as_deref().map(outcome).transpose()?;
    let page = api.broker.with_fleet(id, |fleet| {
        let after = |target: &&Target| target.device.as_str() > query.cursor.as_str();
        let wanted = |target: &&Target| state.is_none_or(|state| target.outcome == state);
        let found = fleet.targets().iter().filter(after).filter(wanted);
        found.take(limit + 1).map(document::target_document).collect::<Vec<_>>()
    });
    let mut targets = page.ok_or_else(unknown)?;
    let more = targets.len() > limit;
    targets.truncate(limit);
    let next = targets.last().filter(|_| more).map(|last| last.device.clone());
    Ok(Json(TargetPage { targets, next }))
}

/// `DELETE /v1/fleet-commands/{id}`: what was not sent is withdrawn. For its sender, and for operators.
pub async fn cancel(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = fleet_id(&id)?;
    let sender = api.broker.with_fleet(id, |fleet| fleet.plan().sender.clone());
    let identity = person.identity();
    if sender.ok_or_else(unknown)? != identity.to_string() && !identity.may_all(Verb::Command) {
        return Err(Problem::not_permitted(identity, Verb::Command, "devices.*"));
    }
    let record = Record::done(by, Deed::CancelCommand, format!("fleet {id}"));
    api.broker.audit_durably(Now::read(), record).await?;
    api.broker.cancel_fleet(Now::read(), id, identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn page_query(
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<(PageQuery, usize), Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(bad(format!("is {limit}; use 1 to {PAGE_MAX}")).at("limit"));
    }
    Ok((query, limit))
}

fn fleet_id(text: &str) -> Result<FleetId, Problem> {
    FleetId::parse(text).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("the hub knows no such fleet command; it may be forgotten").at("id")
}

fn outcome(word: &str) -> Result<Outcome, Problem> {
    Outcome::from_word(word).ok_or_else(|| {
        let words = Outcome::ALL.map(Outcome::word).join(", ");
        bad(format!("is none of {words}")).at("state")
    })
}

/// Walks over all devices on a thread of its own: others must not wait for it.
async fn resolve(api: &Api, identity: &Identity, whom: Whom) -> Result<Resolved, Problem> {
    let (broker, identity) = (api.broker.clone(), identity.clone());
    let resolving = tokio::task::spawn_blocking(move || {
        broker.resolve(&whom, |id, _| identity.may_command(id))
    });
    match resolving.await {
        Ok(resolved) => Ok(resolved?),
        Err(_) => {
            let text = "the selector could not be resolved; see the hub's log";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "UNSPECIFIED", text))
        }
    }
}

fn accepted(broker: &Broker, id: FleetId, now: Now) -> Result<Response, Problem> {
    let found = broker.with_fleet(id, |fleet| document::document(broker, id, fleet, now));
    let found = found.ok_or_else(unknown)?;
    let place = HeaderValue::try_from(format!("/v1/fleet-commands/{id}"));
    let mut response = (StatusCode::ACCEPTED, Json(found)).into_response();
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}
