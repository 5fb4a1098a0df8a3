//! What an idle connection costs in memory: the slope between two numbers of connections, so that
//! neither the process itself nor the registry of devices is counted.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{Bench, Row, peers};
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
    #[arg(long, default_value_t = 15_000)]
    to: usize,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.to).await?;
    let mut idle = JoinSet::new();
    let mut measured = Vec::new();
    let (first, rest) = devices.split_at(settings.from.min(devices.len()));
    let target = bench.hub.target();
    for part in [first, rest] {
        let tokens = part.iter().map(|device| device.token.clone());
        peers::open_all(bench, &target, tokens, peers::boot(bench), |opened| {
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
    let lost = std::iter::from_fn(|| idle.try_join_next()).count();
    let slope = match measured[..] {
        [Some(from), Some(to)] => Some((to - from) / rest.len() as f64),
        _ => None,
    };
    let cpu = bench.process.cpu_us();
    tokio::time::sleep(REST).await;
    let cpu_share = bench
        .process
        .cpu_us()
        .zip(cpu)
        .map(|(after, before)| (after - before) / REST.as_micros() as f64 * 100.0);
    let row = Row::new("idle")
        .with("connections", settings.to as f64, "")
        .with_known("memory a connection", slope, "KiB")
        .with_known("resident", measured[1], "KiB")
        .with_known("cpu while idle", cpu_share, "% of a core")
        .with("lost connections", lost as f64, "");
    Ok(vec![row])
}
