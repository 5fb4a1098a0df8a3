//! Whether devices are here, as a channel that everybody can watch.
//!
//! Here is said at once; gone only after a while, so that a link that flaps makes one event and not
//! twenty. After a restart the hub doesn't know: what was stored as here is read as *unknown*
//! (`stored`), and made *gone* when the device had time enough to come back.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proto::envelope::Presence;
use proto::wire::Encode as _;
use proto::{DeviceId, channels};

use super::Broker;
use super::devices::Device;
use super::publish::{Receipt, Value};
use crate::clock::Now;
use crate::mailbox::Wakes;
use crate::twin::ReportId;

/// Where a device stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It was never here.
    Never,
    /// It has a session.
    Online { since_unix_ms: u64 },
    /// Its session ended; not said yet.
    Leaving { online_since_unix_ms: u64, since_unix_ms: u64, at: Instant, reason: String },
    /// It has none.
    Offline { since_unix_ms: u64, reason: String },
    /// The hub restarted, and has not heard of it since.
    Unknown { since_unix_ms: u64 },
}

/// The devices whose presence changes because time passes. Locked after the devices.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    /// Those whose session ended and that may have come back since; at most all devices.
    leaving: HashSet<DeviceId>,
    /// All that were unknown after the restart, and stayed away, count as lost.
    unknown_are_lost: bool,
}

impl State {
    /// Online, offline, or `None` where the hub doesn't know.
    pub fn online(&self) -> Option<bool> {
        match self {
            Self::Online { .. } | Self::Leaving { .. } => Some(true),
            Self::Offline { .. } => Some(false),
            Self::Never | Self::Unknown { .. } => None,
        }
    }

    /// ms since 1970 from when on it is so; 0 for never seen.
    pub fn since_unix_ms(&self) -> u64 {
        match self {
            Self::Never => 0,
            Self::Online { since_unix_ms }
            | Self::Leaving { online_since_unix_ms: since_unix_ms, .. }
            | Self::Offline { since_unix_ms, .. }
            | Self::Unknown { since_unix_ms } => *since_unix_ms,
        }
    }

    /// Why it is gone, or in which way it is unknown.
    pub fn reason(&self) -> &str {
        match self {
            Self::Never => "never seen",
            Self::Online { .. } | Self::Leaving { .. } => "",
            Self::Offline { reason, .. } => reason,
            Self::Unknown { .. } => "hub restarted",
        }
    }

    /// Its session ended.
    fn left(&mut self, now: Now, reason: &str) {
        if let Self::Online { since_unix_ms } = *self {
            *self = Self::Leaving {
                online_since_unix_ms: since_unix_ms,
                since_unix_ms: now.unix_ms,
                at: now.mono,
                reason: reason.to_owned(),
            };
        }
    }
}

impl Broker {
    /// A device has a session; said unless it was hardly away.
    pub(crate) fn arrived(
        &self,
        now: Now,
        id: &DeviceId,
        device: &mut Device,
        agent: &str,
        wakes: &mut Wakes,
    ) {
        let since_unix_ms = match device.presence {
            State::Online { since_unix_ms }
            | State::Leaving { online_since_unix_ms: since_unix_ms, .. } => {
                device.presence = State::Online { since_unix_ms };
                return;
            }
            State::Never | State::Offline { .. } | State::Unknown { .. } => now.unix_ms,
        };
        device.presence = State::Online { since_unix_ms };
        let (generation, boot) = (device.generation, device.boot);
        let presence = Presence {
            online: true,
            since_unix_ms,
            generation,
            boot,
            agent,
            ..Presence::default()
        };
        self.say(now, id, &presence, wakes);
    }

    /// The session of a device ended: it is gone if it stays away.
    pub(crate) fn left(&self, now: Now, id: &DeviceId, device: &mut Device, reason: &str) {
        device.presence.left(now, reason);
        self.absent.lock().leaving.insert(id.clone());
    }

    /// Says which devices are gone for good. Called several times a second; looks only at those that left,
    /// and once after a restart at all.
    pub(crate) fn presence_tick(&self, now: Now, unknown_for: Duration, started: Instant) {
        let mut wakes = Wakes::default();
        let waited = now.mono.saturating_duration_since(started) >= unknown_for;
        let offline_after = self.settings().offline_after;
        let mut devices = self.devices.lock();
        let mut absent = self.absent.lock();
        absent.leaving.retain(|id| {
            let Some(device) = devices.get_mut(id) else { return false };
            let State::Leaving { at, since_unix_ms, reason, .. } = &device.presence else {
                return false;
            };
            if now.mono.saturating_duration_since(*at) < offline_after {
                return true;
            }
            let (since_unix_ms, reason) = (*since_unix_ms, reason.clone());
            self.lost(now, id, device, (since_unix_ms, reason), &mut wakes);
            false
        });
        if !waited || absent.unknown_are_lost {
            return;
        }
        // What is loaded later may be unknown, too.
        absent.unknown_are_lost = !self.is_loading();
        for (id, device) in devices.iter_mut() {
            if let State::Unknown { since_unix_ms } = device.presence {
                self.lost(now, id, device, (since_unix_ms, "lost".to_owned()), &mut wakes);
            }
        }
    }

    fn lost(
        &self,
        now: Now,
        id: &DeviceId,
        device: &mut Device,
        (since_unix_ms, reason): (u64, String),
        wakes: &mut Wakes,
    ) {
        let presence = Presence {
            online: false,
            since_unix_ms,
            generation: device.generation,
            boot: device.boot,
            reason: &reason,
            ..Presence::default()
        };
        self.say(now, id, &presence, wakes);
        device.presence = State::Offline { since_unix_ms, reason };
    }

    fn say(&self, now: Now, id: &DeviceId, presence: &Presence<'_>, wakes: &mut Wakes) {
        let mut payload = Vec::with_capacity(presence.encoded_len());
        presence.encode(&mut payload);
        self.publish_own(now, &channels::PRESENCE, id, &payload, wakes);
    }

    /// Publishes on one of a device's channels that only the hub writes.
    pub(crate) fn publish_own(
        &self,
        now: Now,
        kind: &channels::DeviceChannel,
        id: &DeviceId,
        payload: &[u8],
        wakes: &mut Wakes,
    ) {
        if *kind == channels::REGISTRATION {
            // Before anyone hears of it, so that whoever does looks it up anew.
            self.registry_generation.fetch_add(1, Ordering::Release);
        }
        let value = Value {
            type_name: kind.default_type(),
            payload,
            report: ReportId::default(),
            measured_unix_ms: 0,
            instead_of: None,
        };
        let published = self
            .channel(&kind.of(id))
            .and_then(|channel| self.publish(now, &channel, value, &Receipt::None, wakes));
        if let Err(refusal) = published {
            tracing::warn!(device = %id, channel = kind.suffix, reason = %refusal.message,
                "the hub's own message was not kept");
        }
    }
}
