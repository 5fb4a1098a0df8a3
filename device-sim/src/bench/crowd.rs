//! One process's share of a crowd that is too large for one hub or one load generator: all at rest, then
//! at a city's pace.
//!
//! The caller starts several, each with a hub of its own, waits until all stand, and lets them go on
//! together, so that their figures can be added up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::peers::{self, Knock};
use super::reporter::{Reporter, Shift, Totals};
use super::{Bench, Row, signal};
use crate::clock::Micros;
use crate::hub::HubError;
use crate::link::{Link, LinkError};
use crate::schedule::Periodic;

const SETTLE: Duration = Duration::from_secs(3);

/// Settings of `crowd`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Devices
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Reports a second of all of them together
    #[arg(long, default_value_t = 11.1)]
    rate: f64,
    /// File that is made when all are connected
    #[arg(long)]
    standing_file: Option<PathBuf>,
    /// File to wait for before anything is measured
    #[arg(long)]
    go_file: Option<PathBuf>,
    /// How long the hub is watched at rest
    #[arg(long, value_parser = crate::args::span, default_value = "20s")]
    rest: Duration,
    /// How long they report
    #[arg(long, value_parser = crate::args::span, default_value = "30s")]
    duration: Duration,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.devices).await?;
    let target = bench.hub.target();
    let knocks = devices.iter().map(|device| Knock {
        target: target.clone(),
        token: device.token.clone(),
        subscription: Some(device.channel("desired")),
    });
    let (go, gone) = tokio::sync::watch::channel(None);
    let totals = Arc::new(Totals::default());
    let mut living = JoinSet::new();
    peers::knock_all(bench, knocks, peers::boot(bench), |opened| {
        let share = opened.number as f64 / settings.devices as f64;
        let (settings, bench, totals, gone) =
            (settings.clone(), bench.clone(), totals.clone(), gone.clone());
        living.spawn(async move {
            let living = live(opened.link, share, &bench, &settings, gone, &totals);
            if Box::pin(living).await.is_err() {
                totals.lost_links.add();
            }
        });
    })
    .await?;
    let io = |error: std::io::Error| HubError::Link(LinkError::Io(error));
    signal::give(settings.standing_file.as_deref()).map_err(io)?;
    signal::wait(settings.go_file.as_deref()).await;

    let (meter, resident) = (bench.process.meter(), bench.process.resident_kib());
    tokio::time::sleep(settings.rest).await;
    let at_rest = meter.share(settings.rest);
    let start = bench.clock.now();
    let meter = bench.process.meter();
    go.send_replace(Some(start));
    bench.clock.sleep_until(start.after(settings.duration)).await;
    let at_work = meter.share(settings.duration);
    tokio::time::sleep(SETTLE).await;
    let (sent, acked) = (totals.sent.count() as f64, totals.acked.count() as f64);
    let row = Row::new("crowd")
        .with("connections", settings.devices as f64, "")
        .with_known("resident", resident.map(|kib| kib / 1024.0), "MiB")
        .with_known("cpu at rest", at_rest, "% of a core")
        .with_known("cpu at work", at_work, "% of a core")
        .with_known("resident at work", bench.process.resident_kib().map(|kib| kib / 1024.0), "MiB")
        .with("reports", acked, "")
        .with("unacknowledged", sent - acked, "")
        .with("lost connections", totals.lost_links.count() as f64, "")
        .with_latency(&totals.ack.snapshot());
    living.shutdown().await;
    Ok(vec![row])
}

/// One device: at rest until the work begins, then at work, then at rest again.
async fn live(
    mut link: Link,
    share: f64,
    bench: &Bench,
    settings: &Settings,
    mut go: tokio::sync::watch::Receiver<Option<Micros>>,
    totals: &Totals,
) -> Result<(), LinkError> {
    let start = tokio::select! {
        ended = read_on(&mut link) => return ended,
        start = async { go.wait_for(Option::is_some).await.map_or(None, |start| *start) } => start,
    };
    let Some(start) = start else { return Ok(()) };
    let every = Duration::from_secs_f64(settings.devices as f64 / settings.rate);
    let schedule = Periodic::new(start.after(every.mul_f64(share)), every);
    let end = start.after(settings.duration);
    let shift = Shift { clock: bench.clock, schedule, end, settle: SETTLE };
    Reporter::default().work(&mut link, shift, totals).await?;
    read_on(&mut link).await
}

/// Reading answers the hub's pings; nothing else should come.
async fn read_on(link: &mut Link) -> Result<(), LinkError> {
    loop {
        link.next().await?;
    }
}
