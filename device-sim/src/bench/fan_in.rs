//! Many devices, one reader: durable acks at a paced rate, and what a report costs the hub.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use proto::envelope::{Batch, Kind, Publish, Subscribe};
use proto::messages::lighting::v1::{LampSample, RecordHeader, TelemetryBatch};
use tokio::task::JoinSet;

use super::{Bench, Row, peers};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError, encode};
use crate::metrics::{Counter, Latency};
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

#[derive(Debug, Default)]
struct Totals {
    sent: Counter,
    acked: Counter,
    read: Counter,
    lost_links: Counter,
    ack: Latency,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.devices).await?;
    let tokens = devices.iter().map(|device| device.token.clone());
    let mut links = Vec::new();
    let boot = peers::boot(bench);
    peers::open_all(bench, &bench.hub.target(), tokens, boot, |opened| links.push(opened)).await?;
    let totals = Arc::new(Totals::default());
    let mut tasks = JoinSet::new();
    let (reader, _) = Link::open(&bench.hub.target().for_reader(), bench.hub.token(), 0).await?;
    tasks.spawn(read(reader, totals.clone()));
    let every = Duration::from_secs_f64(settings.devices as f64 / settings.rate);
    let start = bench.clock.now().after(SETTLE);
    let end = start.after(settings.duration);
    for opened in links {
        let share = opened.number as f64 / settings.devices as f64;
        let schedule = Periodic::new(start.after(every.mul_f64(share)), every);
        let (clock, totals) = (bench.clock, totals.clone());
        tasks.spawn(async move {
            if Box::pin(publish(opened.link, clock, schedule, end, &totals)).await.is_err() {
                totals.lost_links.add();
            }
        });
    }
    bench.clock.sleep_until(start).await;
    let cpu = bench.process.cpu_us();
    bench.clock.sleep_until(end).await;
    let acked = totals.acked.count() as f64;
    let cpu = bench.process.cpu_us().zip(cpu).map(|(after, before)| after - before);
    tokio::time::sleep(SETTLE).await;
    let seconds = settings.duration.as_secs_f64();
    let ack = totals.ack.snapshot();
    let ms = |quantile: f64| ack.value_at_quantile(quantile) as f64 / 1000.0;
    let row = Row::new(format!("fan-in {} to 1", settings.devices))
        .with("offered", settings.rate, "/s")
        .with("durable acks", acked / seconds, "/s")
        .with("p50", ms(0.5), "ms")
        .with("p99", ms(0.99), "ms")
        .with("max", ack.max() as f64 / 1000.0, "ms")
        .with_known("cpu a report", cpu.map(|us| us / acked.max(1.0)), "us")
        .with_known("cpu", cpu.map(|us| us / seconds / 1e4), "% of a core")
        .with("unacknowledged", totals.sent.count() as f64 - totals.acked.count() as f64, "")
        .with("not read", totals.sent.count() as f64 - totals.read.count() as f64, "")
        .with("lost connections", totals.lost_links.count() as f64, "");
    Ok(vec![row])
}

/// One device: reports on schedule, acks whenever they come.
async fn publish(
    mut link: Link,
    clock: Clock,
    mut schedule: Periodic,
    end: Micros,
    totals: &Totals,
) -> Result<(), LinkError> {
    let payload = payload();
    let mut sent = std::collections::VecDeque::new();
    let mut seq = 0;
    let last = end.after(SETTLE);
    while schedule.next() < end || (!sent.is_empty() && clock.now() < last) {
        let due = schedule.next().min(last);
        tokio::select! {
            bytes = link.next() => take_acks(&bytes?, clock.now(), &mut sent, totals),
            () = clock.sleep_until(if due < end { due } else { last }) => {
                while let Some(intended) = schedule.take(clock.now()).filter(|intended| *intended < end) {
                    seq += 1;
                    sent.push_back((seq, intended));
                    totals.sent.add();
                    let publish = Publish { seq, payload: Some(&payload), ..Publish::default() };
                    link.send(&encode(0, Kind::Publish(publish))).await?;
                }
            }
        }
    }
    Ok(())
}

fn take_acks(
    bytes: &[u8],
    now: Micros,
    sent: &mut std::collections::VecDeque<(u64, Micros)>,
    totals: &Totals,
) {
    let acks =
        Batch::parse(bytes).into_iter().flatten().filter_map(|envelope| match envelope.kind {
            Kind::Ack(ack) => Some(ack.seq),
            _ => None,
        });
    for up_to in acks {
        while let Some((_, intended)) = sent.pop_front_if(|(seq, _)| *seq <= up_to) {
            totals.acked.add();
            totals.ack.record(now.since(intended));
        }
    }
}

/// A small batch, about 64 bytes.
fn payload() -> Vec<u8> {
    let sample = LampSample {
        state: 3,
        reason: 2,
        target_level_pct: Some(70),
        actual_level_pct: Some(70),
        supply_voltage_v: Some(230.1),
        supply_current_a: Some(0.21),
        active_power_w: Some(48.2),
        power_factor: Some(0.97),
        active_energy_wh: Some(123_456),
        burn_time_s: Some(9_876_543),
        ..LampSample::default()
    };
    let header = RecordHeader { time_unix_ms: 1_800_000_000_000, ..RecordHeader::default() };
    TelemetryBatch { header: Some(header), samples: vec![sample], logger_id: 0 }.encode_to_vec()
}

async fn read(mut link: Link, totals: Arc<Totals>) {
    let subscribe = Subscribe { pattern: "devices.*.telemetry", ..Subscribe::default() };
    if link.send(&encode(0, Kind::Subscribe(subscribe))).await.is_err() {
        return;
    }
    while let Ok(bytes) = link.next().await {
        let Ok(batch) = Batch::parse(&bytes) else { return };
        totals.read.add_many(
            batch.filter(|envelope| matches!(envelope.kind, Kind::Message(_))).count() as u64,
        );
    }
}
