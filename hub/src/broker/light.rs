//! Keeps the light of every device that has layers up to date, and publishes it when it changes.
//!
//! ```text
//!   registration, desired, telemetry, override, profile ──▶ touch ─┐
//!   time ──▶ due ───────────────────────────────────────────────────┼─▶ light_tick ─▶ relight ─▶ effective
//!   profile changed, start ──▶ sweep, a slice a turn ───────────────┘
//! ```
//!
//! Whatever happens only marks a device; the one task that lets time pass looks at the marked ones. So two
//! looks at one device never cross, and a publisher pays a look-up, or nothing: telemetry is compared with
//! the sample before it only once there is a layer in the hub at all.
//!
//! What the layers mean is decided in [`crate::light`], which is pure. What was published last is the last
//! value of `effective`; it is compared with that, so a restart repeats nothing.
//!
//! # Cost
//!
//! A look takes the registry, the desired values and the last telemetry of one device, each under its own
//! lock for a few lines, and tens of microseconds; at most [`LOOKS_PER_TURN`] a turn of 200 ms. A city of 100,000 that
//! switches in the same second is told within ten; lamps that obey `then_level_pct` don't wait for it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use prost::Message as _;
use proto::json::Types;
use proto::messages::lamplighter::v1::{EffectiveLight, LightLayer};
use proto::{ChannelName, DeviceId, channels};

use super::channel::{Channel, Inner};
use super::layers::CALENDAR_TYPE;
use super::publish::{Receipt, Value};
use super::restore::{Restored, skip};
use super::{Broker, overrides, profiles};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::light::{self, Agenda, Layers, Light, Override, Profiles, Voice};
use crate::mailbox::Wakes;
use crate::store::{Store, StoreError, Table};
use crate::twin::ReportId;

/// Devices that one turn looks at.
pub const LOOKS_PER_TURN: usize = 2_000;
/// ms: a light without a known end is looked at again after so long, since the horizon moves.
const AGAIN_MS: u64 = 12 * 3_600_000;
/// ms: a look that failed is repeated after so long.
const RETRY_MS: u64 = 1_000;

/// What a channel's values mean for the light of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concern {
    None,
    /// May tell of a switch in the street.
    Telemetry,
    /// Has the calendar, and where the device stands.
    Desired,
    /// What was published last.
    Effective,
}

/// Layers, and when to look at whom.
#[derive(Debug)]
pub(crate) struct Lights {
    pub(super) state: Mutex<State>,
    /// Some device has, or had, a layer; before that nobody looks at telemetry.
    is_used: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) profiles: Profiles,
    pub(super) overrides: HashMap<DeviceId, Override>,
    pub(super) agenda: Agenda,
    /// All registered devices, to go through them in slices.
    roster: BTreeSet<DeviceId>,
    sweep: Option<Sweep>,
}

/// A walk over all devices.
#[derive(Debug)]
struct Sweep {
    after: Option<DeviceId>,
}

impl Concern {
    pub(crate) fn of(name: &ChannelName) -> Self {
        match channels::known(name.as_str()).map(|(_, kind)| *kind) {
            Some(channels::TELEMETRY) => Self::Telemetry,
            Some(channels::DESIRED) => Self::Desired,
            Some(channels::EFFECTIVE) => Self::Effective,
            Some(_) | None => Self::None,
        }
    }

    /// Whether only the newest value counts, for whoever comes back.
    pub(super) fn is_state(self) -> bool {
        matches!(self, Self::Desired | Self::Effective)
    }
}

/// The devices whose stored values have a say in their light.
pub(crate) fn lit_devices(found: &[Arc<Channel>]) -> Vec<DeviceId> {
    let lit = found.iter().filter(|channel| match channel.concern {
        Concern::Desired => channel.last_of(CALENDAR_TYPE).is_some(),
        Concern::Effective => true,
        Concern::None | Concern::Telemetry => false,
    });
    lit.filter_map(|channel| device_of(channel)).collect()
}

fn device_of(channel: &Channel) -> Option<DeviceId> {
    let device = channels::device_of(channel.name.as_str())?;
    DeviceId::parse(device).ok()
}

