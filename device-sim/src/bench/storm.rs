//! Everybody loses the connection at once and comes back: how long it takes until all are back, and how
//! those that are back first fare meanwhile.
//!
//! The caller ends the hub with `kill -9` when the file of `--standing-file` appears, and starts it again at
//! the same address. Devices come back as the protocol tells them, or as badly as clients do that know
//! nothing but a fixed wait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proto::limits;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::peers::{self, Device};
use super::reporter::{Reporter, Shift, Totals};
use super::{Bench, Row, signal};
use crate::clock::{Clock, Micros, micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError, Target};
use crate::metrics::{Counter, Latency};
use crate::schedule::{Periodic, Random};

/// How often the storm's end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time of a client that knows nothing, until it tries again.
const FIXED_WAIT: Duration = Duration::from_secs(1);
/// How long such a client waits for an answer.
const FIXED_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two reports of a device that is back.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How devices come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    /// Within the hub's window, then with full jitter
    Protocol,
    /// Each second, without jitter
    EachSecond,
}

/// Settings of `storm`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Devices
    #[arg(long, default_value_t = 18_000)]
    devices: usize,
    /// How they come back
    #[arg(long, value_enum, default_value = "protocol")]
    policy: Policy,
    /// So many of the first that are back report each second
    #[arg(long, default_value_t = 500)]
    reporters: u64,
    /// File that is made when all are connected
    #[arg(long)]
    standing_file: PathBuf,
    /// How long the storm may take
    #[arg(long, value_parser = crate::args::span, default_value = "200s")]
    patience: Duration,
}

/// What all devices share.
#[derive(Debug)]
struct Storm {
    clock: Clock,
    boot: u32,
    policy: Policy,
    reporters: u64,
    /// The first loss (µs); 0 before.
    broke_out: AtomicU64,
    lost: Counter,
    back: Counter,
    failures: Counter,
    /// Why tries failed, and how often.
    reasons: Mutex<BTreeMap<String, u64>>,
    recovery: Latency,
    totals: Totals,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.devices).await?;
    let storm = Arc::new(Storm {
        clock: bench.clock,
        boot: peers::boot(bench),
        policy: settings.policy,
        reporters: settings.reporters,
        broke_out: AtomicU64::new(0),
        lost: Counter::default(),
        back: Counter::default(),
        failures: Counter::default(),
        reasons: Mutex::default(),
        recovery: Latency::default(),
        totals: Totals::default(),
    });
    let target = bench.hub.target().without_resumption();
    let tokens = devices.iter().map(|device| device.token.clone());
    let mut living = JoinSet::new();
    peers::open_all(bench, &target, tokens, storm.boot, |opened| {
        let (storm, device) = (storm.clone(), devices[opened.number].clone());
        let target = target.clone().from_source(peers::source(&target, opened.number));
        let window_s = opened.admitted.reconnect_window_s;
        living.spawn(live(opened.link, opened.number, window_s, device, target, storm));
    })
    .await?;
    let io = |error: std::io::Error| HubError::Link(LinkError::Io(error));
    signal::give(Some(&settings.standing_file)).map_err(io)?;
    let all = settings.devices as u64;
    wait_for_end(&storm, all, settings.patience).await;
    storm.explain();
    let row = row(&storm, all);
    living.shutdown().await;
    Ok(vec![row])
}

impl Storm {
    fn failed(&self, error: &LinkError) {
        self.failures.add();
        *self.reasons.lock().entry(error.to_string()).or_default() += 1;
    }

    /// Says on stderr why tries failed: the figure alone doesn't tell a hub that was away from one that
    /// refuses.
    fn explain(&self) {
        for (reason, count) in self.reasons.lock().iter() {
            eprintln!("device-sim: {count} tries failed: {reason}");
        }
    }
}

/// Until all are back, or patience is at its end.
async fn wait_for_end(storm: &Storm, all: u64, patience: Duration) {
    let from = storm.clock.now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let since = match storm.broke_out.load(Ordering::Relaxed) {
            0 => from,
            broke_out => Micros(broke_out),
        };
        let is_over = storm.lost.count() >= all && storm.back.count() >= storm.lost.count();
        if is_over || storm.clock.now().since(since) > micros(patience) {
            return;
        }
    }
}

