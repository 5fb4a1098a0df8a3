//! Devices and the sessions of all peers: who is here, since when, and which session counts.
//!
//! A device has one live session. A newer one wins and fences the older: every session of a device
//! has a generation, and what an older one still says is ignored. Two machines with one identity show
//! as sessions that start too often; they are held off instead of throwing each other out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{ChannelName, CloseCode, DeviceId, channels};

use super::{Broker, Channel};
use crate::access::{Admission, Identity, TokenHash};
use crate::clock::Now;
use crate::ledger;
use crate::mailbox::{Mailbox, Wakes};
use crate::metrics::Limit;
use crate::twin::ReportId;

/// How often one device may start a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionRate {
    /// One session is regained in this time.
    pub every: Duration,
    /// Sessions at once.
    pub burst: u32,
    /// More than so many in a minute are held off.
    pub per_minute: u32,
    /// For so long.
    pub hold: Duration,
}

impl Default for SessionRate {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            burst: 3,
            per_minute: 15,
            hold: Duration::from_secs(300),
        }
    }
}

/// What the registry knows of a device.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Registration {
    /// For selectors: `street`, `feeder`, …
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Which settings it shares with others.
    #[serde(default)]
    pub profile: String,
    /// 1e-7 degrees, WGS 84.
    #[serde(default)]
    pub latitude_e7: Option<i32>,
    /// 1e-7 degrees, WGS 84.
    #[serde(default)]
    pub longitude_e7: Option<i32>,
    /// ms since 1970, UTC.
    #[serde(default)]
    pub created_unix_ms: u64,
    /// The hash of its token, in hex; empty if it comes with a certificate only.
    #[serde(default)]
    pub token_hash: String,
}

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) registration: Registration,
    pub(crate) token: Option<TokenHash>,
    pub(crate) generation: u64,
    pub(crate) session: Option<Arc<Mailbox>>,
    pub(crate) presence: super::presence::State,
    pub(crate) boot: u32,
    pub(crate) durable: Arc<Mutex<ReportId>>,
    /// Its stored values have not been told to it yet ([`super::loading`]).
    pub(crate) unread: bool,
    starts: Starts,
}

/// When its last sessions started.
#[derive(Debug, Default)]
struct Starts {
    credit: f32,
    at: Option<Instant>,
    in_minute: u32,
    minute: Option<Instant>,
    held_until: Option<Instant>,
}

/// All devices by id.
pub(crate) type Devices = HashMap<DeviceId, Device>;

/// A session of any peer, for lists and for ending it.
#[derive(Debug)]
pub struct SessionEntry {
    /// Who, and by which credential; ends the session when that is revoked.
    pub admission: Admission,
    /// Where it reads.
    pub mailbox: Arc<Mailbox>,
    /// Since when, in ms since 1970.
    pub since_unix_ms: u64,
}

/// An admitted peer, as its connection holds it. Give it back with [`Broker::leave`].
#[derive(Debug)]
pub struct Peer {
    /// Where it reads.
    pub mailbox: Arc<Mailbox>,
    /// Who it is.
    pub identity: Identity,
    /// What only devices have.
    pub device: Option<DevicePeer>,
    /// Where it comes from, if the door says so.
    pub address: Option<std::net::SocketAddr>,
}

/// A device's session.
#[derive(Debug)]
pub struct DevicePeer {
    /// Which device.
    pub id: DeviceId,
    /// Of this session; a newer one fences it.
    pub generation: u64,
    /// As HELLO said.
    pub boot: u32,
    /// A higher boot was seen before: firmware was restored, or the identity copied. Its reports have
    /// no place in the order.
    pub stale: bool,
    /// Where its reports go that name no channel; made at the first.
    pub telemetry: Option<Arc<Channel>>,
    /// The last other channel that it wrote to.
    pub recent: Option<Arc<Channel>>,
    /// The highest report that is durable.
    pub durable: Arc<Mutex<ReportId>>,
}

/// Why a peer may not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turned {
    /// How its connection closes.
    pub code: CloseCode,
    /// When to try again, in s; 0 leaves it to the peer.
    pub retry_after_s: u32,
}

impl From<CloseCode> for Turned {
    fn from(code: CloseCode) -> Self {
        Self { code, retry_after_s: 0 }
    }
}

