//! Many devices, one reader: durable acks at a paced rate, and what a report costs the hub.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::reporter::{self, Reading, Reporter, Shift, Totals};
use super::{Bench, Row, peers};
use crate::hub::HubError;
use crate::link::Link;
use crate::schedule::Periodic;

const SETTLE: Duration = Duration::from_secs(3);

/// Settings of `fan-in`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Devices that publish
    #[arg(long, default_value_t = 2_000)]
    devices: usize,
    /// Reports a second, of all devices together
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// How long
    #[arg(long, value_parser = crate::args::span, default_value = "15s")]
    duration: Duration,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.devices).await?;
    let tokens = devices.iter().map(|device| device.token.clone());
    let mut links = Vec::new();
    let boot = peers::boot(bench);
    peers::open_all(bench, &bench.hub.target(), tokens, boot, |opened| links.push(opened)).await?;
    let (totals, reading) = (Arc::new(Totals::default()), Arc::new(Reading::default()));
    let mut tasks = JoinSet::new();
    let (reader, _) = Link::open(&bench.hub.target().for_reader(), bench.hub.token(), 0).await?;
    let read = reading.clone();
    tasks.spawn(async move {
        // Its end shows in what was not read.
        drop(reporter::read(reader, "devices.*.telemetry", &read).await);
    });
    let every = Duration::from_secs_f64(settings.devices as f64 / settings.rate);
    let start = bench.clock.now().after(SETTLE);
    let end = start.after(settings.duration);
    for mut opened in links {
        let share = opened.number as f64 / settings.devices as f64;
        let schedule = Periodic::new(start.after(every.mul_f64(share)), every);
        let shift = Shift { clock: bench.clock, schedule, end, settle: SETTLE };
        let totals = totals.clone();
        tasks.spawn(async move {
            let mut reporter = Reporter::default();
            if Box::pin(reporter.work(&mut opened.link, shift, &totals)).await.is_err() {
                totals.lost_links.add();
            }
        });
    }
    bench.clock.sleep_until(start).await;
    let meter = bench.process.meter();
    bench.clock.sleep_until(end).await;
    let (acked, cpu) = (totals.acked.count() as f64, meter.spent_us());
    let share = meter.share(settings.duration);
    tokio::time::sleep(SETTLE).await;
    let seconds = settings.duration.as_secs_f64();
    let (ack, sent) = (totals.ack.snapshot(), totals.sent.count() as f64);
    let row = Row::new(format!("fan-in {} to 1", settings.devices))
        .with("offered", settings.rate, "/s")
        .with("durable acks", acked / seconds, "/s")
        .with_latency(&ack)
        .with("max", ack.max() as f64 / 1000.0, "ms")
        .with_known("cpu a report", cpu.map(|us| us / acked.max(1.0)), "us")
        .with_known("cpu", share, "% of a core")
        .with("unacknowledged", sent - totals.acked.count() as f64, "")
        .with("not read", sent - reading.messages.count() as f64, "")
        .with("lost connections", totals.lost_links.count() as f64, "");
    Ok(vec![row])
}
