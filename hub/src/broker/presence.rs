//! Whether devices are here, as a channel that everybody can watch.
//!
//! Here is said at once; gone only after a while, so that a link that flaps makes one event and not
//! twenty. After a restart the hub doesn't know: what was stored as here is read as *unknown*
//! (`stored`), and made *gone* when the device had time enough to come back.

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
    pub(crate) fn left(&mut self, now: Now, reason: &str) {
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

    /// Says which devices are gone for good. Called about once a second.
    pub(crate) fn presence_tick(&self, now: Now, unknown_for: Duration, started: Instant) {
        let mut wakes = Wakes::default();
        let mut devices = self.devices.lock();
        let waited = now.mono.saturating_duration_since(started) >= unknown_for;
        for (id, device) in devices.iter_mut() {
            let (since_unix_ms, reason) = match &device.presence {
                State::Leaving { at, since_unix_ms, reason, .. }
                    if now.mono.saturating_duration_since(*at) >= self.settings().offline_after =>
                {
                    (*since_unix_ms, reason.clone())
                }
                State::Unknown { since_unix_ms } if waited => (*since_unix_ms, "lost".to_owned()),
                State::Never
                | State::Online { .. }
                | State::Leaving { .. }
                | State::Offline { .. }
                | State::Unknown { .. } => continue,
            };
            let generation = device.generation;
            let presence = Presence {
                online: false,
                since_unix_ms,
                generation,
                boot: device.boot,
                reason: &reason,
                ..Presence::default()
            };
            self.say(now, id, &presence, &mut wakes);
            device.presence = State::Offline { since_unix_ms, reason };
        }
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
