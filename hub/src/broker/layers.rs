//! Collects what each layer has to say of one device: from profiles, the registry, `desired`, telemetry.
//!
//! Each source is under its own lock for a few lines; what is evaluated holds none. Two sources may so be of
//! two moments; whatever changed in between has the device looked at again.

use jiff::tz::TimeZone;
use proto::messages::lighting::v1 as lighting;
use proto::{DeviceId, channels};

use super::Broker;
use super::channel::Channel;
use super::select::Entry;
use crate::clock::Now;
use crate::codec::Refusal;
use crate::light::profile::meant;
use crate::light::{self, Layers, Light, Place, Plan, Profile, Voice};

/// The type of a device's calendar.
pub(super) const CALENDAR_TYPE: &str = "lighting.v1.Calendar";
/// The type of its settings.
const CONFIG_TYPE: &str = "lighting.v1.DeviceConfig";

/// All that is known of a device's light.
#[derive(Debug)]
pub struct LightView {
    /// What comes out; `None` without a layer.
    pub light: Option<Light>,
    /// What each layer says, strongest first.
    pub voices: Vec<Voice>,
}

/// What people decided about a device, as far as light is concerned.
#[derive(Debug, Default)]
struct Desired {
    /// Its calendar, if it has one.
    plan: Option<Result<Plan, String>>,
    position_e7: Option<(i32, i32)>,
    zone: Option<TimeZone>,
    default_pct: Option<u8>,
}

impl Broker {
    /// What all layers say of a device's light now; `None` if there is no such device.
    ///
    /// # Errors
    /// What is stored of it has to be read, and can't.
    pub fn light_of(&self, now: Now, id: &DeviceId) -> Result<Option<LightView>, Refusal> {
        self.with_layers(id, |layers| LightView {
            light: layers.light(now.unix_ms),
            voices: layers.voices(now.unix_ms),
        })
    }

    /// Shows `look` the layers of a device; `None` if there is no such device.
    pub(super) fn with_layers<R>(
        &self,
        id: &DeviceId,
        look: impl FnOnce(&Layers<'_>) -> R,
    ) -> Result<Option<R>, Refusal> {
        let (ranked, overridden) = {
            let state = self.lights.state.lock();
            (state.profiles.ranked(), state.overrides.get(id).cloned())
        };
        let found = self.devices.lock().get(id).map(|device| {
            let registered = &device.registration;
            let position = registered.latitude_e7.zip(registered.longitude_e7);
            (meant(&ranked, &Entry::of(id, device)).cloned(), position)
        });
        let Some((profile, position)) = found else { return Ok(None) };
        let desired = self.desired_of(id)?;
        let profile = profile.as_deref();
        let position = desired.position_e7.or(position).or(profile.and_then(Profile::position_e7));
        let zone = desired.zone.or_else(|| profile.and_then(|profile| profile.zone.clone()));
        let own = desired.plan.as_ref().map(|plan| light::Calendar {
            plan: plan.as_ref().map_err(String::as_str),
            of_profile: None,
        });
        let shared = profile.and_then(|profile| {
            let plan = Ok(profile.plan.as_ref()?);
            Some(light::Calendar { plan, of_profile: Some(&profile.name) })
        });
        let layers = Layers {
            local: self.local_of(id)?,
            overridden: overridden.as_ref(),
            calendar: own.or(shared),
            profile: profile.map(|it| (it.name.as_str(), it.record.settings.level_pct)),
            place: &Place::new(position, zone),
            default_pct: desired.default_pct.unwrap_or(light::LEVEL_PCT_DEFAULT),
        };
        Ok(Some(look(&layers)))
    }

    fn local_of(&self, id: &DeviceId) -> Result<Option<light::Local>, Refusal> {
        let Some(channel) = self.stored_channel(&channels::TELEMETRY.of(id))? else {
            return Ok(None);
        };
        let last = channel.last_of(channels::TELEMETRY.default_type());
        Ok(last.and_then(|frame| light::local::local(frame.message().payload?)))
    }

    fn desired_of(&self, id: &DeviceId) -> Result<Desired, Refusal> {
        let mut desired = Desired::default();
        let Some(channel) = self.stored_channel(&channels::DESIRED.of(id))? else {
            return Ok(desired);
        };
        if let Some(config) = decoded::<lighting::DeviceConfig>(&channel, CONFIG_TYPE) {
            let level = config.lamp.as_ref().and_then(|lamp| lamp.default_level_pct);
            desired.default_pct = level.and_then(|level| u8::try_from(level.min(100)).ok());
            if let Some(location) = config.location {
                desired.position_e7 = location.latitude_e7.zip(location.longitude_e7);
                desired.zone = zone(&location);
            }
        }
        desired.plan = decoded::<lighting::Calendar>(&channel, CALENDAR_TYPE)
            // Without a program it takes the calendar away.
            .filter(|calendar| !calendar.programs.is_empty())
            .map(|calendar| Plan::new(&calendar).map_err(|error| error.to_string()));
        Ok(desired)
    }

    /// s: how long an override without an end lasts on this device.
    pub(super) fn override_default_s(&self, id: &DeviceId) -> u32 {
        let channel = self.existing_channel(channels::DESIRED.of(id).as_str());
        let config =
            channel.and_then(|channel| decoded::<lighting::DeviceConfig>(&channel, CONFIG_TYPE));
        let said = config.and_then(|config| config.lamp).and_then(|lamp| lamp.default_override_s);
        said.map_or(light::OVERRIDE_S_DEFAULT, |s| s.clamp(60, light::OVERRIDE_S_MAX))
    }
}

fn decoded<M: prost::Message + Default>(channel: &Channel, type_name: &str) -> Option<M> {
    M::decode(channel.last_of(type_name)?.message().payload.unwrap_or_default()).ok()
}

/// By its name, else by its POSIX form; the first look at a zone reads it from the disk.
fn zone(location: &lighting::LocationConfig) -> Option<TimeZone> {
    let named = Some(&location.time_zone).filter(|name| !name.is_empty());
    let named = named.and_then(|name| TimeZone::get(name).ok());
    let posix = Some(&location.posix_tz).filter(|text| !text.is_empty());
    named.or_else(|| posix.and_then(|text| TimeZone::posix(text).ok()))
}