impl Device {
    pub(crate) fn new(registration: Registration) -> Self {
        Self {
            registration,
            token: None,
            generation: 0,
            session: None,
            presence: super::presence::State::Never,
            boot: 0,
            durable: Arc::default(),
            unread: false,
            starts: Starts::default(),
        }
    }
}

impl Starts {
    /// Takes one start from the allowance, or says for how long to stay away.
    fn take(&mut self, rate: &SessionRate, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.held_until {
            if now < until {
                return Err(until - now);
            }
            *self = Self::default();
        }
        let passed = self.at.map_or(f32::MAX, |at| (now - at).as_secs_f32());
        let regained = passed / rate.every.as_secs_f32();
        self.credit = (self.credit + regained).min(rate.burst as f32);
        self.at = Some(now);

        if self.minute.is_none_or(|began| now - began >= Duration::from_secs(60)) {
            self.minute = Some(now);
            self.in_minute = 0;
        }
        self.in_minute += 1;
        if self.in_minute > rate.per_minute {
            self.held_until = Some(now + rate.hold);
            return Err(rate.hold);
        }
        if self.credit < 1.0 {
            return Err(rate.every);
        }
        self.credit -= 1.0;
        Ok(())
    }
}

impl Broker {
    /// Takes an authenticated peer in: gives it a mailbox, and a device its generation; an older
    /// session of the same device is told to go.
    ///
    /// # Errors
    /// The device is not registered, comes too often, or its boot counter went back.
    pub fn enter_session(
        &self,
        now: Now,
        admission: &Admission,
        hello: &proto::envelope::Hello<'_>,
    ) -> Result<Peer, Turned> {
        let identity = &admission.identity;
        let mailbox = self.new_mailbox(identity);
        let device = match identity {
            Identity::Person { .. } => None,
            Identity::Device(id) => Some(self.enter_device(now, id, hello, &mailbox)?),
        };
        let entry = SessionEntry {
            admission: admission.clone(),
            mailbox: mailbox.clone(),
            since_unix_ms: now.unix_ms,
        };
        let entry = Arc::new(entry);
        self.sessions.lock().insert(mailbox.id(), entry.clone());
        // It was admitted before it could be found here: what was revoked in between ends it now.
        self.recheck_session(&entry);
        Ok(Peer { mailbox, identity: identity.clone(), device, address: None })
    }

    fn enter_device(
        &self,
        now: Now,
        id: &DeviceId,
        hello: &proto::envelope::Hello<'_>,
        mailbox: &Arc<Mailbox>,
    ) -> Result<DevicePeer, Turned> {
        self.recall(id).map_err(|_| CloseCode::OVERLOAD)?;
        let (peer, older) = {
            let mut wakes = Wakes::default();
            let mut devices = self.devices.lock();
            let device = devices.get_mut(id).ok_or(CloseCode::REVOKED)?;
            if let Err(wait) = device.starts.take(&self.settings().device_sessions, now.mono) {
                self.metrics.limit_hit(Limit::SessionRate);
                let retry_after_s = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
                return Err(Turned { code: CloseCode::RATE, retry_after_s });
            }
            if hello.boot < device.boot {
                tracing::warn!(device = %id, boot = hello.boot, known = device.boot,
                    "the boot counter went back: restored firmware, or a copied identity");
            }
            let stale = hello.boot < device.boot;
            device.boot = device.boot.max(hello.boot);
            device.generation += 1;
            let older = device.session.replace(mailbox.clone());
            self.arrived(now, id, device, hello.agent, &mut wakes);
            let peer = DevicePeer {
                id: id.clone(),
                generation: device.generation,
                boot: hello.boot,
                stale,
                telemetry: None,
                recent: None,
                durable: device.durable.clone(),
            };
            (peer, older)
        };
        if let Some(older) = older {
            self.metrics.takeovers.inc();
            older.close(CloseCode::REPLACED).wake();
        } else {
            self.metrics.devices_online.inc();
        }
        Ok(peer)
    }

