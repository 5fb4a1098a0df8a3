//! The recent past of a device's numbers, and of all devices together: `/v1/devices/{id}/series` and
//! `/v1/series/{field}`.

use axum::extract::{Path, State};
use axum::response::Response;
use proto::channels::PREFIX;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Person;
use super::devices::{DevicePath, bad, device_id, not_registered};
use super::problem::Problem;
use super::query::Params;
use super::version::{self, Conditions, Version};
use super::walk::walk;
use crate::access::Verb;
use crate::clock::Now;
use crate::series::Field;

/// Bytes of a list of fields.
const FIELDS_BYTES_MAX: usize = 512;

/// Which fields, and which stretch of time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SeriesQuery {
    /// Names of the configured fields, with commas; those that the caller may see if left out.
    #[param(pattern = "^[a-z0-9_]+(,[a-z0-9_]+)*$", max_length = 512, example = "level,power")]
    fields: Option<String>,
    /// ms since 1970, UTC; as long as slots are kept if not said.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    since: Option<u64>,
    /// ms since 1970, UTC; now if not said.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    until: Option<u64>,
}

/// Which stretch of time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TotalsQuery {
    /// ms since 1970, UTC; as long as slots are kept if not said.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    since: Option<u64>,
    /// ms since 1970, UTC; now if not said.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    until: Option<u64>,
}

/// Which field.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct FieldPath {
    /// The name of a configured field.
    #[param(pattern = "^[a-z0-9_]+$", max_length = 32, example = "energy")]
    field: String,
}

/// The past of a device.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesDocument {
    /// The device's id.
    device: String,
    /// ms: the length of a slot.
    interval_ms: u64,
    /// ms since 1970, UTC: when the first slot began.
    from_unix_ms: u64,
    /// What was stored before a restart is still being read: older values may be missing yet.
    loading: bool,
    /// In the order of the configuration.
    fields: Vec<FieldDocument>,
}

/// One number of a device over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldDocument {
    #[serde(flatten)]
    about: FieldAbout,
    /// One a slot, oldest first; `null` where nothing was measured.
    values: Vec<Option<f64>>,
}

/// What a field is.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldAbout {
    /// As it is asked for.
    #[schema(example = "level")]
    field: String,
    /// The full name of the payload's message.
    #[schema(example = "lighting.v1.TelemetryBatch")]
    r#type: String,
    /// The way to it in there.
    #[schema(example = "samples.actual_level_pct")]
    path: String,
    /// What a slot holds: `last`, the value that was measured last in it, or `increase`, how much a counter
    /// grew by the reports in it.
    #[schema(example = "last")]
    holds: &'static str,
}

/// The past of all devices that the caller may see, added up.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotalsDocument {
    #[serde(flatten)]
    about: FieldAbout,
    /// ms: the length of a slot.
    interval_ms: u64,
    /// ms since 1970, UTC: when the first slot began.
    from_unix_ms: u64,
    /// What was stored before a restart is still being read: older values may be missing yet.
    loading: bool,
    /// Devices with a value in any of the slots.
    devices: u32,
    /// One a slot, oldest first: the sum of the values in it; `null` where nobody measured.
    sums: Vec<Option<f64>>,
    /// One a slot: how many devices have a value in it.
    counts: Vec<u32>,
}

impl FieldAbout {
    fn of(field: &Field) -> Self {
        Self {
            field: field.name.clone(),
            r#type: field.type_name.clone(),
            path: field.path.clone(),
            holds: field.holds.word(),
        }
    }
}

/// Get the recent past of a device's numbers, by slots. Needs `subscribe` on the channel of each field that is
/// asked for.
#[utoipa::path(get, path = "/v1/devices/{id}/series", tag = "devices",
    params(DevicePath, SeriesQuery),
    responses((status = 200, description = "the past", body = SeriesDocument)))]
pub async fn of_device(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
    Params(query): Params<SeriesQuery>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    let fields = chosen(&api, &person, id.as_str(), query.fields.as_deref())?;
    let (from, to) = slots(&api, query.since, query.until)?;
    if api.broker.device(&id)?.is_none() {
        return Err(not_registered(&id));
    }
    let mut documents = Vec::with_capacity(fields.len());
    for field in fields {
        let values = api.broker.series_of(&id, field, from, to)?.values;
        documents.push(FieldDocument { about: FieldAbout::of(field), values });
    }
    let grid = api.broker.series_grid();
    let document = SeriesDocument {
        device: id.as_str().to_owned(),
        interval_ms: grid.interval_ms,
        from_unix_ms: grid.starts_unix_ms(from),
        loading: !api.broker.has_loaded_pasts(),
        fields: documents,
    };
    Ok(version::answer(&conditions, &version_of(&document), &document))
}

