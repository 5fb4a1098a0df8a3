//! Fills the hub with last values, so that its restart can be timed.

use proto::envelope::{Batch, Kind, Publish};

use super::{Bench, Row, peers};
use crate::hub::HubError;
use crate::link::{Link, LinkError, encode};

/// Requests that wait for their ack at a time.
const WINDOW: u64 = 256;
const PAYLOAD: &[u8] = &[5; 120];

/// Settings of `restart`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Last values to write
    #[arg(long, default_value_t = 100_000)]
    values: u64,
    /// Devices to register beside them
    #[arg(long, default_value_t = 0)]
    devices: usize,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let start = bench.clock.now();
    peers::devices(bench, settings.devices).await?;
    let (mut link, _) = Link::open(&bench.hub.target().for_reader(), bench.hub.token(), 0).await?;
    let (mut sent, mut acked, mut refused) = (0, 0, 0);
    while acked + refused < settings.values {
        while sent < settings.values && sent - acked - refused < WINDOW {
            sent += 1;
            let channel = format!("bench.restart.v{sent}");
            let publish =
                Publish { channel: &channel, payload: Some(PAYLOAD), ..Publish::default() };
            link.feed(&encode(sent, Kind::Publish(publish))).await?;
        }
        link.flush().await?;
        let bytes = link.next().await?;
        for envelope in Batch::parse(&bytes).map_err(|_| LinkError::Lost)? {
            match envelope.kind {
                Kind::Ack(_) => acked += 1,
                Kind::Error(_) => refused += 1,
                _ => {}
            }
        }
    }
    let seconds = bench.clock.now().since(start) as f64 / 1e6;
    let row = Row::new("restart, prepared")
        .with("values", acked as f64, "")
        .with("refused", refused as f64, "")
        .with("devices", settings.devices as f64, "")
        .with("time", seconds, "s")
        .with_known("resident", bench.process.resident_kib(), "KiB");
    Ok(vec![row])
}
