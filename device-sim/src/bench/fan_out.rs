//! One publisher, many subscribers: the hub's CPU time for each delivery, one message at a time and in
//! bursts.

use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{Batch, Kind, Subscribe};
use tokio::task::JoinSet;

use super::bursts::{Current, Offer};
use super::{Bench, Row, peers};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, encode};

const CHANNEL: &str = "bench.fan-out";

/// Settings of `fan-out`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Subscribers
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Messages a second that are published
    #[arg(long, default_value_t = 32.0)]
    rate: f64,
    /// How long each round takes
    #[arg(long, value_parser = crate::args::span, default_value = "10s")]
    duration: Duration,
    /// Messages that are published at once, one round each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    bursts: Vec<u32>,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let mut readers = JoinSet::new();
    let mut links = Vec::with_capacity(settings.subscribers);
    let token: Arc<str> = bench.hub.token().into();
    let tokens = std::iter::repeat_n(token, settings.subscribers);
    peers::open_all(bench, &bench.hub.target(), tokens, 0, |opened| links.push(opened.link))
        .await?;
    let current = Current::default();
    for mut link in links {
        link.send(&encode(
            0,
            Kind::Subscribe(Subscribe { pattern: CHANNEL, ..Subscribe::default() }),
        ))
        .await?;
        readers.spawn(read(link, bench.clock, current.clone()));
    }
    let (mut publisher, _) = Link::open(&bench.hub.target(), bench.hub.token(), 0).await?;
    let offer = Offer {
        channel: CHANNEL,
        receivers: settings.subscribers,
        rate: settings.rate,
        duration: settings.duration,
    };
    let mut rows = Vec::new();
    for burst in &settings.bursts {
        let outcome = offer.round(bench, &mut publisher, *burst, &current).await?;
        let name = format!("fan-out 1 to {} in bursts of {burst}", settings.subscribers);
        rows.push(outcome.row(name));
    }
    Ok(rows)
}

async fn read(mut link: Link, clock: Clock, current: Current) {
    while let Ok(bytes) = link.next().await {
        let Ok(batch) = Batch::parse(&bytes) else { return };
        let (now, round) = (clock.now(), current.round());
        for envelope in batch {
            match envelope.kind {
                Kind::Message(message) => round.message(Micros(message.measured_unix_ms), now),
                Kind::Gap(_) => round.gap(),
                _ => {}
            }
        }
    }
}
