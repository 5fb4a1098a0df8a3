//! New connections as fast as they come: TCP, TLS handshake, upgrade, greeting, one subscription.
//!
//! A resumed handshake needs a ticket of an earlier connection. So every device connects twice then,
//! and only the second time counts.

use std::sync::Arc;
use std::time::Duration;

use firmware_client::driver::tls_config;
use rustls::ClientConfig;
use rustls::client::Resumption;

use super::certificates::Authority;
use super::peers::{self, Device, Knock};
use super::{Bench, Row};
use crate::hub::HubError;
use crate::link::Target;
use crate::metrics::Latency;

/// Until the hub has let go of the first connections.
const REST: Duration = Duration::from_secs(2);
/// Hubs whose tickets a device keeps.
const SESSIONS: usize = 1;

/// Settings of `connects`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Connections
    #[arg(long, default_value_t = 4_000)]
    count: usize,
    /// Resume the TLS session of an earlier connection
    #[arg(long)]
    resumed: bool,
    /// Devices come with certificates in place of tokens, signed by the hub's dev CA, whose key lies
    /// beside its certificate
    #[arg(long)]
    certificates: bool,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.count).await?;
    let knocks = knocks(bench, settings, &devices)?;
    let boot = peers::boot(bench);
    if settings.resumed {
        let mut first = Vec::with_capacity(settings.count);
        peers::knock_all(bench, knocks.clone(), boot, |opened| first.push(opened.link)).await?;
        drop(first);
        tokio::time::sleep(REST).await;
    }
    let (latency, mut resumed) = (Latency::default(), 0_u32);
    let mut links = Vec::with_capacity(settings.count);
    let (start, meter) = (bench.clock.now(), bench.process.meter());
    peers::knock_all(bench, knocks, boot + 1, |opened| {
        latency.record(opened.took_us);
        resumed += u32::from(opened.admitted.resumed);
        links.push(opened.link);
    })
    .await?;
    let seconds = bench.clock.now().since(start) as f64 / 1e6;
    let (cpu, count) = (meter.spent_us(), links.len() as f64);
    let row = Row::new(name(settings))
        .with("connections", count, "")
        .with("resumed", f64::from(resumed), "")
        .with("rate", count / seconds, "/s")
        .with_known("cpu a connection", cpu.map(|us| us / count.max(1.0)), "us")
        .with_latency(&latency.snapshot());
    Ok(vec![row])
}

fn name(settings: &Settings) -> String {
    let kind = if settings.resumed { "resumed" } else { "full" };
    let identity = if settings.certificates { "certificates" } else { "tokens" };
    format!("connects, {kind}, {identity}")
}

fn knocks(bench: &Bench, settings: &Settings, devices: &[Device]) -> Result<Vec<Knock>, HubError> {
    let authority = match (settings.certificates, &bench.ca_file) {
        (true, Some(certificate)) => {
            Some(Authority::read(certificate, &certificate.with_extension("key"))?)
        }
        (true, None) => return Err(HubError::NoRoots),
        (false, _) => None,
    };
    let roots = bench.ca_file.as_deref().map(read).transpose()?;
    let target = bench.hub.target();
    let knock = |device: &Device| {
        let tls = match (&authority, &roots) {
            (Some(authority), _) => Some(authority.settings_of(&device.id)?),
            (None, Some(roots)) if settings.resumed => Some(tls_config(roots, None)?),
            (None, _) => None,
        };
        // Who shows a certificate needs no token.
        let token = if authority.is_some() { "".into() } else { device.token.clone() };
        let subscription = Some(device.channel("desired"));
        Ok(Knock { target: aimed(&target, tls, settings.resumed), token, subscription })
    };
    devices.iter().map(knock).collect()
}

fn aimed(target: &Target, tls: Option<Arc<ClientConfig>>, resumed: bool) -> Target {
    let Some(mut tls) = tls else { return target.clone().without_resumption() };
    Arc::make_mut(&mut tls).resumption =
        if resumed { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
    target.clone().with_tls(&tls)
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, HubError> {
    std::fs::read(path).map_err(|error| HubError::File { path: path.display().to_string(), error })
}
