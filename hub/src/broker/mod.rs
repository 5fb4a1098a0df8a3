//! The one meeting place: routing, state, storage and the devices' registry come together here.
//!
//! The doors call it from their own tasks; it never waits. What has to wait for the disk comes back
//! as a [`Ticket`] when the commit that covers it is done, on the store's thread.
//!
//! ```text
//!   publish ─▶ judge ─▶ offset ─▶ store (pending) ─▶ mailboxes ─▶ wake
//!   send ────▶ ledger ─▶ store ─▶ ticket ─▶ ledger ─▶ answer, deliver, update
//! ```
//!
//! Read in this order: [`channel`], [`sequence`], [`publish`], [`subscribe`], [`reader`], [`devices`],
//! [`presence`], [`registry`], [`revise`], [`listing`], `select`, [`schemas`], [`quarantine`], [`commands`],
//! [`fleet_request`], [`fleet`], [`layers`], [`light`], [`overrides`], [`profiles`], [`series`], [`timeline`], `why`,
//! [`credentials`], [`access`], [`audit`], [`export`], [`restore`], [`loading`], [`room`].
//!
//! # Locks
//!
//! Taken only in this order, each for a few lines: loading, ledger, devices, light, one channel (a subscription to
//! several: all of them, in the order of their names), sequence, then a mailbox, or the audit log's chain and
//! the store's pending batch. A channel and the sequence are free again before anyone is
//! woken; the ledger alone stays locked while its effects are carried out, since they are in order, and
//! loading while a run is read.
//!
//! # Guarantees
//!
//! - Positions are hub-wide. Whoever received offset `n` was offered everything before `n` that
//!   matched: assigning an offset and offering the message are one step.
//! - Nothing is acknowledged as durable before its commit is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock};
use proto::{ChannelPattern, DeviceId};

use crate::access::certificate::CertificateNumber;
use crate::access::{Directory, Identity, Policy};
use crate::clock::Now;
use crate::codec::{Frame, LiveTypes, Refusal};
use crate::mailbox::{Budget, Mailbox, Overflow, Queue};
use crate::metrics::Metrics;
use crate::router::Router;
use crate::store::Writer;
use crate::twin::Rules;

pub mod channel;
pub mod sequence;

pub mod at_once;
pub mod patch;
pub mod publish;

pub mod filter;
pub mod reader;
pub mod shape;
pub mod subscribe;

pub mod devices;
pub mod listing;
pub mod presence;
pub mod registry;
pub mod revise;
mod select;

pub mod quarantine;
pub mod schemas;

mod asker;
pub mod commands;
pub mod fleet;
pub mod fleet_request;
mod senders;

pub mod layers;
pub mod light;
pub mod overrides;
pub mod profiles;

pub mod series;

pub mod timeline;
mod why;

pub mod access;
pub mod certificates;
pub mod credentials;

pub mod audit;
pub mod export;

pub mod loading;
pub mod restore;
mod stored;

pub mod room;

mod ticket;

pub use channel::{Channel, Channels};
pub use devices::Peer;
pub use reader::Reader;
pub use ticket::Ticket;

/// Bounds and policies of the broker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Channels that may exist.
    pub channels_max: usize,
    /// Devices that may be registered.
    pub devices_max: usize,
    /// Bytes that wait for one device.
    pub device_mailbox_bytes: usize,
    /// Bytes that wait for one operator or dashboard.
    pub person_mailbox_bytes: usize,
    /// What a dashboard's full mailbox does.
    pub person_overflow: Overflow,
    /// Bytes that wait in all mailboxes together.
    pub mailbox_total_bytes: usize,
    /// How long a device is gone before it counts as offline.
    pub offline_after: Duration,
    /// Connections a second that the hub takes; decides the reconnect window.
    pub accept_rate: u32,
    /// Sessions that one device may start.
    pub device_sessions: devices::SessionRate,
    /// Devices with a valid certificate register themselves at their first connection.
    pub auto_register: bool,
    /// The key of the first certificate with which a device comes is pinned.
    pub pin_first_use: bool,
    /// Bounds of the ledger.
    pub ledger: crate::ledger::Limits,
    /// How much of the audit log is kept.
    pub audit: crate::audit::Limits,
    /// Bounds of fleet commands.
    pub fleet: crate::fleet::Limits,
    /// What is kept of each device's past; sized at the start.
    pub series: crate::series::Settings,
    /// Targets above which a fleet command must say how many it means.
    pub confirm_above: usize,
    /// Whose disk must have room; none if nothing is stored on one.
    pub data_folder: Option<std::path::PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channels_max: 2_000_000,
            devices_max: 200_000,
            device_mailbox_bytes: 256 * 1024,
            person_mailbox_bytes: 1024 * 1024,
            person_overflow: Overflow::Conflate,
            mailbox_total_bytes: 512 * 1024 * 1024,
            offline_after: Duration::from_secs(10),
            accept_rate: 500,
            device_sessions: devices::SessionRate::default(),
            auto_register: false,
            pin_first_use: false,
            ledger: crate::ledger::Limits::default(),
            audit: crate::audit::Limits::default(),
            fleet: crate::fleet::Limits::default(),
            series: crate::series::Settings::default(),
            confirm_above: 100,
            data_folder: None,
        }
    }
}

