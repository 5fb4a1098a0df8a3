//! Devices that send far more than they may, beside honest ones: whether they are held to the limit, and
//! what the honest ones notice.
//!
//! First only the honest ones report; then the others begin, and the honest ones are compared with
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::reporter::{self, Reporter, Shift, Totals};
use super::{Bench, Row, peers};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError};
use crate::schedule::Periodic;

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
    /// How long each of both parts takes
    #[arg(long, value_parser = crate::args::span, default_value = "20s")]
    duration: Duration,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.honest + settings.flooders).await?;
    let tokens = devices.iter().map(|device| device.token.clone());
    let (mut honest, mut flooders) = (Vec::new(), Vec::new());
    let boot = peers::boot(bench);
    peers::open_all(bench, &bench.hub.target(), tokens, boot, |opened| {
        if opened.number < settings.honest {
            honest.push((opened.link, Reporter::default()));
        } else {
            flooders.push(opened.link);
        }
    })
    .await?;
    let (calm, _) = part(bench, settings, &mut honest).await?;
    let totals = Arc::new(Totals::default());
    let end = bench.clock.now().after(SETTLE + settings.duration);
    let mut flooding = JoinSet::new();
    for link in flooders {
        let every = Duration::from_secs_f64(1.0 / settings.flood_rate);
        let schedule = Periodic::new(bench.clock.now().after(SETTLE), every);
        let (clock, totals) = (bench.clock, totals.clone());
        flooding.spawn(async move {
            if Box::pin(flood(link, clock, schedule, end, &totals)).await.is_err() {
                totals.lost_links.add();
            }
        });
    }
    let (troubled, cpu) = part(bench, settings, &mut honest).await?;
    while flooding.join_next().await.is_some() {}
    let p99 = |totals: &Totals| totals.ack.snapshot().value_at_quantile(0.99) as f64 / 1000.0;
    let (before, after) = (p99(&calm), p99(&troubled));
    let unacknowledged = |totals: &Totals| (totals.sent.count() - totals.acked.count()) as f64;
    let each_s = settings.flooders as f64 * settings.duration.as_secs_f64();
    let row = Row::new(format!("flood, {} beside {}", settings.flooders, settings.honest))
        .with("p99 calm", before, "ms")
        .with("p99 in the flood", after, "ms")
        .with("p99 grew", (after / before.max(0.001) - 1.0) * 100.0, "%")
        .with("unacknowledged", unacknowledged(&calm) + unacknowledged(&troubled), "")
        .with("taken of a flooder", totals.acked.count() as f64 / each_s, "/s")
        .with("flooders cut", totals.lost_links.count() as f64, "")
        .with_known("cpu", cpu, "% of a core");
    Ok(vec![row])
}

/// The honest ones report for a while; their figures, and the hub's share of a core.
async fn part(
    bench: &Bench,
    settings: &Settings,
    honest: &mut Vec<(Link, Reporter)>,
) -> Result<(Arc<Totals>, Option<f64>), HubError> {
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
    let share = meter.share(settings.duration);
    while let Some(reported) = reporting.join_next().await {
        match reported {
            Ok(kept) => honest.push(kept?),
            Err(error) => return Err(HubError::Answer(error.to_string())),
        }
    }
    Ok((totals, share))
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
