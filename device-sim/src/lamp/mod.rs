//! One lamp of the fleet: a physical lamp, the firmware's machine, and a life that power cuts end.
//!
//! ```text
//!   live ─▶ boot ─▶ boot ─▶ …        flash and physics outlive a boot; rings and machine don't
//!            └─ driver::run(client, Controller)     `controller` is the firmware's application
//! ```
//!
//! `command` carries out orders, `power` fails.
//!
//! # Cost
//!
//! One task a lamp; its machine, rings and physics take about 25 KiB, a connection about 20 KiB more with
//! TLS.

mod command;

mod controller;

mod power;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use firmware_client::driver::{self, LinkControl};
use firmware_client::{Backoff, Buffers, Client, Config};
use parking_lot::Mutex;
use proto::messages::lighting::v1::ResetReason;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::encode::FIRMWARE_VERSION;
use crate::ledger::Findings;
use crate::ledger::commands::Commands;
use crate::ledger::device::Book;
use crate::metrics::Metrics;
use crate::physics::{Fault, FaultKind, Lamp, LampSpec, UnixMillis};
use crate::schedule::{Periodic, Random};

use controller::Controller;
pub use power::Power;
use power::{ENTRY, Flash, FragileJournal};

/// Bytes of people's words in an outcome.
pub const DETAIL_BYTES_MAX: usize = 60;
/// Bytes of a proof, so that it fits the journal's slot with those words.
pub const PROOF_BYTES_MAX: usize =
    ENTRY - firmware_client::journal::ENTRY_OVERHEAD - DETAIL_BYTES_MAX;

/// Bytes of telemetry that wait for a hub that is away: some 25 samples.
const SAMPLES_BYTES: usize = 4 * 1024;
/// Bytes of faults and switching that wait.
const EVENTS_BYTES: usize = 2 * 1024;
/// Bytes of commands that wait.
const COMMANDS_BYTES: usize = 1024;

/// What all lamps of a process share.
#[derive(Debug)]
pub struct Shared {
    /// The one clock.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// What was found broken.
    pub findings: Findings,
    /// All commands.
    pub commands: Commands,
    /// Which part of the run it is.
    pub phase: watch::Sender<Phase>,
    /// Time between two reports.
    pub report_every: Duration,
    /// Lamps obey the light that the hub says.
    pub follows_light: bool,
    /// When to come back.
    pub backoff: Backoff,
    /// Seeds everything.
    pub seed: u64,
    /// Names this process's part of this run among all that the hub ever sees.
    pub run: u64,
    /// Lamps that are broken from the start, by their place in the fleet.
    pub broken: HashMap<u32, FaultKind>,
    /// µs: when the last storm broke out; 0 before the first.
    pub storm_at: std::sync::atomic::AtomicU64,
}

/// The parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Everything goes on.
    Load,
    /// Nothing new is begun; what is under way comes to its end.
    Settle,
    /// Everybody goes home.
    Over,
}

/// One lamp, as its surroundings can reach it.
#[derive(Debug)]
pub struct Post {
    /// Its place in the fleet, from 0.
    pub index: u32,
    /// Its name.
    pub id: String,
    /// Its credential.
    pub token: Arc<str>,
    /// The hub, from one of our addresses.
    pub host: driver::HostConfig,
    /// The last boot that the hub knows of.
    pub last_boot: u32,
    /// Its link, to break it.
    pub link: LinkControl,
    /// Its mains, to cut them.
    pub power: Power,
    /// Its ledger.
    pub book: Mutex<Book>,
    /// It is admitted now.
    pub is_open: AtomicBool,
    /// A storm took its link, and it is not back.
    pub in_storm: AtomicBool,
    /// A physical fault to break it with: a `FaultKind`'s number + 1, or 0.
    pub fault: AtomicU32,
}

impl Post {
    /// Breaks the lamp itself, for `FAULT_LASTS`, when it looks next.
    pub fn break_lamp(&self, kind: FaultKind) {
        self.fault.store(kind as u32 + 1, Ordering::Release);
        self.link.wake();
    }
}

/// How long an injected fault stays.
const FAULT_LASTS: Duration = Duration::from_secs(120);

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The run is over.
    Over,
    /// The controller starts anew by an order.
    Reboot,
    /// Power failed.
    PowerCut,
}