/// Everything that the doors share.
#[derive(Debug)]
pub struct Broker {
    /// Bounds and policies; exchanged by a reload.
    settings: ArcSwap<Settings>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Types of payloads.
    pub types: LiveTypes,
    pub(crate) schemas: Mutex<schemas::Schemas>,
    /// For channels that begin.
    rules: ArcSwap<Rules>,
    pub(crate) channels: RwLock<Channels>,
    pub(crate) sequence: Mutex<sequence::Sequence>,
    pub(crate) router: Router,
    pub(crate) devices: Mutex<devices::Devices>,
    pub(crate) absent: Mutex<presence::Absent>,
    pub(crate) sessions: Mutex<std::collections::HashMap<u64, Arc<devices::SessionEntry>>>,
    pub(crate) directory: RwLock<Directory>,
    pub(crate) pins: RwLock<certificates::Pins>,
    /// What lists of revoked certificates say; exchanged by a reload.
    pub(crate) revoked: ArcSwap<std::collections::HashSet<CertificateNumber>>,
    policy: ArcSwap<Policy>,
    /// Who sent what waits may not any more.
    pub(crate) senders_changed: AtomicBool,
    pub(crate) desk: Mutex<commands::Desk>,
    pub(crate) writer: std::sync::OnceLock<Writer<Ticket>>,
    pub(crate) room: room::Room,
    pub(crate) loading: loading::Loading,
    /// Moves with every change of any device's registration.
    pub(crate) registry_generation: AtomicU64,
    pub(crate) audit: audit::Log,
    pub(crate) lights: light::Lights,
    pub(crate) pasts: series::Pasts,
    budget: Arc<Budget>,
    next_mailbox: AtomicU64,
}

impl Broker {
    /// A mailbox for this peer: it holds nothing that the peer may not see.
    fn new_mailbox(&self, identity: &Identity) -> Arc<Mailbox> {
        let id = self.next_mailbox.fetch_add(1, Ordering::Relaxed);
        let settings = self.settings();
        let queue = match identity {
            Identity::Device(_) => Queue::new(Overflow::Disconnect, settings.device_mailbox_bytes),
            Identity::Person { .. } => {
                Queue::new(settings.person_overflow, settings.person_mailbox_bytes)
            }
        };
        let sight = identity.role().filter(|role| role.is_scoped()).cloned();
        Mailbox::with_sight(id, queue, self.budget.clone(), sight)
    }

    /// Bounds and policies as they are now.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Other bounds and policies, from now on. What is sized at the start stays: the total of the
    /// mailboxes, the ledger, the data folder.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// What channels keep.
    pub(crate) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Other rules, for channels that begin from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    pub(crate) fn writer(&self) -> &Writer<Ticket> {
        self.writer.get().expect("the writer is set before the broker is shared")
    }

    /// Bytes that wait in all mailboxes.
    pub fn waiting_bytes(&self) -> usize {
        self.budget.used()
    }
}

/// How long devices may take to come back after a restart before they count as gone: twice the
/// window that they were told.
const UNKNOWN_WINDOWS: u32 = 2;

impl Broker {
    /// Lets time pass. Called several times a second.
    pub fn tick(&self, now: Now, started: Instant) {
        let window = Duration::from_secs(u64::from(self.reconnect_window_s()));
        self.room.look();
        self.commands_tick(now);
        self.audit_tick(now);
        self.presence_tick(now, window * UNKNOWN_WINDOWS, started);
        self.pasts_tick(now);
        let health = self.writer().health(now.mono);
        let age = health.commit_age.map_or(0, |age| age.as_millis());
        self.metrics.commit_age_ms.set(i64::try_from(age).unwrap_or(i64::MAX));
    }

    /// Everything that is counted, as text.
    pub fn metrics_page(&self) -> String {
        let stats = self.writer().stats();
        let count = |counter: &AtomicU64| {
            i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
        };
        self.metrics.commits.set(count(&stats.commits));
        self.metrics.commit_operations.set(count(&stats.operations));
        self.metrics.render()
    }

    /// Whether durable answers are to be expected soon.
    pub fn is_healthy(&self, now: Now) -> bool {
        !self.writer().health(now.mono).is_degraded()
    }

    /// Commits what is pending and ends the store's thread. Waits for the disk.
    ///
    /// # Errors
    /// A commit failed.
    pub fn close(&self) -> Result<(), crate::store::Failed> {
        self.loading.stop();
        self.audit.stop();
        self.pasts.stop();
        self.write_pasts();
        self.writer().close()
    }

    /// The last values of all channels of a device, in the order of the channels' names.
    ///
    /// # Errors
    /// They have to be read from the store, and can't.
    pub fn device_values(&self, id: &DeviceId) -> Result<Vec<Arc<Frame>>, Refusal> {
        self.recall(id)?;
        let pattern = ChannelPattern::parse(&format!("{}.{id}.>", proto::channels::PREFIX));
        let pattern = pattern.expect("a device id is a segment");
        let channels = self.channels.read();
        let mut values = Vec::new();
        for channel in channels.matching(&pattern) {
            let inner = channel.inner.lock();
            values.extend(inner.state.last().iter().map(|last| last.frame.clone()));
        }
        Ok(values)
    }
}
