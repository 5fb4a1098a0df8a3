//! New connections as fast as they come: TCP, full TLS handshake, upgrade, greeting.

use super::{Bench, Row, peers};
use crate::hub::HubError;
use crate::metrics::Latency;

/// Settings of `connects`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Connections
    #[arg(long, default_value_t = 2_000)]
    count: usize,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.count).await?;
    let latency = Latency::default();
    let mut links = Vec::with_capacity(settings.count);
    let target = bench.hub.target().without_resumption();
    let (start, cpu) = (bench.clock.now(), bench.process.cpu_us());
    let tokens = devices.iter().map(|device| device.token.clone());
    peers::open_all(bench, &target, tokens, peers::boot(bench), |opened| {
        latency.record(opened.took_us);
        links.push(opened.link);
    })
    .await?;
    let seconds = bench.clock.now().since(start) as f64 / 1e6;
    let cpu = bench.process.cpu_us().zip(cpu).map(|(after, before)| after - before);
    let latency = latency.snapshot();
    let count = links.len() as f64;
    let row = Row::new("connects")
        .with("connections", count, "")
        .with("rate", count / seconds, "/s")
        .with_known("cpu a connection", cpu.map(|us| us / count.max(1.0)), "us")
        .with("p50", latency.value_at_quantile(0.5) as f64 / 1000.0, "ms")
        .with("p99", latency.value_at_quantile(0.99) as f64 / 1000.0, "ms");
    Ok(vec![row])
}