/// Get a number of all devices together, added up by slots: of those whose channel the caller may see. Needs a
/// role that may see some of them.
#[utoipa::path(get, path = "/v1/series/{field}", tag = "devices",
    params(FieldPath, TotalsQuery),
    responses((status = 200, description = "the sums", body = TotalsDocument)))]
pub async fn totals(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(name): Path<String>,
    Params(query): Params<TotalsQuery>,
) -> Result<Response, Problem> {
    let field = named(&api, &name)?.clone();
    let pattern = format!("{PREFIX}.*.{}", field.channel);
    let pattern = proto::ChannelPattern::parse(&pattern).expect("a channel's name was checked");
    if !person.identity().may_subscribe(&pattern) {
        return Err(Problem::not_permitted(person.identity(), Verb::Subscribe, pattern.as_str()));
    }
    let (from, to) = slots(&api, query.since, query.until)?;
    let about = FieldAbout::of(&field);
    let totals = walk(&api, move |broker| {
        broker.series_totals(&field, from, to, |channel| person.identity().may_see(channel))
    });
    let totals = totals.await?;
    let grid = api.broker.series_grid();
    let document = TotalsDocument {
        about,
        interval_ms: grid.interval_ms,
        from_unix_ms: grid.starts_unix_ms(from),
        loading: !api.broker.has_loaded_pasts(),
        devices: totals.devices,
        sums: totals.slots.iter().map(|(sum, count)| (*count > 0).then_some(*sum)).collect(),
        counts: totals.slots.iter().map(|(_, count)| *count).collect(),
    };
    Ok(version::answer(&conditions, &version_of(&document), &document))
}

/// Slots come and go without anybody's writing, so the version is what is said.
fn version_of(document: &impl Serialize) -> Version {
    let text = serde_json::to_vec(document).expect("text and numbers have JSON");
    let hash = Sha256::digest(&text);
    let (first, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
    Version::of(u64::from_be_bytes(*first))
}

/// The fields of a request, all of which the caller may see.
fn chosen<'a>(
    api: &'a Api,
    person: &Person,
    device: &str,
    names: Option<&str>,
) -> Result<Vec<&'a Field>, Problem> {
    let channel_of = |field: &Field| format!("{PREFIX}.{device}.{}", field.channel);
    let Some(names) = names else {
        let all: Vec<_> = api.broker.series_fields().collect();
        let may_see = |field: &&Field| person.identity().may_see(&channel_of(field));
        let seen: Vec<_> = all.iter().copied().filter(may_see).collect();
        if let (true, Some(first)) = (seen.is_empty(), all.first()) {
            person.require(Verb::Subscribe, &channel_of(first))?;
        }
        return Ok(seen);
    };
    if names.len() > FIELDS_BYTES_MAX {
        let text = format!("has {} bytes; at most {FIELDS_BYTES_MAX}", names.len());
        return Err(bad(text).at("fields"));
    }
    let mut chosen: Vec<&Field> = Vec::new();
    for name in names.split(',') {
        let field = named(api, name).map_err(|_| unknown(api, name).at("fields"))?;
        person.require(Verb::Subscribe, &channel_of(field))?;
        if !chosen.iter().any(|known| known.name == field.name) {
            chosen.push(field);
        }
    }
    Ok(chosen)
}

fn named<'a>(api: &'a Api, name: &str) -> Result<&'a Field, Problem> {
    let found = api.broker.series_fields().find(|field| field.name == name);
    found.ok_or_else(|| Problem::not_found(format!("no field `{name}` is kept; {}", known(api))))
}

fn unknown(api: &Api, name: &str) -> Problem {
    let name: String = name.chars().take(32).collect();
    bad(format!("has `{name}`, which is not kept; {}", known(api)))
}

fn known(api: &Api) -> String {
    let names: Vec<_> = api.broker.series_fields().map(|field| field.name.as_str()).collect();
    match names.is_empty() {
        true => "this hub keeps none".to_owned(),
        false => format!("there are {}", names.join(", ")),
    }
}

/// The first and the last slot of a request, as far as they are kept.
fn slots(api: &Api, since: Option<u64>, until: Option<u64>) -> Result<(u64, u64), Problem> {
    for (time, field) in [(since, "since"), (until, "until")] {
        if time.is_some_and(|time| i64::try_from(time).is_err()) {
            return Err(bad("is no time in ms since 1970").at(field));
        }
    }
    let grid = api.broker.series_grid();
    let now = Now::read().unix_ms;
    let open = grid.slot(now);
    if let (Some(since), until) = (since, until.unwrap_or(now))
        && since > until
    {
        return Err(bad("is after `until`; both are ms since 1970").at("since"));
    }
    let to = until.map_or(open, |until| grid.slot(until).min(open));
    let from = since.map_or(0, |since| grid.slot(since)).max(grid.oldest(open));
    // Of what is not kept any more, and of what is yet to come, there is one empty slot.
    Ok((from.min(open), to.max(from.min(open))))
}
