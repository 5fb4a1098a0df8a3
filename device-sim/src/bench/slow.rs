//! Dashboards that read slowly, and some that don't read at all, beside others: what the others notice.
//!
//! One publisher, one stream. First everybody reads as fast as they can; then some turn slow, and the
//! rest is compared with itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::envelope::{Batch, Envelope, Kind, Publish};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::peers::{self, Knock};
use super::process::sockets_kib;
use super::{Bench, Row};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError};
use crate::metrics::{Counter, Latency};
use crate::schedule::Periodic;

const PREFIX: &str = "bench.slow";
/// Channels that take turns. With this payload their last values alone are more than a mailbox holds, so
/// that newer values in place of older ones don't help the slow.
const CHANNELS: u64 = 500;
const PAYLOAD: &[u8] = &[7; 4096];
/// Bytes that the kernel takes for those who will be slow.
const RECEIVE_WINDOW: u32 = 4096;
const REST: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Settings of `slow`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// All dashboards
    #[arg(long, default_value_t = 2_000)]
    dashboards: usize,
    /// Those that turn slow
    #[arg(long, default_value_t = 500)]
    slow: usize,
    /// Those that stop reading
    #[arg(long, default_value_t = 50)]
    frozen: usize,
    /// Bytes a second that a slow one reads
    #[arg(long, default_value_t = 1024.0)]
    slow_bytes_per_s: f64,
    /// Messages a second
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// How long all read
    #[arg(long, value_parser = crate::args::span, default_value = "20s")]
    calm: Duration,
    /// How long some are slow
    #[arg(long, value_parser = crate::args::span, default_value = "60s")]
    trouble: Duration,
}

/// How a dashboard reads once trouble begins.
#[derive(Debug, Clone, Copy)]
enum Habit {
    Brisk,
    Slow(f64),
    Frozen,
}

/// What the brisk ones got, in one of the two parts.
#[derive(Debug, Default)]
struct Part {
    read: Counter,
    gaps: Counter,
    latency: Latency,
}

#[derive(Debug, Default)]
struct Parts {
    calm: Part,
    trouble: Part,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let parts = Arc::new(Parts::default());
    let (trouble, in_trouble) = watch::channel(false);
    let mut reading = JoinSet::new();
    let token: Arc<str> = bench.hub.token().into();
    let target = bench.hub.target().for_reader();
    let knocks = (0..settings.dashboards).map(|number| Knock {
        target: match settings.habit(number) {
            Habit::Brisk => target.clone(),
            Habit::Slow(_) | Habit::Frozen => target.clone().with_receive_window(RECEIVE_WINDOW),
        },
        token: token.clone(),
        subscription: Some(format!("{PREFIX}.*")),
    });
    peers::knock_all(bench, knocks, 0, |opened| {
        let (habit, clock) = (settings.habit(opened.number), bench.clock);
        let (parts, in_trouble) = (parts.clone(), in_trouble.clone());
        reading.spawn(async move { read(opened.link, habit, clock, &parts, in_trouble).await });
    })
    .await?;
    let (mut publisher, _) = Link::open(&bench.hub.target(), bench.hub.token(), 0).await?;
    tokio::time::sleep(REST).await;
    let calm = publish(bench, &mut publisher, settings.rate, settings.calm).await?;
    tokio::time::sleep(REST).await;
    let (before, kernel) = (bench.process.resident_kib(), sockets_kib());
    trouble.send_replace(true);
    let peak = Arc::new(AtomicU64::new(0));
    let looking = tokio::spawn(look_at_sockets(peak.clone()));
    let troubled = publish(bench, &mut publisher, settings.rate, settings.trouble).await?;
    tokio::time::sleep(REST).await;
    let grown = before.zip(bench.process.peak_kib()).map(|(from, to)| (to - from) / 1024.0);
    let row = row(settings, &parts, calm, troubled).with_known("memory grew", grown, "MiB");
    looking.abort();
    let held = kernel.map(|from| (peak.load(Ordering::Relaxed) as f64 - from) / 1024.0);
    let gaps = bench.counted("gaps_total").await?;
    let closed = bench.counted("closed_total{code=\"4001\"}").await?;
    let silent = bench.counted("closed_total{code=\"4002\"}").await?;
    let row = row
        .with_known("kernel memory grew", held, "MiB")
        .with("named", gaps + closed + silent, "")
        .with("gaps told", gaps, "")
        .with("closed as slow", closed, "")
        .with("closed without pong", silent, "");
    reading.shutdown().await;
    Ok(vec![row])
}