/// What outlives a boot.
struct Body {
    physics: Lamp,
    flash: Flash,
    telemetry: Periodic,
    reset_reason: ResetReason,
    power_off_s: u32,
}

/// Lives until the run is over. Starts at once; the ramp is the caller's.
pub async fn live(shared: Arc<Shared>, post: Arc<Post>, spec: LampSpec) {
    let now = shared.clock.now();
    let mut random = Random::new(shared.seed, u64::from(post.index));
    let phase = shared.report_every.mul_f64(random.share());
    let mut physics = Lamp::new(spec, UnixMillis(shared.clock.city_unix_ms()));
    if let Some(kind) = shared.broken.get(&post.index) {
        physics.inject(Fault { kind: *kind, until: None, strength: None });
    }
    let mut body = Box::new(Body {
        physics,
        flash: Flash::new(post.last_boot),
        telemetry: Periodic::new(now.after(phase), shared.report_every),
        reset_reason: ResetReason::PowerOn,
        power_off_s: 0,
    });
    let mut first = true;
    loop {
        let end = Box::pin(boot(&shared, &post, &mut body, first)).await;
        first = false;
        match end {
            End::Over => return,
            End::Reboot => {
                body.physics.advance(UnixMillis(shared.clock.city_unix_ms()));
                body.physics.restart();
                body.reset_reason = ResetReason::Command;
                body.power_off_s = 0;
            }
            End::PowerCut => stay_dark(&shared, &post, &mut body).await,
        }
        shared.metrics.reboots.add();
    }
}

/// Waits until power returns, or the run ends: then it returns at once, so that the lamp can say
/// what it owes.
async fn stay_dark(shared: &Shared, post: &Post, body: &mut Body) {
    body.physics.advance(UnixMillis(shared.clock.city_unix_ms()));
    body.physics.set_mains(false);
    post.book.lock().lost_power();
    let off = post.power.restore();
    let mut phase = shared.phase.subscribe();
    tokio::select! {
        () = tokio::time::sleep(off) => {}
        _ = phase.wait_for(|phase| *phase != Phase::Load) => {}
    }
    body.physics.advance(UnixMillis(shared.clock.city_unix_ms()));
    body.physics.set_mains(true);
    body.telemetry.skip_to(shared.clock.now());
    body.reset_reason = ResetReason::PowerOn;
    body.power_off_s = u32::try_from(off.as_secs()).unwrap_or(u32::MAX);
}

/// One life of the machine, from power-up to its end.
async fn boot(shared: &Shared, post: &Post, body: &mut Body, first: bool) -> End {
    let mut samples = vec![0; SAMPLES_BYTES];
    let mut events = vec![0; EVENTS_BYTES];
    let mut commands = vec![0; COMMANDS_BYTES];
    let buffers = Buffers { samples: &mut samples, events: &mut events, commands: &mut commands };
    // The first connection comes when the ramp says; later ones come when the firmware says.
    let first_window_ms = if first { 0 } else { shared.backoff.first_window_ms };
    let config = Config {
        token: &post.token,
        agent: FIRMWARE_VERSION,
        follows_light: shared.follows_light,
        backoff: Backoff { first_window_ms, ..shared.backoff },
        ..Config::new(&post.id, Random::new(shared.seed, 1 << 32 | u64::from(post.index)).next())
    };
    let Body { physics, flash, telemetry, reset_reason, power_off_s } = body;
    let journal = FragileJournal::new(flash, &post.power);
    let clock = shared.clock.firmware();
    let Ok(client) = Client::new(config, buffers, journal, clock.now()) else { return End::Over };
    let mut client = Box::new(client);
    let mut controller = Controller::new(shared, post, physics, telemetry, client.boot());
    controller.announce(*reset_reason, *power_off_s);
    {
        let running = driver::run(&post.host, clock, &post.link, &mut client, &mut controller);
        tokio::select! {
            biased;
            () = post.power.failing() => {}
            () = running => {}
        }
    }
    shared.metrics.bytes_sent.add_many(client.stats().bytes_sent);
    shared.metrics.bytes_received.add_many(client.stats().bytes_received);
    controller.end()
}