fn row(storm: &Storm, all: u64) -> Row {
    let name = match storm.policy {
        Policy::Protocol => "by the protocol",
        Policy::EachSecond => "each second",
    };
    let (recovery, totals) = (storm.recovery.snapshot(), &storm.totals);
    let back = storm.back.count() as f64 - (storm.lost.count() as f64 - all as f64).max(0.0);
    let seconds = |us: u64| us as f64 / 1e6;
    let row = Row::new(format!("storm, {all} come back {name}"))
        .with("not back", all as f64 - back, "")
        .with("half are back", seconds(recovery.value_at_quantile(0.5)), "s")
        .with("all are back", seconds(recovery.max()), "s")
        .with("failed tries", storm.failures.count() as f64, "")
        .with("lost again", (storm.lost.count() as f64 - all as f64).max(0.0), "");
    row.with("reports", totals.acked.count() as f64, "").with_latency(&totals.ack.snapshot())
}

/// One device: waits for the loss, comes back, and reports if it is among the first.
async fn live(
    mut link: Link,
    number: usize,
    mut window_s: u32,
    device: Device,
    target: Target,
    storm: Arc<Storm>,
) {
    let mut random = Random::new(1, number as u64);
    let (mut reports, mut reporter) = (false, Reporter::default());
    loop {
        stay(&mut link, reports.then_some(&mut reporter), &storm).await;
        let now = storm.clock.now();
        // The first one to notice sets the moment.
        storm.broke_out.compare_exchange(0, now.0, Ordering::Relaxed, Ordering::Relaxed).ok();
        storm.lost.add();
        // A descriptor each, or the many that try at once run out of them.
        drop(link);
        (link, window_s) = come_back(&device, &target, window_s, &mut random, &storm).await;
        storm.back.add();
        reports = reports || storm.back.count() <= storm.reporters;
        let broke_out = Micros(storm.broke_out.load(Ordering::Relaxed));
        storm.recovery.record(storm.clock.now().since(broke_out));
    }
}

/// Until the connection is lost.
async fn stay(link: &mut Link, reporter: Option<&mut Reporter>, storm: &Storm) {
    let Some(reporter) = reporter else {
        while link.next().await.is_ok() {}
        return;
    };
    let schedule = Periodic::new(storm.clock.now(), REPORT_EVERY);
    let end = Micros(u64::MAX);
    let shift = Shift { clock: storm.clock, schedule, end, settle: Duration::ZERO };
    // Its end is what is waited for, whatever the reason.
    drop(Box::pin(reporter.work(link, shift, &storm.totals)).await);
    reporter.give_up();
}

async fn come_back(
    device: &Device,
    target: &Target,
    window_s: u32,
    random: &mut Random,
    storm: &Storm,
) -> (Link, u32) {
    let mut wait = match storm.policy {
        Policy::Protocol => Duration::from_secs(u64::from(window_s)).mul_f64(random.share()),
        Policy::EachSecond => Duration::ZERO,
    };
    let mut step_ms = limits::BACKOFF_MS_MIN;
    loop {
        tokio::time::sleep(wait).await;
        let opening = Box::pin(Link::open(target, &device.token, storm.boot));
        let opened = match storm.policy {
            Policy::Protocol => opening.await,
            Policy::EachSecond => {
                timeout(FIXED_TIMEOUT, opening).await.unwrap_or(Err(LinkError::Timeout))
            }
        };
        match opened {
            Ok((link, admitted)) => return (link, admitted.reconnect_window_s),
            Err(error) => storm.failed(&error),
        }
        wait = match storm.policy {
            Policy::Protocol => Duration::from_millis(step_ms).mul_f64(random.share()),
            Policy::EachSecond => FIXED_WAIT,
        };
        step_ms = (step_ms * 2).min(limits::BACKOFF_MS_MAX);
    }
}