impl Settings {
    fn habit(&self, number: usize) -> Habit {
        if number < self.frozen {
            Habit::Frozen
        } else if number < self.frozen + self.slow {
            Habit::Slow(self.slow_bytes_per_s)
        } else {
            Habit::Brisk
        }
    }

    fn brisk(&self) -> f64 {
        self.dashboards.saturating_sub(self.slow + self.frozen) as f64
    }
}

fn row(settings: &Settings, parts: &Parts, calm: u64, troubled: u64) -> Row {
    let p99 = |part: &Part| part.latency.snapshot().value_at_quantile(0.99) as f64 / 1000.0;
    let (before, after) = (p99(&parts.calm), p99(&parts.trouble));
    let read = parts.calm.read.count() + parts.trouble.read.count();
    let gaps = parts.calm.gaps.count() + parts.trouble.gaps.count();
    let missing = (calm + troubled) as f64 * settings.brisk() - read as f64;
    Row::new(format!("slow, {} of {} dashboards", settings.slow, settings.dashboards))
        .with("p99 calm", before, "ms")
        .with("p99 in trouble", after, "ms")
        .with("p99 grew", (after / before.max(0.001) - 1.0) * 100.0, "%")
        .with("missing", missing, "")
        .with("gaps of the others", gaps as f64, "")
}

/// Notes the most (KiB) that the kernel holds for sockets: what a slow reader has not taken may lie there
/// as well as in the hub.
async fn look_at_sockets(peak: Arc<AtomicU64>) {
    loop {
        peak.fetch_max(sockets_kib().unwrap_or_default() as u64, Ordering::Relaxed);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Publishes for a while; returns how many.
async fn publish(
    bench: &Bench,
    link: &mut Link,
    rate: f64,
    span: Duration,
) -> Result<u64, LinkError> {
    let start = bench.clock.now();
    let mut schedule = Periodic::new(start, Duration::from_secs_f64(1.0 / rate));
    let (end, mut count) = (start.after(span), 0);
    while schedule.next() < end {
        bench.clock.sleep_until(schedule.next()).await;
        while let Some(intended) = schedule.take(bench.clock.now()).filter(|due| *due < end) {
            let channel = format!("{PREFIX}.c{}", count % CHANNELS);
            let publish = Publish {
                channel: &channel,
                time_unix_ms: intended.0,
                payload: Some(PAYLOAD),
                ..Publish::default()
            };
            let mut message = Vec::new();
            Envelope::new(Kind::Publish(publish)).encode_delimited(&mut message);
            link.send(&message).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// One dashboard, until the hub or the bench ends it.
async fn read(
    mut link: Link,
    habit: Habit,
    clock: Clock,
    parts: &Parts,
    mut trouble: watch::Receiver<bool>,
) {
    loop {
        let is_trouble = *trouble.borrow();
        if is_trouble && matches!(habit, Habit::Frozen) {
            // The connection stays, and nobody reads it.
            std::future::pending::<()>().await;
        }
        let bytes = tokio::select! {
            bytes = link.next() => bytes,
            // Who waits for a message learns that trouble began.
            Ok(()) = trouble.changed() => continue,
        };
        let Ok(bytes) = bytes else { return };
        match habit {
            Habit::Brisk if is_trouble => parts.trouble.take(&bytes, clock.now()),
            Habit::Brisk => parts.calm.take(&bytes, clock.now()),
            Habit::Slow(per_s) if is_trouble => {
                tokio::time::sleep(Duration::from_secs_f64(bytes.len() as f64 / per_s)).await;
            }
            Habit::Slow(_) | Habit::Frozen => {}
        }
    }
}

impl Part {
    fn take(&self, bytes: &[u8], now: Micros) {
        for envelope in Batch::parse(bytes).into_iter().flatten() {
            match envelope.kind {
                Kind::Message(message) => {
                    self.read.add();
                    self.latency.record(now.since(Micros(message.measured_unix_ms)));
                }
                Kind::Gap(_) => self.gaps.add(),
                _ => {}
            }
        }
    }
}