impl Lights {
    /// Profiles and overrides as they are stored. Devices with an override are looked at first; the others
    /// when their values are loaded, and all of them after that if there is a profile.
    ///
    /// # Errors
    /// The store can't be read.
    pub(crate) fn restore<'d>(
        store: &dyn Store,
        types: &Types,
        devices: impl Iterator<Item = &'d DeviceId>,
        restored: &mut Restored,
    ) -> Result<Self, StoreError> {
        let mut state = State { roster: devices.cloned().collect(), ..State::default() };
        store.scan(Table::Profile, &mut |key, value| match profiles::read(types, key, value) {
            Ok(profile) => state.profiles.insert(Arc::new(profile)),
            Err(error) => skip("profile", &error, &mut restored.unreadable),
        })?;
        store.scan(Table::Override, &mut |key, value| match overrides::read(key, value) {
            Ok((device, set)) => {
                state.agenda.touch(&device);
                state.overrides.insert(device, set);
            }
            Err(error) => skip("override", &error, &mut restored.unreadable),
        })?;
        let is_used = !state.profiles.is_empty() || !state.overrides.is_empty();
        state.sweep = (!state.profiles.is_empty()).then_some(Sweep { after: None });
        Ok(Self { state: Mutex::new(state), is_used: AtomicBool::new(is_used) })
    }

    /// A device is new, or its labels or place are. Where nobody has layers there is nothing to look at.
    pub(crate) fn registered(&self, id: &DeviceId) {
        let mut state = self.state.lock();
        if !state.roster.contains(id) {
            state.roster.insert(id.clone());
        }
        if self.is_used.load(Ordering::Relaxed) {
            state.agenda.touch(id);
        }
    }

    /// A device is gone. Its override goes when it is looked at.
    pub(crate) fn removed(&self, id: &DeviceId) {
        let mut state = self.state.lock();
        state.roster.remove(id);
        if self.is_used.load(Ordering::Relaxed) {
            state.agenda.touch(id);
        }
    }

    /// Stored values of these devices came into memory.
    pub(crate) fn found(&self, devices: &[DeviceId]) {
        if devices.is_empty() {
            return;
        }
        self.is_used.store(true, Ordering::Relaxed);
        let mut state = self.state.lock();
        for id in devices {
            state.agenda.touch(id);
        }
    }

    pub(super) fn now_used(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }
}

impl State {
    /// All devices are to be looked at: a walk that was under way begins anew.
    pub(super) fn sweep(&mut self) {
        self.sweep = Some(Sweep { after: None });
    }

    /// The next devices of the walk, if there is one.
    fn slice(&mut self, limit: usize) -> Vec<DeviceId> {
        let Some(Sweep { after }) = self.sweep.take() else { return Vec::new() };
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let slice: Vec<_> = self
            .roster
            .range::<DeviceId, _>((from, Bound::Unbounded))
            .take(limit)
            .cloned()
            .collect();
        if slice.len() == limit {
            self.sweep = Some(Sweep { after: slice.last().cloned() });
        }
        slice
    }
}

impl Broker {
    /// Whether a value that is about to be taken may change the light of its device. Called under the
    /// channel's lock; costs a look at one field where nothing has layers.
    pub(super) fn stirs_light(&self, channel: &Channel, inner: &Inner, value: &Value<'_>) -> bool {
        match channel.concern {
            Concern::None | Concern::Effective => false,
            Concern::Desired => true,
            Concern::Telemetry => {
                if !self.lights.is_used.load(Ordering::Relaxed) {
                    return false;
                }
                let held = inner.state.last_of(value.type_name);
                let before =
                    held.and_then(|last| light::local::local(last.frame.message().payload?));
                before != light::local::local(value.payload)
            }
        }
    }

    /// Has the device of a channel looked at.
    pub(super) fn touch_light_of(&self, channel: &Channel) {
        if let Some(id) = device_of(channel) {
            self.lights.state.lock().agenda.touch(&id);
        }
    }

    /// Whether [`Broker::light_tick`] has anything to do.
    pub fn has_light_due(&self, now: Now) -> bool {
        let state = self.lights.state.lock();
        state.agenda.is_due(now.unix_ms) || (state.sweep.is_some() && !self.is_loading())
    }

