//! Profiles of light as resources: `/v1/profiles`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::{Document, MergePatch};
use super::device::document;
use super::problem::Problem;
use super::version::{self, Conditions, Version};
use crate::access::Verb;
use crate::access::grant::resource::PROFILES;
use crate::broker::profiles::Profiled;
use crate::clock::Now;
use crate::light::Profile;
use crate::light::profile::{ProfilePlace, ProfileSettings, is_name};

/// A profile in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct ProfilePath {
    /// The profile's name.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "main-roads")]
    name: String,
}

/// A profile.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfileDocument {
    /// Its name.
    name: String,
    /// As in the ETag.
    revision: String,
    /// Which devices.
    selector: String,
    /// The highest that means a device rules.
    priority: i32,
    /// %: the light where no calendar says another.
    level_pct: u8,
    /// A `lighting.v1.Calendar`, for devices that have none of their own.
    #[schema(value_type = Option<Object>)]
    calendar: Option<serde_json::Value>,
    /// Where devices stand that nobody said it of.
    place: Option<ProfilePlace>,
}

/// All profiles.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfileList {
    /// In the order of their names, 256 at most.
    profiles: Vec<ProfileDocument>,
}

/// A merge patch of a profile: what stands in it replaces, `null` takes away.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its description is used")]
pub struct ProfilePatch {
    /// Which devices.
    #[schema(max_length = 2048)]
    selector: Option<String>,
    /// The highest rules.
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    priority: Option<i32>,
    /// %.
    #[schema(minimum = 0, maximum = 100)]
    level_pct: Option<u8>,
    /// A `lighting.v1.Calendar`, member by member.
    #[schema(value_type = Option<Object>)]
    calendar: Option<serde_json::Value>,
    /// For devices without one.
    #[schema(value_type = Option<Object>)]
    place: Option<serde_json::Value>,
}

impl ProfileDocument {
    fn of(profile: &Profile) -> Self {
        let ProfileSettings { selector, priority, level_pct, calendar, place } =
            profile.record.settings.clone();
        let (name, revision) = (profile.name.clone(), profile.record.revision.to_string());
        Self { name, revision, selector, priority, level_pct, calendar, place }
    }
}

fn version_of(profile: &Profile) -> Version {
    Version::of(profile.record.revision)
}

/// List all profiles. Needs `subscribe` on everything, or `manage` on `hub.profiles`.
#[utoipa::path(get, path = "/v1/profiles", tag = "light",
    responses((status = 200, description = "all of them", body = ProfileList)))]
pub async fn list(person: Person, State(api): State<Api>) -> Result<Json<ProfileList>, Problem> {
    may_read(&person)?;
    let profiles = api.broker.profiles();
    let profiles = profiles.iter().map(|profile| ProfileDocument::of(profile)).collect();
    Ok(Json(ProfileList { profiles }))
}

/// One profile. Needs `subscribe` on everything, or `manage` on `hub.profiles`.
#[utoipa::path(get, path = "/v1/profiles/{name}", tag = "light", params(ProfilePath),
    responses((status = 200, description = "the profile", body = ProfileDocument)))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    may_read(&person)?;
    let profile = api.broker.profile(&name).ok_or_else(|| unknown(&name))?;
    Ok(version::answer(&conditions, &version_of(&profile), &ProfileDocument::of(&profile)))
}

/// Create or replace a profile. Needs `manage` on `hub.profiles`.
///
/// `If-None-Match: *` only creates, `If-Match` only replaces the version that it names.
#[utoipa::path(put, path = "/v1/profiles/{name}", tag = "light", params(ProfilePath),
    request_body = ProfileSettings,
    responses(
        (status = 200, description = "replaced, on disk", body = ProfileDocument),
        (status = 201, description = "created, on disk", body = ProfileDocument)))]
pub async fn put(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    Document(settings): Document<ProfileSettings>,
) -> Result<Response, Problem> {
    person.require(Verb::Manage, PROFILES)?;
    let is_meant = |held: Option<&Profile>| meant(&conditions, held);
    let change = |_: Option<&ProfileSettings>| Ok::<_, Problem>(Some(settings));
    let changed = api.broker.change_profile(Now::read(), &name, &by, is_meant, change).await?;
    answer(&name, changed)
}

/// Change a profile by a merge patch (RFC 7396): members replace, `null` takes away. Needs `manage` on
/// `hub.profiles`.
#[utoipa::path(patch, path = "/v1/profiles/{name}", tag = "light", params(ProfilePath),
    request_body(content = ProfilePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "changed, on disk", body = ProfileDocument)))]
pub async fn patch(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    patch: MergePatch,
) -> Result<Response, Problem> {
    person.require(Verb::Manage, PROFILES)?;
    let is_meant = |held: Option<&Profile>| meant(&conditions, held);
    let change = |held: Option<&ProfileSettings>| {
        let held = held.ok_or_else(|| unknown(&name))?;
        patch.apply(document(held)).map(Some)
    };
    let changed = api.broker.change_profile(Now::read(), &name, &by, is_meant, change).await?;
    answer(&name, changed)
}

/// Take a profile away: the next one that means a device rules. Needs `manage` on `hub.profiles`.
#[utoipa::path(delete, path = "/v1/profiles/{name}", tag = "light", params(ProfilePath),
    responses((status = 204, description = "gone, on disk")))]
pub async fn remove(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    person.require(Verb::Manage, PROFILES)?;
    let is_meant = |held: Option<&Profile>| meant(&conditions, held);
    let change = |held: Option<&ProfileSettings>| match held {
        Some(_) => Ok(None),
        None => Err(unknown(&name)),
    };
    match api.broker.change_profile(Now::read(), &name, &by, is_meant, change).await? {
        Profiled::Done { .. } => Ok(StatusCode::NO_CONTENT),
        Profiled::Stale(held) => Err(stale(&name, held.as_deref())),
    }
}

fn answer(name: &str, changed: Profiled) -> Result<Response, Problem> {
    match changed {
        Profiled::Done { profile, is_new } => {
            let profile = profile.ok_or_else(|| unknown(name))?;
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            let mut response = (status, Json(ProfileDocument::of(&profile))).into_response();
            version::mark(&mut response, &version_of(&profile));
            Ok(response)
        }
        Profiled::Stale(held) => Err(stale(name, held.as_deref())),
    }
}

fn meant(conditions: &Conditions, held: Option<&Profile>) -> bool {
    conditions.allow(held.map(version_of).as_ref())
}

fn stale(name: &str, held: Option<&Profile>) -> Problem {
    match held {
        Some(held) => Problem::stale(version_of(held), document(&ProfileDocument::of(held))),
        None => Problem::unmet(format!("there is no profile `{name}`; there is no version of it")),
    }
}

fn may_read(person: &Person) -> Result<(), Problem> {
    let identity = person.identity();
    if identity.may_all(Verb::Subscribe) || identity.may_manage(PROFILES) {
        return Ok(());
    }
    Err(Problem::not_permitted(identity, Verb::Manage, PROFILES))
}

fn unknown(name: &str) -> Problem {
    let problem = Problem::not_found("there is no such profile").at("name");
    if is_name(name) {
        return problem;
    }
    Problem::not_found("no profile has a name like this; use [a-z0-9][a-z0-9-]{0,63}").at("name")
}
