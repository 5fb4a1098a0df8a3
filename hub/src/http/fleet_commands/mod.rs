//! One order for many devices: `/v1/fleet-commands`.
//!
//! Read `request` for what is asked, `document` for what is shown.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

mod document;
mod request;

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::Document;
use super::devices::{bad, page_limit};
use super::problem::Problem;
use super::query::Params;
use super::version::{self, Conditions, Version};
use super::walk::walk;
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

/// A fleet command in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct FleetPath {
    /// The fleet command's id.
    #[param(format = "uuid", example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    id: String,
}

/// What a list of fleet commands is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FleetQuery {
    /// `next` of the page before.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Fleet commands of a page, 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// What a list of targets is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TargetQuery {
    /// Only targets in this state.
    #[param(
        pattern = "^(waiting|accepted|sent|delivered|running|succeeded|failed|rejected|expired|canceled|superseded|unknown)$"
    )]
    state: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{2,63}$")]
    cursor: Option<String>,
    /// Targets of a page, 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Send one order to many devices. The answer comes when it is on disk with all its targets; a dry run only
/// counts. Needs `command`; devices that the sender may not command are left out and counted.
#[utoipa::path(post, path = "/v1/fleet-commands", tag = "commands", request_body = NewFleetCommand,
    responses(
        (status = 200, description = "a dry run's counts", body = DryRun),
        (status = 202, description = "accepted, on disk", body = FleetDocument)))]
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

/// List fleet commands, the newest first: all of them for who may see everything, else one's own.
#[utoipa::path(get, path = "/v1/fleet-commands", tag = "commands", params(FleetQuery),
    responses((status = 200, description = "a page", body = FleetPage)))]
pub async fn list(
    person: Person,
    State(api): State<Api>,
    Params(query): Params<FleetQuery>,
) -> Result<Json<FleetPage>, Problem> {
    let limit = page_limit(query.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let cursor = query
        .cursor
        .as_deref()
        .map(|text| FleetId::parse(text).ok_or_else(|| bad("is no `next` of a page").at("cursor")));
    let now = Now::read();
    let sees = sight(&person);
    let look =
        |id, fleet: &Fleet| sees(fleet).then(|| document::document(&api.broker, id, fleet, now));
    let mut found = api.broker.with_fleets(cursor.transpose()?, limit + 1, look);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(FleetPage { fleet_commands: found, next }))
}

/// Get one fleet command, with how many targets stand where.
#[utoipa::path(get, path = "/v1/fleet-commands/{id}", tag = "commands", params(FleetPath),
    responses((status = 200, description = "the fleet command", body = FleetDocument)))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = fleet_id(&id)?;
    let now = Now::read();
    let sees = sight(&person);
    let look = |fleet: &Fleet| sees(fleet).then(|| document::document(&api.broker, id, fleet, now));
    let document = api.broker.with_fleet(id, look).flatten().ok_or_else(unknown)?;
    Ok(version::answer(&conditions, &Version::of_content(&document), &document))
}

/// List what became of each target, in the order of the devices' ids.
#[utoipa::path(get, path = "/v1/fleet-commands/{id}/targets", tag = "commands",
    params(FleetPath, TargetQuery),
    responses((status = 200, description = "a page", body = TargetPage)))]
pub async fn targets(
    person: Person,
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(query): Params<TargetQuery>,
) -> Result<Json<TargetPage>, Problem> {
    let id = fleet_id(&id)?;
    let limit = page_limit(query.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let state = query.state.as_deref().map(outcome).transpose()?;
    let cursor = query.cursor.as_deref().unwrap_or_default();
    let sees = sight(&person);
    let page = api.broker.with_fleet(id, |fleet| {
        let after = |target: &&Target| target.device.as_str() > cursor;
        let wanted = |target: &&Target| state.is_none_or(|state| target.outcome == state);
        let found = fleet.targets().iter().filter(after).filter(wanted);
        sees(fleet).then(|| found.take(limit + 1).map(document::target_document).collect())
    });
    let mut targets: Vec<_> = page.flatten().ok_or_else(unknown)?;
    let more = targets.len() > limit;
    targets.truncate(limit);
    let next = targets.last().filter(|_| more).map(|last| last.device.clone());
    Ok(Json(TargetPage { targets, next }))
}

/// Withdraw what was not sent yet. For its sender, and for who may command everything.
#[utoipa::path(delete, path = "/v1/fleet-commands/{id}", tag = "commands", params(FleetPath),
    responses((status = 204, description = "withdrawn, on disk")))]
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

/// Which fleet commands a person sees: its own, and all if it sees everything.
fn sight(person: &Person) -> impl Fn(&Fleet) -> bool {
    let identity = person.identity();
    let sees_all = identity.may_all(Verb::Subscribe);
    move |fleet| sees_all || fleet.plan().sender == identity.to_string()
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

async fn resolve(api: &Api, identity: &Identity, whom: Whom) -> Result<Resolved, Problem> {
    let identity = identity.clone();
    Ok(walk(api, move |broker| broker.resolve(&whom, |id, _| identity.may_command(id))).await??)
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