    /// Looks at the devices whose time has come, and at a slice of those that a profile may mean anew.
    /// Called several times a second, by one task only; takes tens of milliseconds when a city switches.
    pub fn light_tick(&self, now: Now) {
        let mut looked_at = {
            let mut state = self.lights.state.lock();
            let mut taken = state.agenda.take(now.unix_ms, LOOKS_PER_TURN);
            // Before all is loaded, a walk would read each device from the store by itself.
            let room = LOOKS_PER_TURN - taken.len();
            if room > 0 && !self.is_loading() {
                taken.extend(state.slice(room));
            }
            self.metrics.lights_waiting.set(i64::try_from(state.agenda.len()).unwrap_or(i64::MAX));
            taken
        };
        let mut wakes = Wakes::default();
        for id in looked_at.drain(..) {
            self.metrics.lights_evaluated.inc();
            let again = self.relight(now, &id, &mut wakes).unwrap_or_else(|refusal| {
                tracing::warn!(device = %id, reason = %refusal.message, "the light is looked at again");
                Some(now.unix_ms + RETRY_MS)
            });
            self.lights.state.lock().agenda.set(&id, again);
        }
    }

    /// Publishes the light of a device if it is another than the last. Returns when to look again.
    fn relight(&self, now: Now, id: &DeviceId, wakes: &mut Wakes) -> Result<Option<u64>, Refusal> {
        self.end_if_over(now, id)?;
        let look = |layers: &Layers<'_>| {
            let ends = layers.overridden.map(|set| set.until_unix_ms);
            (layers.light(now.unix_ms), ends)
        };
        let Some((light, override_ends)) = self.with_layers(id, look)? else {
            self.drop_override(id)?;
            return Ok(None);
        };
        let name = channels::EFFECTIVE.of(id);
        let held = self.stored_channel(&name)?.and_then(|channel| channel.last_of(EFFECTIVE_TYPE));
        let held = held.and_then(|frame| {
            EffectiveLight::decode(frame.message().payload.unwrap_or_default()).ok()
        });
        let Some(said) = news(now.unix_ms, light.as_ref(), held.as_ref()) else {
            return Ok(again(now.unix_ms, light.as_ref(), override_ends));
        };
        let value = Value {
            type_name: EFFECTIVE_TYPE,
            payload: &said.encode_to_vec(),
            report: ReportId::default(),
            measured_unix_ms: 0,
            instead_of: None,
        };
        let channel = self.channel(&name)?;
        self.publish(now, &channel, value, &Receipt::None, wakes)?;
        self.lights.now_used();
        self.metrics.lights_changed.inc();
        Ok(again(now.unix_ms, light.as_ref(), override_ends))
    }
}

const EFFECTIVE_TYPE: &str = channels::EFFECTIVE.default_type();

/// What is to be published; `None` if that is what stands.
fn news(
    now_unix_ms: u64,
    light: Option<&Light>,
    held: Option<&EffectiveLight>,
) -> Option<EffectiveLight> {
    let mut said = match light {
        Some(light) => EffectiveLight {
            level_pct: light.level_pct.map(u32::from),
            reason: light.reason.into(),
            source: light.source.clone(),
            since_unix_ms: now_unix_ms,
            until_unix_ms: light.until_unix_ms.unwrap_or(0),
            then_level_pct: light.then_level_pct.map(u32::from),
            then_reason: light.then_reason.into(),
            under: light.under.iter().map(layer).collect(),
        },
        // Who never heard of a layer needn't hear that there is none.
        None => {
            held?;
            EffectiveLight { source: "no layer".to_owned(), ..EffectiveLight::default() }
        }
    };
    let Some(held) = held else { return Some(said) };
    let now_and_why =
        |light: &EffectiveLight| (light.level_pct, light.reason, light.source.clone());
    let next =
        |light: &EffectiveLight| (light.until_unix_ms, light.then_level_pct, light.then_reason);
    if now_and_why(held) == now_and_why(&said) {
        if next(held) == next(&said) {
            return None;
        }
        said.since_unix_ms = held.since_unix_ms;
    } else {
        said.since_unix_ms = now_unix_ms;
    }
    Some(said)
}

fn layer(voice: &Voice) -> LightLayer {
    LightLayer {
        layer: voice.layer.word().to_owned(),
        level_pct: voice.level_pct.map(u32::from),
        source: voice.source.clone(),
        until_unix_ms: voice.until_unix_ms.unwrap_or(0),
    }
}

/// When to look again, in ms since 1970; `None` for a device without layers.
fn again(now_unix_ms: u64, light: Option<&Light>, override_ends: Option<u64>) -> Option<u64> {
    let light = light?;
    let horizon = now_unix_ms + AGAIN_MS;
    let next = light.until_unix_ms.unwrap_or(horizon).min(override_ends.unwrap_or(horizon));
    Some(next.min(horizon))
}

#[cfg(test)]
mod tests;
