//! Fills the hub with last values, so that its restart can be timed.

use proto::envelope::{Batch, Kind, Publish};
use tokio::task::JoinSet;

use super::{Bench, Row, peers};
use crate::hub::HubError;
use crate::link::{Link, LinkError, encode};

/// Requests of one connection that wait for their ack at a time.
const WINDOW: u64 = 1024;
const PAYLOAD: &[u8] = &[5; 120];

/// Settings of `restart`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Last values to write
    #[arg(long, default_value_t = 100_000)]
    values: u64,
    /// Connections that write them; each is held to the rate of one person
    #[arg(long, default_value_t = 4)]
    links: u64,
    /// Devices to register beside them
    #[arg(long, default_value_t = 0)]
    devices: usize,
}

/// What became of values that were sent.
#[derive(Debug, Default)]
struct Filled {
    acked: u64,
    refused: u64,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let start = bench.clock.now();
    peers::devices(bench, settings.devices).await?;
    let links = settings.links.max(1);
    let mut filling = JoinSet::new();
    for part in 0..links {
        let (link, _) = Link::open(&bench.hub.target().for_reader(), bench.hub.token(), 0).await?;
        let edge = |part: u64| settings.values * part / links;
        filling.spawn(fill(link, edge(part)..edge(part + 1)));
    }
    let mut sum = Filled::default();
    while let Some(filled) = filling.join_next().await {
        let filled = filled.map_err(|error| HubError::Answer(error.to_string()))??;
        sum.acked += filled.acked;
        sum.refused += filled.refused;
    }
    let seconds = bench.clock.now().since(start) as f64 / 1e6;
    let row = Row::new("restart, prepared")
        .with("values", sum.acked as f64, "")
        .with("refused", sum.refused as f64, "")
        .with("devices", settings.devices as f64, "")
        .with("time", seconds, "s")
        .with_known("resident", bench.process.resident_kib(), "KiB");
    Ok(vec![row])
}

/// Writes the values of these numbers.
async fn fill(mut link: Link, numbers: std::ops::Range<u64>) -> Result<Filled, LinkError> {
    let mut filled = Filled::default();
    let (mut next, mut waiting) = (numbers.start, 0);
    while next < numbers.end || waiting > 0 {
        while next < numbers.end && waiting < WINDOW {
            let channel = format!("bench.restart.v{next}");
            let publish =
                Publish { channel: &channel, payload: Some(PAYLOAD), ..Publish::default() };
            link.feed(&encode(next + 1, Kind::Publish(publish))).await?;
            next += 1;
            waiting += 1;
        }
        link.flush().await?;
        let bytes = link.next().await?;
        for envelope in Batch::parse(&bytes).map_err(|_| LinkError::Lost)? {
            match envelope.kind {
                Kind::Ack(_) => filled.acked += 1,
                Kind::Error(_) => filled.refused += 1,
                _ => continue,
            }
            waiting -= 1;
        }
    }
    Ok(filled)
}
