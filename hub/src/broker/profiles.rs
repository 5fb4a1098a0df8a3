//! Profiles of light: read, replaced, taken away. After each change all devices are looked at, in slices.

use std::sync::Arc;

use jiff::tz::TimeZone;
use prost::Message as _;
use proto::envelope::ErrorCode;
use proto::json::Types;
use proto::messages::lighting::v1::Calendar;

use super::registry::{durable, json, operation};
use super::restore::ceiling_operation;
use super::{Broker, Ticket};
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::light::profile::{
    PROFILE_BYTES_MAX, PROFILES_MAX, ProfilePlace, ProfileRecord, ProfileSettings, is_name,
};
use crate::light::{Plan, Profile};
use crate::metrics::Limit;
use crate::selector::Selector;
use crate::store::Table;

/// How a change ended.
#[derive(Debug)]
pub enum Profiled {
    /// It is made and durable; this stands now. `is_new` says whether nothing stood before.
    Done {
        /// The profile; `None` if it was taken away.
        profile: Option<Arc<Profile>>,
        /// Nothing stood before.
        is_new: bool,
    },
    /// It wasn't made: this stands, and not what was meant.
    Stale(Option<Arc<Profile>>),
}

/// Reads a stored profile.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn read(types: &Types, key: &[u8], value: &[u8]) -> Result<Profile, String> {
    let name = std::str::from_utf8(key).map_err(|error| error.to_string())?;
    let record: ProfileRecord = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    profile(types, name, record)
        .map_err(|refusal| format!("{}: {}", refusal.field, refusal.message))
}

/// Whether a record from elsewhere is one that a hub would read.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(key: &[u8], value: &[u8]) -> Result<(), String> {
    read(&Types::built_in(), key, value).map(drop)
}

fn bad(field: &'static str, text: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::BadValue, field, text)
}

/// A profile that can be followed.
fn profile(types: &Types, name: &str, record: ProfileRecord) -> Result<Profile, Refusal> {
    const CALENDAR: &str = "lighting.v1.Calendar";
    if !is_name(name) {
        return Err(bad("name", "is no name of a profile; use [a-z0-9][a-z0-9-]{0,63}"));
    }
    let settings = &record.settings;
    let selector =
        Selector::parse(&settings.selector).map_err(|error| bad("selector", error.to_string()))?;
    if !selector.is_of_registrations() {
        let text = "asks for what devices report or whether they are online, which changes all the time; \
                    a profile goes by labels, `id` and `profile`";
        return Err(bad("selector", text));
    }
    if settings.level_pct > 100 {
        return Err(bad("level_pct", format!("is {}; use 0 to 100", settings.level_pct)));
    }
    if settings.priority.unsigned_abs() > 1_000_000 {
        return Err(bad("priority", format!("is {}; use ±1,000,000", settings.priority)));
    }
    let zone = settings.place.as_ref().map(zone).transpose()?.flatten();
    let plan = match &settings.calendar {
        None => None,
        Some(calendar) => {
            let encoded = types.payload_from_json(CALENDAR, calendar);
            let encoded = encoded
                .map_err(|error| bad("calendar", format!("is not a {CALENDAR}: {error}")))?;
            let calendar = Calendar::decode(&encoded[..])
                .map_err(|error| bad("calendar", error.to_string()))?;
            Some(Plan::new(&calendar).map_err(|error| bad("calendar", error.to_string()))?)
        }
    };
    Ok(Profile { name: name.to_owned(), record, selector, plan, zone })
}

fn zone(place: &ProfilePlace) -> Result<Option<TimeZone>, Refusal> {
    let in_range = place.latitude_e7.unsigned_abs() <= 900_000_000
        && place.longitude_e7.unsigned_abs() <= 1_800_000_000;
    if !in_range {
        return Err(bad("place", "is not within ±90 and ±180 degrees"));
    }
    if place.time_zone.is_empty() {
        return Ok(None);
    }
    let unknown = |_| {
        let text = "is no time zone that this hub knows; write as in `Europe/Berlin`";
        bad("place.time_zone", text)
    };
    TimeZone::get(&place.time_zone).map(Some).map_err(unknown)
}

impl Broker {
    /// All profiles, in the order of their names.
    pub fn profiles(&self) -> Vec<Arc<Profile>> {
        self.lights.state.lock().profiles.iter().cloned().collect()
    }

    /// One profile.
    pub fn profile(&self, name: &str) -> Option<Arc<Profile>> {
        self.lights.state.lock().profiles.get(name).cloned()
    }

    /// Replaces a profile by what `change` makes of the one that stands, if `is_meant` says so of it; takes it
    /// away if that is nothing. Waits for the disk.
    ///
    /// # Errors
    /// The outcome can't be followed, there are as many as may be, or the store has no room.
    pub async fn change_profile<E: From<Refusal>>(
        &self,
        now: Now,
        name: &str,
        by: &Actor,
        is_meant: impl FnOnce(Option<&Profile>) -> bool + Send,
        change: impl FnOnce(Option<&ProfileSettings>) -> Result<Option<ProfileSettings>, E> + Send,
    ) -> Result<Profiled, E> {
        let (done, wait) = tokio::sync::oneshot::channel();
        let (changed, is_new) = {
            let mut state = self.lights.state.lock();
            let held = state.profiles.get(name).cloned();
            if !is_meant(held.as_deref()) {
                return Ok(Profiled::Stale(held));
            }
            let settings = change(held.as_deref().map(|profile| &profile.record.settings))?;
            if settings.is_some() && held.is_none() && state.profiles.len() >= PROFILES_MAX {
                self.metrics.limit_hit(Limit::Profiles);
                let text = format!("there are {PROFILES_MAX} profiles, which is the limit");
                return Err(Refusal::new(ErrorCode::Limit, "name", text).into());
            }
            let (revision, ceiling) = self.next_revision();
            let changed = match settings {
                Some(settings) => {
                    let record = ProfileRecord { revision, settings };
                    Some(Arc::new(profile(&self.types.load(), name, record)?))
                }
                None => None,
            };
            let value = changed.as_deref().map(|profile| json(&profile.record));
            if value.as_ref().is_some_and(|value| value.len() > PROFILE_BYTES_MAX) {
                let text = format!("a profile has at most {PROFILE_BYTES_MAX} bytes");
                return Err(Refusal::new(ErrorCode::StateLimit, "calendar", text).into());
            }
            let verb = if value.is_some() { Verb::ChangeProfile } else { Verb::RemoveProfile };
            let record = Record::done(by.clone(), verb, name);
            let mut operations: Vec<_> = ceiling.map(ceiling_operation).into_iter().collect();
            operations.push(operation(Table::Profile, name.as_bytes(), value));
            self.submit_audited(now, operations, Some(Ticket::Waiter(done)), &[record])?;
            self.ceiling_is_stored(ceiling);
            match &changed {
                Some(profile) => state.profiles.insert(profile.clone()),
                None => state.profiles.remove(name),
            }
            state.sweep();
            (changed, held.is_none())
        };
        self.lights.now_used();
        durable(wait).await?;
        Ok(Profiled::Done { profile: changed, is_new })
    }
}
