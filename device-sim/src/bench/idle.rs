//! What an idle connection with its session and one subscription costs in memory: the slope between two
//! numbers of connections, so that neither the process itself nor the registry of devices is counted.
//! And the CPU time of all of them together.

use std::time::Duration;

use tokio::task::JoinSet;

use super::peers::{self, Knock};
use super::{Bench, Row};
use crate::hub::HubError;

/// Buffers are given back, pings settle.
const REST: Duration = Duration::from_secs(5);

/// Settings of `idle`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Connections at the first measurement
    #[arg(long, default_value_t = 1_000)]
    from: usize,
    /// Connections at the second
    #[arg(long, default_value_t = 18_000)]
    to: usize,
    /// How long the CPU time of the idle hub is taken
    #[arg(long, value_parser = crate::args::span, default_value = "20s")]
    duration: Duration,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.to).await?;
    let mut idle = JoinSet::new();
    let mut measured = Vec::new();
    let (first, rest) = devices.split_at(settings.from.min(devices.len()));
    let target = bench.hub.target();
    for part in [first, rest] {
        let knocks = part.iter().map(|device| Knock {
            target: target.clone(),
            token: device.token.clone(),
            subscription: Some(device.channel("desired")),
        });
        peers::knock_all(bench, knocks, peers::boot(bench), |opened| {
            idle.spawn(async move {
                let mut link = opened.link;
                // Reading answers the hub's pings; nothing else should come.
                while link.next().await.is_ok() {}
            });
        })
        .await?;
        tokio::time::sleep(REST).await;
        measured.push(bench.process.resident_kib());
    }
    let slope = match measured[..] {
        [Some(from), Some(to)] => Some((to - from) / rest.len() as f64),
        _ => None,
    };
    let meter = bench.process.meter();
    tokio::time::sleep(settings.duration).await;
    let cpu_share = meter.share(settings.duration);
    let lost = std::iter::from_fn(|| idle.try_join_next()).count();
    let row = Row::new("idle")
        .with("connections", settings.to as f64, "")
        .with_known("memory a connection", slope, "KiB")
        .with_known("resident", measured[1], "KiB")
        .with_known("cpu while idle", cpu_share, "% of a core")
        .with("lost connections", lost as f64, "");
    Ok(vec![row])
}
