//! Devices that send far more than they may, beside honest ones: whether they are held to the limit, and
//! what the honest ones notice.
//!
//! First only the honest ones report; then the others come and begin, and the honest ones are compared with
//! themselves. So in turns, since no machine is as quiet in one minute as in the next: what counts is the median
//! of what their p99 grew by from a calm part to the flood after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::peers::Device;
use super::reporter::{self, Reporter, Shift, Totals};
use super::{Bench, Row, peers};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError};
use crate::schedule::Periodic;
use crate::spread::Spread;

const SETTLE: Duration = Duration::from_secs(3);
/// Reports that a flooder writes before it looks for acks.
const BURST_MAX: usize = 64;

/// Settings of `flood`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Devices that report as they may
    #[arg(long, default_value_t = 1_000)]
    honest: usize,
    /// Reports a second of all of them
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Devices that send too much
    #[arg(long, default_value_t = 20)]
    flooders: usize,
    /// Reports a second that each of those tries to send
    #[arg(long, default_value_t = 5_000.0)]
    flood_rate: f64,
    /// How often there is a calm part and a flood after it
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    turns: u32,
    /// How long each part takes
    #[arg(long, value_parser = crate::args::span, default_value = "20s")]
    duration: Duration,
}

/// What one part found.
struct Part {
    totals: Arc<Totals>,
    /// The hub's share of a core.
    cpu: Option<f64>,
}

impl Part {
    fn p99_ms(&self) -> f64 {
        self.totals.ack.snapshot().value_at_quantile(0.99) as f64 / 1000.0
    }

    fn unacknowledged(&self) -> u64 {
        self.totals.sent.count() - self.totals.acked.count()
    }
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.honest + settings.flooders).await?;
    let (honest, flooders) = devices.split_at(settings.honest);
    let boot = peers::boot(bench);
    let links = open(bench, honest, boot).await?;
    let mut honest: Vec<_> = links.into_iter().map(|link| (link, Reporter::default())).collect();
    let flooded = Arc::new(Totals::default());
    let (mut calm, mut troubled) = (Vec::new(), Vec::new());
    for turn in 1..=settings.turns {
        calm.push(part(bench, settings, &mut honest).await?);
        let links = open(bench, flooders, boot + turn).await?;
        let mut flooding = begin_flood(bench, settings, links, &flooded);
        troubled.push(part(bench, settings, &mut honest).await?);
        while flooding.join_next().await.is_some() {}
    }
    let median = |values: Vec<f64>| Spread::of(&values).map_or(0.0, |spread| spread.median);
    let p99 = |parts: &[Part]| median(parts.iter().map(Part::p99_ms).collect());
    let growth = |(before, after): (&Part, &Part)| {
        (after.p99_ms() / before.p99_ms().max(0.001) - 1.0) * 100.0
    };
    let grew = calm.iter().zip(&troubled).map(growth).collect();
    let unacknowledged: u64 = calm.iter().chain(&troubled).map(Part::unacknowledged).sum();
    let cpu: Option<Vec<f64>> = troubled.iter().map(|part| part.cpu).collect();
    let flooded_s =
        settings.flooders as f64 * settings.duration.as_secs_f64() * f64::from(settings.turns);
    let row = Row::new(format!("flood, {} beside {}", settings.flooders, settings.honest))
        .with("p99 calm", p99(&calm), "ms")
        .with("p99 in the flood", p99(&troubled), "ms")
        .with("p99 grew", median(grew), "%")
        .with("unacknowledged", unacknowledged as f64, "")
        .with("taken of a flooder", flooded.acked.count() as f64 / flooded_s, "/s")
        .with("flooders cut", flooded.lost_links.count() as f64, "")
        .with_known("cpu", cpu.map(median), "% of a core");
    Ok(vec![row])
}

/// Connects these devices.
async fn open(bench: &Bench, devices: &[Device], boot: u32) -> Result<Vec<Link>, HubError> {
    let tokens = devices.iter().map(|device| device.token.clone());
    let mut links = Vec::with_capacity(devices.len());
    peers::open_all(bench, &bench.hub.target(), tokens, boot, |opened| links.push(opened.link))
        .await?;
    Ok(links)
}

/// These send too much, from the moment that the next part measures from to its end.
fn begin_flood(
    bench: &Bench,
    settings: &Settings,
    links: Vec<Link>,
    totals: &Arc<Totals>,
) -> JoinSet<()> {
    let start = bench.clock.now().after(SETTLE);
    let end = start.after(settings.duration);
    let every = Duration::from_secs_f64(1.0 / settings.flood_rate);
    let mut flooding = JoinSet::new();
    for link in links {
        let (clock, totals) = (bench.clock, totals.clone());
        flooding.spawn(async move {
            let schedule = Periodic::new(start, every);
            if Box::pin(flood(link, clock, schedule, end, &totals)).await.is_err() {
                totals.lost_links.add();
            }
        });
    }
    flooding
}

/// The honest ones report for a while; their figures, and the hub's share of a core.
async fn part(
    bench: &Bench,
    settings: &Settings,
    honest: &mut Vec<(Link, Reporter)>,
) -> Result<Part, HubError> {
    let totals = Arc::new(Totals::default());
    let start = bench.clock.now().after(SETTLE);
    let end = start.after(settings.duration);
    let count = honest.len() as f64;
    let every = Duration::from_secs_f64(count / settings.rate);
    let mut reporting = JoinSet::new();
    for (number, (mut link, mut reporter)) in honest.drain(..).enumerate() {
        let schedule = Periodic::new(start.after(every.mul_f64(number as f64 / count)), every);
        let shift = Shift { clock: bench.clock, schedule, end, settle: SETTLE };
        let totals = totals.clone();
        reporting.spawn(async move {
            Box::pin(reporter.work(&mut link, shift, &totals)).await?;
            Ok::<_, LinkError>((link, reporter))
        });
    }
    bench.clock.sleep_until(start).await;
    let meter = bench.process.meter();
    bench.clock.sleep_until(end).await;
    let cpu = meter.share(settings.duration);
    while let Some(reported) = reporting.join_next().await {
        match reported {
            Ok(kept) => honest.push(kept?),
            Err(error) => return Err(HubError::Answer(error.to_string())),
        }
    }
    Ok(Part { totals, cpu })
}

/// Sends as fast as the hub takes it, up to its rate.
async fn flood(
    mut link: Link,
    clock: Clock,
    mut schedule: Periodic,
    end: Micros,
    totals: &Totals,
) -> Result<(), LinkError> {
    let payload = reporter::payload();
    let mut reporter = Reporter::default();
    while clock.now() < end {
        clock.sleep_until(schedule.next()).await;
        for _ in 0..BURST_MAX {
            let Some(intended) = schedule.take(clock.now()) else { break };
            link.feed(&reporter.publish(&payload, intended, totals)).await?;
        }
        // The hub that doesn't read holds us back here.
        tokio::select! {
            sent = link.flush() => sent?,
            () = clock.sleep_until(end) => {}
        }
        while let Ok(bytes) = timeout(Duration::ZERO, link.next()).await {
            reporter.take_acks(&bytes?, clock.now(), totals);
        }
    }
    Ok(())
}