    /// Lets a peer go, whose subscriptions have ended. Only the device's current session makes it absent.
    pub fn leave(&self, now: Now, peer: &Peer, reason: &str) {
        self.sessions.lock().remove(&peer.mailbox.id());
        let Some(session) = &peer.device else { return };
        {
            let mut devices = self.devices.lock();
            if let Some(device) = devices.get_mut(&session.id)
                && device.generation == session.generation
            {
                device.session = None;
                self.metrics.devices_online.dec();
                self.left(now, &session.id, device, reason);
            }
        }
        let gone =
            ledger::Input::DeviceGone { device: session.id.clone(), session: session.generation };
        self.tell_ledger(now, gone);
    }

    /// The device takes commands from now on.
    pub fn ready(&self, now: Now, session: &DevicePeer) {
        let ready = ledger::Input::DeviceReady {
            device: session.id.clone(),
            session: session.generation,
            boot: session.boot,
            window: proto::limits::COMMANDS_IN_FLIGHT_MAX,
        };
        self.tell_ledger(now, ready);
    }

    /// The channel that a device's report goes to. The last ones are remembered.
    ///
    /// # Errors
    /// It would be a new channel, and there are as many as may be.
    pub fn device_channel(
        &self,
        session: &mut DevicePeer,
        named: Option<&ChannelName>,
    ) -> Result<Arc<Channel>, crate::codec::Refusal> {
        let place = match named {
            None => &mut session.telemetry,
            Some(_) => &mut session.recent,
        };
        if let Some(known) = place
            && named.is_none_or(|name| *name == known.name)
        {
            return Ok(known.clone());
        }
        let channel = match named {
            Some(name) => self.channel(name)?,
            None => self.channel(&channels::TELEMETRY.of(&session.id))?,
        };
        *place = Some(channel.clone());
        Ok(channel)
    }

    /// Ends every session that `which` picks, and what waits for it. Returns how many.
    pub fn close_sessions(&self, code: CloseCode, which: impl Fn(&SessionEntry) -> bool) -> usize {
        let picked: Vec<_> =
            self.sessions.lock().values().filter(|entry| which(entry)).cloned().collect();
        for entry in &picked {
            entry.mailbox.end(code).wake();
        }
        picked.len()
    }

    /// The sessions that `which` picks, in no order. Costs a walk over all.
    pub fn sessions(&self, which: impl Fn(&SessionEntry) -> bool) -> Vec<Arc<SessionEntry>> {
        self.sessions.lock().values().filter(|entry| which(entry)).cloned().collect()
    }

    /// Mailboxes of all sessions.
    pub fn session_mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.sessions.lock().values().map(|entry| entry.mailbox.clone()).collect()
    }

    /// s: over which reconnecting peers spread their first try, so that a whole fleet comes back at
    /// the rate that the hub accepts: 1.5 · fleet ÷ rate, within the protocol's limits.
    pub fn reconnect_window_s(&self) -> u32 {
        use proto::limits::{RECONNECT_WINDOW_S_MAX, RECONNECT_WINDOW_S_MIN};
        let fleet = self.devices.lock().len() as u64;
        let window = fleet * 3 / (2 * u64::from(self.settings().accept_rate.max(1)));
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        window.clamp(RECONNECT_WINDOW_S_MIN, RECONNECT_WINDOW_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_machines_with_one_identity_are_held_off() {
        let rate = SessionRate::default();
        let mut starts = Starts::default();
        let mut now = crate::clock::mono();
        for _ in 0..3 {
            assert_eq!(starts.take(&rate, now), Ok(()));
        }
        assert_eq!(starts.take(&rate, now), Err(rate.every));
        for _ in 0..11 {
            now += Duration::from_secs(1);
            let _slowed = starts.take(&rate, now);
        }
        assert_eq!(starts.take(&rate, now), Err(rate.hold));
        assert!(starts.take(&rate, now + rate.hold / 2).is_err());
        assert_eq!(starts.take(&rate, now + rate.hold), Ok(()));
    }

    #[test]
    fn a_device_that_comes_back_now_and_then_is_always_taken() {
        let rate = SessionRate::default();
        let mut starts = Starts::default();
        let mut now = crate::clock::mono();
        for _ in 0..100 {
            assert_eq!(starts.take(&rate, now), Ok(()));
            now += Duration::from_secs(6);
        }
    }
}
